"""What ends a request early. A handler may let `Refused` and `ClientGone` pass: the connection settles them."""


class HttpError(Exception):
    """Root of what this package raises on purpose."""


class Refused(HttpError):
    """The request cannot be served; the client is told `status` in plain text and the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class BodyTooLarge(Refused):
    """The body is longer than the reader, or the listener, allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request body is larger than {limit} bytes")
        self.limit = limit


class ClientGone(HttpError):
    """The client closed the connection, so nobody sends the rest of the request or reads the response."""

    def __init__(self) -> None:
        super().__init__("the client closed the connection")


class InvalidResponse(HttpError):
    """A status, a field or a length that cannot be put on the wire; nothing of this call was sent."""
