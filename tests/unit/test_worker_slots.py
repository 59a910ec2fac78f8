"""What is prepared ahead, and what for somebody who waits already."""

import asyncio

from ondol.model.ids import AccountId
from ondol.model.runtime import Launch, Runtime
from ondol.sandbox.driver import SlotSpec, StartSpec
from ondol.sandbox.simulated import Behaviour, SimulatedDriver, SimulatedSandbox
from ondol.worker.slots import SlotKey, Slots

KEY = SlotKey(Runtime("python3.11", "3.11.2", Launch.ZYGOTE, ()), AccountId("000000000000"))


def behave(spec: StartSpec) -> Behaviour:
    raise AssertionError("nothing runs here")


class Orders:
    """A driver's door, and what was asked for there: whether each slot was awaited."""

    def __init__(self, ahead: int, at_once: int) -> None:
        self.driver = SimulatedDriver(behave)
        self.awaited: list[bool] = []
        create = self.driver.create

        async def noted(spec: SlotSpec) -> SimulatedSandbox:
            self.awaited.append(spec.awaited)
            return await create(spec)

        self.driver.create = noted  # type: ignore[method-assign]
        names = iter(range(1000))
        self.slots = Slots(self.driver, ahead, at_once, new_id=lambda: f"id-{next(names)}")


def test_what_is_prepared_ahead_is_awaited_by_nobody() -> None:
    async def work() -> None:
        orders = Orders(ahead=3, at_once=2)
        await orders.slots.expect(KEY)
        await orders.slots.take(KEY)
        await orders.slots._preparing.finished()
        assert orders.slots.counts() == {"python3.11": 3}
        assert orders.awaited == [False] * 4
        await orders.slots.close()

    asyncio.run(work())


def test_who_finds_none_awaits_the_next_and_the_spare_one_comes_last() -> None:
    async def work() -> None:
        orders = Orders(ahead=1, at_once=1)
        taken = await asyncio.gather(*(orders.slots.take(KEY) for _ in range(3)))
        await orders.slots._preparing.finished()
        assert orders.slots.counts() == {"python3.11": 1}
        assert orders.awaited == [True, True, True, False]
        assert len({sandbox.id for sandbox in taken}) == 3
        await orders.slots.close()

    asyncio.run(work())
