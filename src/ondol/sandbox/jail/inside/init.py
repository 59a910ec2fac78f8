"""The first process of a sandbox: makes its namespaces, forks the runtime, and tells how that and extensions ended.

It gives up its power before any of the customer's code is attached, and has a user of its own, so that the runtime's
processes can neither signal nor trace it. It does nearly nothing, so that few of its pages are copies.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any, NoReturn

from ondol.linux import namespaces, process, seccomp
from ondol.linux.route import Routes
from ondol.sandbox.jail.inside import power, runtime

TRACE_DAEMON = ("169.254.79.129", 2000)
"""Where AWS has X-Ray's daemon, which X-Ray's libraries tell of what they have traced."""

_NAMESPACES = namespaces.NEW_MOUNTS | namespaces.NEW_HOSTNAME | namespaces.NEW_IPC | namespaces.NEW_NETWORK


def run(plan: dict[str, Any], descriptors: list[int], rehearse: runtime.Rehearse) -> runtime.Pipes:
    """Live as the first process of a sandbox; returns only in its second, the runtime, when that is started.

    The first descriptor is the end of the socket to the spawner; the others are the runtime's.
    """
    control = descriptors[0]
    try:
        os.setsid()
        # Speaks to the namespace that is about to be left, the router's.
        router = Routes() if plan["cable"] is not None else None
        namespaces.unshare(_NAMESPACES)
        namespaces.bring_up_loopback(TRACE_DAEMON[0])
        trace_daemon = _stand_in_for_trace_daemon()
        roster, entries = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        pid = os.fork()
        if pid != 0:
            _lock_down(plan, control, roster, trace_daemon)
    except OSError as error:
        os.write(control, json.dumps({"failed": str(error)}).encode())
        os._exit(1)
    if pid != 0:
        _watch(control, roster, pid)
    channel = socket.socket(fileno=control)
    return runtime.run(channel, plan, descriptors[1:], entries, rehearse=rehearse, router=router)


def _stand_in_for_trace_daemon() -> int:
    """A socket that takes what is sent to X-Ray's daemon, and that nobody reads: once it is full, the rest is lost.

    Without it, each send would fail, and be logged as a failure of the function's.
    """
    unread = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the least that there is
    unread.bind(TRACE_DAEMON)
    return unread.detach()


def _lock_down(plan: dict[str, Any], *descriptors: int) -> None:
    process.close_all_but(*descriptors)
    # A first process is deaf to what it has no handler for.
    process.restore_default(signal.SIGINT)
    power.leave_first(plan["first_user"])
    process.set_dumpable(False)
    process.set_no_new_privileges()
    seccomp.install(plan["filter"])


def _watch(control: int, roster: int, runtime_pid: int) -> NoReturn:
    """Reap; tell how the runtime ended, and whom the roster names; with the last of them end, and all else with it."""
    alive = {runtime_pid}
    listed: list[int] = []
    reading = True
    while alive:
        ended, status = os.waitpid(-1, 0)
        if reading:
            new, reading = _read_roster(roster)
            listed += new
            alive.update(new)
        # Bare packets: what reads them is `channel`, what this process would need for it is more than all else it has.
        if ended == runtime_pid:
            os.write(control, b'{"ended": %d}' % status)
        elif ended in alive:
            place = listed.index(ended)
            os.write(control, b'{"listed": %d, "of": %d, "status": %d}' % (place, len(listed), status))
        alive.discard(ended)
    os._exit(0)


def _read_roster(roster: int) -> tuple[list[int], bool]:
    """Who is newly listed, and whether more may be."""
    try:
        text = os.read(roster, 4096)
    except BlockingIOError:
        return [], True
    return [int(pid) for pid in text.split()], bool(text)
