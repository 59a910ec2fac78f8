"""Waiting for an event that may not come."""

import asyncio

import pytest

from ondol.waiting import happens


def test_what_has_happened_is_not_waited_for() -> None:
    async def wait() -> bool:
        event = asyncio.Event()
        event.set()
        return await happens(event, -1) and await happens(event, 3600) and await happens(event, None)

    assert asyncio.run(wait())


def test_who_waits_is_woken_at_once_and_at_the_end_of_the_time() -> None:
    async def wait() -> tuple[bool, bool]:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        return await happens(event, 3600), await happens(asyncio.Event(), 0.001)

    assert asyncio.run(wait()) == (True, False)


def test_a_cancellation_in_the_moment_of_the_event_is_not_swallowed() -> None:
    async def wait() -> None:
        event = asyncio.Event()
        waiting = asyncio.ensure_future(happens(event, 3600))
        await asyncio.sleep(0)
        event.set()
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(wait())
