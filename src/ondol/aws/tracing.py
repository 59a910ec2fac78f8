"""The tracing header that comes with an invocation: X-Ray's libraries, and those that log a trace's id, read it.

Source: X-Ray developer guide, "Tracing header"; Lambda API reference, TracingConfig. Of the function's own segment,
which AWS would record, there is none: the header's `Parent` says only where a library's subsegments hang.
"""

from ondol.model.ids import RequestId

TRACE_HEADER = "x-amzn-trace-id"


def begun_trace(request_id: RequestId, second: int) -> str:
    """The header of a trace that begins with this request, at this second of the epoch."""
    return f"Root=1-{second:x}-{request_id.replace('-', '')[:24]}"


def trace_header(given: str | None, traced: bool, request_id: RequestId, second: int) -> str:
    """The header that the client has `given`, or one that begins a trace at this second of the epoch.

    What passes through an untraced function names the trace alone. A traced one's decides that it is recorded, unless
    that has been decided already.
    """
    if given is None:
        given = begun_trace(request_id, second)
    if traced and "Sampled=" not in given:
        return f"{given};Parent={request_id.replace('-', '')[16:]};Sampled=1"
    return given
