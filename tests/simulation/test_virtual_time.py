"""Time that passes only when nothing else is left to do."""

import asyncio
import time

import pytest

from ondol.model.time import SECOND
from ondol.simulator import virtual_time
from ondol.simulator.virtual_time import NEW_YEAR_2026, Deadlock, VirtualClock, VirtualTimeLoop

HOUR_S = 3600.0


def loop() -> VirtualTimeLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualTimeLoop)
    return running


def test_a_sleep_of_days_ends_at_once_and_to_the_nanosecond() -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock(loop())
        await asyncio.sleep(72 * HOUR_S)
        await asyncio.sleep(1e-9)
        return clock.now(), clock.wall()

    before = time.monotonic()
    now, wall = virtual_time.run(main())
    assert now == 72 * 3600 * SECOND + 1
    assert wall == NEW_YEAR_2026 + 72 * 3600 * 1000
    assert time.monotonic() - before < 5


def test_many_ticks_do_not_drift() -> None:
    async def main() -> int:
        for _ in range(2_000):
            await asyncio.sleep(0.005)
        return loop().now

    assert virtual_time.run(main()) == 10 * SECOND


def test_what_is_due_at_one_instant_happens_in_the_order_in_which_it_was_asked_for() -> None:
    async def main() -> list[int]:
        woken: list[int] = []
        for number in range(100):
            loop().call_at(1.0 + number % 3, woken.append, number)
        await asyncio.sleep(5)
        return woken

    assert virtual_time.run(main()) == sorted(range(100), key=lambda number: number % 3)


def test_two_runs_do_the_same_in_the_same_order() -> None:
    async def main() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []

        async def walk(number: int) -> None:
            for step in range(5):
                await asyncio.sleep((number * 7 + step) % 5 / 10)
                seen.append((number, loop().now))

        await asyncio.gather(*(walk(number) for number in range(20)))
        return seen

    assert virtual_time.run(main()) == virtual_time.run(main())


def test_a_timeout_comes_in_virtual_time() -> None:
    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR_S):
                await asyncio.sleep(2 * HOUR_S)
        return loop().now

    assert virtual_time.run(main()) == 3600 * SECOND


def test_a_cancelled_timer_takes_no_time() -> None:
    async def main() -> int:
        loop().call_later(HOUR_S, pytest.fail, "it was cancelled").cancel()
        await asyncio.sleep(1)
        return loop().now

    assert virtual_time.run(main()) == SECOND


def test_when_everybody_waits_for_ever_it_is_said_who() -> None:
    async def main() -> None:
        await asyncio.sleep(3)
        asyncio.current_task().set_name("the customer")  # type: ignore[union-attr]
        await loop().create_future()

    with pytest.raises(Deadlock, match=r"after 3\.000000000 s, and these wait: the customer"):
        virtual_time.run(main())


def test_there_are_no_threads() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.time)

    with pytest.raises(RuntimeError, match="no threads"):
        virtual_time.run(main())
