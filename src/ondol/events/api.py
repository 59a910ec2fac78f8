"""Events' door, and what it asks of those who run functions."""

from typing import Protocol

import msgspec

from ondol.model.function import LATEST, EventSettings, FunctionKey
from ondol.model.ids import RequestId
from ondol.model.time import WallTime


class Event(msgspec.Struct, frozen=True, gc=False, tag="event", omit_defaults=True):
    """An asynchronous invocation, from its acceptance to its end. Kept in the store as it is here."""

    request_id: RequestId
    """The same for each attempt."""

    function: FunctionKey
    qualifier: str | None
    payload: bytes
    """JSON text."""

    accepted: WallTime
    settings: EventSettings = EventSettings()
    """As they were when it was last looked at: they count for an event whose function is gone."""

    trace: str | None = None
    """The X-Ray trace header that it came with."""

    failures: int = 0
    """Attempts that the function failed."""

    tenant: str | None = None
    """For whom it runs, of a function that runs per tenant."""

    @property
    def arn(self) -> str:
        """Of the function, with the qualifier that was asked for, which is always said."""
        return f"{self.function.arn}:{self.qualifier or LATEST}"


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    version: str
    payload: bytes


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The function reported an error, or timed out, or its process ended."""

    version: str
    payload: bytes


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The attempt was not made, or nobody knows how it ended."""

    status: int
    """As Invoke would have answered: 404, 429, 5xx."""

    message: str


Outcome = Succeeded | Failed | Refused


class Observer(Protocol):
    """Who is told how an attempt goes."""

    def running(self) -> None:
        """An environment has it. Told once or more, or not at all if it is refused."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Told once, last."""
        ...


class Runnable(Protocol):
    """What an event is to run, as of now."""

    @property
    def settings(self) -> EventSettings: ...

    @property
    def switched_off(self) -> bool:
        """Its reserved concurrency is 0."""
        ...

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: "Observer") -> None:
        """Begin one attempt. The observer is told, perhaps before this returns."""
        ...


class Runner(Protocol):
    """Who runs functions: a frontend."""

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> Runnable:
        """Raises `ResourceNotFound`, `ResourceConflict` while it cannot be invoked, and `InvalidParameterValue` for a
        tenant where the function does not run per tenant, or none where it does."""
        ...


class Letter(msgspec.Struct, frozen=True):
    """What a queue is to be sent for whoever could not have a function invoked."""

    queue: str
    """ARN."""

    function: FunctionKey
    source: str
    """ARN of who wanted it."""

    body: str
    attributes: dict[str, tuple[str, str]]
    """Of the message: by name, its type and its value."""


class Events(Protocol):
    async def accept(self, event: Event) -> None:
        """Durable when it returns. Raises `PlatformError` if it could not be kept."""
        ...

    async def send(self, letter: Letter) -> None:
        """Durable when it returns; sent until the queue has it. Raises `PlatformError` if it could not be kept."""
        ...

    async def bury(self, event: Event, failure: Failed) -> None:
        """An event that failed for good goes to the dead-letter queue of its settings, if they name one.

        Durable when it returns. Raises `PlatformError`.
        """
        ...

    async def forget_all(self) -> None:
        """Every event and every record that waits is gone. What runs is not run again."""
        ...
