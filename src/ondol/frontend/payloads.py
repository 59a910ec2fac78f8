"""The payload of an invocation: how it is read from a request, and how it is handed to a worker."""

from ondol.aws.invoke import InvokeParameters
from ondol.http import BodyTooLarge, Request
from ondol.model.errors import RequestTooLarge


class WholePayload:
    """A `PayloadSource` whose payload is all here."""

    __slots__ = ("first",)

    def __init__(self, payload: bytes) -> None:
        self.first = payload

    async def read(self) -> bytes:
        return b""


async def read_payload(request: Request, parameters: InvokeParameters, limit: int) -> bytes:
    """All of it. Raises `RequestTooLarge` above `limit` bytes."""
    try:
        return await request.body.read(limit)
    except BodyTooLarge as error:
        size = request.body.length or error.limit + 1
        raise RequestTooLarge(
            f"{size} byte payload is too large for the {parameters.type.value} invocation type (limit {limit} bytes)"
        ) from error
