"""Streamed results: what the machine takes in which state, and what goes on to the client, when."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
import virtual_loop
from test_environment_machine import ONE, at, busy, head, of, version

from ondol.http import HttpCommons
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, Region, RequestId
from ondol.model.invocation import FailureKind, FunctionFailure
from ondol.model.limits import STREAMED, Phases
from ondol.model.time import SECOND, Instant, WallTime
from ondol.sandbox.driver import Exit, Guest, StartSpec
from ondol.telemetry.api import LogStream
from ondol.worker.api import NotTaken, Started, StartRequest
from ondol.worker.commands import Answer, Command, Finish, Stop
from ondol.worker.environment import EnvironmentShell
from ondol.worker.environment_log import EnvironmentLog
from ondol.worker.failures import End
from ondol.worker.log_lines import platform_lines
from ondol.worker.machine import EnvironmentMachine, RuntimeMisbehaved, State, UnknownRequest

MB = 1 << 20


def streaming() -> EnvironmentMachine:
    machine = busy()
    machine.stream_began(ONE)
    return machine


def failure_in(commands: list[Command]) -> FunctionFailure:
    [answer] = of(Answer, commands)
    assert isinstance(answer, Answer) and answer.failure is not None
    return answer.failure


# The machine


def test_a_stream_is_answered_when_it_ends_and_its_environment_is_ready_with_next() -> None:
    machine = streaming()
    assert machine.streams(ONE)
    assert machine.stream_ended(ONE, None, at(50)) == [Answer(head(), None, at(20), at(20))]
    assert not machine.streams(ONE)
    assert of(Finish, machine.next_asked(at(51))) == [Finish(ONE, True)]


def test_a_stream_that_fails_leaves_the_environment_usable() -> None:
    machine = streaming()
    failed = FunctionFailure(FailureKind.HANDLED_BY_RUNTIME, "Own.Luck", b"{}")
    assert failure_in(machine.stream_ended(ONE, failed, at(50))) == failed
    assert of(Finish, machine.next_asked(at(51))) == [Finish(ONE, True)]


def test_a_timeout_in_mid_stream_ends_the_environment() -> None:
    machine = streaming()
    commands = machine.timer_due(at(3030))
    assert failure_in(commands).error_type == "Sandbox.Timedout"
    assert commands[1:] == [Finish(ONE, False), Stop()]
    assert not machine.streams(ONE)


def test_a_crash_is_told_whether_or_not_the_connection_went_first() -> None:
    for cut in (False, True):
        machine = streaming()
        if cut:
            machine.stream_cut(ONE)
        assert failure_in(machine.exited(End(3, None, False), at(50))).error_type == "Runtime.ExitError"


def test_a_stream_that_was_cut_off_is_told_when_the_runtime_goes_on() -> None:
    machine = streaming()
    machine.stream_cut(ONE)
    assert not machine.streams(ONE)
    commands = machine.next_asked(at(50))
    assert failure_in(commands).error_type == "Runtime.TruncatedResponse"
    assert commands[-1] == Finish(ONE, True)
    assert machine.state is State.IDLE


def test_what_is_cut_off_after_its_answer_changes_nothing() -> None:
    machine = streaming()
    machine.stream_ended(ONE, None, at(50))
    machine.stream_cut(ONE)
    assert machine.state is State.RESPONDED


@pytest.mark.parametrize(
    "attempt",
    [
        lambda machine: machine.stream_began(ONE),
        lambda machine: machine.responded(ONE, 2, at(50)),
        lambda machine: machine.errored(ONE, "Own", b"{}", at(50)),
        lambda machine: machine.next_asked(at(50)),
    ],
    ids=["another stream", "a result", "an error", "next"],
)
def test_while_it_streams_nothing_else_is_taken(attempt: Callable[[EnvironmentMachine], object]) -> None:
    machine = streaming()
    assert machine.awaited is None
    with pytest.raises(RuntimeMisbehaved):
        attempt(machine)
    assert machine.streams(ONE)


def test_a_stream_for_another_invocation_is_refused() -> None:
    machine = busy()
    with pytest.raises(UnknownRequest):
        machine.stream_began("another")
    assert machine.awaited == ONE


# The shell, in virtual time


class LoopClock:
    """The time of the loop that runs."""

    def now(self) -> Instant:
        return Instant(round(asyncio.get_running_loop().time() * SECOND))

    def wall(self) -> WallTime:
        return WallTime(0)


class NoLogs:
    def open(self, stream: LogStream) -> "NoLogs":
        return self

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        pass


class Wire(asyncio.Transport):
    """The platform's end of the runtime's connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.told = asyncio.Event()
        self.read = asyncio.Event()
        self.read.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        self.told.set()

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.read.clear()

    def resume_reading(self) -> None:
        self.read.set()


class Room:
    """A sandbox whose runtime is the test: it asks for its first invocation by itself."""

    id = "room"

    def attach(self, guest: Guest) -> None:
        self.guest = guest

    async def start(self, spec: StartSpec) -> None:
        self.ask()

    def ask(self) -> None:
        """Ask for an invocation, on a new connection."""
        self.wire = Wire()
        self.connection = self.guest.connected()
        self.connection.connection_made(self.wire)
        self.say(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n")

    def say(self, data: bytes) -> None:
        assert isinstance(self.connection, asyncio.Protocol)
        self.connection.data_received(data)

    def freeze(self) -> None:
        pass

    throttle = thaw = drain_output = freeze

    def memory_peak_bytes(self) -> int:
        return 0

    async def stop(self, grace_s: float, extensions_s: float = 0.0) -> None:
        self.guest.exited(Exit(signal=9))


class Sink:
    """A client; `room` is cleared while it reads nothing."""

    first = b"{}"

    def __init__(self) -> None:
        self.written: list[tuple[float, int]] = []
        self.room = asyncio.Event()
        self.room.set()
        self.finished: asyncio.Future[FunctionFailure | None] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        return b""

    def begin_stream(self, content_type: str) -> None:
        self.content_type = content_type

    def write(self, piece: bytes) -> None:
        self.written.append((asyncio.get_running_loop().time(), len(piece)))

    async def drain(self) -> None:
        await self.room.wait()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        self.finished.set_result(failure)

    def over(self, reusable: bool) -> None:
        pass

    def failed(self, error: Exception) -> None:
        assert not isinstance(error, NotTaken)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.written)


BEGIN = (
    b"POST /2018-06-01/runtime/invocation/one/response HTTP/1.1\r\nHost: a\r\n"
    b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
)
PIECE = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
END = b"0\r\n\r\n"


async def write(room: Room, data: bytes) -> None:
    """As the runtime writes: it waits while the platform does not read."""
    await room.wire.read.wait()
    room.say(data)


def run(work: Callable[[Room, Sink], Awaitable[None]], timeout_s: int = 900) -> None:
    """With an environment that runs invocation `one`, for a client that takes a stream."""

    async def main() -> None:
        clock, room = LoopClock(), Room()
        version_of = version(timeout_s)
        stream = LogStream(AccountId("000000000000"), Region("us-east-1"), "/aws/lambda/f", "s")
        shell = EnvironmentShell(
            StartRequest(EnvironmentId("e"), version_of, RequestId("cause")),
            room,  # type: ignore[arg-type]
            log=EnvironmentLog(stream, NoLogs(), platform_lines(version_of, "provided:al2023.v1"), clock),
            phases=Phases(),
            clock=clock,
            http=HttpCommons(clock),
            wake=lambda id, at: asyncio.get_running_loop().call_later((at - clock.now()) / SECOND, shell.timer_due),
            stopped=lambda shell: None,
        )
        assert isinstance(await shell.initialize(StartSpec(CodeDigest("d"), (), {}, 128, 1.0, 512, True)), Started)
        sink = Sink()
        shell.invoke(msgspec.structs.replace(head(), stream=True), sink, sink)
        await work(room, sink)
        shell.stop()

    virtual_loop.run(main())


def test_a_burst_goes_at_once_and_the_rest_at_a_steady_rate() -> None:
    async def work(room: Room, sink: Sink) -> None:
        room.say(BEGIN)
        began = asyncio.get_running_loop().time()
        for _ in range(10 * 16):
            await write(room, PIECE)
        await write(room, END)
        assert await sink.finished is None
        assert sink.bytes == 10 * MB
        for when, gone in zip((t for t, _ in sink.written), _sums(sink), strict=True):
            assert gone <= 6 * MB + (when - began) * 2 * MB + 1
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)

    run(work)


def _sums(sink: Sink) -> list[int]:
    total = 0
    return [total := total + size for _, size in sink.written]


def test_a_client_that_reads_nothing_stops_the_runtime() -> None:
    async def work(room: Room, sink: Sink) -> None:
        sink.room.clear()
        room.say(BEGIN)
        pieces = 0
        while room.wire.read.is_set():
            room.say(PIECE)
            pieces += 1
            await asyncio.sleep(0)
        assert pieces * 65_536 < MB, "so much is held for a client at most"
        sink.room.set()
        await write(room, END)
        assert await sink.finished is None
        assert sink.bytes == pieces * 65_536

    run(work)


def test_no_more_than_the_limit_goes_and_the_runtime_lives_on() -> None:
    async def work(room: Room, sink: Sink) -> None:
        room.say(BEGIN)
        written = 0
        while not sink.finished.done():
            await write(room, PIECE)
            written += 65_536
            await asyncio.sleep(0)
        failed = await sink.finished
        assert failed is not None and failed.error_type == "Function.ResponseSizeTooLarge"
        assert sink.bytes == STREAMED.total_bytes < written
        room.wire.sent = b""
        room.wire.told.clear()
        for data in (PIECE, END):
            await write(room, data)
        await room.wire.told.wait()
        assert room.wire.sent.startswith(b"HTTP/1.1 413 ")
        assert sink.bytes == STREAMED.total_bytes

    run(work)


def test_what_is_no_chunk_cuts_the_stream_off() -> None:
    async def work(room: Room, sink: Sink) -> None:
        room.say(BEGIN + PIECE)
        room.wire.told.clear()
        room.say(b"no length\r\n")
        await room.wire.told.wait()
        assert not sink.finished.done(), "the runtime may be about to end, which would say why"
        room.ask()
        failed = await sink.finished
        assert failed is not None and failed.error_type == "Runtime.TruncatedResponse"

    run(work)


def test_the_end_of_a_connection_counts_though_what_came_after_it_is_heard_first() -> None:
    async def work(room: Room, sink: Sink) -> None:
        room.say(BEGIN + PIECE)
        ended = room.connection
        assert isinstance(ended, asyncio.Protocol)
        await asyncio.sleep(0)
        room.ask()
        ended.eof_received()
        ended.connection_lost(None)
        failed = await sink.finished
        assert failed is not None and failed.error_type == "Runtime.TruncatedResponse"
        await asyncio.sleep(1)
        assert room.wire.sent == b"", "it waits for its next invocation"

    run(work)


def test_while_it_streams_no_other_invocation_is_asked_for() -> None:
    async def work(room: Room, sink: Sink) -> None:
        room.say(BEGIN + PIECE)
        streaming = room.connection
        await asyncio.sleep(0)
        room.ask()
        await room.wire.told.wait()
        assert room.wire.sent.startswith(b"HTTP/1.1 403 ")
        room.connection = streaming
        await write(room, END)
        assert await sink.finished is None

    run(work)


def test_a_timeout_comes_though_the_client_reads_nothing_and_what_follows_is_dropped() -> None:
    async def work(room: Room, sink: Sink) -> None:
        sink.room.clear()
        room.say(BEGIN + PIECE)
        failed = await sink.finished
        assert failed is not None and failed.error_type == "Sandbox.Timedout"
        assert sink.bytes == 65_536
        sink.room.set()
        room.say(PIECE + END)
        for _ in range(10):
            await asyncio.sleep(0)
        assert sink.bytes == 65_536

    run(work, timeout_s=3)
