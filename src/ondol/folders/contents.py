"""What all have in common who make packages of directories: what belongs in one, how it becomes a zip, when a save is
over."""

import errno
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

QUIET_MS = 10
"""A save is over when nothing more has changed for so long: editors write, rename and touch in several steps."""

GATHERED_MS = 200
"""A stream of changes without such a pause is cut here."""

_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"}
)
_SCRATCH = re.compile(r".*(\.pyc|\.sw[a-z]|~)|\.#.*|4913")
"""Names of what interpreters and editors leave beside the files that they work on."""

_MOMENT = (1980, 1, 1, 0, 0, 0)
"""Every entry's time, so that the same files make the same zip."""


class File(NamedTuple):
    name: str
    """In the package, with `/` between directories."""

    executable: bool
    content: bytes


def belongs(name: str) -> bool:
    """Whether what has this name, with `/` between directories, is part of a package."""
    return not any(part in _LEFT_OUT or _SCRATCH.fullmatch(part) for part in name.split("/"))


def zipped(files: Iterable[File], *, small: bool) -> bytes:
    """A zip of these files, in their order; not `small`: as quickly as can be. Raises `UnicodeEncodeError`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _MOMENT)
            # A sandbox runs as another user: everybody may read, and run what its owner may run.
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(entry, file.content)
    return content.getvalue()


def why_not_watched(directory: Path, error: OSError) -> str:
    """A sentence."""
    if error.errno == errno.ENOSPC:
        return (
            f"{directory} has more directories than may be watched. "
            "Raise the limit with: sysctl fs.inotify.max_user_watches=524288"
        )
    return f"{directory} cannot be watched: {error}."
