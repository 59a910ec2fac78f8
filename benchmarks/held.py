"""Many environments at once: each call sleeps in its environment until all the others have theirs."""

import asyncio
import json

from client import answer_of, exchange, invoke_path


async def hold(port: int, function: str, count: int, sleep_s: float) -> frozenset[str]:
    """Make so many calls of a `WHO` function at the same time, each of which stays `sleep_s`: who ran them."""
    event = json.dumps({"sleep_s": sleep_s}).encode()

    async def call() -> str:
        return str(answer_of(await exchange(port, "POST", invoke_path(function), event))["environment"])

    return frozenset(await asyncio.gather(*(call() for _ in range(count))))
