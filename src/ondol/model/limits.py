"""AWS's quotas (Lambda developer guide, "Lambda quotas"), as figures. Sizes in bytes, times in nanoseconds."""

import msgspec

from ondol.model.time import MILLISECOND, MINUTE, SECOND

MEBIBYTE = 1 << 20

REQUEST_PAYLOAD_BYTES = 6 * MEBIBYTE
EVENT_PAYLOAD_BYTES = MEBIBYTE
RESPONSE_PAYLOAD_BYTES = 6_291_556
ZIPPED_BYTES = 52_428_800
UNZIPPED_BYTES = 262_144_000
CREATE_REQUEST_BYTES = 70_167_211
ENVIRONMENT_BYTES = 4096
LOG_TAIL_BYTES = 4096
FULL_PROCESSOR_MB = 1769
"""The memory size that comes with one whole processor."""

INIT_TIMEOUT = 10 * SECOND
PROVISIONED_INIT_TIMEOUT = 130 * SECOND
"""At least: a longer timeout of the function holds for its init too (developer guide, "Init phase")."""

EXTENSIONS = 10
"""Of one function, external and internal together."""

MINIMUM_UNRESERVED = 100
"""What reserved concurrency must leave to the functions that have none."""


class AccountLimits(msgspec.Struct, frozen=True):
    """Concurrency quotas of one account in one region."""

    concurrency: int = 1000
    requests_per_concurrency: int = 10
    """Requests a second for each unit of concurrency."""

    growth_burst: int = 1000
    """New environments that one function may ask for at once (developer guide, "Lambda scaling behavior")."""

    growth_period: int = 10 * SECOND
    """In this time a whole burst is refilled, continuously."""


class KeepAlive(msgspec.Struct, frozen=True):
    """How long environments live."""

    idle: int = 10 * MINUTE
    """An environment that nobody used for so long is stopped."""

    age: int = 4 * 60 * MINUTE
    """An environment so old is stopped at its next idle moment."""


class Phases(msgspec.Struct, frozen=True):
    """Limits on the phases of an environment."""

    init: int = INIT_TIMEOUT
    init_ahead: int = PROVISIONED_INIT_TIMEOUT
    freeze_after: int = 100 * MILLISECOND
    """Idle for so long, an environment is frozen; back-to-back calls never pay for a thaw."""

    stop_grace: int = 500 * MILLISECOND
    """From SIGTERM to SIGKILL."""

    stop_beside_extensions: int = 300 * MILLISECOND
    """The same where external extensions wait for their turn, at most."""

    shutdown: int = 2 * SECOND
    """All that the runtime and external extensions together have to end in."""


class EventSchedule(msgspec.Struct, frozen=True):
    """When an asynchronous event is tried again (developer guide, "Error handling for asynchronous invocation")."""

    retry: int = MINUTE
    """From an error of the function to the second attempt; from there to the third it is twice as long."""

    backoff: int = SECOND
    """After the first throttle or failure of the platform; from then on it doubles,"""

    longest_backoff: int = 5 * MINUTE
    """up to this."""


LONGEST_SYNCHRONOUS_S = 900
"""An execution of a durable function that somebody waits for may last so long."""


class DurableSchedule(msgspec.Struct, frozen=True):
    """When an invocation of a durable execution that failed is tried again."""

    retry: int = SECOND
    """After the first failure, or where it could not be run; from then on it doubles,"""

    longest: int = 5 * MINUTE
    """up to this."""

    attempts: int = 8
    """So many failures in a row, without a checkpoint in between, end the execution."""


class LogLimits(msgspec.Struct, frozen=True):
    """What logs may cost, in bytes."""

    total: int = 1024 * MEBIBYTE
    """On disk, over all streams; above it the oldest segments go."""

    stream: int = 64 * MEBIBYTE
    """On disk, of one stream; above it its own oldest segments go."""

    buffer: int = 32 * MEBIBYTE
    """In memory, of lines that wait for the disk; above it the oldest are dropped, and counted."""


class StreamedResponse(msgspec.Struct, frozen=True):
    """Limits on a streamed response (developer guide, "Response streaming for Lambda functions")."""

    total_bytes: int = 200 * MEBIBYTE
    burst_bytes: int = 6 * MEBIBYTE
    """So much leaves as fast as the client takes it."""

    bytes_per_s: int = 2 * MEBIBYTE
    """What leaves beyond that."""


STREAMED = StreamedResponse()
