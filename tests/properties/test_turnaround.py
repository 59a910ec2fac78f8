"""A turnaround that is recognised and one that is parsed come to the same, whatever is sent and in which pieces."""

import asyncio
import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.http import HttpCommons, HttpProtocol, Response
from ondol.model.time import Instant, WallTime
from ondol.runtimes.python.ondol_runtime.client import RuntimeApi as Bootstrap
from ondol.worker.extensions_api import ExtensionsApi
from ondol.worker.machine import RuntimeMisbehaved, UnknownRequest
from ondol.worker.runtime_api import RuntimeApi, RuntimeErrorReport
from ondol.worker.turnaround import RuntimeConnection, _result_of

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


class StillClock:
    def now(self) -> Instant:
        return Instant(0)

    def wall(self) -> WallTime:
        return WallTime(0)


class Environment:
    """Runs one invocation, and notes what it is told."""

    is_streaming = False

    def __init__(self, busy_elsewhere: bool) -> None:
        self.awaited: str | None = ID
        self.told: list[tuple[str, object]] = []
        self._busy_elsewhere = busy_elsewhere

    def next_asked(self, response: Response) -> None:
        self.told.append(("next", None))
        if self._busy_elsewhere or self.awaited is not None:
            raise RuntimeMisbehaved("not now")

    def result_begins(self, request: str) -> None:
        if request != self.awaited:
            raise UnknownRequest("not that one")

    def result_piece(self, piece: bytes) -> None:
        self.told.append(("piece", piece))

    def result_whole(self, request: str, size: int) -> None:
        self.told.append(("whole", size))
        self.awaited = None

    def invocation_failed(self, request: str, report: RuntimeErrorReport) -> None:
        self.told.append(("failed", report.payload))

    def init_failed(self, report: RuntimeErrorReport) -> None:
        self.told.append(("init failed", report.payload))


class Wire(asyncio.Transport):
    """What was sent is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.sent += b"<end>"

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.sent += b"<closed>"

    abort = close


def outcome(pieces: list[bytes], recognised: bool, busy_elsewhere: bool) -> tuple[list[tuple[str, object]], bytes]:
    """What the environment was told of these pieces, and what was answered."""

    async def serve() -> tuple[list[tuple[str, object]], bytes]:
        environment, wire = Environment(busy_elsewhere), Wire()
        api = RuntimeApi(environment, HttpCommons(StillClock()), ExtensionsApi(environment))
        connection: HttpProtocol = api.server.protocol()
        if recognised:
            connection = RuntimeConnection(api.server, environment)
        connection.connection_made(wire)
        for piece in pieces:
            connection.data_received(piece)
            for _ in range(5):
                await asyncio.sleep(0)
        told = environment.told
        joined = b"".join(piece for what, piece in told if what == "piece" and isinstance(piece, bytes))
        return [("all", joined), *(entry for entry in told if entry[0] != "piece")], wire.sent

    return asyncio.run(serve())


def turnaround(body: bytes, request: str = ID, length: str = "{}") -> bytes:
    head = f"POST /2018-06-01/runtime/invocation/{request}/response HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {length.format(len(body))}\r\n\r\n"
    return head.encode() + body + b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"


bodies = st.one_of(
    st.binary(max_size=40),
    st.just(turnaround(b"{}")),
    st.just(b"\r\n\r\nGET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"),
)
streams = st.one_of(
    bodies.map(turnaround),
    st.builds(
        turnaround,
        bodies,
        length=st.sampled_from(["0", "00{}", "1", "99999", "000000{}", "-{}", "+{}", " {}", "{} ", "{}_0"]),
    ),
    st.builds(turnaround, bodies, request=st.sampled_from(["", "other", ID.upper(), ID + "/response"])),
    st.tuples(bodies.map(turnaround), st.integers(0, 300), st.binary(min_size=1, max_size=2)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
    ),
    st.lists(bodies.map(turnaround), min_size=2, max_size=3).map(b"".join),
)


beginnings = st.sampled_from(
    [b"", b"", b"P", b"GET / HTTP/1.1\r\nHost: x\r\n", turnaround(b"{}")[:-5], turnaround(b"{}")[:150]]
)


@settings(max_examples=300)
@given(before=beginnings, stream=streams, cuts=st.lists(st.integers(0, 400), max_size=3), busy_elsewhere=st.booleans())
def test_recognised_or_parsed_it_comes_to_the_same(
    before: bytes, stream: bytes, cuts: list[int], busy_elsewhere: bool
) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [before, *(stream[a:b] for a, b in itertools.pairwise(edges) if a < b)]
    recognised, parsed = (outcome(pieces, way, busy_elsewhere) for way in (True, False))
    assert recognised == parsed


@pytest.mark.parametrize("length", ["0", "00{}", "99999", "000000{}", "-{}", "+{}", " {}", "{} ", "{}_0", "0x{}", ""])
def test_a_length_means_what_http_says(length: str) -> None:
    pieces = [turnaround(b"{}" * 4, length=length)]
    assert outcome(pieces, True, False) == outcome(pieces, False, False)


def test_the_bootstraps_turnaround_is_recognised() -> None:
    coming, platforms_going = os.pipe()
    platforms_coming, going = os.pipe()
    os.write(platforms_going, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    os.close(platforms_going)
    bootstrap = Bootstrap("127.0.0.1:9001", (coming, going))
    with pytest.raises(ConnectionResetError):
        bootstrap.respond(ID, b'{"a": 1}', "application/json")
    sent = os.read(platforms_coming, 65_536)
    for descriptor in (coming, platforms_coming, going):
        os.close(descriptor)
    assert _result_of(sent, ID) == b'{"a": 1}'
