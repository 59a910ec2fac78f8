"""Waiting for something to happen, though not for ever.

Not `asyncio.wait_for`: that makes a task of what it waits for, and before Python 3.12 it may swallow a cancellation
that comes as that ends.
"""

import asyncio


async def happens(event: asyncio.Event, within_s: float | None) -> bool:
    """Wait until it is set, at most so long; whether it is. None is for ever, and a time that is over no time."""
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
