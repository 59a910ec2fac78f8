"""What requests bring: a body within bounds; the payload of an invocation, and how it is handed to a worker."""

from ondol.aws.invoke import InvokeParameters
from ondol.http import BodyTooLarge, Request
from ondol.model.errors import RequestEntityTooLarge, RequestTooLarge


class WholePayload:
    """A `PayloadSource` whose payload is all here."""

    __slots__ = ("first",)

    def __init__(self, payload: bytes) -> None:
        self.first = payload

    async def read(self) -> bytes:
        return b""


async def read_body(request: Request, limit: int, what: str = "") -> bytes:
    """All of it; `what` it is for is said where it is refused. Raises `RequestEntityTooLarge` above `limit` bytes."""
    try:
        return await request.body.read(limit)
    except BodyTooLarge as error:
        wanted = f" for {what}" if what else ""
        raise RequestEntityTooLarge(f"Request must be smaller than {limit} bytes{wanted}") from error


async def read_payload(request: Request, parameters: InvokeParameters, limit: int) -> bytes:
    """All of it. Raises `RequestTooLarge` above `limit` bytes."""
    try:
        return await request.body.read(limit)
    except BodyTooLarge as error:
        size = request.body.length or error.limit + 1
        raise RequestTooLarge(
            f"{size} byte payload is too large for the {parameters.type.value} invocation type (limit {limit} bytes)"
        ) from error
