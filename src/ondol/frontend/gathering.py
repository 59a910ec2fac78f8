"""The client of an invocation that ondol makes for itself: nobody takes the result piece by piece."""

from ondol.model.errors import OndolError, Outcome, PlatformError


class Gathering:
    """Of a `Client` all but the end, which is for each to tell."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def begin_stream(self, content_type: str) -> None:
        """Never said: nobody takes it so."""

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    async def drain(self) -> None:
        """There is always room: a result is 6 MB at most."""

    @property
    def result(self) -> bytes:
        return b"".join(self._pieces)


def perhaps_started(error: OndolError) -> bool:
    """Whether an invocation that was refused may have begun to run."""
    return isinstance(error, PlatformError) and error.outcome is not Outcome.NOT_STARTED
