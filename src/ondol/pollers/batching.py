"""When records that have come become a batch: pure.

A batch is full by its number of records or by its bytes; what is there goes when the window of the oldest has passed,
at once without a window. Source: developer guide, "Batching behavior" of event source mappings.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar

from ondol.model.time import Instant

PAYLOAD_BYTES = 6_291_456
"""Of an invocation: the limit of a synchronous request."""

_OVERHEAD_BYTES = 1_024
"""What a payload has beside its records."""


class Sized(Protocol):
    """A record, as far as batching is concerned."""

    @property
    def body(self) -> bytes:
        """As it stands in the payload."""
        ...


R = TypeVar("R", bound=Sized)


class Batching(Generic[R]):
    """Records in the order in which they came, until a batch takes them."""

    def __init__(self, batch_size: int, window: int, batch_bytes: int = PAYLOAD_BYTES - _OVERHEAD_BYTES) -> None:
        """`window` in nanoseconds."""
        self._size = batch_size
        self._window = window
        self._bytes = batch_bytes
        self._waiting: deque[tuple[R, Instant]] = deque()
        self._held = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: R, now: Instant) -> None:
        self._waiting.append((record, now))
        self._held += len(record.body) + 1

    @property
    def full(self) -> bool:
        """There is enough for a batch, however young it is."""
        return len(self._waiting) >= self._size or self._held >= self._bytes

    @property
    def due_at(self) -> Instant | None:
        """When what is there goes, if nothing is added; None if there is nothing."""
        return Instant(self._waiting[0][1] + self._window) if self._waiting else None

    def take(self, now: Instant) -> list[R]:
        """The next batch if there is one now, else nothing."""
        due_at = self.due_at
        if due_at is None or not (self.full or now >= due_at):
            return []
        batch: list[R] = []
        taken = 0
        while self._waiting and len(batch) < self._size:
            weight = len(self._waiting[0][0].body) + 1
            if batch and taken + weight > self._bytes:
                break
            batch.append(self._waiting.popleft()[0])
            taken += weight
        self._held -= taken
        return batch

    def clear(self) -> list[R]:
        """Everything, for somebody who gives it back."""
        records = [record for record, _ in self._waiting]
        self._waiting.clear()
        self._held = 0
        return records
