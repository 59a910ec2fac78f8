"""From bytes to requests: what is well-formed, and what is refused.

llhttp, in its strict mode, decides the grammar (RFC 9112): both a length and a transfer coding, two lengths, folded
lines, bare line feeds and bad chunks are its errors. Decided here: size limits, versions, methods, hosts, and that
`chunked` is the only transfer coding. It must not know the transport, nor in what order requests are served.
"""

from collections import deque

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from ondol.http.body import Body, Source
from ondol.http.errors import BodyTooLarge, Refused
from ondol.http.limits import HttpLimits
from ondol.http.request import Peer, Request

_METHODS = {name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}
_SCHEMES = ("http://", "https://")
_LARGE_HEADER = "the request's header is too large"
_MANY_FIELDS = "the request has too many fields"


_NAMES: dict[bytes, str] = {}
"""Names of fields as they came, and in lower case: clients repeat themselves. For ever, so of few and short ones."""

_KEPT_NAMES, _LONGEST_KEPT = 1024, 64


def _name(name: bytes) -> str:
    lowered = name.decode("latin-1").lower()
    if len(_NAMES) < _KEPT_NAMES and len(name) <= _LONGEST_KEPT:
        _NAMES[name] = lowered
    return lowered


class RequestParser:
    """Fed with what a connection receives; queues each request as soon as its head is complete."""

    def __init__(self, source: Source, limits: HttpLimits, peer: Peer, encrypted: bool = False) -> None:
        self._source = source
        self._limits = limits
        self._peer = peer
        self._encrypted = encrypted
        self._http = HttpRequestParser(self)
        self._url = b""
        self._fields: dict[str, str] = {}
        self._repeats = 0
        self._repeated: dict[str, list[str]] | None = None
        self._head_bytes = 0
        self._framing_bytes = 0
        self._feeding = 0
        self._replaying = False
        self._upgrading = False
        self.requests: deque[Request] = deque()
        """Complete heads, not yet served. Their bodies may still be on the way."""

        self.receiving: Request | None = None
        """The request whose body is not complete."""

        self.in_head = False
        """A request has begun and its head is not complete."""

        self.finished = False
        """A request has come that ends the connection: what follows it is not looked at."""

    def feed(self, data: bytes | memoryview) -> None:
        """Parse `data`. Raises `Refused`, and must not be fed again then; requests queued before stand."""
        while data:
            self._feeding = len(data)
            try:
                self._http.feed_data(data)
            except HttpParserUpgrade as upgrade:
                self._ignore_upgrade()
                data = data[upgrade.args[0] :]
                continue
            except HttpParserError as error:
                if self.finished:
                    return
                if isinstance(error, HttpParserCallbackError) and error.__context__ is not None:
                    raise error.__context__ from None
                raise Refused(400, str(error)) from error
            if self.in_head or self.receiving is not None:
                self._count(len(data))
            return

    def _count(self, size: int) -> None:
        """Bound what llhttp keeps, and what it skips, before it calls back."""
        if self.in_head:
            self._head_bytes += size
            if self._head_bytes > self._limits.header_bytes:
                raise Refused(431, _LARGE_HEADER)
        elif self.receiving is not None and self.receiving.body.length is None:
            self._framing_bytes += size
            if self._framing_bytes > self._limits.header_bytes:
                raise Refused(400, "too much chunk framing")

    def _ignore_upgrade(self) -> None:
        """Serve a request that asks for another protocol (h2c, say) as if it had not (RFC 9110, 7.8).

        llhttp takes what follows its head for the other protocol: a fresh parser is told the framing again.
        """
        assert self.receiving is not None
        length = self.receiving.body.length
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        self._upgrading = False
        self._replaying = True
        self._http = HttpRequestParser(self)
        self._http.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())

    # ---- called by llhttp

    def on_message_begin(self) -> None:
        self.in_head = True
        # What this piece of input holds of the head is not known: it is not counted until the head is complete.
        self._head_bytes = -self._feeding
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _NAMES.get(name) or _name(name)
        text = value.decode("latin-1").rstrip(" \t")
        if key in self._fields:
            self._repeat(key, text)
        else:
            self._fields[key] = text

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._framing_bytes = 0
        if self._replaying:
            self._replaying = False
            self._fields = {}
            return
        request = self._request()
        self.requests.append(request)
        self.receiving = request
        self._upgrading = "upgrade" in request.headers and self._http.should_upgrade()

    def on_body(self, data: bytes) -> None:
        self._framing_bytes = -self._feeding
        self.receiving.body.feed(data)  # type: ignore[union-attr]

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        request = self.receiving
        if request is None:
            return
        if self._fields:
            request.body.trailers = self._take_fields()
            self._repeated = None
        request.body.finish()
        self.receiving = None
        self.finished = not request.keep_alive

    # ---- what a head means

    def _repeat(self, key: str, value: str) -> None:
        self._repeats += 1
        if key == "host":
            raise Refused(400, "more than one Host")
        if self._repeats > self._limits.headers:
            raise Refused(431, _MANY_FIELDS)
        if self._repeated is None:
            self._repeated = {}
        self._repeated.setdefault(key, [self._fields[key]]).append(value)
        self._fields[key] += f", {value}"

    def _take_fields(self) -> dict[str, str]:
        fields = self._fields
        if len(fields) + self._repeats > self._limits.headers:
            raise Refused(431, _MANY_FIELDS)
        # A head that lies within one small piece of input needs no count of its own.
        if self._head_bytes + self._feeding != 0 or self._feeding > self._limits.header_bytes:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in fields.items())
            if size > self._limits.header_bytes:
                raise Refused(431, _LARGE_HEADER)
        self._fields = {}
        self._repeats = 0
        return fields

    def _request(self) -> Request:
        headers = self._take_fields()
        http = self._http
        keep_alive = http.should_keep_alive()
        # Only 1.1 keeps a connection without being asked; to have llhttp spell its version is slow.
        version = "1.1" if keep_alive and "connection" not in headers else http.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise Refused(505, "only HTTP/1.1 and HTTP/1.0 are served")
        method = _METHODS.get(http.get_method())
        if method is None:
            raise Refused(501, "no such method")
        target = self._url.decode("latin-1")
        if target[0] != "/":
            target = self._unusual_target(target, method, headers)
        if version == "1.1" and "host" not in headers:
            raise Refused(400, "no Host")
        length: int | None
        if "transfer-encoding" in headers:
            length = None
            if version == "1.0":
                raise Refused(400, "a transfer coding in HTTP/1.0")
            if headers["transfer-encoding"].lower() != "chunked":
                raise Refused(501, "no transfer coding but chunked")
        else:
            length = int(headers.get("content-length", 0))
        expects_continue = (
            "expect" in headers and headers["expect"].lower() == "100-continue" and version == "1.1" and length != 0
        )
        limits = self._limits
        body = Body(self._source, limits.body_bytes, limits.buffer_bytes, length, expects_continue)
        if length is not None and length > limits.body_bytes:
            body.error = BodyTooLarge(limits.body_bytes)
        path, _, query = target.partition("?")
        request = Request(method, target, path, query, version, headers, body, keep_alive, self._peer, self._encrypted)
        if self._repeated is not None:
            request.repeated, self._repeated = self._repeated, None
        return request

    @staticmethod
    def _unusual_target(target: str, method: str, headers: dict[str, str]) -> str:
        """A target that is no path (RFC 9112, 3.2): an absolute URI names the host as well."""
        if target == "*" and method == "OPTIONS":
            return target
        scheme = next((each for each in _SCHEMES if target.lower().startswith(each)), None)
        if scheme is None:
            raise Refused(400, "the target is no path")
        authority = target[len(scheme) :].split("/", 1)[0].split("?", 1)[0]
        rest = target[len(scheme) + len(authority) :]
        headers["host"] = authority
        return rest if rest.startswith("/") else f"/{rest}"
