"""Run a program as an ordinary user: `python tests/ordinary_user.py [--range] PROGRAM [ARGUMENT...]`, as root.

What the program needs may lie in a directory that others cannot enter, like the home of who installed Python. In a
mount namespace of the program's own, such a directory is replaced by one that shows nothing but that. With `--range`
the user has numbers to give (subuid(5)) there, and only there. It begins in the checkout; its home and its temporary
directory are `HOME`.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from ondol.linux import mounts, namespaces

USER = 54_321
"""Nobody's on any machine that we know; without a name, as in many a container."""

NAME = "ondol-test"
RANGE = (1_800_000_000, 65_536)
HOME = Path(f"/tmp/ondol-user-{USER}")
CHECKOUT = Path(__file__).resolve().parent.parent
KEPT = [place.resolve() for place in CHECKOUT.glob(".venvs/*") if place.is_symlink()]
"""What set-up keeps outside the checkout, in the cache of who runs it."""

NEEDED = [CHECKOUT, Path(sys.base_prefix), *KEPT]


def become(with_range: bool) -> None:
    """Be the ordinary user from now on. Needs root and a process of one thread."""
    HOME.mkdir(exist_ok=True)
    os.chown(HOME, USER, USER)
    namespaces.unshare(namespaces.NEW_MOUNTS)
    mounts.make_private()
    for directory in {closed for path in NEEDED if (closed := _closed(path)) is not None}:
        _open_up(directory, [path for path in NEEDED if path.is_relative_to(directory)])
    if with_range:
        _give_range()
    # Where this process stands may have been replaced.
    os.chdir(CHECKOUT)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.environ.update({"HOME": str(HOME), "TMPDIR": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"})


def _closed(path: Path) -> Path | None:
    """The first directory on the way to `path` that others cannot enter."""
    return next((each for each in [*reversed(path.parents), path] if not each.stat().st_mode & 0o001), None)


def _open_up(directory: Path, shown: Iterable[Path]) -> None:
    trees = {path: mounts.clone_tree(str(path), 0) for path in shown}
    mounts.mount("tmpfs", str(directory), "tmpfs", mounts.NO_SUID | mounts.NO_DEVICES, "size=64k,mode=755")
    for path, tree in trees.items():
        path.mkdir(parents=True, exist_ok=True)
        mounts.attach(tree, str(path))
        os.close(tree)


def _give_range() -> None:
    first, count = RANGE
    texts = {
        "passwd": Path("/etc/passwd").read_text() + f"{NAME}:x:{USER}:{USER}::{HOME}:/bin/sh\n",
        "subuid": f"{NAME}:{first}:{count}\n",
        "subgid": f"{NAME}:{first}:{count}\n",
    }
    for name, text in texts.items():
        replacement = HOME / name
        replacement.write_text(text)
        target = Path("/etc", name)
        if not target.exists():
            sys.exit(f"there is no {target} to replace: install the package uidmap")
        mounts.mount(str(replacement), str(target), "", mounts.BIND)


if __name__ == "__main__":
    program = sys.argv[1:]
    become(with_range="--range" in program[:1])
    if program[:1] == ["--range"]:
        program = program[1:]
    os.execvp(program[0], program)
