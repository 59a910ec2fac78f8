"""One execution environment: its phases, their limits, and what each way of ending means.

Pure. A warm invocation takes three steps: `invoked`, `responded`, `next_asked`. Time limits are deadlines that the
machine keeps; it asks to be woken (`Wake`) no oftener than it must, so that a warm call sets no timer.

An init that overruns its 10 s goes on inside the first invocation, under the function's own timeout (developer guide,
"Lambda runtime environment lifecycle"); here without being started again.
"""

import re
from enum import Enum

import msgspec

from ondol.model.function import FunctionVersion
from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind, FunctionFailure, failure
from ondol.model.limits import RESPONSE_PAYLOAD_BYTES, Phases
from ondol.model.time import SECOND, Instant
from ondol.worker.api import InvocationHead


class State(Enum):
    INIT = "init"
    IDLE = "idle"
    FROZEN = "frozen"
    BUSY = "busy"
    STREAMING = "streaming"
    """The runtime writes its result piece by piece."""

    CUT_OFF = "cut-off"
    """It ended that unfinished: perhaps because it ends itself."""

    RESPONDED = "responded"
    ENDED = "ended"


class End(msgspec.Struct, frozen=True, gc=False):
    """How the runtime process ended, as the driver saw it."""

    code: int | None
    signal: int | None
    out_of_memory: bool
    refusal: str | None = None
    """Why there was no process to run: see `entrypoint_refusal`."""


class Ready(msgspec.Struct, frozen=True, gc=False):
    """Init is over and the environment can take its first invocation."""

    init_ns: int


class InitFailure(msgspec.Struct, frozen=True, gc=False):
    """Init failed: tell it to the invocation that caused it."""

    failure: FunctionFailure
    init_ns: int


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Answer the runtime's `next` with this invocation."""

    head: InvocationHead
    thaw: bool
    remaining_ns: int
    """Until its deadline."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The client can be answered."""

    head: InvocationHead
    failure: FunctionFailure | None
    duration_ns: int
    init_ns: int | None
    """Of a cold start, in the report of its first invocation only."""


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The invocation is over for the platform too."""

    request: RequestId
    reusable: bool


class Throttle(msgspec.Struct, frozen=True, gc=False):
    """Init is over: the CPU share holds from now on."""


class Thaw(msgspec.Struct, frozen=True, gc=False):
    """It must run although nobody invokes it: a debugger wants to talk to it."""


class Freeze(msgspec.Struct, frozen=True, gc=False):
    """It has been idle for a while."""


class Stop(msgspec.Struct, frozen=True, gc=False):
    """End the sandbox."""

    grace: bool


class Wake(msgspec.Struct, frozen=True, gc=False):
    """Come back with `timer_due` at `at`."""

    at: Instant


Command = Ready | InitFailure | Deliver | Answer | Finish | Throttle | Freeze | Thaw | Stop | Wake

NEVER = Instant(1 << 62)


class RuntimeMisbehaved(Exception):
    """The runtime asked for what its state does not allow; the text goes back to it."""


class UnknownRequest(RuntimeMisbehaved):
    """The runtime named an invocation that is not the one it runs now."""


class EnvironmentMachine:
    """The phases of one environment, from the moment its code may run."""

    __slots__ = (
        "_cause",
        "_deadline",
        "_head",
        "_init_ns",
        "_invoked",
        "_phases",
        "_started",
        "_suspended",
        "_timeout",
        "_version",
        "_wakes",
        "state",
    )

    def __init__(self, version: FunctionVersion, cause: RequestId, phases: Phases, now: Instant) -> None:
        self.state = State.INIT
        self._version = version
        self._cause = cause
        self._phases = phases
        self._timeout = version.timeout_s * SECOND
        self._started = now
        self._invoked = now
        self._init_ns: int | None = None
        self._head: InvocationHead | None = None
        self._deadline = Instant(now + phases.init + self._timeout)
        self._suspended = False
        """Time limits stand still."""

        self._wakes: list[Instant] = []
        """Wake-ups under way, soonest last."""

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
            request = self.request
            assert request is not None
            self._head = None
            return [*self._rest(now), Finish(request, True)]
        if self.state is State.CUT_OFF:
            self.state = State.RESPONDED
            return [self._report(_truncated(self.request), now), *self.next_asked(now)]
        if self.state is State.INIT:
            self._init_ns = now - self._started
            return [Throttle(), Ready(self._init_ns), *self._rest(now)]
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

    # From the platform

    def invoked(self, head: InvocationHead, now: Instant) -> list[Command] | None:
        """An invocation for this environment; None if it cannot take one now, and nothing is started."""
        if not self.available:
            return None
        thaw = self.state is State.FROZEN
        self.state = State.BUSY
        self._head = head
        self._invoked = now
        self._deadline = Instant(now + self._timeout)
        return [Deliver(head, thaw, self._timeout), *self._watch()]

    def stop_asked(self) -> list[Command]:
        """The worker manager wants it ended."""
        if self.state is State.ENDED:
            return []
        self.state = State.ENDED
        return [Stop(True), *self._abandon()]

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
        limit = self._phases.init + self._timeout if self.state is State.INIT else self._timeout
        self._deadline = Instant(now + limit)
        return self._watch()

    # From the sandbox

    def exited(self, end: End, now: Instant) -> list[Command]:
        """The runtime process is no more."""
        if self.state is State.ENDED:
            return []
        if self.state is State.INIT:
            return self._fail_init(_exit_failure(self._cause, end), now)
        return self._end(_exit_failure(self.request, end), now)

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
        if self.state is State.INIT:
            return self._fail_init(_timeout_failure(self._cause, self._timeout), now)
        return self._end(_timeout_failure(self.request, self._timeout), now)

    # Inside

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
        if self.state is not state or self._head is None:
            raise RuntimeMisbehaved(f"a result is not allowed while the environment is {self.state.value}")
        if request != self._head.request_id:
            raise UnknownRequest("a result is allowed for the invocation that runs now only")

    def _report(self, failed: FunctionFailure | None, now: Instant) -> Answer:
        assert self._head is not None
        init_ns, self._init_ns = self._init_ns, None
        return Answer(self._head, failed, now - self._invoked, init_ns)

    def _fail_init(self, failed: FunctionFailure, now: Instant) -> list[Command]:
        self.state = State.ENDED
        return [InitFailure(failed, now - self._started), Stop(False)]

    def _end(self, failed: FunctionFailure, now: Instant) -> list[Command]:
        """It is over for this environment: whoever still waits for an answer gets the failure."""
        unanswered = self.state in _UNANSWERED
        self.state = State.ENDED
        answer: list[Command] = [self._report(failed, now)] if unanswered else []
        return [*answer, *self._abandon(), Stop(False)]

    def _abandon(self) -> list[Command]:
        if self._head is None:
            return []
        request, self._head = self._head.request_id, None
        return [Finish(request, False)]


_UNANSWERED = frozenset((State.BUSY, State.STREAMING, State.CUT_OFF))


def _truncated(request: RequestId | None) -> FunctionFailure:
    text = f"RequestId: {request} Error: The runtime ended its response before it was complete"
    return failure(FailureKind.HANDLED_BY_RUNTIME, "Runtime.TruncatedResponse", text)


def too_large(limit: int = RESPONSE_PAYLOAD_BYTES) -> FunctionFailure:
    """A result, whole or streamed, is larger than `limit` bytes."""
    text = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    return failure(FailureKind.RESPONSE_TOO_LARGE, "Function.ResponseSizeTooLarge", text)


def _timeout_failure(request: RequestId | None, timeout: int) -> FunctionFailure:
    text = f"RequestId: {request} Error: Task timed out after {timeout / SECOND:.2f} seconds"
    return failure(FailureKind.TIMED_OUT, "Sandbox.Timedout", text)


def entrypoint_refusal(code: int | None, output: bytes) -> str | None:
    """Why the function's own bootstrap could not be executed, if that is what ended the runtime.

    A driver tells it as a shell does, by exit status 126 or 127 and one line; `output` is the first that came.
    """
    told = _REFUSAL.fullmatch(output) if code in (126, 127) else None
    return None if told is None else told[1].decode(errors="replace")


_REFUSAL = re.compile(rb"(fork/exec (?:/var/task|/opt)/bootstrap: .+|Couldn't find valid bootstrap\(s\): .+)\n")


def _exit_failure(request: RequestId | None, end: End) -> FunctionFailure:
    if end.refusal is not None:
        text = f"RequestId: {request} Error: {end.refusal}"
        return failure(FailureKind.NO_ENTRYPOINT, "Runtime.InvalidEntrypoint", text)
    if end.out_of_memory:
        text = f"RequestId: {request} Error: Runtime exited with error: signal: killed"
        return failure(FailureKind.OUT_OF_MEMORY, "Runtime.OutOfMemory", text)
    if end.signal is not None:
        why = f"Runtime exited with error: signal: {_SIGNALS.get(end.signal, str(end.signal))}"
    elif end.code:
        why = f"Runtime exited with error: exit status {end.code}"
    else:
        why = "Runtime exited without providing a reason"
    return failure(FailureKind.EXITED, "Runtime.ExitError", f"RequestId: {request} Error: {why}")


_SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
}
"""As AWS words them."""
