"""The machine's clocks."""

import time
from collections.abc import Callable
from functools import partial
from typing import cast

from ondol.model.time import MILLISECOND, Instant, WallTime


class SystemClock:
    """`CLOCK_BOOTTIME`, which runs on through suspend, and the wall clock."""

    # Read several times for each invocation: no function of ours stands between the caller and the system's.
    now = staticmethod(cast(Callable[[], Instant], partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)))

    def wall(self) -> WallTime:
        return WallTime(time.time_ns() // MILLISECOND)
