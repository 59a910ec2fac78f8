"""The first process of a sandbox: makes its namespaces, forks the runtime, and tells how that ended.

It gives up its power before any of the customer's code is attached, and has a user of its own, so that the runtime's
processes can neither signal nor trace it. It does nearly nothing, so that few of its pages are copies.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any, NoReturn

from ondol.linux import capabilities, namespaces, process, seccomp
from ondol.sandbox.jail.inside import runtime

TRACE_DAEMON = ("169.254.79.129", 2000)
"""Where AWS has X-Ray's daemon, which X-Ray's libraries tell of what they have traced."""

_NAMESPACES = namespaces.NEW_MOUNTS | namespaces.NEW_HOSTNAME | namespaces.NEW_IPC | namespaces.NEW_NETWORK


def run(plan: dict[str, Any], descriptors: list[int], rehearse: runtime.Rehearse) -> socket.socket:
    """Live as the first process of a sandbox; returns only in its second, the runtime, when that is started.

    The first descriptor is the end of the socket to the spawner; the others are the runtime's.
    """
    control = descriptors[0]
    try:
        os.setsid()
        namespaces.unshare(_NAMESPACES)
        namespaces.bring_up_loopback()
        trace_daemon = _stand_in_for_trace_daemon()
        pid = os.fork()
        if pid != 0:
            _lock_down(control, trace_daemon, plan)
    except OSError as error:
        os.write(control, json.dumps({"failed": str(error)}).encode())
        os._exit(1)
    if pid != 0:
        _watch(control, pid)
    return runtime.run(socket.socket(fileno=control), plan, descriptors[1:], rehearse)


def _stand_in_for_trace_daemon() -> int:
    """A socket that takes what is sent to X-Ray's daemon, and that nobody reads: once it is full, the rest is lost.

    Without it, each send would fail, and be logged as a failure of the function's.
    """
    namespaces.add_loopback_address(TRACE_DAEMON[0])
    unread = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the least that there is
    unread.bind(TRACE_DAEMON)
    return unread.detach()


def _lock_down(control: int, trace_daemon: int, plan: dict[str, Any]) -> None:
    process.close_all_but(control, trace_daemon)
    # A first process is deaf to what it has no handler for.
    process.restore_default(signal.SIGINT)
    capabilities.become(plan["first_user"], plan["first_user"])
    process.set_dumpable(False)
    process.set_no_new_privileges()
    seccomp.install(plan["filter"])


def _watch(control: int, pid: int) -> NoReturn:
    """Reap until the runtime process has ended, tell how, and take the rest of the sandbox along."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            break
    # A bare packet: what reads it is `channel`, what this process would need for a socket is more than all else it has.
    os.write(control, b'{"ended": %d}' % status)
    os._exit(0)
