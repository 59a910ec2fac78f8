"""Where the spawner's power comes from: from root, or from a user namespace that the platform's own user can make.

These are the jail's two modes. What differs is decided here and in few other places: `spawner/user_namespace.py` (who
sandboxes can be), `spawner/watch.py` (what is done without control groups), `inside/power.py` (how it is given up).
"""

import os
from pathlib import Path

from ondol.linux import capabilities

_CAP_SYS_ADMIN = 21
_ALL_USERS = (1 << 32) - 1

SWITCHES = {
    "proc/sys/user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=10000"),
    "proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
"""By their files, the kernel's switches: the position that forbids user namespaces, and the command to turn it."""

UNFILTERED = ("--security-opt seccomp=unconfined", "--security-opt apparmor=unconfined")
WHOLE_PROC = "--security-opt systempaths=unconfined"
"""Flags of docker and podman, for what their containers do not let a process do."""


def is_roots() -> bool:
    """Whether this process has root's power over the machine. Who is root of a user namespace has not."""
    everybody = Path("/proc/self/uid_map").read_text().split() == ["0", "0", str(_ALL_USERS)]
    return everybody and os.geteuid() == 0 and bool(capabilities.held_by("self") >> _CAP_SYS_ADMIN & 1)


def advice(root: Path = Path("/")) -> str:
    """What to do where no user namespace can be made or used, as the end of a sentence; `root` is where /proc is."""
    for file, (forbidding, command) in SWITCHES.items():
        try:
            found = (root / file).read_text().strip()
        except OSError:
            continue
        if found == forbidding:
            return f"run ondol as root, or let users make namespaces: {command}"
    flags: list[str] = []
    if "Seccomp:\t2" in (root / "proc/self/status").read_text():
        flags.extend(UNFILTERED)
    points = [line.split()[4] for line in (root / "proc/self/mountinfo").read_text().splitlines()]
    if any(point.startswith("/proc/") for point in points):
        flags.append(WHOLE_PROC)
    if flags:
        return f"this container forbids it: start it with {' '.join(flags)}"
    return "start the container with --privileged" if os.geteuid() == 0 else "run ondol as root"
