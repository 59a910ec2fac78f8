"""The pollers' door: mappings that are read, and what they need of others."""

from typing import Protocol

import msgspec

from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime


class StreamSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What only mappings of Kinesis and DynamoDB streams have. -1 is for ever."""

    starting_position: str
    starting_at: WallTime | None = None
    """With AT_TIMESTAMP."""

    parallelization: int = 1
    bisect: bool = False
    maximum_age_s: int = -1
    maximum_retries: int = -1
    tumbling_window_s: int = 0
    on_failure: str | None = None
    """The ARN of a queue, topic or bucket."""


class QueueSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What only mappings of SQS queues have."""

    maximum_concurrency: int | None = None
    provisioned: tuple[int, int] | None = None
    """Least and most pollers of provisioned mode."""


class BrokerSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What only mappings of message brokers have."""

    queue: str
    secret: str
    """The ARN of the secret that has the user's name and password."""

    virtual_host: str | None = None
    """"/" unless it is given."""

    window_given: bool = False
    """Otherwise messages are gathered for half a second."""


class Mapping(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A source, the function that its records go to, and how."""

    id: str
    """A UUID."""

    account: AccountId
    region: Region
    function: FunctionKey
    source: str
    """An ARN."""

    batch_size: int
    qualifier: str | None = None
    window_s: int = 0
    filters: tuple[str, ...] | None = None
    partial: bool = False
    """The function reports which records failed (ReportBatchItemFailures)."""

    stream: StreamSettings | None = None
    queue: QueueSettings | None = None
    broker: BrokerSettings | None = None


class SourceRefused(Exception):
    """The source cannot be read as the mapping wants: the text is AWS's."""


class SourceUnavailable(Exception):
    """Nobody could be asked about the source."""


class Pollers(Protocol):
    async def check(self, mapping: Mapping, function_timeout_s: int) -> None:
        """Whether the source is there and fits. Raises `SourceRefused` and `SourceUnavailable`."""
        ...

    async def start(self, mapping: Mapping) -> None:
        """Read the source from now on, by these settings; returns once records that come now will be seen.

        Waits as long as the source cannot be read. What was started under this id before must have been stopped.
        """
        ...

    async def stop(self, mapping_id: str) -> None:
        """No invocation begins from now on; returns when those that run have ended and what they did is settled."""
        ...

    async def forget(self, mapping: Mapping) -> None:
        """The mapping, which was stopped, is deleted: so are its checkpoints. Raises `PlatformError`."""
        ...

    def last_result(self, mapping_id: str) -> str | None:
        """How the latest batch of a stream or a broker went, in AWS's words, or why it cannot be read.

        None if there was no batch since the start.
        """
        ...


class Ran(msgspec.Struct, frozen=True):
    """The function answered."""

    result: bytes


class Failed(msgspec.Struct, frozen=True):
    """The function ran and failed, or something failed under it so that nobody knows."""

    request_id: str
    executed_version: str | None
    """None if it never came so far."""


class NotRun(msgspec.Struct, frozen=True):
    """The function was not started: throttled, no room, or no function there that could be."""

    reason: str


class InvokedFunction(msgspec.Struct, frozen=True):
    """What events tell of the function that they go to."""

    role: str


class Invoker(Protocol):
    """Who runs functions: what a frontend does for its clients."""

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        """None while there is no such function that could run."""
        ...

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun: ...
