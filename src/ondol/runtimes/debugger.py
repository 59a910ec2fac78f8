"""The debugger for Python, as this installation of ondol has it, made into a package that sandboxes get as a layer.

It is debugpy, an extra of ondol's. Where our bootstrap looks for it is said there and here: `DIRECTORY`.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from ondol.folders.contents import File, zipped
from ondol.model.errors import Outcome, PlatformError

DIRECTORY = ".ondol"
"""In /opt of an environment that is debugged. It is not on Python's path: no function meets it by chance."""

_LEFT_OUT = "pydevd_attach_to_process"
"""Injects the debugger into other processes, which nothing here does."""


def debugger_package() -> bytes:
    """A zip, always the same for the same version; takes some tens of milliseconds. Raises `PlatformError`."""
    spec = importlib.util.find_spec("debugpy")
    if spec is None or spec.origin is None:
        raise PlatformError(
            "functions in Python are debugged with debugpy, which this installation of ondol lacks; "
            "install it with: pip install 'ondol[debug]'",
            Outcome.NOT_STARTED,
        )
    return zipped(_files(Path(spec.origin).parent), small=False)


def _files(package: Path) -> Iterator[File]:
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package.parent)
        if path.suffix in (".py", ".so") and _LEFT_OUT not in name.parts:
            yield File(f"{DIRECTORY}/{name.as_posix()}", False, path.read_bytes())
