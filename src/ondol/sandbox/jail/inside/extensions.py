"""External extensions: finds them, has them started by a process without power, and holds the runtime back meanwhile.

```
runtime (PID 2) ──fork, fork──▶ launcher ──spawn──▶ extension, extension, ...
   locked down, waits at the gate    locked down, writes the roster; all are children of PID 1 in the end
```

The roster is a pipe to PID 1 with the process numbers of the launcher and of what it started, in order: so PID 1 knows
their ends from those of any other orphan. Nobody but the launcher can write it: of the same user as what it starts, it
cannot be traced. The gate is a socket to the platform, on which this side only listens.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from ondol.sandbox.jail import channel

DIRECTORY = b"/opt/extensions"
MOST_NAMES = 11
"""One more than may run: so many are named, so that whoever starts them sees that they are too many."""


def start(control: socket.socket, roster: int, lock_down: Callable[[], None]) -> socket.socket | None:
    """Start what is in the directory; returns the gate, or None if there is nothing. Raises `OSError`.

    Call it with power, before any of the function's code runs: what is started gives it up by `lock_down`.
    """
    names = _find()
    if not names:
        return None
    gate, theirs = channel.pair()
    channel.send(control, {"extensions": [name.decode(errors="replace") for name in names]}, (theirs.fileno(),))
    theirs.close()
    received = channel.receive(gate)
    if received is None:
        os._exit(0)
    if os.fork() == 0:
        # Orphans are PID 1's: its child shall be the launcher, not ours.
        if os.fork() == 0:
            _launch(names, received[0]["environment"], roster, lock_down)
        os._exit(0)
    os.wait()
    return gate


def wait(gate: socket.socket) -> None:
    """Return when the runtime may start."""
    if channel.receive(gate) is None:
        os._exit(0)
    gate.close()


def _find() -> list[bytes]:
    try:
        with os.scandir(DIRECTORY) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))[:MOST_NAMES]
    except OSError:
        return []


def _launch(names: list[bytes], environment: dict[str, str], roster: int, lock_down: Callable[[], None]) -> NoReturn:
    """Start each; the exit code is 0, or the error number of the one that could not be executed."""
    code = 1
    try:
        os.write(roster, b"%d\n" % os.getpid())
        lock_down()
        for name in names:
            path = DIRECTORY + b"/" + name
            pid = os.posix_spawn(path, [path], environment, setsid=True, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))
            os.write(roster, b"%d\n" % pid)
        code = 0
    except OSError as error:
        code = error.errno or code
    finally:
        os._exit(code)
