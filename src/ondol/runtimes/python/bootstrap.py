"""Entry point of /var/runtime in a Python sandbox: a runtime when a handler is named, a zygote when none is.

A zygote is an interpreter that has imported `PRELOAD` and waits to be forked; each fork calls `main` with its own
environment in `os.environ`. It knows nothing of namespaces or limits: the module `zygote`, laid beside this one, does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from typing import NoReturn

PRELOAD = (
    "base64",
    "collections.abc",
    "concurrent.futures",
    "copy",
    "csv",
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
    "pathlib",
    "queue",
    "random",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "statistics",
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


def main(connection: socket.socket | None) -> NoReturn:
    """Serve the function that `os.environ` describes until the process ends; never returns.

    `connection` is a socket already connected to AWS_LAMBDA_RUNTIME_API; without one, it is made. Raises `SystemExit`
    as the customer's code does, and 1 when its initialisation failed.
    """
    # The package lies beside this file in the sandbox, where `ondol` does not exist.
    from ondol_runtime import loop  # type: ignore[import-not-found]  # noqa: PLC0415

    loop.run(connection, PRELOAD)
    raise AssertionError("a runtime ends by leaving its process")


if __name__ == "__main__":
    if "_HANDLER" in os.environ:
        main(None)
    # Laid beside this file by the driver that uses zygotes.
    import zygote  # type: ignore[import-not-found]

    zygote.main()
