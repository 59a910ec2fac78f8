"""Entry point of the spawner: a program of its own, so that `ps` tells what it is and it starts small.

Arguments: the data directory, the name that its cgroups carry, the descriptors of the socket to the platform process
and of the data directory's lock, where its groups are (`ROOTS`, `NOWHERE` or a path), the first of its users and how
many there are. As root it is started by the platform, otherwise by `user_namespace.py`.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH100, PTH104, PTH120, PTH208

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

sys.path.append(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
)

from ondol.linux import cgroups, mounts, namespaces, process, refusals
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.spawner import HALF_DONE, NOWHERE, ROOTS, SCRATCH, SWEPT, USERS
from ondol.sandbox.jail.spawner.commands import Commands
from ondol.sandbox.jail.spawner.events import EventLoop
from ondol.sandbox.jail.spawner.router import NoRouter, Router
from ondol.sandbox.jail.spawner.slot import DEFAULT_TMP_MB, Bounds, Means
from ondol.sandbox.jail.spawner.tmp import TmpDirectories, TmpMemory, TmpSource
from ondol.sandbox.jail.spawner.tmp_disks import TmpDisks
from ondol.sandbox.jail.spawner.trees import Trees
from ondol.sandbox.jail.spawner.users import Users
from ondol.sandbox.jail.spawner.watch import Watch
from ondol.sandbox.jail.spawner.zygotes import SLOW, Zygotes

_SHARED_USER = (
    "Sandboxes have no users of their own, but share the number of the one who runs ondol, each in a namespace: "
    "install newuidmap (package uidmap), and give that user a range in /etc/subuid and /etc/subgid."
)
_UNLIMITED_TMP = "The size of /tmp is not limited, only that of each file in it: "


def main() -> None:
    """Serve until the platform process is gone, then leave nothing behind."""
    directory, owner, descriptor, lock, place, first_user, count = sys.argv[1:]
    process.set_name("ondol-spawner")
    platform = socket.socket(fileno=int(descriptor))
    # The closed socket says it too, unless some child of the platform's has inherited the other end. Hearing of it
    # twice must not interrupt the leaving: there is one way out, the socket's end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: _hang_up(platform))
    process.die_with_parent(signal.SIGTERM)
    for inherited in (descriptor, lock):
        os.set_inheritable(int(inherited), False)
    users = Users(int(first_user), int(count))
    try:
        scratch = _private_mounts(directory)
        if place != ROOTS:
            _try_proc(scratch)
    except OSError as error:
        from ondol.sandbox.jail import power  # noqa: PLC0415 - only a failure has need of it

        # To leave it unread would end the line with an error, before what is said now is heard.
        channel.receive(platform)
        channel.send(platform, {"problem": f"nothing can be mounted: {error}; {power.advice()}"})
        return
    opening = Opening(platform, directory, scratch, place=place, owner=owner, users=users)
    try:
        opening.begin()
        opening.events.run()
    except (SystemExit, ConnectionError):
        pass  # the platform is gone: told so, or met while telling it something
    finally:
        _end_everything(opening.bounds)
        opening.close()


class Opening:
    """From the first message to the first command: find out what this machine can do, and say so."""

    def __init__(
        self, platform: socket.socket, directory: str, scratch: str, *, place: str, owner: str, users: Users
    ) -> None:
        self.events = EventLoop()
        self._platform = platform
        self._directory = directory
        self._owner = owner
        self._router: Router | None = None
        self._scratch = scratch
        self._roots = place == ROOTS
        self._users = users
        self._watch = Watch(self.events, self._tell_peak) if place == NOWHERE else None
        self.bounds: Bounds = self._watch or (
            cgroups.probe(owner) if self._roots else cgroups.UnifiedGroups(place, owner)
        )

    def begin(self) -> None:
        """Try to make a disk for /tmp; what comes of it decides how every /tmp is made."""
        if not self._roots:
            self._without_power_over_disks()
            return
        try:
            disks = TmpDisks(f"{self._directory}/tmp", self._scratch, self.events)
        except OSError as error:
            self._without_disks(str(error))
            return
        disks.prepare(
            DEFAULT_TMP_MB, lambda problem: self._without_disks(problem) if problem else self._serve(disks, ())
        )

    def _without_disks(self, problem: str) -> None:
        shortfall = f"{_UNLIMITED_TMP}{problem}; install e2fsprogs and give this host loop devices."
        self._serve(TmpDirectories(f"{self._directory}/tmp", self.events), (shortfall,))

    def _without_power_over_disks(self) -> None:
        if self._watch is not None:
            self._serve(TmpMemory(), ())
        else:
            shortfall = f"{_UNLIMITED_TMP}as a disk only root could mount it, and as memory it would be the function's."
            self._serve(TmpDirectories(f"{self._directory}/tmp", self.events), (shortfall,))

    def _serve(self, tmp: TmpSource, shortfalls: tuple[str, ...]) -> None:
        received = channel.receive(self._platform)
        if received is None:
            sys.exit(0)
        try:
            self._leave_network(received[0]["network"])
        except NoRouter as lack:
            channel.send(self._platform, {"problem": f"the network mode nat needs {lack}"})
            sys.exit(0)
        code = f"{self._directory}/code"
        self._sweep(code, f"{self._directory}/images")
        trees = Trees(code, self._scratch)
        means = Means(
            self.events,
            bounds=self.bounds,
            watch=self._watch,
            tmp=tmp,
            trees=trees,
            users=self._users,
            router=self._router,
        )
        # Archives are unpacked by a user that no sandbox ever has; what an ordinary user has here stays that user's.
        unpacker = self._users.take() if self._roots else None
        zygotes = Zygotes(
            self._directory,
            self._scratch,
            received[0]["runtimes"],
            self.events,
            unpacker=unpacker,
            roots=self._roots,
            watched=self._watch is not None,
        )
        commands = Commands(self._platform, means, zygotes, code, unpacker)
        ready = {
            "tmp_limit": tmp.limited,
            "refusals": _can_watch_refusals(),
            "own_uid": self._users.own,
            "shortfalls": [
                *self.bounds.shortfalls,
                *shortfalls,
                *(() if self._users.own else (_SHARED_USER,)),
                *(self._router.shortfalls if self._router else ()),
            ],
        }
        channel.send(self._platform, ready)
        self.events.watch(self._platform.fileno(), commands.take)

    def _sweep(self, *directories: str) -> None:
        """Remove what earlier runs were unpacking or discarding when they were killed."""
        paths = [f"{directory}/{name}" for directory in directories for name in os.listdir(directory)]
        for path in paths:
            if path.endswith(HALF_DONE):
                # Out of the way of whoever is about to unpack the same.
                with contextlib.suppress(OSError):
                    os.rename(path, path + SWEPT)
        swept = {path if path.endswith(SWEPT) else path + SWEPT for path in paths if path.endswith((*HALF_DONE, SWEPT))}
        if swept:
            order = [sys.executable, "-I", SLOW, "sweep", *swept]
            self.events.run_program(order, lambda status, errors: None)

    def close(self) -> None:
        """Leave the host as it was."""
        if self._router is not None:
            self._router.close()

    def _leave_network(self, mode: str) -> None:
        """What sandboxes are made from has no network, or is their router. Raises `NoRouter`."""
        if mode != "nat":
            namespaces.unshare(namespaces.NEW_NETWORK)
        elif self._roots:
            self._router = Router(self._owner, self._users.first // USERS)
        else:
            raise NoRouter("root: an ordinary user has no power over the host's network")

    def _tell_peak(self, name: str, size: int) -> None:
        channel.send(self._platform, {"sandbox": name, "peak": size})


def _can_watch_refusals() -> bool:
    try:
        for watching in refusals.watch():
            watching.close()
    except OSError:
        return False
    return True


def _private_mounts(directory: str) -> str:
    """A mount namespace of our own, and in it a directory for devices and passing mounts that nobody else sees."""
    namespaces.unshare(namespaces.NEW_MOUNTS)
    mounts.make_private()
    scratch = f"{directory}/{SCRATCH}"
    mounts.mount("tmpfs", scratch, "tmpfs", mounts.NO_SUID | mounts.NO_EXECUTE, "size=1m,mode=700")
    return scratch


def _try_proc(scratch: str) -> None:
    """A sandbox needs a /proc of its own; a container that masks parts of its /proc forbids to mount another."""
    mounts.mount("proc", scratch, "proc", mounts.NO_SUID | mounts.NO_EXECUTE | mounts.NO_DEVICES)
    mounts.detach(scratch)


def _hang_up(platform: socket.socket) -> None:
    with contextlib.suppress(OSError):
        platform.shutdown(socket.SHUT_RDWR)


def _end_everything(bounds: Bounds) -> None:
    """Kill all that is left in this PID namespace, and remove the cgroups."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    # The frozen die of it only now that this thaws them.
    bounds.sweep()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


if __name__ == "__main__":
    main()
