"""The machine's clocks."""

import time

from ondol.model.time import MILLISECOND, Instant, WallTime


class SystemClock:
    """`CLOCK_BOOTTIME`, which runs on through suspend, and the wall clock."""

    def now(self) -> Instant:
        return Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def wall(self) -> WallTime:
        return WallTime(time.time_ns() // MILLISECOND)
