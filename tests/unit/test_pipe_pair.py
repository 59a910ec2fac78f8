"""Two pipes as one connection: what is read, what is dropped, and when it is over."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import uvloop

from ondol.sandbox.jail.pipe_pair import End, PipePair, connect

PIPE_BYTES = 65_536


class Kept(asyncio.Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.events: list[str] = []
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert not cast(PipePair, transport).is_closing()
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> bool:
        self.events.append("end")
        return False

    def pause_writing(self) -> None:
        self.events.append("paused")

    def resume_writing(self) -> None:
        self.events.append("resumed")

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append("lost")
        self.over.set()


class Other:
    """The other side, which reads and writes as a runtime does."""

    def __init__(self) -> None:
        self.coming, self._their_going = os.pipe()
        self._their_coming, self.going = os.pipe()
        self.theirs = (self._their_coming, self._their_going)

    def end(self) -> None:
        os.close(self.coming)
        os.close(self.going)


Scenario = Callable[[Kept, PipePair, Other], Coroutine[Any, Any, None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    async def connected(scenario: Scenario) -> None:
        kept, other = Kept(), Other()
        pair = await connect(kept, other.theirs)
        await asyncio.wait_for(scenario(kept, pair, other), 10)

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(connected(scenario))

    return run


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - the loop's own doings set no event
        await asyncio.sleep(0.001)


def test_bytes_go_both_ways(run: Callable[[Scenario], None]) -> None:
    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        os.write(other.going, b"ask")
        await until(lambda: kept.heard == b"ask")
        pair.write(b"answer")
        assert await asyncio.to_thread(os.read, other.coming, 100) == b"answer"
        pair.close()
        await kept.over.wait()
        assert kept.events == ["made", "lost"]
        assert os.read(other.coming, 1) == b""
        other.end()

    run(scenario)


def test_last_words_are_heard_though_nobody_listens_any_more(run: Callable[[Scenario], None]) -> None:
    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        write = pair.write
        os.close(other.coming)
        await until(lambda: pair.write is not write)
        pair.write(b"to nobody")
        os.write(other.going, b"last words")
        await until(lambda: kept.heard == b"last words")
        assert kept.events == ["made"]
        pair.write(b"to nobody")
        assert pair.get_write_buffer_size() == 0
        os.close(other.going)
        await kept.over.wait()
        assert kept.events == ["made", "end", "lost"]

    run(scenario)


def test_who_writes_more_than_is_read_is_told_to_wait(run: Callable[[Scenario], None]) -> None:
    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        sent = b"x" * (1 << 20)
        pair.write(sent)
        await until(lambda: "paused" in kept.events)
        assert pair.get_write_buffer_size() >= len(sent) - PIPE_BYTES
        read = b""
        while len(read) < len(sent):
            read += await asyncio.to_thread(os.read, other.coming, PIPE_BYTES)
        await until(lambda: kept.events == ["made", "paused", "resumed"])
        assert read == sent
        other.end()
        await kept.over.wait()

    run(scenario)


def test_who_waits_to_write_waits_for_nobody_who_is_gone(run: Callable[[Scenario], None]) -> None:
    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        pair.write(b"x" * (1 << 20))
        await until(lambda: "paused" in kept.events)
        os.close(other.coming)
        await until(lambda: kept.events == ["made", "paused", "resumed"])
        os.close(other.going)
        await kept.over.wait()

    run(scenario)


def test_no_descriptor_is_closed_that_is_anothers_by_then(
    run: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    close = End.close
    closed: list[End] = []

    def close_later(end: End) -> None:
        """When another thread has taken the number, if it was free."""
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(64)]
        close(end)
        for descriptor in opened:
            os.close(descriptor)  # raises if it is closed already
        closed.append(end)

    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        pair.close()
        await kept.over.wait()
        await until(lambda: len(closed) == 2)
        for descriptor in other.theirs:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
        other.end()

    monkeypatch.setattr(End, "close", close_later)
    run(scenario)


def test_what_was_written_before_the_end_arrives(run: Callable[[Scenario], None]) -> None:
    async def scenario(kept: Kept, pair: PipePair, other: Other) -> None:
        sent = b"x" * (1 << 20)
        pair.write(sent)
        assert pair.can_write_eof()
        pair.write_eof()
        read = b""
        while piece := await asyncio.to_thread(os.read, other.coming, PIPE_BYTES):
            read += piece
        assert read == sent
        os.write(other.going, b"still heard")
        await until(lambda: kept.heard == b"still heard")
        pair.abort()
        await kept.over.wait()
        other.end()

    run(scenario)
