"""How much, and for how long, one peer may make a listener hold."""

import msgspec


class HttpLimits(msgspec.Struct, frozen=True):
    """Limits of one listener. Times are kept by a sweep, so each may run over by two of its periods."""

    header_bytes: int = 65_536
    """Request line and fields of one request; likewise its trailers and chunk framing between two bytes of body."""

    headers: int = 100
    """Field lines of one request."""

    body_bytes: int = 70_167_211
    """The largest request body read at all: AWS's bound on a request that carries a zip. Operations have lower ones."""

    buffer_bytes: int = 262_144
    """Body held for a handler that has not asked for it or takes it piece by piece; above it reading stops."""

    pipelined: int = 16
    """Requests parsed and waiting for an earlier one of the same connection; above it reading stops."""

    connections: int = 10_000
    """Open connections of the listener; further ones are told 503."""

    handshakes: int = 1_000
    """Connections on which nothing but a TLS handshake has come, if that; further ones are closed."""

    handshake_s: float = 10.0
    """From a connection's opening to the first byte of its TLS handshake, and from that to its end."""

    header_s: float = 20.0
    """From a connection's opening, or a request's first byte, to the end of its header."""

    keep_alive_s: float = 75.0
    """Between a response and the next request."""

    stall_s: float = 30.0
    """A peer that, while we wait for it, moves fewer than `stall_bytes` in this time is closed: in both directions."""

    stall_bytes: int = 1_024

    linger_s: float = 2.0
    """How long input is read and dropped after an early answer, so that the client gets to read it."""
