"""`ondol` with a watch over its event loop: writes down each turn that kept the others waiting for long.

Takes the file to write to, then what `ondol` takes. A line is the instant of a late beat and how late it was, both in
nanoseconds of the monotonic clock; what the thread waited for a processor is not counted, for that is no fault of ours.
"""

import os
import sys
import time
from pathlib import Path

import uvloop

from ondol.cli.main import main

BEAT_S = 0.001
WORTH_TELLING = 1_000_000
"""Nanoseconds."""


class Watch:
    """A beat on the loop, and a line for each that comes late."""

    def __init__(self, loop: uvloop.Loop, file: Path) -> None:
        self._loop = loop
        self._log = file.open("w", buffering=1)
        # Of the thread that opens it: CPU time, time spent waiting for a CPU, and how often it had one.
        self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._rest()

    def _rest(self) -> None:
        self._waited = self._waited_for_processor()
        self._due = time.monotonic_ns() + int(BEAT_S * 1e9)
        self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now = time.monotonic_ns()
        late = now - self._due - (self._waited_for_processor() - self._waited)
        if late > WORTH_TELLING:
            self._log.write(f"{now} {late}\n")
        self._rest()

    def _waited_for_processor(self) -> int:
        return int(os.pread(self._schedule, 80, 0).split()[1])


def watch_every_loop(file: Path) -> None:
    new_event_loop = uvloop.new_event_loop

    def watched() -> uvloop.Loop:
        loop = new_event_loop()
        loop.call_soon(Watch, loop, file)
        return loop

    uvloop.new_event_loop = watched


if __name__ == "__main__":
    watch_every_loop(Path(sys.argv.pop(1)))
    main()
