"""What is known and stored of durable executions, and under which keys. Pure.

```
 execution/<account>/<region>/<function>/<name>   the head: what never changes; in the end, how it ended
 progress/<id>/<step>/<part>                      what one step has changed, written once and never again
```

A step that is too large for one value is in parts; the first part, which says how many there are, is written last. The
first step is written before the head that names its execution, so that a head without steps is never seen; steps
without a head are nobody's.
"""

from enum import Enum
from typing import Any

import msgspec

from ondol.model.function import FunctionKey
from ondol.model.time import WallTime

HEADS = "execution/"
STEPS = "progress/"
PART_BYTES = 524_288
"""Half of what a value may have."""

Error = dict[str, Any]
"""As in the service model: ErrorMessage, ErrorType, ErrorData, StackTrace."""


class Status(Enum):
    """Of an execution, as on AWS."""

    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    DELETING = "DELETING"


class Kind(Enum):
    """Of an operation: its type on AWS."""

    EXECUTION = "EXECUTION"
    CONTEXT = "CONTEXT"
    STEP = "STEP"
    WAIT = "WAIT"
    CALLBACK = "CALLBACK"
    CHAINED_INVOKE = "CHAINED_INVOKE"


class Stage(Enum):
    """Of an operation: its status on AWS."""

    STARTED = "STARTED"
    PENDING = "PENDING"
    READY = "READY"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"


class Phase(Enum):
    """What an execution is at."""

    ACTIVE = "active"
    """The function runs, or is to run as soon as it may."""

    SUSPENDED = "suspended"
    """It waits for a time, a callback or another function."""

    CLOSED = "closed"


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a durable function does, as far as it has come."""

    id: str
    kind: Kind
    stage: Stage
    started: WallTime
    parent: str | None = None
    """A CONTEXT."""

    name: str | None = None
    subtype: str | None = None
    ended: WallTime | None = None
    input: str | None = None
    """Of the EXECUTION, and what a CHAINED_INVOKE gives."""

    result: str | None = None
    error: Error | None = None
    replay_children: bool = False
    attempt: int = 0
    due: WallTime | None = None
    """When a WAIT is over, a PENDING step is READY, a CALLBACK has timed out."""

    seconds: int = 0
    """What a WAIT was told to last; between heartbeats of a CALLBACK."""

    silent_until: WallTime | None = None
    """When a CALLBACK without another heartbeat has timed out."""

    callback: str | None = None
    """The callback's id."""

    function: str | None = None
    """What a CHAINED_INVOKE invokes, as it was named."""

    version: str | None = None
    tenant: str | None = None
    child: str | None = None
    """The ARN of the execution that a CHAINED_INVOKE of a durable function started."""

    @property
    def waits(self) -> bool:
        """Whether something outside of the function will bring it on."""
        if self.stage is Stage.STARTED:
            return self.kind in (Kind.WAIT, Kind.CALLBACK, Kind.CHAINED_INVOKE)
        return self.stage is Stage.PENDING


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an execution ended."""

    status: Status
    ended: WallTime
    result: str | None = None
    error: Error | None = None


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    requested: WallTime
    token: str | None
    """The client's, by which a repeated request is told."""

    stops_clock: bool
    """The execution's time-out does not pass meanwhile."""

    reason: str | None = None
    began: WallTime | None = None
    """None while an invocation has yet to reach its next checkpoint."""


class Resumed(msgspec.Struct, frozen=True):
    """The last time that it was resumed."""

    at: WallTime
    token: str | None


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each step writes whole."""

    phase: Phase
    deadline: WallTime
    events: int = 0
    """Of the history, so far."""

    stored: int = 0
    """Bytes of payloads and errors, so far."""

    failures: int = 0
    """Invocations that failed, in a row."""

    retry_at: WallTime | None = None
    pause: Pause | None = None
    resumed: Resumed | None = None
    outcome: Outcome | None = None


class Happened(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of the history. Its payload is that which the step's operation, or its outcome, has."""

    type: str
    operation: str | None = None
    details: dict[str, Any] = {}
    """As in the service model, payloads aside."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed at once."""

    at: WallTime
    progress: Progress
    operations: tuple[Operation, ...] = ()
    """Those that changed, as they are now."""

    events: tuple[Happened, ...] = ()


class Parent(msgspec.Struct, frozen=True):
    """The CHAINED_INVOKE that an execution answers."""

    arn: str
    operation: str


class Closed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the head says of an execution that has ended."""

    status: Status
    ended: WallTime
    forget_at: WallTime
    steps: int
    deleting: bool = False


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which execution it is."""

    id: str
    name: str
    function: FunctionKey
    version: str
    started: WallTime
    timeout_s: int
    retention_days: int
    payload: bytes
    """A digest of its input."""

    largest_result: int
    """Bytes."""

    kms_key: str | None = None
    trace: str | None = None
    dead_letter: str | None = None
    """The queue or topic that gets the input if it fails, of one that nobody waits for."""

    parent: Parent | None = None
    closed: Closed | None = None

    @property
    def arn(self) -> str:
        return f"{self.function.arn}:{self.version}/durable-execution/{self.name}/{self.id}"


_encoder = msgspec.msgpack.Encoder()
_heads = msgspec.msgpack.Decoder(Head)
_steps = msgspec.msgpack.Decoder(Step)


def encode(record: Head | Step) -> bytes:
    return _encoder.encode(record)


def decode_head(value: bytes) -> Head:
    return _heads.decode(value)


def decode_step(value: bytes) -> Step:
    return _steps.decode(value)


def head_key(head: Head) -> str:
    function = head.function
    return f"{HEADS}{function.account}/{function.region}/{function.name}/{head.name}"


def part_key(execution: str, step: int, part: int) -> str:
    return f"{STEPS}{execution}/{step:08}/{part:04}"


def split(value: bytes) -> list[bytes]:
    """The parts of an encoded step; the first says how many there are."""
    count = -(-len(value) // PART_BYTES)
    parts = [value[at : at + PART_BYTES] for at in range(0, len(value), PART_BYTES)]
    parts[0] = count.to_bytes(2) + parts[0]
    return parts


def first_part(value: bytes) -> tuple[int, bytes]:
    """How many parts there are, and what is in the first."""
    return int.from_bytes(value[:2]), value[2:]


def size_of(text: str | None) -> int:
    """Bytes of a payload."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())
