"""One request as the handler sees it."""

from collections.abc import Callable

import msgspec

from ondol.http.body import Body

Peer = tuple[str, int] | None
"""Address and port of a TCP client; None where a socket has no such thing."""


class Request(msgspec.Struct, eq=False):
    """Head and body of a request. Nothing is decoded but bytes to text, one character for each byte."""

    method: str
    target: str
    """As sent: what a signature is computed over."""

    path: str
    query: str
    """Percent-encoded as sent; the query is empty where there is none."""

    version: str
    """`1.0` or `1.1`."""

    headers: dict[str, str]
    """Names in lower case; the values of a repeated field joined by a comma and a space."""

    body: Body
    keep_alive: bool
    peer: Peer
    encrypted: bool = False
    """It came over TLS."""

    repeated: dict[str, list[str]] | None = None
    """Of fields that came more than once, each value by itself; None where none did."""

    client_gone: bool = False
    """The client has closed its side; perhaps nobody reads an answer."""

    gone: Callable[[], object] | None = None
    """Called when it does; set by `when_client_gone`."""

    def when_client_gone(self, callback: Callable[[], object] | None) -> None:
        """Call this once if the client closes before the response has ended; at once if it already has.

        One callback per request; None takes it back.
        """
        if self.client_gone and callback is not None:
            callback()
        else:
            self.gone = callback

    def lose_client(self) -> None:
        """For the connection: the client has closed its side."""
        if not self.client_gone:
            self.client_gone = True
            gone, self.gone = self.gone, None
            if gone is not None:
                gone()
