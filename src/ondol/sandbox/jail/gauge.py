"""What one sandbox has used, as the platform reads it: from its control group, or from its processes.

Read at the end of every invocation, so files stay open while it works: to open them is three quarters of the time. What
idles holds none: there may be thousands.
"""

import contextlib
import os
from typing import Protocol

from ondol.linux.cgroups import Cgroups, Measures
from ondol.model.ids import SandboxId

KILOBYTE = 1024
_STATUS_BYTES = 4096
_PEAK = b"VmHWM:"
_RUNTIME = 2
"""The runtime's number among the processes of its sandbox."""


class Gauge(Protocol):
    """Of one sandbox. Reading raises `OSError` where there is nothing to read any more."""

    def started(self, limit_bytes: int) -> None:
        """It has become an environment with so much memory."""
        ...

    def sampled(self, size: int) -> None:
        """All processes of the sandbox together were seen to use so much, in bytes."""
        ...

    def memory_peak_bytes(self) -> int: ...

    def cpu_time_ns(self) -> int: ...

    def thaw(self) -> None:
        """At once, if that is in the platform's own power."""
        ...

    def rest(self) -> None:
        """It is not read for a while."""
        ...

    def close(self) -> None: ...


class GroupGauge:
    """Asks the control groups."""

    def __init__(self, groups: Cgroups, name: SandboxId) -> None:
        self._groups = groups
        self._name = name
        self._measures: Measures | None = None

    def started(self, limit_bytes: int) -> None:
        """The kernel itself lets no more be used."""

    def sampled(self, size: int) -> None:
        """The kernel itself counts."""

    def memory_peak_bytes(self) -> int:
        return self._opened().memory_peak_bytes()

    def cpu_time_ns(self) -> int:
        return self._opened().cpu_time_ns()

    def thaw(self) -> None:
        with contextlib.suppress(OSError):
            self._groups.thaw(self._name)

    def rest(self) -> None:
        if self._measures is not None:
            self._measures.close()
            self._measures = None

    close = rest

    def _opened(self) -> Measures:
        if self._measures is None:
            self._measures = self._groups.measures(self._name)
        return self._measures


class ProcessGauge:
    """Asks the sandbox's own /proc, whose descriptor it owns, for the runtime's peak.

    What the runtime's children use besides it is sampled by the spawner, which says so: see `spawner/watch.py`.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._status = -1
        self._peak_bytes = 0
        self._limit_bytes = 0

    def started(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    def memory_peak_bytes(self) -> int:
        # Of a runtime that has ended, what was seen before is all there is.
        with contextlib.suppress(OSError):
            if self._status < 0:
                self._status = self._open("status")
            status = os.pread(self._status, _STATUS_BYTES, 0)
            at = status.find(_PEAK)
            if at >= 0:
                kilobytes = status[at + len(_PEAK) : status.index(b"kB", at)]
                self.sampled(int(kilobytes) * KILOBYTE)
        # More is never told: what is over the limit is ended for that.
        return min(self._peak_bytes, self._limit_bytes or self._peak_bytes)

    def sampled(self, size: int) -> None:
        self._peak_bytes = max(self._peak_bytes, size)

    def cpu_time_ns(self) -> int:
        """Of the runtime and those of its children that it has waited for."""
        opened = self._open("stat")
        try:
            fields = os.pread(opened, _STATUS_BYTES, 0).rpartition(b") ")[2].split()
        finally:
            os.close(opened)
        # utime, stime, cutime and cstime are the fields 14 to 17 (proc(5)); the rest begins with the third.
        ticks = sum(map(int, fields[11:15]))
        return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def thaw(self) -> None:
        """It is the spawner's to let processes go on."""

    def rest(self) -> None:
        if self._status >= 0:
            os.close(self._status)
            self._status = -1

    def close(self) -> None:
        self.rest()
        if self._processes >= 0:
            os.close(self._processes)
            self._processes = -1

    def _open(self, name: str) -> int:
        return os.open(f"{_RUNTIME}/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
