"""Waiting for a queue to change: cheaper than `asyncio.wait_for`, which makes a task of it."""

import asyncio


async def wait(changed: asyncio.Event, at_most_s: float | None) -> None:
    """Until it is set from now on, or so long; None is for ever."""
    changed.clear()
    if at_most_s is None:
        await changed.wait()
        return
    timer = asyncio.get_running_loop().call_later(at_most_s, changed.set)
    try:
        await changed.wait()
    finally:
        timer.cancel()
