"""Control groups: limits and measures of a group of processes (cgroups(7)), version 1, version 2 or both mixed.

Machines differ, so `probe` looks at what is mounted: a controller that a version 1 hierarchy holds is not in the
version 2 tree, even when that is mounted too.

A process enters a group by writing "0" to each of its `entrances` itself. In version 1 they are `tasks` files: a
thread that moves only itself is spared the machine-wide lock that makes `cgroup.procs` cost 10 ms on an idle machine.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH102, PTH103, PTH106, PTH110, PTH123

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from typing import Protocol

MOUNTS = "/proc/self/mounts"
OWN_GROUPS = "/proc/self/cgroup"
PROCESSES = 1024
"""Processes and threads of one group, as on AWS."""

PERIOD_US = 20_000
"""Processor time is dealt out per 20 ms. With the kernel's usual 100 ms, a function of 128 MB that has used up its 7 ms
stands still for 93."""

_NAMES = ("memory", "cpu", "cpuacct", "pids", "freezer")


class Cgroups(Protocol):
    """All groups of one owner, each by its name."""

    shortfalls: tuple[str, ...]
    memory_limit: bool
    cpu_limit: bool
    process_limit: bool
    freezer: bool

    def claim(self) -> None:
        """Make ready for groups. Whoever does it must see every process of the groups above: no other PID namespace."""
        ...

    def create(self, name: str) -> None:
        """Make the group `name`, limited to `PROCESSES`."""
        ...

    def entrances(self, name: str) -> list[int]:
        """Descriptors: who writes "0" to all of them is in the group."""
        ...

    def limit_memory(self, name: str, limit_bytes: int) -> None:
        """Limit memory, swap included, and measure its peak from now on."""
        ...

    def limit_cpu(self, name: str, share: float) -> None:
        """Limit processor time to `share` of one processor."""
        ...

    def freeze(self, name: str) -> None: ...

    def thaw(self, name: str) -> None: ...

    def out_of_memory(self, name: str) -> bool:
        """Whether the kernel killed a process of the group for want of memory."""
        ...

    def measures(self, name: str) -> Measures:
        """What the group has used. Raises `OSError`."""
        ...

    def remove(self, name: str) -> bool:
        """Remove the group; False while processes are in it."""
        ...

    def sweep(self) -> None:
        """End every process that is in any group, and remove them all. Raises `OSError` for what will not go."""
        ...


def probe(owner: str) -> Cgroups:
    """The groups of `owner`, a name that nobody else on this machine uses."""
    unified, controllers = None, {}
    for point, kind, options in _mounted():
        if kind == "cgroup2":
            unified = unified or point
        elif kind == "cgroup":
            controllers.update({name: point for name in _NAMES if name in options})
    if unified and not controllers and "memory" in _words(f"{unified}/cgroup.controllers"):
        return UnifiedGroups(unified, owner)
    return SeparateGroups(controllers, owner)


def delegated(owner: str) -> UnifiedGroups | None:
    """The groups of `owner` below this process's own group, if an ordinary user was given that to divide.

    A service manager does so when asked (systemd: `Delegate=yes`): the group can be written, counts memory, and holds
    nobody but this process, whom `UnifiedGroups.claim` moves one level down.
    """
    points = [point for point, kind, _ in _mounted() if kind == "cgroup2"]
    paths = [line[3:] for line in _read(OWN_GROUPS).splitlines() if line.startswith("0::")]
    if not points or not paths:
        return None
    group = f"{points[0]}{paths[0]}".rstrip("/")
    try:
        if "memory" not in _words(f"{group}/cgroup.controllers") or _words(f"{group}/cgroup.procs") != [
            str(os.getpid())
        ]:
            return None
    except OSError:
        return None
    writable = all(
        os.access(path, os.W_OK) for path in (group, f"{group}/cgroup.procs", f"{group}/cgroup.subtree_control")
    )
    return UnifiedGroups(group, owner) if writable else None


class SeparateGroups:
    """Version 1: a hierarchy for each controller, and in each of them a directory of the owner with the groups."""

    def __init__(self, points: dict[str, str], owner: str) -> None:
        self._roots = {name: f"{point}/{owner}" for name, point in points.items() if name in _NAMES}
        # Controllers mounted together share their directories.
        self._directories = tuple(dict.fromkeys(self._roots.values()))
        self.memory_limit = "memory" in points
        self.cpu_limit = "cpu" in points
        self.process_limit = "pids" in points
        self.freezer = "freezer" in points
        self.shortfalls = _shortfalls(self)
        self._swap = self.memory_limit and os.path.exists(f"{points['memory']}/memory.memsw.limit_in_bytes")

    def claim(self) -> None:
        """Nothing is in the way of new groups."""

    def create(self, name: str) -> None:
        for directory in self._directories:
            os.makedirs(f"{directory}/{name}")
        if self.process_limit:
            _write(f"{self._roots['pids']}/{name}/pids.max", PROCESSES)

    def entrances(self, name: str) -> list[int]:
        return [os.open(f"{directory}/{name}/tasks", os.O_WRONLY | os.O_CLOEXEC) for directory in self._directories]

    def limit_memory(self, name: str, limit_bytes: int) -> None:
        if self.memory_limit:
            group = f"{self._roots['memory']}/{name}"
            _write(f"{group}/memory.limit_in_bytes", limit_bytes)
            if self._swap:
                _write(f"{group}/memory.memsw.limit_in_bytes", limit_bytes)
            _write(f"{group}/memory.max_usage_in_bytes", 0)

    def limit_cpu(self, name: str, share: float) -> None:
        if self.cpu_limit:
            group = f"{self._roots['cpu']}/{name}"
            _write(f"{group}/cpu.cfs_period_us", PERIOD_US)
            _write(f"{group}/cpu.cfs_quota_us", _quota_us(share))

    def freeze(self, name: str) -> None:
        if self.freezer:
            _write(f"{self._roots['freezer']}/{name}/freezer.state", "FROZEN")

    def thaw(self, name: str) -> None:
        if self.freezer:
            _write(f"{self._roots['freezer']}/{name}/freezer.state", "THAWED")

    def out_of_memory(self, name: str) -> bool:
        return self.memory_limit and _fact(f"{self._roots['memory']}/{name}/memory.oom_control", "oom_kill") > 0

    def measures(self, name: str) -> Measures:
        memory = f"{self._roots['memory']}/{name}/memory.max_usage_in_bytes" if self.memory_limit else None
        cpu = f"{self._roots['cpuacct']}/{name}/cpuacct.usage" if "cpuacct" in self._roots else None
        return Measures(memory, cpu, cpu_unit_ns=1)

    def remove(self, name: str) -> bool:
        removed = [_remove(f"{directory}/{name}") for directory in self._directories]
        return all(removed)

    def sweep(self) -> None:
        # What is frozen does not die: the freezer's groups are the first to go.
        for directory in sorted(self._directories, key=lambda each: each != self._roots.get("freezer")):
            _sweep(directory)


class UnifiedGroups:
    """Version 2: one tree, in which the owner has a directory with the groups."""

    def __init__(self, point: str, owner: str) -> None:
        self.point = point
        self._root = f"{point}/{owner}"
        available = _words(f"{point}/cgroup.controllers")
        self._controllers = [name for name in ("memory", "cpu", "pids") if name in available]
        self.memory_limit = "memory" in available
        self.cpu_limit = "cpu" in available
        self.process_limit = "pids" in available
        self.freezer = True
        self.shortfalls = _shortfalls(self)

    def create(self, name: str) -> None:
        group = f"{self._root}/{name}"
        try:
            os.mkdir(group)
        except FileNotFoundError:
            self.claim()
            os.mkdir(group)
        if self.process_limit:
            _write(f"{group}/pids.max", PROCESSES)
        if self.memory_limit:
            # A function that has lost one process to the limit is not the function that its author wrote.
            _write(f"{group}/memory.oom.group", 1)

    def entrances(self, name: str) -> list[int]:
        return [os.open(f"{self._root}/{name}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)]

    def limit_memory(self, name: str, limit_bytes: int) -> None:
        if self.memory_limit:
            group = f"{self._root}/{name}"
            _write(f"{group}/memory.max", limit_bytes)
            if os.path.exists(f"{group}/memory.swap.max"):
                _write(f"{group}/memory.swap.max", 0)

    def limit_cpu(self, name: str, share: float) -> None:
        if self.cpu_limit:
            _write(f"{self._root}/{name}/cpu.max", f"{_quota_us(share)} {PERIOD_US}")

    def freeze(self, name: str) -> None:
        _write(f"{self._root}/{name}/cgroup.freeze", 1)

    def thaw(self, name: str) -> None:
        _write(f"{self._root}/{name}/cgroup.freeze", 0)

    def out_of_memory(self, name: str) -> bool:
        return self.memory_limit and _fact(f"{self._root}/{name}/memory.events", "oom_kill") > 0

    def measures(self, name: str) -> Measures:
        memory = f"{self._root}/{name}/memory.peak" if self.memory_limit else None
        return Measures(memory, f"{self._root}/{name}/cpu.stat", cpu_unit_ns=1000)

    def remove(self, name: str) -> bool:
        return _remove(f"{self._root}/{name}")

    def sweep(self) -> None:
        _sweep(self._root)

    def claim(self) -> None:
        """Make the owner's directory and hand the controllers down to the groups in it."""
        wanted = " ".join(f"+{name}" for name in self._controllers)
        try:
            _write(f"{self.point}/cgroup.subtree_control", wanted)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # In a container the top of the tree is a group like others: it may not hold processes and groups at once.
            self._move_processes_down()
            _write(f"{self.point}/cgroup.subtree_control", wanted)
        os.makedirs(self._root, exist_ok=True)
        _write(f"{self._root}/cgroup.subtree_control", wanted)

    def _move_processes_down(self) -> None:
        leaf = f"{self.point}/init"
        os.makedirs(leaf, exist_ok=True)
        for process in _words(f"{self.point}/cgroup.procs"):
            try:
                _write(f"{leaf}/cgroup.procs", process)
            except ProcessLookupError:
                continue


class Measures:
    """What one group has used. Read for every invocation, so its files stay open: that costs a quarter of the time."""

    def __init__(self, memory: str | None, cpu: str | None, *, cpu_unit_ns: int) -> None:
        self._memory = _opened(memory)
        self._cpu = _opened(cpu)
        self._cpu_unit_ns = cpu_unit_ns

    def memory_peak_bytes(self) -> int:
        """Zero where memory is not counted."""
        return int(os.pread(self._memory, 32, 0)) if self._memory >= 0 else 0

    def cpu_time_ns(self) -> int:
        """Zero where time is not counted."""
        if self._cpu < 0:
            return 0
        # Version 1 has the number alone, version 2 names it and has others after it.
        words = os.pread(self._cpu, 64, 0).split(None, 2)
        return int(words[1] if len(words) > 1 else words[0]) * self._cpu_unit_ns

    def close(self) -> None:
        for descriptor in (self._memory, self._cpu):
            if descriptor >= 0:
                os.close(descriptor)
        self._memory = self._cpu = -1


def _shortfalls(groups: SeparateGroups | UnifiedGroups) -> tuple[str, ...]:
    """One sentence for each thing that is not enforced."""
    missing = {
        "memory": (groups.memory_limit, "A function's memory is not limited"),
        "cpu": (groups.cpu_limit, "A function's share of the processor is not limited"),
        "pids": (groups.process_limit, "The number of a function's processes is not limited"),
        "freezer": (groups.freezer, "Idle environments are not frozen"),
    }
    return tuple(
        f"{effect}: no cgroup controller '{name}' is mounted and free to use; mount one, or boot with version 2."
        for name, (there, effect) in missing.items()
        if not there
    )


def _quota_us(share: float) -> int:
    # The kernel takes no quota below 1 ms.
    return max(1000, round(share * PERIOD_US))


def _mounted() -> Iterator[tuple[str, str, list[str]]]:
    with open(MOUNTS, encoding="utf-8") as file:
        for line in file:
            _, point, kind, options = line.split(" ")[:4]
            yield point, kind, options.split(",")


def _write(path: str, value: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode()
    finally:
        os.close(descriptor)


def _opened(path: str | None) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path is not None else -1


def _words(path: str) -> list[str]:
    return _read(path).split()


def _fact(path: str, key: str) -> int:
    words = _words(path)
    return int(words[words.index(key) + 1])


def _remove(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def _sweep(root: str) -> None:
    try:
        groups = [entry.path for entry in os.scandir(root) if entry.is_dir()]
    except FileNotFoundError:
        return
    deadline = time.monotonic() + 5
    for group in [*groups, root]:
        while not _remove(group):
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, f"{group} holds processes that do not end")
            _end_processes(group)
            time.sleep(0.001)


def _end_processes(group: str) -> None:
    for switch, value in (("freezer.state", "THAWED"), ("cgroup.kill", 1)):
        if os.path.exists(f"{group}/{switch}"):
            _write(f"{group}/{switch}", value)
    for process in _words(f"{group}/cgroup.procs"):
        # 0 is a process of another PID namespace: whoever can see it has to end it.
        if process != "0":
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                continue
