"""What is written of queues in the SQLite file, and what a queue's line learns of it once it is durable."""

import asyncio
import logging
from collections.abc import Callable

import apsw

from ondol.model.time import WallTime
from ondol.store.committer import Write

_log = logging.getLogger(__name__)

Place = tuple[WallTime, int]
"""When a message is due, and its id: the order in which messages are taken."""


class Line:
    """One queue as memory knows it: how far it was taken from, and what of that is still in somebody's hands."""

    __slots__ = ("changed", "length", "name", "position", "taken")

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self.length = length
        """Messages that nobody has taken."""

        self.position: Place = (WallTime(-1), 0)
        """Whatever has its place up to here is taken or gone."""

        self.taken: dict[int, WallTime] = {}
        """What is in somebody's hands: by id, when it was due."""

        self.changed = asyncio.Event()

    def joined(self, place: Place) -> None:
        """There is a message at this place that nobody has."""
        self.length += 1
        if place <= self.position:
            self.position = (place[0], place[1] - 1)
        self.changed.set()


class _MessageWrite(Write, kw_only=True):
    line: Line
    id: int

    def _tell_of_failure(self, consequence: str) -> None:
        _log.error("message %s of %s %s: %s", self.id, self.line.name, consequence, self.error)


class PutWrite(_MessageWrite, kw_only=True):
    due: WallTime
    body: bytes
    done: "asyncio.Future[None]"

    @property
    def size(self) -> int:
        return len(self.body)

    def perform(self, connection: apsw.Connection, revision: int) -> int:
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, 0, ?)", (self.id, self.line.name, self.due, self.body)
        )
        return revision

    def announce(self) -> None:
        if self.error is None:
            self.line.joined((self.due, self.id))

    def settle(self) -> None:
        if self.done.done():
            # Whoever asked was cancelled meanwhile.
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(None)


class AcknowledgeWrite(_MessageWrite):
    def perform(self, connection: apsw.Connection, revision: int) -> int:
        connection.execute("DELETE FROM messages WHERE id = ?", (self.id,))
        return revision

    def announce(self) -> None:
        if self.error is not None:
            # It stays in the hands of its taker: this process does not deliver it again.
            self._tell_of_failure("could not be acknowledged, and will be delivered again after a restart")
        else:
            self.line.taken.pop(self.id, None)


class PutBackWrite(_MessageWrite, kw_only=True):
    due: WallTime
    failed: Callable[["PutBackWrite"], None]
    """Told when it could not be written: `due` is in memory alone then."""

    found: bool = False

    def perform(self, connection: apsw.Connection, revision: int) -> int:
        connection.execute(
            "UPDATE messages SET due = ?, put_back = put_back + 1 WHERE id = ?",
            (self.due, self.id),
        )
        self.found = connection.changes() > 0
        return revision

    def announce(self) -> None:
        if self.error is not None:
            self._tell_of_failure("could not be put back")
            self.failed(self)
            return
        self.line.taken.pop(self.id, None)
        if self.found:
            self.line.joined((self.due, self.id))


class PurgeWrite(Write, kw_only=True):
    line: Line
    done: "asyncio.Future[None]"

    def perform(self, connection: apsw.Connection, revision: int) -> int:
        connection.execute("DELETE FROM messages WHERE queue = ?", (self.line.name,))
        return revision

    def announce(self) -> None:
        if self.error is None:
            self.line.length = 0

    def settle(self) -> None:
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(None)
