"""The turnaround of a warm runtime: a result and the request for the next invocation, come in one piece.

ondol's own bootstraps send the two in one write, always spelled the same. A piece that is byte for byte such a pair,
for the invocation that runs now, is taken for what it says without being taken apart as HTTP, which was a sixth of what
a warm call cost the platform. Whatever else comes, or comes in other pieces, goes the general way and means the same
(`tests/properties/test_turnaround.py`).
"""

from functools import lru_cache
from typing import Protocol

from ondol.http import Body, HttpProtocol, Request, Response, Server, response_head
from ondol.worker.machine import RuntimeMisbehaved
from ondol.worker.runtime_api import INVOCATION, JSON_FIELDS, NEXT, OK, refuse_misbehaviour

_HOST = "Host: 127.0.0.1:9001\r\n"
_RESULT_FIELDS = f"/response HTTP/1.1\r\n{_HOST}Content-Type: application/json\r\nContent-Length: "
_NEXT = f"GET {NEXT} HTTP/1.1\r\n{_HOST}\r\n".encode()
_LONGEST_LENGTH = 5
"""Digits of a body's length: larger results come in many pieces anyway."""


class Environment(Protocol):
    """What a turnaround needs of the environment behind it; more in `ondol.worker.runtime_api.Environment`."""

    @property
    def awaited(self) -> str | None:
        """The invocation whose result is awaited."""
        ...

    def result_piece(self, piece: bytes) -> None: ...

    def result_whole(self, request: str, size: int) -> None: ...

    def next_asked(self, response: Response) -> None: ...


class RuntimeConnection(HttpProtocol):
    """A connection to the Runtime API that knows a turnaround when it sees one."""

    def __init__(self, server: Server, environment: Environment) -> None:
        super().__init__(server)
        self._environment = environment
        nothing = Body(self, 0, 0, 0, False, complete=True, whole=b"")
        self._asking = Request("GET", NEXT, NEXT, "", "1.1", {}, nothing, True, None)

    def data_received(self, data: bytes) -> None:
        request = self._environment.awaited
        if request is not None and self.at_rest:
            result = _result_of(data, request)
            if result is not None:
                self._turn_around(request, result)
                return
        super().data_received(data)

    def _turn_around(self, request: str, result: bytes) -> None:
        environment = self._environment
        environment.result_piece(result)
        environment.result_whole(request, len(result))
        self.hold(_acknowledgement(self.date))
        response = self.serve_known(self._asking)
        try:
            environment.next_asked(response)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)


@lru_cache(maxsize=2)
def _acknowledgement(date: str) -> bytes:
    return response_head(202, JSON_FIELDS, f"Content-Length: {len(OK)}\r\n{date}") + OK


def _result_of(data: bytes, request: str) -> bytes | None:
    """The result in a turnaround of this invocation; None for anything else."""
    head = f"POST {INVOCATION}{request}{_RESULT_FIELDS}".encode()
    if not (data.startswith(head) and data.endswith(_NEXT)):
        return None
    end = data.find(b"\r\n\r\n", len(head))
    length = data[len(head) : end]
    if len(length) > _LONGEST_LENGTH or not length.isdigit():
        return None
    begin = end + 4
    stop = begin + int(length)
    return data[begin:stop] if stop + len(_NEXT) == len(data) else None
