"""How far a shard is done, while several lanes work on it: pure.

The position is the last record before which, and with which, everything is done. What lies beyond is read again
after a restart, though it may have run: at least once, never skipped.
"""


class Progress:
    def __init__(self, position: str | None = None) -> None:
        self._done: dict[str, bool] = {}
        self.position = position
        """A sequence number; None at the beginning."""

    def __len__(self) -> int:
        """Records that are read and beyond the position."""
        return len(self._done)

    def read(self, sequence: str) -> None:
        self._done[sequence] = False

    def done(self, sequence: str) -> None:
        self._done[sequence] = True
        over = []
        for each, done in self._done.items():
            if not done:
                break
            over.append(each)
        for each in over:
            del self._done[each]
        if over:
            self.position = over[-1]
