"""Messages of one group of a FIFO queue reach the function one after another: pure.

SQS hands out no message of a group while it waits for earlier ones of that group to be deleted. Servers that stand
in for it have been seen to, when several receives wait at once; so what comes too early is held here, and given back
if an earlier one failed.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Grouped(Protocol):
    @property
    def group(self) -> str: ...


M = TypeVar("M", bound=Grouped)


class GroupOrder(Generic[M]):
    """Groups with messages on their way to the function, and what came of them too early."""

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()
        self._held: deque[M] = deque()

    def admit(self, messages: Iterable[M]) -> list[M]:
        """Those that may go now, as one batch; the others are held."""
        early = {message.group for message in self._held} | set(self._busy)
        admitted = []
        for message in messages:
            if message.group in early:
                self._held.append(message)
            else:
                admitted.append(message)
        self._busy.update(message.group for message in admitted)
        return admitted

    def ended(self, batch: Sequence[M], failed: Iterable[M]) -> tuple[list[M], list[M]]:
        """A batch is over. What was held and may go now, as one batch; and what must be given back to the queue."""
        self._busy.subtract(message.group for message in batch)
        self._busy += Counter()
        broken = {message.group for message in failed}
        released: list[M] = []
        returned: list[M] = []
        kept: deque[M] = deque()
        for message in self._held:
            if message.group in broken:
                returned.append(message)
            elif message.group in self._busy:
                kept.append(message)
            else:
                released.append(message)
        self._held = kept
        self._busy.update(message.group for message in released)
        return released, returned

    def clear(self) -> list[M]:
        """Everything that is held."""
        held, self._held = list(self._held), deque()
        return held
