"""Bodies of strangers: read whole as long as all together leave room, and given up otherwise."""

import asyncio
from collections.abc import Sequence

import pytest

from ondol.frontend.body_room import BodyRoom
from ondol.http import BodyTooLarge, Request
from ondol.http.body import Body
from ondol.model.errors import PlatformError

LIMIT = 1000


class Source:
    def wanted(self) -> None:
        """Whoever tests it feeds it."""


def request(length: int | None) -> Request:
    body = Body(Source(), 10_000, 10_000, length, False)
    return Request("POST", "/", "/", "", "1.1", {}, body, True, None)


def read(room: BodyRoom, lengths: Sequence[int | None], sent: Sequence[int]) -> list[bytes | BaseException]:
    """What becomes of requests whose bodies come in pieces of a hundred bytes, in turns."""

    async def main() -> list[bytes | BaseException]:
        requests = [request(length) for length in lengths]
        reading = [asyncio.ensure_future(room.read(each, LIMIT)) for each in requests]
        for at in range(0, max(sent), 100):
            for each, size in zip(requests, sent, strict=True):
                if at < size:
                    each.body.feed(b"x" * 100)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for each in requests:
            each.body.finish()
        return await asyncio.gather(*reading, return_exceptions=True)

    return asyncio.run(main())


def test_bodies_are_read_while_there_is_room() -> None:
    room = BodyRoom(1500)
    for _ in range(3):
        assert read(room, [700, None], [700, 700]) == [b"x" * 700] * 2, "what was held is free again"
    first, second = read(room, [900, 900], [900, 900])
    assert (first, type(second)) == (b"x" * 900, PlatformError)
    assert read(room, [900], [900]) == [b"x" * 900]


@pytest.mark.parametrize(("length", "sent"), [(1100, 0), (None, 1100)])
def test_one_that_is_too_large_is_told_so(length: int | None, sent: int) -> None:
    [told] = read(BodyRoom(1500), [length], [sent or 100])
    assert isinstance(told, BodyTooLarge)
