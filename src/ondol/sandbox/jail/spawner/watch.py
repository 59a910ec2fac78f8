"""Stands in for control groups where none is at hand: watches memory, and stops processes by signal.

Several times a second, each sandbox that is not frozen has the resident memory of its processes summed. A sum counts
pages that processes share once for each; only when it exceeds the limit is it counted exactly (their proportional
share), and only when that does too is the runtime killed. So a limit holds on the average, not at each instant: what is
not mapped by any process is not seen, and what is faster than the watch is seen late. Each process offers itself to the
kernel as the first to die should the machine run out of memory meanwhile.

Source: proc(5) for statm and smaps_rollup.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH208

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from ondol.linux import process
from ondol.sandbox.jail.spawner.events import EventLoop

LOOK_EVERY_S = 0.1
LOOK_CLOSELY_EVERY_S = 0.02
"""At one that uses more than half of its limit."""

TOLD_STEP_BYTES = 1 << 20
"""By how much a peak must have grown for the platform to be told."""

_ROUNDS = 8
"""In which all of a sandbox's processes are found, though some fork while they are looked for."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_FIRST = "1"

Told = Callable[[str, int], None]
"""Called with a sandbox's name and the most memory that it was seen to use, in bytes."""


class _Watched:
    def __init__(self, processes: int, runtime: int) -> None:
        self.processes = processes
        """Its own /proc."""

        self.runtime = runtime
        self.limit_bytes = 0
        self.told_bytes = 0
        self.frozen = False
        self.awaited = False
        """A look at it is due."""

        self.out_of_memory = False

    def all(self) -> list[str]:
        """Numbers of all processes but the first, which is ours."""
        return [name for name in os.listdir(self.processes) if name.isdigit() and name != _FIRST]


class Watch:
    """Stands where control groups do: see `Bounds` in `slot`."""

    shortfalls: tuple[str, ...] = (
        "No control group is at hand: a function's share of the processor is not limited, its memory is watched "
        f"{1 / LOOK_EVERY_S:.0f} times a second rather than limited, and idle environments are stopped by signals; "
        "with systemd, start ondol as: systemd-run --user --scope -p Delegate=yes ondol up",
    )

    def __init__(self, events: EventLoop, told: Told) -> None:
        self._events = events
        self._told = told
        self._watched: dict[str, _Watched] = {}

    def create(self, name: str) -> None:
        """There is nothing to make before its processes are there: see `join`."""

    def entrances(self, name: str) -> list[int]:
        return []

    def join(self, name: str, processes: int, runtime: int) -> None:
        """Know this sandbox by a descriptor of its own /proc, and of its runtime: both become the watch's own."""
        self._watched[name] = _Watched(processes, runtime)

    def limit_memory(self, name: str, limit_bytes: int) -> None:
        watched = self._watched[name]
        watched.limit_bytes = limit_bytes
        self._look_later(name, watched, LOOK_EVERY_S)

    def limit_cpu(self, name: str, share: float) -> None:
        """Not enforced."""

    def freeze(self, name: str) -> None:
        watched = self._watched.get(name)
        if watched is not None and not watched.frozen:
            watched.frozen = True
            _signal_all(watched, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        watched = self._watched.get(name)
        if watched is not None and watched.frozen:
            watched.frozen = False
            _signal_all(watched, signal.SIGCONT)
            self._look_later(name, watched, LOOK_EVERY_S)

    def out_of_memory(self, name: str) -> bool:
        watched = self._watched.get(name)
        return watched is not None and watched.out_of_memory

    def remove(self, name: str) -> bool:
        watched = self._watched.pop(name, None)
        if watched is not None:
            os.close(watched.processes)
            os.close(watched.runtime)
        return True

    def sweep(self) -> None:
        """What ends with its PID namespace leaves nothing."""

    def _look(self, name: str, watched: _Watched) -> None:
        watched.awaited = False
        if watched.frozen or watched.out_of_memory or self._watched.get(name) is not watched:
            return
        used = sum(_resident_bytes(watched.processes, number) for number in watched.all())
        if used > watched.limit_bytes:
            used = sum(_proportional_bytes(watched.processes, number) for number in watched.all())
        if used >= watched.told_bytes + TOLD_STEP_BYTES:
            watched.told_bytes = used
            self._told(name, used)
        if used > watched.limit_bytes:
            watched.out_of_memory = True
            process.send_signal(watched.runtime, signal.SIGKILL)
            return
        self._look_later(name, watched, LOOK_CLOSELY_EVERY_S if used * 2 > watched.limit_bytes else LOOK_EVERY_S)

    def _look_later(self, name: str, watched: _Watched, delay_s: float) -> None:
        if not watched.awaited:
            watched.awaited = True
            self._events.call_later(delay_s, lambda: self._look(name, watched))


def _signal_all(watched: _Watched, number: int) -> None:
    reached: set[str] = set()
    for _ in range(_ROUNDS):
        found = [name for name in watched.all() if name not in reached]
        if not found:
            return
        for name in found:
            try:
                directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=watched.processes)
            except FileNotFoundError:
                continue
            try:
                process.send_signal(directory, number)
            finally:
                os.close(directory)
        reached.update(found)


def _resident_bytes(processes: int, number: str) -> int:
    return int((_read(processes, f"{number}/statm") or b"0 0").split()[1]) * _PAGE_BYTES


def _proportional_bytes(processes: int, number: str) -> int:
    rollup = _read(processes, f"{number}/smaps_rollup")
    at = rollup.find(b"\nPss:")
    return int(rollup[at:].split(None, 2)[1]) * 1024 if at >= 0 else 0


def _read(processes: int, path: str) -> bytes:
    """Nothing if the process has ended."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=processes)
    except OSError:
        return b""
    try:
        return os.read(opened, 4096)
    except OSError:
        return b""
    finally:
        os.close(opened)
