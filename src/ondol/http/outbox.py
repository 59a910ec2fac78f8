"""Small responses leave together, at the end of the turn of the loop that made them.

To send wakes the reader, perhaps on a processor that sleeps; of several that are woken at once only the first costs
that. And what is sent in a row runs the same few instructions in a row. With 32 callers of a function that answers at
once, this served a fifth more calls per second (`make bench`, throughput).
"""

import asyncio
from typing import Protocol

_TOGETHER = 8
"""As many responses leave without waiting for the turn's end: their readers might otherwise have nothing to do."""


class Departing(Protocol):
    """A connection, as the outbox sees it."""

    def depart(self) -> None:
        """Send what was gathered."""
        ...


class Outbox:
    """Shared by the listeners of one loop."""

    def __init__(self) -> None:
        self._departing: list[Departing] = []
        self._scheduled = False

    def add(self, connection: Departing) -> None:
        """Let it depart soon; once, until it has."""
        self._departing.append(connection)
        if len(self._departing) == _TOGETHER:
            self._send()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        self._send()

    def _send(self) -> None:
        departing, self._departing = self._departing, []
        for connection in departing:
            connection.depart()
