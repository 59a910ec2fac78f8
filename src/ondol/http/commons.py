"""What all listeners of one loop share."""

from ondol.http.outbox import Outbox
from ondol.http.sweep import Sweep
from ondol.model.time import Clock


class HttpCommons:
    """Made once for a loop, and given to each of its `Server`s."""

    def __init__(self, clock: Clock, sweep_period_s: float = 1.0) -> None:
        self.sweep = Sweep(clock, sweep_period_s)
        self.outbox = Outbox()
