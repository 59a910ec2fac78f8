"""One execution environment: its phases, their limits, and what each way of ending means.

Pure. A warm invocation takes three steps: `invoked`, `responded`, `next_asked`. Time limits are deadlines that the
machine keeps; it asks to be woken (`Wake`) no oftener than it must, so that a warm call sets no timer.

An init that fails, or overruns its 10 s, is run once more inside the invocation that caused it, under the function's
own timeout (developer guide, "Understanding the Lambda execution environment lifecycle"). That is a machine of its
own, for `Attempt.AGAIN`, with a sandbox of its own: nothing of the first attempt is left to it. With provisioned
concurrency init may take 130 s, or as long as the function's timeout is, and is not run again here.

Where there are extensions (`extensions.py`), init and invocation are over when they too have asked for what comes next.
"""

from collections.abc import Sequence
from enum import Enum

from ondol.model.function import FunctionVersion
from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind, FunctionFailure
from ondol.model.limits import RESPONSE_PAYLOAD_BYTES, Phases
from ondol.model.time import SECOND, Instant
from ondol.worker.api import InvocationHead
from ondol.worker.commands import (
    Answer,
    Close,
    Command,
    Deliver,
    Finish,
    Freeze,
    InitFailure,
    Ready,
    Respond,
    ShutdownReason,
    StartExtensions,
    StartRuntime,
    Stop,
    TellInvoke,
    TellShutdown,
    Thaw,
    Throttle,
    Wake,
)
from ondol.worker.extensions import ExtensionRefused, Extensions
from ondol.worker.failures import (
    End,
    extension_exited,
    extension_unlaunched,
    runtime_exited,
    timed_out,
    too_large,
    truncated,
)


class State(Enum):
    INIT = "init"
    SETTLING = "settling"
    """The runtime is ready, an extension is not."""

    IDLE = "idle"
    FROZEN = "frozen"
    BUSY = "busy"
    STREAMING = "streaming"
    """The runtime writes its result piece by piece."""

    CUT_OFF = "cut-off"
    """It ended that unfinished: perhaps because it ends itself."""

    RESPONDED = "responded"
    LINGERING = "lingering"
    """The runtime is ready again, an extension is at work still."""

    ENDED = "ended"


class Attempt(Enum):
    """Which running of an environment's init this is."""

    FIRST = "first"
    AGAIN = "again"
    ONLY = "only"
    """A debugger watches it: its failure is told at once."""

    AHEAD = "ahead"
    """Nobody waits for it: it may take longer, and its failure is told at once."""

    @property
    def phase(self) -> str:
        """The phase of the environment that it is part of, in AWS's words."""
        return "invoke" if self is Attempt.AGAIN else "init"


NEVER = Instant(1 << 62)


class RuntimeMisbehaved(Exception):
    """The runtime asked for what its state does not allow; the text goes back to it."""


class UnknownRequest(RuntimeMisbehaved):
    """The runtime named an invocation that is not the one it runs now."""


class EnvironmentMachine:
    """The phases of one environment, from the moment its code may run."""

    __slots__ = (
        "_attempt",
        "_awaits_extensions",
        "_cause",
        "_deadline",
        "_head",
        "_init_ns",
        "_invoked",
        "_outcome",
        "_phases",
        "_reason",
        "_runtime_gone",
        "_runtime_held",
        "_since",
        "_started",
        "_suspended",
        "_timeout",
        "_unreported",
        "_wakes",
        "extensions",
        "state",
    )

    def __init__(
        self,
        version: FunctionVersion,
        cause: RequestId,
        phases: Phases,
        now: Instant,
        attempt: Attempt = Attempt.FIRST,
    ) -> None:
        self.state = State.INIT
        self.extensions: Extensions | None = None
        self._attempt = attempt
        self._cause = cause
        self._phases = phases
        self._timeout = version.timeout_s * SECOND
        self._started = now
        self._since = now if attempt is Attempt.AGAIN else None
        """When the invocation that init is run again in began, until one has begun here."""

        self._invoked = now
        self._init_ns: int | None = None
        self._head: InvocationHead | None = None
        self._deadline = Instant(now + self._init_limit)
        self._suspended = False
        """Time limits stand still."""

        self._wakes: list[Instant] = []
        """Wake-ups under way, soonest last."""

        self._unreported = False
        """The client is answered, the report is not written."""

        self._outcome: FunctionFailure | None = None
        self._runtime_held = False
        self._runtime_gone = False
        self._awaits_extensions = False
        self._reason = ShutdownReason.SPINDOWN

    def began(self) -> list[Command]:
        """Watch over the init that has begun."""
        return self._watch()

    @property
    def request(self) -> RequestId | None:
        """The invocation that runs here now."""
        return self._head.request_id if self._head is not None else None

    @property
    def awaited(self) -> RequestId | None:
        """The invocation whose result has not begun."""
        return self._head.request_id if self.state is State.BUSY and self._head is not None else None

    @property
    def available(self) -> bool:
        """Whether it can take an invocation now."""
        return self.state is State.IDLE or self.state is State.FROZEN

    # From the runtime

    def next_asked(self, now: Instant) -> list[Command]:
        """The runtime is ready for an invocation."""
        if self.state is State.RESPONDED:
            if self.extensions is not None:
                self.state = State.LINGERING
                return self._settle(now)
            request = self.request
            assert request is not None
            self._head = None
            return [*self._rest(now), Finish(request, True)]
        if self.state is State.CUT_OFF:
            self.state = State.RESPONDED
            return [self._report(truncated(self.request), now), *self.next_asked(now)]
        if self.state is State.INIT:
            if self.extensions is not None:
                self.extensions.close_registration()
                self.state = State.SETTLING
                return self._settle(now)
            return self._init_over(now)
        if self.state is State.ENDED:
            return []  # it asked before its own end came: a refusal would only be its last words in the log
        raise RuntimeMisbehaved(f"next is not allowed while the environment is {self.state.value}")

    def responded(self, request: str, size: int, now: Instant) -> list[Command]:
        """The runtime sent the whole result of an invocation: `size` bytes."""
        if size > RESPONSE_PAYLOAD_BYTES:
            return self._answer(request, too_large(), now)
        return self._answer(request, None, now)

    def stream_began(self, request: str) -> None:
        """The runtime begins to write the result of an invocation piece by piece."""
        self._require(State.BUSY, request)
        self.state = State.STREAMING

    def streams(self, request: str) -> bool:
        """Whether what the runtime writes now is a piece of this invocation's result."""
        return self.state is State.STREAMING and request == self.request

    def stream_ended(self, request: str, failed: FunctionFailure | None, now: Instant) -> list[Command]:
        """A streamed result is complete, or has failed."""
        self._require(State.STREAMING, request)
        self.state = State.RESPONDED
        return [self._report(failed, now)]

    def stream_cut(self, request: str) -> None:
        """The connection broke before a streamed result was complete: whatever the runtime does next tells why."""
        if self.streams(request):
            self.state = State.CUT_OFF

    def errored(self, request: str, error_type: str, payload: bytes, now: Instant) -> list[Command]:
        """The runtime reported that the function failed."""
        return self._answer(request, FunctionFailure(FailureKind.HANDLED_BY_RUNTIME, error_type, payload), now)

    def init_errored(self, error_type: str, payload: bytes, now: Instant) -> list[Command]:
        """The runtime reported that it could not get ready."""
        if self.state is not State.INIT:
            raise RuntimeMisbehaved(f"init/error is not allowed while the environment is {self.state.value}")
        return self._fail_init(FunctionFailure(FailureKind.HANDLED_BY_RUNTIME, error_type, payload), now)

    # From extensions. Each may raise `ExtensionRefused`.

    def extension_registers(self, name: str, events: Sequence[str], id: str) -> list[Command]:
        """An extension wants these events, and is known by `id` from now on."""
        if self.extensions is None:
            if self.state is not State.INIT:
                raise ExtensionRefused("Extension.RegistrationClosed", "Extension registration closed already")
            self.extensions = Extensions()
        self.extensions.register(name, events, id)
        if self._runtime_held and self.extensions.registered and self.state is State.INIT:
            self._runtime_held = False
            return [StartRuntime()]
        return []

    def extension_asks(self, id: str, now: Instant) -> list[Command]:
        """An extension is ready for its next event."""
        extensions = self._registry(id)
        extensions.asks(id)
        return self._shut_down(now) if self.state is State.ENDED else self._settle(now)

    def extension_init_failed(self, id: str, error_type: str) -> None:
        """An extension reports that it could not get ready; what follows of it follows when it exits."""
        self._registry(id).init_failed(id, error_type)

    def extension_exit_failed(self, id: str, error_type: str) -> None:
        """An extension reports why it is about to exit."""
        self._registry(id).exit_failed(id, error_type)

    # From the platform

    def invoked(self, head: InvocationHead, now: Instant) -> list[Command] | None:
        """An invocation for this environment; None if it cannot take one now, and nothing is started."""
        if not self.available:
            return None
        thaw = self.state is State.FROZEN
        self.state = State.BUSY
        self._head = head
        self._invoked = now if self._since is None else self._begin(head, now)
        self._deadline = Instant(self._invoked + self._timeout)
        remaining = self._deadline - now
        commands: list[Command] = [Deliver(head, thaw, remaining), *self._watch()]
        if self.extensions is not None and (told := self.extensions.invoke()):
            commands.append(TellInvoke(told, head, remaining))
        return commands

    def stop_asked(self, now: Instant) -> list[Command]:
        """The worker manager wants it ended."""
        if self.state is State.ENDED:
            return []
        return [*self._stop(self._phases.stop_grace, ShutdownReason.SPINDOWN, now), *self._abandon(self._outcome, now)]

    def suspend_time(self) -> list[Command]:
        """No time limit counts from now on, and it is not frozen: a debugger is attached, or awaited."""
        self._suspended = True
        if self.state is not State.FROZEN:
            return []
        self.state = State.IDLE
        return [Thaw()]

    def resume_time(self, now: Instant) -> list[Command]:
        """Time limits count again; the phase that it is in has its whole time before it."""
        self._suspended = False
        if self.state is State.ENDED:
            return []
        if self.state is State.IDLE:
            return self._rest(now)
        self._deadline = Instant(now + (self._init_limit if self._in_init else self._timeout))
        return self._watch()

    # From the sandbox

    def extensions_found(self, names: Sequence[str], now: Instant) -> list[Command]:
        """There are external extensions; the runtime is held back until they have registered."""
        if self.state is not State.INIT:
            return []
        self.extensions = Extensions(names)
        self._runtime_held = True
        if self.extensions.too_many:
            self.extensions.refused(names[-1], "TooManyExtensions")
            return self._fail_init(extension_unlaunched(self._cause, "ErrTooManyExtensions"), now)
        return [StartExtensions()]

    def extension_refused(self, name: str, reason: str, now: Instant) -> list[Command]:
        """The file of an extension could not be executed."""
        assert self.extensions is not None
        self.extensions.refused(name, "PermissionDenied" if reason == "permission denied" else "UnknownError")
        if self.state is State.ENDED:
            return []
        why = f"fork/exec /opt/extensions/{name}: {reason}"
        return self._break(extension_unlaunched(self._cause, why), now)

    def extension_exited(self, name: str, end: End, now: Instant) -> list[Command]:
        """The process of an extension is no more."""
        assert self.extensions is not None
        self.extensions.exited(name)
        if self.state is State.ENDED:
            return self._shut_down(now)
        request = self._cause if self._in_init else self.request
        return self._break(extension_exited(request, end, self.extensions.fatal), now)

    def exited(self, end: End, now: Instant) -> list[Command]:
        """The runtime process is no more."""
        self._runtime_gone = True
        if self.state is State.ENDED:
            return self._shut_down(now)
        fatal = self.extensions.fatal if self.extensions is not None else None
        request = self._cause if self._in_init else self.request
        return [*self._break(runtime_exited(request, end, fatal), now), *self._shut_down(now)]

    def timer_due(self, now: Instant) -> list[Command]:
        """The soonest wake-up came."""
        self._wakes.pop()
        if self.state is State.ENDED or self._suspended:
            return []
        if now < self._deadline:
            return self._watch()
        if self.state is State.IDLE:
            self.state = State.FROZEN
            self._deadline = NEVER
            return [Freeze()]
        if self._in_init:
            limit = self._init_limit if self._attempt is Attempt.AHEAD else self._timeout
            return self._break(timed_out(self._cause, limit), now)
        return self._break(timed_out(self.request, self._timeout), now)

    # Inside

    @property
    def _init_limit(self) -> int:
        match self._attempt:
            case Attempt.FIRST:
                return self._phases.init
            case Attempt.AGAIN:
                return self._timeout
            case Attempt.ONLY:
                return self._phases.init + self._timeout
            case Attempt.AHEAD:
                return max(self._phases.init_ahead, self._timeout)

    @property
    def _in_init(self) -> bool:
        return self.state is State.INIT or self.state is State.SETTLING

    def _registry(self, id: str) -> Extensions:
        if self.extensions is None:
            raise ExtensionRefused("Extension.UnknownExtensionIdentifier", f"Unknown extension {id}")
        return self.extensions

    def _init_over(self, now: Instant) -> list[Command]:
        init_ns = now - self._started
        if self._attempt is not Attempt.AGAIN:
            self._init_ns = init_ns
        return [Throttle(), Ready(init_ns), *self._rest(now)]

    def _settle(self, now: Instant) -> list[Command]:
        """Init or the invocation is over if all are ready: the runtime, and every extension."""
        assert self.extensions is not None
        if self.state is State.SETTLING and self.extensions.settled:
            return self._init_over(now)
        if self.state is State.LINGERING and self.extensions.settled:
            assert self._head is not None
            head, self._head = self._head, None
            return [self._close(head, self._outcome, now), *self._rest(now), Finish(head.request_id, True)]
        return []

    def _begin(self, head: InvocationHead, now: Instant) -> Instant:
        """Since when the first invocation runs: since init did, if it is the one that caused it."""
        since, self._since = self._since, None
        return since if since is not None and head.request_id == self._cause else now

    def _rest(self, now: Instant) -> list[Command]:
        self.state = State.IDLE
        self._deadline = Instant(now + self._phases.freeze_after)
        return self._watch()

    def _watch(self) -> list[Command]:
        """Ask to be woken for the deadline, unless something earlier will wake us anyway."""
        if self._deadline >= (self._wakes[-1] if self._wakes else NEVER):
            return []
        self._wakes.append(self._deadline)
        return [Wake(self._deadline)]

    def _answer(self, request: str, failed: FunctionFailure | None, now: Instant) -> list[Command]:
        self._require(State.BUSY, request)
        self.state = State.RESPONDED
        return [self._report(failed, now)]

    def _require(self, state: State, request: str) -> None:
        head = self._head
        if self.state is not state or head is None:
            raise RuntimeMisbehaved(f"a result is not allowed while the environment is {self.state.value}")
        if request != head.request_id:
            raise UnknownRequest("a result is allowed for the invocation that runs now only")

    def _report(self, failed: FunctionFailure | None, now: Instant, *, last: bool = False) -> Answer | Respond:
        assert self._head is not None
        if self.extensions is not None and not last:
            self._unreported = True
            self._outcome = failed
            return Respond(self._head, failed)
        init_ns, self._init_ns = self._init_ns, None
        return Answer(self._head, failed, now - self._invoked, init_ns)

    def _close(self, head: InvocationHead, failed: FunctionFailure | None, now: Instant) -> Close:
        self._unreported = False
        init_ns, self._init_ns = self._init_ns, None
        return Close(head, failed, now - self._invoked, init_ns)

    def _break(self, failed: FunctionFailure, now: Instant) -> list[Command]:
        """It is over for this environment, whatever it is at."""
        return self._fail_init(failed, now) if self._in_init else self._end(failed, now)

    def _fail_init(self, failed: FunctionFailure, now: Instant) -> list[Command]:
        return [
            InitFailure(failed, now - self._started, self._attempt is not Attempt.FIRST),
            *self._stop(0, _reason(failed), now),
        ]

    def _end(self, failed: FunctionFailure, now: Instant) -> list[Command]:
        """Whoever still waits for an answer gets the failure."""
        answer = [self._report(failed, now, last=True)] if self.state in _UNANSWERED else []
        return [*answer, *self._abandon(failed, now), *self._stop(0, _reason(failed), now)]

    def _abandon(self, failed: FunctionFailure | None, now: Instant) -> list[Command]:
        if self._head is None:
            return []
        head, self._head = self._head, None
        report: list[Command] = [self._close(head, failed, now)] if self._unreported else []
        return [*report, Finish(head.request_id, False)]

    def _stop(self, grace: int, reason: ShutdownReason, now: Instant) -> list[Command]:
        """Where extensions are to be told, the runtime goes before them, and all have one limit."""
        self.state = State.ENDED
        self._reason = reason
        self._deadline = Instant(now + self._phases.shutdown)
        self._awaits_extensions = self.extensions is not None and self.extensions.shutting_down
        if not self._awaits_extensions:
            return [Stop(grace)]
        first = min(self._phases.stop_grace, self._phases.stop_beside_extensions)
        return [Stop(first, self._phases.shutdown - first)]

    def _shut_down(self, now: Instant) -> list[Command]:
        """The turn of extensions comes when the runtime is gone; when they are too, there is nobody to wait for."""
        if self.extensions is None or not (self._runtime_gone and self._awaits_extensions):
            return []
        told = self.extensions.shut_down()
        self._awaits_extensions = self.extensions.shutting_down
        commands: list[Command] = [TellShutdown(told, self._reason, self._deadline - now)] if told else []
        return commands if self._awaits_extensions else [*commands, Stop()]


def _reason(failed: FunctionFailure) -> ShutdownReason:
    return ShutdownReason.TIMEOUT if failed.kind is FailureKind.TIMED_OUT else ShutdownReason.FAILURE


_UNANSWERED = frozenset((State.BUSY, State.STREAMING, State.CUT_OFF))
