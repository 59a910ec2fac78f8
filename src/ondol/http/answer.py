"""The answer of another server, from the bytes that it sends: its head, then pieces of its body, to its end.

It decides when a server counts as gone, what ends a body, and whether the connection may be used again.
"""

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from ondol.http.errors import HttpError

_HEAD_BYTES = 131_072


class ServerGone(HttpError):
    """The server cannot be reached, has hung up in mid-answer, or does not speak HTTP."""


class ServerSlow(HttpError):
    """Nothing has moved for too long."""


class Patience(msgspec.Struct, frozen=True):
    connect_s: float = 5.0
    stall_s: float = 120.0
    """Without a byte of the request taken or of the answer given. Long polls of AWS last 60 s at most."""


class AnswerHead(msgspec.Struct, frozen=True):
    status: int
    fields: tuple[tuple[str, str], ...]
    """Names as the server spells them."""

    length: int | None
    """Of the body; None if only its end tells."""


class AnswerParser:
    """Fed with what the server sends; holds the head, and pieces of the body until they are taken."""

    def __init__(self, bodiless: bool) -> None:
        self._http = HttpResponseParser(self)
        self._bodiless = bodiless
        self._fields: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._until_end = False
        self.head: AnswerHead | None = None
        self.pieces: list[bytes] = []
        self.complete = False
        self.reusable = False
        """The server keeps the connection for another request, once this answer is complete."""

    @property
    def untouched(self) -> bool:
        """Nothing of an answer has come."""
        return self.head is None and not self._head_bytes

    def feed(self, data: bytes) -> None:
        """Raises `ServerGone` for what is no HTTP; no data is the end of the connection."""
        if not data:
            if self.head is None or not (self._until_end or self.complete):
                raise ServerGone("it hung up before its answer was complete")
            self.complete = True
            return
        if self.head is None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                raise ServerGone("the head of its answer is too large")
        try:
            self._http.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.complete:
                raise ServerGone(f"its answer is no HTTP: {error}") from error

    # ---- called by llhttp

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:
            self._fields.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        status = self._http.get_status_code()
        if status < 200:
            self._fields.clear()
            return
        named = {name.lower(): value for name, value in self._fields}
        chunked = "transfer-encoding" in named
        length = named.get("content-length")
        self.head = AnswerHead(status, tuple(self._fields), None if chunked or length is None else int(length))
        self.complete = self._bodiless or status in {204, 304}
        self._until_end = not chunked and length is None

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.complete = self.head is not None
        self.reusable = self.complete and not self._until_end and bool(self._http.should_keep_alive())
