"""What takes long, as child processes of the spawner: base roots, unpacking, forgetting a tree.

A program of its own, because it needs much of ondol, which the spawner does without. Each order imports what it needs:
for the unpacking of a small package, to import the rest would take longer than the work. Exit status: 0,
`ARCHIVE_REFUSED` for an archive that must not be unpacked, 1 for all else; stderr says why.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[4]))

from ondol.sandbox.errors import SandboxError, UnpackRefused
from ondol.sandbox.jail.spawner import ARCHIVE_REFUSED, SHARED

ARCHIVE = 0
"""The archive to unpack is standard input."""


def main(arguments: list[str]) -> int:
    """Do one order.

    `root RUNTIME DIRECTORY USER`, `image DIRECTORY USER`, `unpack DIRECTORY BYTES ENTRIES USER`, `discard DIRECTORY` or
    `sweep DIRECTORY ...`, where USER is whom to become for what needs no power.
    """
    try:
        match arguments:
            case ["root", runtime, directory, user]:
                _build_root(runtime, Path(directory), _user(user))
            case ["image", directory, user]:
                _build_image(Path(directory), _user(user))
            case ["unpack", directory, size, entries, user]:
                _unpack(Path(directory), int(size), int(entries), _user(user))
            case ["discard", directory]:
                _discard(Path(directory))
            case ["sweep", *leftovers]:
                for leftover in leftovers:
                    shutil.rmtree(leftover, ignore_errors=True)
    except UnpackRefused as refusal:
        print(refusal, file=sys.stderr)
        return ARCHIVE_REFUSED
    except (SandboxError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _discard(directory: Path) -> None:
    """A tree, if it is there."""
    # Half a tree must not be found under its digest.
    doomed = directory.with_name(f".{directory.name}.{os.getpid()}.discarded")
    with contextlib.suppress(FileNotFoundError):
        directory.rename(doomed)
        shutil.rmtree(doomed)


def _user(text: str) -> int | None:
    return None if text == SHARED else int(text)


def _build_root(described: str, directory: Path, user: int | None) -> None:
    import msgspec  # noqa: PLC0415

    from ondol.model.runtime import Runtime  # noqa: PLC0415
    from ondol.sandbox.jail.base_root import build  # noqa: PLC0415

    build(msgspec.json.decode(described, type=Runtime), directory, user)


def _build_image(directory: Path, user: int | None) -> None:
    from ondol.sandbox.jail import image_root  # noqa: PLC0415

    image_root.build(directory, user)


def _unpack(directory: Path, size: int, entries: int, user: int | None) -> None:
    from ondol.sandbox.jail.unpack import unpack_confined  # noqa: PLC0415
    from ondol.sandbox.limits import UnpackLimits  # noqa: PLC0415

    unpack_confined(ARCHIVE, directory, UnpackLimits(size, entries), user)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
