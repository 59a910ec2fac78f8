"""Namespaces of a process."""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH123

from __future__ import annotations

import fcntl
import os
import socket
import struct

from ondol.linux.libc import check, libc

NEW_MOUNTS = 0x00020000
NEW_CGROUP = 0x02000000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NETWORK = 0x40000000

_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_LOOPBACK_UP = struct.pack("16sh22x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for new ones; a new PID namespace is entered by the next child."""
    check(libc.unshare(flags), f"unshare({flags:#x})")


def enter(descriptor: int, kind: int) -> None:
    """Enter the namespace of an open /proc/PID/ns file, or that of a process by its pidfd (Linux 5.8)."""
    check(libc.setns(descriptor, kind), f"setns({kind:#x})")


def become_alone(user: int, group: int) -> None:
    """Enter a new user namespace in which this process, whoever it was, is `user`, and nobody else exists.

    It has every capability there, and none that it had. Needs a process of one thread.
    """
    outer_user, outer_group = os.geteuid(), os.getegid()
    unshare(NEW_USER)
    map_self(user, outer_user, group, outer_group)


def map_self(user: int, outer_user: int, group: int, outer_group: int) -> None:
    """In a new user namespace without maps, be `user` and `group`. What this process was outside, it must know."""
    # Whoever could leave a group could open what is closed to that group.
    write_map("self", "setgroups", "deny")
    write_map("self", "uid_map", f"{user} {outer_user} 1")
    write_map("self", "gid_map", f"{group} {outer_group} 1")


def write_map(process: str, name: str, text: str) -> None:
    """Write one of the files by which a process's new user namespace is described (user_namespaces(7))."""
    with open(f"/proc/{process}/{name}", "wb", buffering=0) as file:
        file.write(text.encode())


def bring_up_loopback(address: str | None = None) -> None:
    """Set the interface `lo` of this network namespace up, and have it own one more `address`, if one is given."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _LOOPBACK_UP)
        if address is not None:
            # Without a mask of its own, all of the address's network would be taken for this machine.
            for request, text in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
                asked = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(text))
                fcntl.ioctl(any_socket, request, asked)
