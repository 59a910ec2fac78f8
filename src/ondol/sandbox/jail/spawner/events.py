"""The spawner's event loop: descriptors to read, child processes to reap, timers."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable

Callback = Callable[[], None]
Ended = Callable[[int, str], None]
"""What is called with a child's wait status and what it wrote to stderr."""

_MAX_ERROR_BYTES = 4096


class EventLoop:
    """One thread's loop. As PID 1 of its namespace it also reaps every orphan."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._children: dict[int, tuple[Ended, int]] = {}
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.watch(woken, lambda: self._reap(woken))

    @staticmethod
    def leave() -> None:
        """In a fork of this process, which has no loop: signals mean what they mean to others."""
        signal.set_wakeup_fd(-1)
        for changed in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(changed, signal.SIG_DFL)

    def watch(self, descriptor: int, readable: Callback) -> None:
        """Call `readable` whenever `descriptor` is."""
        self._selector.register(descriptor, selectors.EVENT_READ, readable)

    def forget(self, descriptor: int) -> None:
        """Watch it no more; call before it is closed."""
        self._selector.unregister(descriptor)

    def call_later(self, delay_s: float, callback: Callback) -> None:
        """Call once, after `delay_s`. There is no way to cancel: let the callback look whether it still matters."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), callback))

    def run_program(self, command: list[str], ended: Ended, passed: int | None = None) -> None:
        """Run a program as a child; it sees the descriptor `passed` as its standard input."""
        errors = os.memfd_create("errors")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
            if passed is None
            else (os.POSIX_SPAWN_DUP2, passed, 0),
            (os.POSIX_SPAWN_DUP2, errors, 1),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        ]
        pid = os.posix_spawn(command[0], command, {"PATH": os.environ.get("PATH", os.defpath)}, file_actions=actions)
        self._children[pid] = (ended, errors)

    def run(self) -> None:
        """Run until a callback raises."""
        while True:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(timeout):
                # A callback before this one may have forgotten it.
                if key.fd in self._selector.get_map():
                    key.data()
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()

    def _reap(self, woken: int) -> None:
        os.read(woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended, errors = self._children.pop(pid, (None, -1))
            if ended is not None:
                text = os.pread(errors, _MAX_ERROR_BYTES, 0).decode(errors="replace").strip()
                os.close(errors)
                ended(status, text)
