"""How AWS words the failures that the platform itself sees."""

import re

import msgspec

from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind, FunctionFailure, failure
from ondol.model.limits import RESPONSE_PAYLOAD_BYTES
from ondol.model.time import SECOND


class End(msgspec.Struct, frozen=True, gc=False):
    """How a process ended, as the driver saw it: the runtime's, or an extension's."""

    code: int | None
    signal: int | None
    out_of_memory: bool
    refusal: str | None = None
    """Why there was no process to run: see `entrypoint_refusal`."""


def truncated(request: RequestId | None) -> FunctionFailure:
    text = f"RequestId: {request} Error: The runtime ended its response before it was complete"
    return failure(FailureKind.HANDLED_BY_RUNTIME, "Runtime.TruncatedResponse", text)


def too_large(limit: int = RESPONSE_PAYLOAD_BYTES) -> FunctionFailure:
    """A result, whole or streamed, is larger than `limit` bytes."""
    text = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    return failure(FailureKind.RESPONSE_TOO_LARGE, "Function.ResponseSizeTooLarge", text)


def timed_out(request: RequestId | None, timeout: int) -> FunctionFailure:
    text = f"RequestId: {request} Error: Task timed out after {timeout / SECOND:.2f} seconds"
    return failure(FailureKind.TIMED_OUT, "Sandbox.Timedout", text)


def entrypoint_refusal(code: int | None, output: bytes, image: bool = False) -> str | None:
    """Why the function's own bootstrap, or its image's program, could not be executed, if that ended the runtime.

    A driver tells it as a shell does, by exit status 126 or 127 and one line; `output` is the first that came.
    """
    told = (_IMAGES_REFUSAL if image else _REFUSAL).fullmatch(output) if code in (126, 127) else None
    return None if told is None else told[1].decode(errors="replace")


_REFUSAL = re.compile(rb"(fork/exec (?:/var/task|/opt)/bootstrap: .+|Couldn't find valid bootstrap\(s\): .+)\n")
_IMAGES_REFUSAL = re.compile(
    rb"IMAGE\tLaunch error: ([^\n]+)\tEntrypoint: \[.*\]\tCmd: \[.*\]\tWorkingDir: \[.*\]\n", re.DOTALL
)
"""Arguments may have several lines."""


def runtime_exited(request: RequestId | None, end: End, fatal: str | None = None) -> FunctionFailure:
    """`fatal` is the type of an error that an extension reported before, if one did."""
    if end.refusal is not None:
        text = f"RequestId: {request} Error: {end.refusal}"
        kind = "WorkingDir" if end.refusal.startswith("the working directory ") else "Entrypoint"
        return failure(FailureKind.NO_ENTRYPOINT, f"Runtime.Invalid{kind}", text)
    if end.out_of_memory:
        text = f"RequestId: {request} Error: Runtime exited with error: signal: killed"
        return failure(FailureKind.OUT_OF_MEMORY, "Runtime.OutOfMemory", text)
    how = _how(end)
    why = "Runtime exited without providing a reason" if how is None else f"Runtime exited with error: {how}"
    return failure(FailureKind.EXITED, fatal or "Runtime.ExitError", f"RequestId: {request} Error: {why}")


def extension_exited(request: RequestId | None, end: End, fatal: str | None) -> FunctionFailure:
    """An extension's process ended; `fatal` is the type of an error that one reported before, if one did."""
    text = f"RequestId: {request} Error: {_how(end) or 'exit code 0'}"
    return failure(FailureKind.EXTENSION_FAILED, fatal or "Extension.Crash", text)


def extension_unlaunched(request: RequestId, why: str) -> FunctionFailure:
    """An extension could not be started."""
    text = f"RequestId: {request} Error: {why}"
    return failure(FailureKind.EXTENSION_FAILED, "Extension.LaunchError", text)


def _how(end: End) -> str | None:
    """How a process ended, if not well."""
    if end.signal is not None:
        return f"signal: {_SIGNALS.get(end.signal, str(end.signal))}"
    return f"exit status {end.code}" if end.code else None


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
