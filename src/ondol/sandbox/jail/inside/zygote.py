"""The interpreter that every environment of one runtime and one account is forked from.

Laid beside `bootstrap.py`, which runs it. It never runs a customer's code, starts no thread, and keeps its own PID
namespace: each slot is the first process of a new one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import socket
import ssl
import sys

from ondol.linux import capabilities, mounts, namespaces, process
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.inside import init
from ondol.sandbox.jail.inside.runtime import Pipes, Rehearse

CONTROL = 3
"""The descriptor on which the spawner talks to a zygote."""

_REHEARSALS = 20
"""After so many runs, the interpreter has adapted what can be adapted of the code (PEP 659), and no fork does it."""

_NO_PIPES = (-1, -1)


def main() -> None:
    """Fork slots until the spawner is gone. Returns only in a runtime process, when its function has ended."""
    # Modules of ours are all imported by now: from here on /var/runtime is what customers see.
    mounts.detach("/var/runtime")
    importlib.invalidate_caches()
    bootstrap = importlib.import_module("bootstrap")
    run, rehearse = bootstrap.prepare(bootstrap.PRELOAD)
    for _ in range(_REHEARSALS):
        rehearse(_NO_PIPES)
    # Nobody can import them, and nobody forgets them: what a fork lets go of it must first copy.
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "ondol"}
    run(serve(socket.socket(fileno=CONTROL), rehearse))
    del hidden


def serve(control: socket.socket, rehearse: Rehearse) -> Pipes:
    """Fork slots until the spawner is gone; returns only in a runtime process, with its connection to the Runtime API.

    The first message says what is the same for all slots; each further one asks for a slot, or says that one ended.
    """
    received = channel.receive(control)
    if received is None:
        os._exit(0)
    walls, (own_pid_namespace,) = received
    walls["filter"] = bytes.fromhex(walls["filter"])
    capabilities.drop_bounding()
    # Makes the generator that each fork adds entropy of its own to: making it is most of the work.
    ssl.RAND_bytes(1)
    gc.collect()
    gc.disable()
    # What is alive now stays: no collection in a child touches, and so copies, the pages that hold it.
    gc.freeze()
    channel.send(control, {"ready": True})
    while True:
        received = channel.receive(control)
        if received is None:
            os._exit(0)
        message, descriptors = received
        if "user" in message:
            namespaces.unshare(namespaces.NEW_PID)
            if process.fork_unnoticed() == 0:
                return init.run({**walls, **message}, descriptors, rehearse)
            # A namespace to fork into cannot be left for another new one: back to our own first.
            namespaces.enter(own_pid_namespace, namespaces.NEW_PID)
        channel.close_all(descriptors)
        _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
