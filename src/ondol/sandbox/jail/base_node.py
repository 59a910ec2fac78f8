"""A host's Node made into /var/lang of a base root: the one program, and what it loads.

A distribution's Node may keep parts of its own library as files beside it, whose paths are burnt into the program; they
are laid where they were. npm and installed packages are left out: no function uses them.
"""

import mmap
import re
import shutil
from pathlib import Path

from ondol.model.runtime import Runtime
from ondol.sandbox.errors import SandboxError

PROGRAM = "/var/lang/bin/node"

SELF_TEST = """
const { createHash } = require("crypto");
createHash("sha256").update("").digest("hex");
new Intl.DateTimeFormat("en").format(0);
import("data:text/javascript,export default 1").then(() => console.log(process.versions.node));
"""
"""Loads what a broken installation lacks first: the linked libraries, ICU's data, the parser of ES modules."""

OWN_FILES = (Path(__file__),)
STANDARD_DIRECTORIES = ("opt/nodejs/node_modules",)

_OUTSIDE_SOURCE = re.compile(rb"/usr/share/[\w./@-]+\.js(?=\0)")


def identifying_files(interpreter: Path) -> list[Path]:
    """Files that change whenever the interpreter is installed anew."""
    return [interpreter.resolve()]


def copy(runtime: Runtime, root: Path) -> list[Path]:
    """Copy the interpreter to /var/lang of `root`. Answers the host's path of the binary. Raises `SandboxError`."""
    source = Path(str(runtime.interpreter)).resolve()
    if not source.is_file():
        raise SandboxError(f"{runtime.interpreter} is not there any more: restart ondol")
    destination = root / PROGRAM.lstrip("/")
    shutil.copyfile(source, destination)
    destination.chmod(0o755)
    return [source]


def copy_outside_sources(root: Path, binaries: list[Path]) -> None:
    """Lay the parts of Node's own library that these binaries, the program and its libraries, read from files."""
    for binary in binaries:
        with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            named = {Path(match[0].decode()) for match in _OUTSIDE_SOURCE.finditer(content)}
        for path in sorted(named):
            if path.is_file():
                destination = root / path.relative_to("/")
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, destination)
