"""Who watches which prefix of a store, and how a change reaches them.

Each change is a callback of its own on the loop, so that a watcher that fails harms no other and no writer.
"""

import asyncio
from collections.abc import Callable, Iterable

from ondol.store.protocol import Change


class PrefixWatch:
    """One watcher: a `Subscription`. The state it began with was that of revision `seen`."""

    def __init__(self, watches: "Watches", prefix: str, on_change: Callable[[Change], None], seen: int) -> None:
        self._watches = watches
        self._on_change = on_change
        self._closed = False
        self.prefix = prefix
        self.seen = seen

    def tell(self, change: Change) -> None:
        if not self._closed:
            self._on_change(change)

    def close(self) -> None:
        """Hear no more, not even what is on its way. A second time is no error."""
        self._closed = True
        self._watches.remove(self)


class Watches:
    def __init__(self) -> None:
        self._watches: list[PrefixWatch] = []

    def add(self, prefix: str, on_change: Callable[[Change], None], state: Iterable[Change], seen: int) -> PrefixWatch:
        """Tell the present state now, and from now on what comes after revision `seen`."""
        for change in state:
            on_change(change)
        watch = PrefixWatch(self, prefix, on_change, seen)
        self._watches.append(watch)
        return watch

    def remove(self, watch: PrefixWatch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)

    def publish(self, change: Change, revision: int) -> None:
        """To be called in the order of revisions."""
        if not self._watches:
            return
        loop = asyncio.get_running_loop()
        for watch in self._watches:
            # What was on its way when the watch began is in its first state already.
            if revision > watch.seen and change.key.startswith(watch.prefix):
                loop.call_soon(watch.tell, change)
