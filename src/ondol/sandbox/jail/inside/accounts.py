"""Lists whom a sandbox runs as in its /etc/passwd and /etc/group, under the name that AWS has.

Each sandbox has numbers of its own, so that no root can hold them; who looks itself up fails without (Node's
`os.homedir`, and with it every client of AWS's SDK for JavaScript). What a root lists else stays.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH119, PTH123

from __future__ import annotations

import os
import stat

from ondol.linux import mounts

NAME = "sbx_user1051"
HOME = f"/home/{NAME}"

_SCRATCH = "/tmp"
"""Where nothing is mounted yet."""

_LARGEST = 65_536
"""Bytes of a list that an image brings."""

_FLAGS = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXECUTE


def enter(user: int) -> None:
    """List this number as a user and as a group. Raises `OSError`. Needs /tmp to be there, and leaves it as it was."""
    entries = {"/etc/passwd": f"{NAME}:x:{user}:{user}::{HOME}:/sbin/nologin\n", "/etc/group": f"{NAME}:x:{user}:\n"}
    mounts.mount("tmpfs", _SCRATCH, "tmpfs", _FLAGS, "size=256k,mode=755")
    for path, entry in entries.items():
        listed = _read(path)
        if listed is None:
            continue
        others = [line for line in listed.splitlines(keepends=True) if not line.startswith(f"{NAME}:".encode())]
        ours = f"{_SCRATCH}/{os.path.basename(path)}"
        with open(ours, "wb") as file:
            file.write(b"".join(others) + entry.encode())
        mounts.bind(ours, path, mounts.READ_ONLY | _FLAGS)
    mounts.detach(_SCRATCH)


def _read(path: str) -> bytes | None:
    """None if there is no such file. An image may have anything in its place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        plain = stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST
        return os.read(descriptor, _LARGEST) if plain else None
    finally:
        os.close(descriptor)
