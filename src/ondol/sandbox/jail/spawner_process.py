"""The platform's hold on the spawner: how it is started, and how its end is waited for."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ondol.linux import namespaces
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import channel, power
from ondol.sandbox.jail.spawner import USERS

_PROGRAMS = Path(__file__).with_name("spawner")


class SpawnerProcess:
    """A child of this process and the first of a PID namespace: when it has ended, all others there have."""

    def __init__(self, pid: int, reap: Callable[[], object]) -> None:
        self.pid = pid
        self._reap = reap

    async def ended(self) -> None:
        """Wait until it and everything below it has ended."""
        descriptor = os.pidfd_open(self.pid)
        try:
            await _readable(descriptor)
        finally:
            os.close(descriptor)
        self._reap()


def start_as_root(arguments: Sequence[str], first_user: int, passed: Sequence[int]) -> SpawnerProcess:
    """With the power that this process has. Raises `OSError`."""
    own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    # The next child of this thread is the first process of a new PID namespace.
    namespaces.unshare(namespaces.NEW_PID)
    try:
        started = _run("main.py", (*arguments, str(first_user), str(USERS)), passed, stdout=2)
    finally:
        namespaces.enter(own_namespace, namespaces.NEW_PID)
        os.close(own_namespace)
    return SpawnerProcess(started.pid, started.wait)


def start_as_user(arguments: Sequence[str], first_user: int, passed: Sequence[int]) -> SpawnerProcess:
    """With the power that any user has, in namespaces of their own. Raises `OSError`, and `SandboxError` if none is."""
    stage = _run("user_namespace.py", (*arguments, str(first_user)), passed, stdout=subprocess.PIPE)
    said = stage.communicate()[0].decode(errors="replace").strip()
    if not said.isdigit():
        raise SandboxError(f"{said or 'no user namespace can be made'}; {power.advice()}")
    pid = int(said)
    return SpawnerProcess(pid, lambda: os.waitpid(pid, 0))


def _run(program: str, arguments: Sequence[str], passed: Sequence[int], stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAMS / program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        pass_fds=tuple(passed),
        start_new_session=True,
    )


async def first_message(end: socket.socket) -> dict[str, Any]:
    """What the spawner says when it is ready. Raises `OSError`."""
    await _readable(end.fileno())
    received = channel.receive(end)
    if received is None:
        raise ConnectionError("it ended before it was ready; its own words are on the error output")
    return received[0]


async def _readable(descriptor: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
