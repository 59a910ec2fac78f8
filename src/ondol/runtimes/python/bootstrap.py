"""Entry point of /var/runtime in a Python sandbox: a runtime when a handler is named, a zygote when none is.

A zygote is an interpreter that has called `prepare` and waits to be forked; each fork runs the answer with its own
environment in `os.environ`. It knows nothing of namespaces or limits: the module `zygote`, laid beside this one, does.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    Pipes = tuple[int, int]
    Serve = Callable[[Pipes | None], NoReturn]
    Rehearse = Callable[[Pipes], None]

PRELOAD = (
    "base64",
    "collections.abc",
    "concurrent.futures",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "gzip",
    "hashlib",
    "hmac",
    "http.client",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "ondol_runtime.loop",
    "ondol_runtime.rehearsal",
    "pathlib",
    "queue",
    "random",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "string",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "traceback",
    "typing",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
    "zipfile",
)
"""What a zygote imports ahead: what functions and their SDKs import most, and that starts no thread by it."""


def prepare(preload: tuple[str, ...] = ()) -> tuple[Serve, Rehearse]:
    """Import what is to be there ahead, and hide the runtime from the customer's imports; answers two functions.

    The first serves the function that `os.environ` describes until the process ends; it never returns. Its argument
    is a connection to the Runtime API, the descriptors of two pipes: to read from, and to write to. With None it
    connects to AWS_LAMBDA_RUNTIME_API itself. It raises `SystemExit` as the customer's code does, and with 1 when its
    initialisation failed. The second, called in a fork before its function is known, makes the fork copy what a cold
    start will touch.
    """
    for name in preload:
        importlib.import_module(name)
    # The packages lie beside this file in the sandbox, where `ondol` does not exist.
    from ondol_runtime import handler, loop, rehearsal  # type: ignore[import-not-found]  # noqa: PLC0415

    handler.hide_runtime()
    return functools.partial(loop.run, preload), rehearsal.rehearse


if __name__ == "__main__":
    if "_HANDLER" in os.environ:
        prepare()[0](None)
    # Laid beside this file by the driver that uses zygotes.
    import zygote  # type: ignore[import-not-found]

    zygote.main()
