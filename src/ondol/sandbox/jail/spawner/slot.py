"""One sandbox as the spawner sees it: what it holds, and what is given back when it has ended.

```
PREPARING ──prepared──▶ WAITING ──start──▶ RUNNING ──ended──▶ ENDED ──stop──▶ (nothing)
     └──failed──▶ (nothing)  └────────────────┴─────── stop ───────────────▶ (nothing)
```

ENDED is when its first process is gone: by then the kernel has ended all others. Its cgroup stays until it is stopped,
because that is where its memory and processor time are read.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol

from ondol.linux import namespaces, process
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.inside.runtime import TREE
from ondol.sandbox.jail.spawner.events import EventLoop
from ondol.sandbox.jail.spawner.router import Router
from ondol.sandbox.jail.spawner.tmp import Tmp, TmpSource
from ondol.sandbox.jail.spawner.tmp_disks import MEGABYTE
from ondol.sandbox.jail.spawner.trees import Trees
from ondol.sandbox.jail.spawner.users import Users
from ondol.sandbox.jail.spawner.watch import Watch
from ondol.sandbox.jail.spawner.zygotes import Zygote

DEFAULT_TMP_MB = 512
_REMOVE_RETRY_S = 0.002


class Bounds(Protocol):
    """What holds sandboxes to their limits, each by its name: control groups, or a `Watch`."""

    shortfalls: tuple[str, ...]

    def create(self, name: str) -> None: ...
    def entrances(self, name: str) -> list[int]: ...
    def limit_memory(self, name: str, limit_bytes: int) -> None: ...
    def limit_cpu(self, name: str, share: float) -> None: ...
    def freeze(self, name: str) -> None: ...
    def thaw(self, name: str) -> None: ...
    def out_of_memory(self, name: str) -> bool: ...
    def remove(self, name: str) -> bool: ...
    def sweep(self) -> None: ...


class Means:
    """What every slot is made with."""

    def __init__(
        self,
        events: EventLoop,
        *,
        bounds: Bounds,
        watch: Watch | None,
        tmp: TmpSource,
        trees: Trees,
        users: Users,
        router: Router | None,
    ) -> None:
        self.events = events
        self.bounds = bounds
        self.watch = watch
        """What the bounds are where there are no control groups; it asks to be shown each sandbox's processes."""

        self.tmp = tmp
        self.trees = trees
        self.users = users

        self.router = router

    def cable(self, user: int | None) -> dict[str, Any] | None:
        """How the sandbox of this user joins the router, if there is one: where there is, users are sandboxes' own."""
        if self.router is None or user is None:
            return None
        return self.router.plan((user - self.users.first) // 2)


class Listener(Protocol):
    """Who hears of a slot."""

    def prepared(self, slot: Slot, descriptors: tuple[int, ...]) -> None:
        """The descriptors: the Runtime API's listener, the two of the pipes to the runtime, the output's reading end,
        its /proc if it is watched, and what else was to be bound; closed on return."""
        ...

    def failed(self, slot: Slot, problem: str) -> None:
        """It could not be prepared, and is gone."""
        ...

    def ended(self, slot: Slot, status: int, out_of_memory: bool) -> None:
        """The runtime process has ended with this wait status."""
        ...

    def extensions(self, slot: Slot, names: list[str], gate: int) -> None:
        """It has extensions; what is said at the gate starts them, and later the runtime. Closed on return."""
        ...

    def listed_ended(self, slot: Slot, place: int, of: int, status: int) -> None:
        """One of its roster has ended: the launcher is the first, extensions follow in the order of their names."""
        ...

    def gone(self, slot: Slot) -> None:
        """Nothing of it remains."""
        ...


class Slot:
    """One sandbox, from the fork to the last trace."""

    def __init__(self, name: str, means: Means, listener: Listener, bound: dict[str, Any], *, awaited: bool) -> None:
        self.name = name
        self._bound = bound
        self._awaited = awaited
        self._means = means
        self._listener = listener
        self._control: socket.socket | None = None
        self._output = -1
        self._first = self._runtime = -1
        self._zygote: Zygote | None = None
        self._tmp: list[Tmp] = []
        self._user = means.users.take()
        self._told_end = False
        self._stopping = False
        self._started = False

    def prepare(self, zygote: Zygote) -> None:
        """Have it forked; `Listener.prepared` or `failed` follows."""
        try:
            self._prepare(zygote)
        except OSError as error:
            self.fail(str(error))

    def fail(self, problem: str) -> None:
        """It can't be prepared: `Listener.failed` and `gone` follow."""
        self._stopping = True
        self._listener.failed(self, problem)
        self._discard()

    def _prepare(self, zygote: Zygote) -> None:
        means = self._means
        means.bounds.create(self.name)
        given = means.bounds.entrances(self.name)
        try:
            tmp = means.tmp.open(DEFAULT_TMP_MB)
            self._tmp.append(tmp)
            given.insert(0, tmp.descriptor)
            self._output, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            given.insert(0, output)
            os.set_blocking(output, True)
            self._control, theirs = channel.pair()
            given.insert(0, theirs.detach())
            means.events.watch(self._control.fileno(), self._heard)
            plan = {
                "user": self._user,
                "first_user": None if self._user is None else self._user + 1,
                "tmp": tmp.kind,
                "bound": self._bound,
                "awaited": self._awaited,
                "cable": means.cable(self._user),
            }
            zygote.fork_slot(plan, tuple(given))
            self._zygote = zygote
        finally:
            channel.close_all(given)

    def start(self, order: dict[str, Any], then: Callable[[str], None]) -> None:
        """Attach what `order` names and let the runtime go; `then` hears what was wrong, or an empty text."""
        size_mb = order["tmp_mb"]
        if size_mb == DEFAULT_TMP_MB:
            then(self._start(order))
        else:
            self._means.tmp.prepare(size_mb, lambda problem: then(problem or self._start(order)))

    def throttle(self, share: float) -> None:
        self._means.bounds.limit_cpu(self.name, share)

    def freeze(self) -> None:
        self._means.bounds.freeze(self.name)

    def thaw(self) -> None:
        self._means.bounds.thaw(self.name)

    @property
    def lives(self) -> bool:
        """Whether its first process is there."""
        return self._first >= 0

    def socket_inside(self) -> socket.socket:
        """A TCP socket of its network, which whoever has it can connect to what listens in there. Raises `OSError`."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.enter(self._first, namespaces.NEW_NETWORK)
            try:
                return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                namespaces.enter(own, namespaces.NEW_NETWORK)
        finally:
            os.close(own)

    def stop(self, grace_s: float, extensions_s: float) -> None:
        """End it: politely, then by force. `Listener.gone` follows.

        The runtime has `grace_s`, and after that extensions have `extensions_s`. Again, and without either: at once.
        """
        if self._stopping:
            if not (grace_s or extensions_s):
                self._kill()
            return
        self._stopping = True
        if self._first < 0:
            # Being prepared: it is ended when it is. Otherwise it has ended, or was never begun.
            if self._control is None:
                self._discard()
            return
        self.thaw()
        asked = grace_s > 0 and self._started and process.send_signal(self._runtime, signal.SIGTERM)
        if extensions_s:
            if asked:
                self._means.events.call_later(grace_s, self._kill_runtime)
            self._means.events.call_later(grace_s + extensions_s, self._kill)
        elif asked:
            self._means.events.call_later(grace_s, self._kill)
        else:
            self._kill()

    def _discard(self) -> None:
        """Give back everything that it holds, once no process of it is left."""
        for descriptor in (self._output, self._runtime):
            if descriptor >= 0:
                os.close(descriptor)
        self._output = self._runtime = -1
        self._close_control()
        while self._tmp:
            self._tmp.pop().release()
        if not self._means.bounds.remove(self.name):
            self._means.events.call_later(_REMOVE_RETRY_S, self._discard)
            return
        self._means.users.give_back(self._user)
        self._listener.gone(self)

    def _start(self, order: dict[str, Any]) -> str:
        if self._control is None or self._stopping:
            return "gone"
        trees: dict[str, int] = {}
        kind = None
        means = self._means
        try:
            if order["code"] is not None:
                trees["/var/task"] = means.trees.mount([order["code"]])
            if order["layers"]:
                trees["/opt"] = means.trees.mount(order["layers"])
            if order["tmp_mb"] != DEFAULT_TMP_MB:
                tmp = means.tmp.open(order["tmp_mb"])
                self._tmp.append(tmp)
                kind, trees["/tmp"] = tmp.kind, tmp.descriptor
            means.bounds.limit_memory(self.name, order["memory_mb"] * MEGABYTE)
            start = {name: order[name] for name in ("fork", "command", "directory", "shown", "environment")}
            start["file_size"] = None if means.tmp.limited else order["tmp_mb"] * MEGABYTE
            channel.send(self._control, {"targets": list(trees), "tmp": kind, **start}, tuple(trees.values()))
        except BrokenPipeError:
            return "gone"
        except OSError as error:
            return str(error)
        finally:
            for tree in trees.values():
                os.close(tree)
        self._started = True
        return ""

    def _kill_runtime(self) -> None:
        if self._runtime >= 0:
            process.send_signal(self._runtime, signal.SIGKILL)

    def _kill(self) -> None:
        if self._first >= 0:
            process.send_signal(self._first, signal.SIGKILL)

    def _heard(self) -> None:
        assert self._control is not None
        received = channel.receive(self._control)
        if received is None:
            self._close_control()
            if self._first < 0:
                self.fail("its first process ended at once")
            return
        message, descriptors = received
        if "prepared" in message:
            listener, *pipes = descriptors[:3]
            self._first, self._runtime, *shared = descriptors[3:]
            if self._tmp[0].kind != TREE:
                self._tmp[0].keep(shared.pop(0))
            self._means.events.watch(self._first, self._all_ended)
            if self._means.watch is not None:
                self._means.watch.join(self.name, os.dup(shared[0]), os.dup(self._runtime))
            told = (listener, *pipes, self._output, *shared)
            self._listener.prepared(self, told)
            channel.close_all(told)
            self._output = -1
            if self._stopping:
                self._kill()
        elif "extensions" in message:
            (gate,) = descriptors
            self._listener.extensions(self, message["extensions"], gate)
            os.close(gate)
        elif "failed" not in message:
            self._heard_end(message)
        elif self._first < 0:
            self._close_control()
            self.fail(message["failed"])
        else:
            print(f"sandbox {self.name}: {message['failed']}", flush=True)

    def _heard_end(self, message: dict[str, Any]) -> None:
        if "ended" in message:
            self._tell_end(message["ended"])
        else:
            self._listener.listed_ended(self, message["listed"], message["of"], message["status"])

    def _tell_end(self, status: int) -> None:
        if not self._told_end:
            self._told_end = True
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            self._listener.ended(self, status, killed and self._means.bounds.out_of_memory(self.name))

    def _all_ended(self) -> None:
        self._means.events.forget(self._first)
        os.close(self._first)
        self._first = -1
        if self._zygote is not None:
            self._zygote.reap()
        # What it had to say is still in its socket.
        while self._control is not None:
            self._heard_last()
        self._tell_end(signal.SIGKILL)
        if self._stopping:
            self._discard()

    def _heard_last(self) -> None:
        assert self._control is not None
        received = channel.receive(self._control)
        if received is None:
            self._close_control()
        elif "ended" in received[0] or "listed" in received[0]:
            self._heard_end(received[0])
        channel.close_all(received[1] if received is not None else ())

    def _close_control(self) -> None:
        if self._control is not None:
            self._means.events.forget(self._control.fileno())
            self._control.close()
            self._control = None
