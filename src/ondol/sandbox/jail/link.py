"""The platform's end of the line to the spawner: numbered questions, their answers, and what it says unasked."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import channel

Heard = Callable[[dict[str, Any], list[int]], None]
"""Called with what it says unasked of one `sandbox`, and the descriptors that come with it, which are the callee's."""


class SpawnerGone(SandboxError):
    """The spawner has ended, and every sandbox with it."""


class Link:
    """One connection to a spawner; lives on one event loop."""

    def __init__(self, end: socket.socket, heard: Heard, lost: Callable[[], None]) -> None:
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._lost = lost
        self._open = True
        self._asked: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._numbers = 0
        self._unsent: deque[tuple[dict[str, Any], tuple[int, ...]]] = deque()
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._readable)

    async def ask(self, command: dict[str, Any], descriptors: tuple[int, ...] = ()) -> tuple[dict[str, Any], list[int]]:
        """Send a command and wait for its answer. The descriptors stay open until then. Raises `SpawnerGone`."""
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[tuple[dict[str, Any], list[int]]] = self._loop.create_future()
        self._asked[number] = answer
        try:
            self.tell({**command, "number": number}, descriptors)
            return await answer
        finally:
            self._asked.pop(number, None)

    def tell(self, command: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send a command, in order with all others, without waiting. Raises `SpawnerGone`."""
        if not self._open:
            raise SpawnerGone("the spawner has ended; start ondol again")
        if self._unsent or not self._send(command, descriptors):
            if not self._unsent:
                self._loop.add_writer(self._end.fileno(), self._writable)
            self._unsent.append((command, descriptors))

    def close(self) -> None:
        """Hang up: the spawner ends everything."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
            self._end.close()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(SpawnerGone("the spawner has ended"))
            self._lost()

    def _send(self, command: dict[str, Any], descriptors: tuple[int, ...]) -> bool:
        try:
            channel.send(self._end, command, descriptors)
        except BlockingIOError:
            return False
        except OSError:
            # Its end is about to be read as well, and handled there.
            return True
        return True

    def _writable(self) -> None:
        while self._unsent and self._send(*self._unsent[0]):
            self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self._end.fileno())

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            received = channel.receive(self._end)
            if received is None:
                self.close()
                return
            message, descriptors = received
            if "sandbox" in message:
                self._heard(message, descriptors)
                return
            answer = self._asked.get(message["answer"])
            if answer is not None and not answer.done():
                answer.set_result((message, descriptors))
            else:
                channel.close_all(descriptors)
