"""Entry point of the spawner for a platform without root's power: makes the user namespace in which it has that power.

The namespace has a PID namespace of its own, whose first process is the spawner. This program ends once it has begun
that, with its number or what went wrong on standard output. Arguments: those of `main.py` but the last two, its users,
for which it is told the first of a block of the platform's choice. Who they are is decided here:

- root (of a container without CAP_SYS_ADMIN, or of a user namespace) gives numbers that it has itself;
- a user with a range in /etc/subuid and /etc/subgid has `newuidmap` and `newgidmap` give them;
- who has none to give has the own number, and sandboxes share it.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH100, PTH120, PTH123

from __future__ import annotations

import os
import pwd
import shutil
import sys

sys.path.append(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
)

from ondol.linux import capabilities, namespaces, process
from ondol.sandbox.jail.spawner import USERS

MAIN = f"{os.path.dirname(os.path.abspath(__file__))}/main.py"

FIRST = 1
"""Of a range, as the namespace sees it; 0 is the spawner."""

_CAP_SETGID, _CAP_SETUID = 6, 7


def main() -> None:
    arguments = sys.argv[1:]
    first_user = int(arguments.pop())
    try:
        users = _enter(first_user)
        spawner = process.fork_sibling()
    except OSError as error:
        print(f"no user namespace can be made: {error}")
        return
    if spawner != 0:
        print(spawner)
        return
    os.dup2(2, 1)
    os.execv(sys.executable, [sys.executable, "-I", "-S", MAIN, *arguments, str(FIRST), str(users)])


def _enter(first_user: int) -> int:
    """Be root of a new user namespace, and about to fork the first of a new PID namespace; how many users it has."""
    user, group = os.geteuid(), os.getegid()
    giver = _Giver(user, group, first_user)
    namespaces.unshare(namespaces.NEW_USER | namespaces.NEW_PID)
    if giver.give():
        return giver.users
    namespaces.map_self(0, user, 0, group)
    return 0


class _Giver:
    """Numbers are given by a process that is outside: a child, forked before the namespace is made."""

    def __init__(self, user: int, group: int, first_user: int) -> None:
        self._own = {"gid_map": group, "uid_map": user}
        self._programs: dict[str, str] = {}
        if user == 0:
            self._ranges = {name: _own_range(name, first_user) for name in self._own}
        else:
            self._ranges = {"gid_map": _range("/etc/subgid", user), "uid_map": _range("/etc/subuid", user)}
            self._programs = {name: shutil.which(f"new{name.replace('_', '')}") or "" for name in self._own}
        self.users = min(count for _, count in self._ranges.values())
        self._told, self._tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._tell)
            # Nothing is told if no namespace could be made.
            os._exit(self._give_all(os.getppid()) if os.read(self._told, 1) else 1)

    def give(self) -> bool:
        """To this process, now in its namespace. False if there is nothing to give; raises `OSError` if half is."""
        os.write(self._tell, b"1")
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if status > 1:
            raise PermissionError("newgidmap gives what newuidmap does not; see its words on the error output")
        return status == 0

    def _give_all(self, process: int) -> int:
        """How many of the two maps could not be written."""
        if self.users == 0 or not all(self._programs.values()):
            return 1
        # Groups first: without them the user's own number can still be taken for both.
        for failed, name in enumerate(self._own):
            if not self._give(process, name):
                return 1 + failed
        return 0

    def _give(self, process: int, name: str) -> bool:
        extents = (0, self._own[name], 1, FIRST, self._ranges[name][0], self.users)
        if name in self._programs:
            program = self._programs[name]
            return os.spawnv(os.P_WAIT, program, [program, str(process), *map(str, extents)]) == 0
        try:
            namespaces.write_map(str(process), name, "{} {} {}\n{} {} {}\n".format(*extents))
        except OSError:
            return False
        return True


def _range(file: str, user: int) -> tuple[int, int]:
    """The first number and the count that a file like /etc/subuid (subuid(5)) gives to this user; 0, 0 if none."""
    try:
        names = {str(user), pwd.getpwuid(user).pw_name}
    except KeyError:
        names = {str(user)}
    try:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                name, first, count = line.strip().split(":")
                if name in names:
                    return int(first), int(count)
    except (OSError, ValueError):
        return 0, 0
    return 0, 0


def _own_range(name: str, first_user: int) -> tuple[int, int]:
    """Of the numbers in this process's own map: the block from `first_user` on, else the largest without 0.

    0, 0 without the power to give. Raises `OSError` if sandboxes would then share the number of the machine's root.
    """
    with open(f"/proc/self/{name}", encoding="ascii") as file:
        extents = [tuple(map(int, line.split())) for line in file]
    held = capabilities.held_by("self")
    if not (held >> _CAP_SETGID & 1 and held >> _CAP_SETUID & 1):
        if extents[0][:2] == (0, 0):
            raise PermissionError("root lacks CAP_SYS_ADMIN, and CAP_SETUID or CAP_SETGID too")
        return 0, 0
    if any(first <= first_user and first_user + USERS <= first + count for first, _, count in extents):
        return first_user, USERS
    spare = [(first, count) if first > 0 else (1, count - 1) for first, _, count in extents]
    return max(spare, key=lambda each: each[1])


if __name__ == "__main__":
    main()
