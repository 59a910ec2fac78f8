"""One request to run a function, and how it ended."""

from enum import Enum

import msgspec


class FailureKind(Enum):
    """Why a function failed, as the platform saw it."""

    HANDLED_BY_RUNTIME = "handled-by-runtime"
    """The runtime reported it (an exception, an import that failed)."""

    TIMED_OUT = "timed-out"
    EXITED = "exited"
    OUT_OF_MEMORY = "out-of-memory"
    RESPONSE_TOO_LARGE = "response-too-large"
    NO_ENTRYPOINT = "no-entrypoint"
    EXTENSION_FAILED = "extension-failed"
    """An extension could not be started, or ended."""


class FunctionFailure(msgspec.Struct, frozen=True, gc=False):
    """A function that failed: a value, sent as 200 with `X-Amz-Function-Error`.

    `payload` is the JSON text that the client gets as body: the runtime's own where it reported the error.
    """

    kind: FailureKind
    error_type: str
    payload: bytes
    log_tail: bytes = b""
    """Of a failed init: the last 4 KB of its log."""


def failure(kind: FailureKind, error_type: str, message: str) -> FunctionFailure:
    """A failure that the platform words itself, in the envelope of AWS's runtimes."""
    body = msgspec.json.encode({"errorType": error_type, "errorMessage": message})
    return FunctionFailure(kind, error_type, body)


class ThrottleReason(Enum):
    """`Reason` of TooManyRequestsException (Lambda API reference, Invoke)."""

    CONCURRENCY = "ConcurrentInvocationLimitExceeded"
    RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_CONCURRENCY = "ReservedFunctionConcurrentInvocationLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"
    CALLER_RATE = "CallerRateLimitExceeded"
