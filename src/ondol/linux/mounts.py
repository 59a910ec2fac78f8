"""Mounting, by path (`mount(2)`) and by descriptor (`open_tree(2)` and its kin, Linux 5.12)."""

from __future__ import annotations

import ctypes
import os
import platform

from ondol.linux.libc import check, libc, syscall

READ_ONLY = 0x1
NO_SUID = 0x2
NO_DEVICES = 0x4
NO_EXECUTE = 0x8
REMOUNT = 0x20
NO_ATIME = 0x400
BIND = 0x1000
RECURSIVE = 0x4000
PRIVATE = 0x40000

_DETACH = 2  # umount2: MNT_DETACH
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 0x1
_MOVE_FROM_EMPTY_PATH = 0x4

# The calls of the new mount interface have one number on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_FSOPEN_CLOSE_ON_EXEC = _FSMOUNT_CLOSE_ON_EXEC = 0x1
_SET_STRING, _CREATE = 1, 6  # FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[platform.machine()]

# Flags of a mount itself, in the numbering of mount_setattr.
ATTRIBUTE_READ_ONLY = 0x1
ATTRIBUTE_NO_SUID = 0x2
ATTRIBUTE_NO_DEVICES = 0x4


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace")]


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """`mount(2)`. Raises `OSError`."""
    done = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None)
    check(done, f"mount {kind} {source} on {target}")


def bind(source: str, target: str, flags: int) -> None:
    """Show `source` at `target`, with `flags` of its own."""
    mount(source, target, "", BIND | RECURSIVE)
    mount("", target, "", BIND | REMOUNT | flags)


def make_private() -> None:
    """No mount or unmount crosses between this mount namespace and any other from now on."""
    mount("", "/", "", RECURSIVE | PRIVATE)


def unmount(target: str) -> None:
    """Unmount what is seen at `target`; it is written to its disk before this returns."""
    check(libc.umount2(target.encode(), 0), f"umount {target}")


def detach(target: str) -> None:
    """Unmount now what is seen at `target`, and for good once nobody uses it."""
    check(libc.umount2(target.encode(), _DETACH), f"umount {target}")


def change_root(new: str) -> None:
    """Make the mount at `new` the root of this mount namespace; the old root is gone."""
    os.chdir(new)
    # Stacked on one another, the old root needs no directory of its own to be detached from.
    syscall(_PIVOT_ROOT, f"pivot_root {new}", b".", b".")
    detach(".")
    os.chdir("/")


def clone_tree(path: str, attributes: int) -> int:
    """A detached copy of the mount at `path`, as a descriptor for `attach`."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    descriptor = syscall(_OPEN_TREE, f"open_tree {path}", _AT_FDCWD, path.encode(), flags)
    try:
        set_attributes(descriptor, attributes)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def set_attributes(descriptor: int, attributes: int) -> None:
    """Set flags of the mount that `descriptor` stands for, which then propagates nowhere."""
    wanted = _Attributes(attributes, 0, PRIVATE, 0)
    size = ctypes.sizeof(wanted)
    syscall(_MOUNT_SETATTR, "mount_setattr", descriptor, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)


def new_tree(kind: str, options: dict[str, str], attributes: int) -> int:
    """A new file system of a kind that needs no device, mounted nowhere yet, as a descriptor for `attach`."""
    context = syscall(_FSOPEN, f"fsopen {kind}", kind.encode(), _FSOPEN_CLOSE_ON_EXEC)
    try:
        for name, value in options.items():
            what = f"fsconfig {kind} {name}={value}"
            syscall(_FSCONFIG, what, context, _SET_STRING, name.encode(), value.encode(), 0)
        syscall(_FSCONFIG, f"fsconfig {kind}", context, _CREATE, None, None, 0)
        return syscall(_FSMOUNT, f"fsmount {kind}", context, _FSMOUNT_CLOSE_ON_EXEC, attributes)
    finally:
        os.close(context)


def attach(descriptor: int, target: str) -> None:
    """Mount at `target` the detached mount that `descriptor` stands for."""
    syscall(_MOVE_MOUNT, f"move_mount to {target}", descriptor, b"", _AT_FDCWD, target.encode(), _MOVE_FROM_EMPTY_PATH)
