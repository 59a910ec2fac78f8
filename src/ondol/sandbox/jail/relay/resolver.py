"""Carries questions to the host's name servers out of a sandbox, and their answers back.

The host's own configuration says who they are, each time anew: a laptop changes networks. A question is passed on as it
is, from a socket of its own, so that only the server asked can answer it and only whoever asked gets the answer.
"""

import asyncio
import contextlib
import socket
from pathlib import Path

from ondol.model.network import NAMES_PORT, Relayed

CONFIGURATION = Path("/etc/resolv.conf")
AT_ONCE = 64
"""Questions of one sandbox that wait for an answer; one more is not passed on, which whoever asks repeats."""

LARGEST = 65_535
ANSWER_S = 5.0
NOWHERE = "127.0.0.1"
"""Where a host without a configuration asks (resolv.conf(5))."""


def name_servers() -> list[str]:
    """The host's, in its order; asked in turn."""
    lines = CONFIGURATION.read_text(errors="replace").splitlines() if CONFIGURATION.exists() else []
    named = [words[1] for line in lines if (words := line.split())[:1] == ["nameserver"] and len(words) > 1]
    return named or [NOWHERE]


def by_stream() -> Relayed:
    """Whom to ask what is too long for a datagram."""
    return Relayed(NAMES_PORT, name_servers()[0], NAMES_PORT)


class Resolver:
    """Answers datagrams on one socket of a sandbox."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._asking: set[asyncio.Task[None]] = set()
        asked.setblocking(False)
        self._loop.add_reader(asked.fileno(), self._hear)

    def close(self) -> None:
        self._loop.remove_reader(self._asked.fileno())
        self._asked.close()
        for task in self._asking:
            task.cancel()

    def _hear(self) -> None:
        try:
            question, asker = self._asked.recvfrom(LARGEST)
        except OSError:
            return  # nothing there, or word that an earlier answer found nobody
        if len(self._asking) < AT_ONCE:
            task = self._loop.create_task(self._answer(question, asker))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _answer(self, question: bytes, asker: tuple[str, int]) -> None:
        for server in name_servers():
            with contextlib.suppress(OSError, TimeoutError):
                answer = await self._ask(server, question)
                with contextlib.suppress(BlockingIOError):
                    self._asked.sendto(answer, asker)
                return

    async def _ask(self, server: str, question: bytes) -> bytes:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect((server, NAMES_PORT))
            asking.send(question)
            async with asyncio.timeout(ANSWER_S):
                return await self._loop.sock_recv(asking, LARGEST)
