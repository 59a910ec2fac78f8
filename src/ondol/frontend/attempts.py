"""Attempts of asynchronous events, on the same way as every invocation: what the events service sees of a frontend."""

from msgspec.structs import replace

from ondol.background import Background
from ondol.events.api import Failed, Observer, Refused, Succeeded
from ondol.frontend.directory import Target
from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.gathering import Gathering
from ondol.frontend.invocations import Invocation, Invocations
from ondol.frontend.targets import Targets
from ondol.model.errors import CallerError, OndolError, TooManyRequests
from ondol.model.function import LATEST, EventSettings, FunctionKey
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure

_DEFAULT = EventSettings()


class Attempts:
    """A `Runner`."""

    def __init__(self, targets: Targets, invocations: Invocations, durable: DurableInvocations) -> None:
        self._targets = targets
        self._invocations = invocations
        self._durable = durable
        self._background = Background("an event that begins a durable execution")

    async def find(
        self, function: FunctionKey, qualifier: str | None, tenant: str | None = None
    ) -> "RunnableTarget | DurableTarget":
        target = await self._targets.find(function, qualifier, tenant=tenant)
        if target.version.durable is not None:
            return DurableTarget(self._durable, self._background, target, qualifier)
        return RunnableTarget(self._invocations, target, qualifier)


class RunnableTarget:
    """A `Runnable`."""

    def __init__(self, invocations: Invocations, target: Target, qualifier: str | None) -> None:
        self._invocations = invocations
        self._target = target
        self.settings = settings_of(target, qualifier)

    @property
    def switched_off(self) -> bool:
        return self._target.view.reserved_concurrency == 0

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        client = _Told(self._target.version.version, observer)
        source = _Observed(payload, observer)
        self._invocations.begin(Invocation(request, self._target, len(payload), source, client, trace=trace))


class DurableTarget:
    """A `Runnable` that has done its part once an execution has begun: under the event's own id, so that an event that
    is taken up again after a kill begins no second one."""

    def __init__(
        self, durable: DurableInvocations, background: Background, target: Target, qualifier: str | None
    ) -> None:
        self._durable = durable
        self._background = background
        self._target = target
        self.settings = settings_of(target, qualifier)

    @property
    def switched_off(self) -> bool:
        return self._target.view.reserved_concurrency == 0

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        self._background.spawn(self._start(request, payload, trace, observer))

    async def _start(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        observer.running()
        try:
            await self._durable.start(self._target, payload, name=request, synchronous=False, trace=trace)
        except CallerError as error:
            observer.ended(Refused(404, error.message))
        except OndolError as error:
            observer.ended(Refused(500, str(error)))
        else:
            observer.ended(Succeeded(self._target.version.version, b"null"))


def settings_of(target: Target, qualifier: str | None) -> EventSettings:
    """From the qualifier that was asked for, from the version that it means, and from the function."""
    settings = target.view.event_settings.get(qualifier or LATEST, _DEFAULT)
    dead_letter, may_loop = target.version.dead_letter, target.view.may_loop
    if dead_letter is None and not may_loop:
        return settings
    return replace(settings, dead_letter=dead_letter, may_loop=may_loop)


class _Observed:
    """A `PayloadSource` whose payload is all here. That an environment reads it is how an attempt is seen to run."""

    __slots__ = ("_observer", "_payload")

    def __init__(self, payload: bytes, observer: Observer) -> None:
        self._payload = payload
        self._observer = observer

    @property
    def first(self) -> bytes:
        self._observer.running()
        return self._payload

    async def read(self) -> bytes:
        return b""


class _Told(Gathering):
    """A `Client` that nobody waits behind: tells how the attempt ended."""

    __slots__ = ("_observer", "_version")

    def __init__(self, version: str, observer: Observer) -> None:
        super().__init__()
        self._version = version
        self._observer = observer

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        if failure is not None:
            self._observer.ended(Failed(self._version, failure.payload))
        else:
            self._observer.ended(Succeeded(self._version, self.result))

    def refuse(self, error: OndolError) -> None:
        self._observer.ended(Refused(429 if isinstance(error, TooManyRequests) else 500, str(error)))
