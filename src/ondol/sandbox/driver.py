"""The door to every kind of sandbox: one small protocol, one contract suite (`tests/contracts/test_driver.py`).

```
            create                    start                       stop
  (nothing) ──────▶ PREPARED ─────────────────────▶ RUNNING ◀──▶ FROZEN ──────▶ (nothing)
                    slot: waits,                      │ runtime dies by itself
                    no customer's code                ▼
                                                    EXITED ── stop ──▶ (nothing)
```

A driver makes slots, attaches code to one, freezes, measures and ends it. When to do which is the worker's decision.
Where the function has external extensions (files in /opt/extensions), a start waits twice for the worker: the guest
hears `extensions_found`, says `start_extensions`, and when they have registered `start_runtime`.

Every method may be called in any state: stopping twice, or what has exited, is no error; a sandbox that is
gone answers `SandboxGone`.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Program, Runtime
from ondol.sandbox.limits import UnpackLimits


class Capabilities(msgspec.Struct, frozen=True):
    """What this driver really enforces on this machine, and what is missing and costs."""

    driver: str
    memory_limit: bool
    cpu_limit: bool
    process_limit: bool
    tmp_limit: bool
    freeze: bool
    network_isolated: bool
    own_uid: bool
    shortfalls: tuple[str, ...] = ()
    """One sentence each: what is not enforced here, and what to do about it."""


class SlotSpec(msgspec.Struct, frozen=True):
    """What is decided before the function is known."""

    sandbox: SandboxId
    runtime: Runtime
    account: str
    """Zygotes are shared by one account at most: their children have the same address layout and hash seed."""

    awaited: bool = False
    """Somebody waits for it: nothing is done that only makes a later start faster."""


class StartSpec(msgspec.Struct, frozen=True):
    """What a slot becomes."""

    code: CodeDigest | None
    """A tree that `unpack` has made; seen read-only at /var/task. None: the slot's image has one there."""

    layers: tuple[CodeDigest, ...]
    """Trees merged in order at /opt."""

    environment: Mapping[str, str]
    """The whole environment of the runtime process; nothing is added to it."""

    memory_mb: int
    cpu_share: float
    """Of one processor; enforced from `throttle()` on, so that init runs unthrottled."""

    tmp_mb: int
    fresh_interpreter: bool = False
    """Execute the interpreter instead of forking it: the environment has variables that it reads at start."""

    program: Program | None = None
    """What is executed, if it is not for the slot's runtime to say."""


class Exit(msgspec.Struct, frozen=True):
    """How the runtime process ended: one of `code` and `signal` is set."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False


class Stats(msgspec.Struct, frozen=True):
    memory_peak_bytes: int
    cpu_time_ns: int


class Guest(Protocol):
    """What the worker hears of one sandbox. Called on the event loop.

    `exited` is the last, except where there are extensions: they live on until the sandbox is stopped.
    """

    def connected(self) -> asyncio.Protocol:
        """A process in the sandbox opened a connection to 127.0.0.1:9001: the protocol that serves it."""
        ...

    def output(self, data: bytes) -> None:
        """Bytes that the runtime's processes wrote to stdout or stderr."""
        ...

    def told(self, text: str) -> None:
        """What the driver has to say to whoever reads the function's log: one sentence, without an end."""
        ...

    def exited(self, exit: Exit) -> None:
        """The runtime process ended. Output that it had written was delivered before."""
        ...

    def extensions_found(self, names: Sequence[str]) -> None:
        """The names of the function's external extensions, in the order in which they would be started.

        Heard before any of its code runs; not heard if there is none.
        """
        ...

    def extension_refused(self, name: str, reason: str) -> None:
        """The file of this extension could not be executed, and none after it was tried."""
        ...

    def extension_exited(self, name: str, exit: Exit) -> None:
        """The process of an extension ended. Output that it had written was delivered before."""
        ...


class Sandbox(Protocol):
    """One slot, and later the environment that runs in it."""

    @property
    def id(self) -> SandboxId: ...

    def attach(self, guest: Guest) -> None:
        """Say who hears of it. Called once, before `start`; what happened earlier is delivered then."""
        ...

    async def start(self, spec: StartSpec) -> None:
        """Attach code, set limits, let the runtime run. Raises `SandboxGone` or `SandboxError`."""
        ...

    def start_extensions(self, environment: Mapping[str, str]) -> None:
        """Start those that were found, with this as their whole environment."""
        ...

    def start_runtime(self) -> None:
        """Let the runtime go that waits for its extensions."""
        ...

    def throttle(self) -> None:
        """Init is over: enforce the CPU share from now on."""
        ...

    def freeze(self) -> None:
        """Stop every process of the sandbox from running. Takes effect soon; ordered with `thaw`."""
        ...

    def thaw(self) -> None: ...

    def drain_output(self) -> None:
        """Deliver to the guest, before returning, all output written so far."""
        ...

    async def reach(self) -> socket.socket:
        """A TCP socket of the sandbox's own network, not connected and not blocking.

        Raises `SandboxGone`, and `SandboxError` if this driver's sandboxes have no network to reach.
        """
        ...

    def stats(self) -> Stats:
        """Zeroes where the machine cannot tell."""
        ...

    def memory_peak_bytes(self) -> int:
        """As in `stats`, but cheap enough for once per invocation."""
        ...

    async def stop(self, grace_s: float, extensions_s: float = 0.0) -> None:
        """SIGTERM to the runtime, `grace_s` to end in, then SIGKILL to all; returns when nothing of it remains.

        With `extensions_s`, SIGKILL to the runtime alone, and so much later to all; it is over sooner when the last
        extension ends. Asked again, without either: at once.
        """
        ...


class Driver(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self, runtimes: Sequence[Runtime]) -> None:
        """Sweep what an earlier run left behind and get ready to create. Raises `SandboxError`."""
        ...

    async def create(self, spec: SlotSpec) -> Sandbox:
        """Prepare a slot: everything that can be done before the function is known."""
        ...

    async def unpack(self, archive: Path, digest: CodeDigest, limits: UnpackLimits) -> None:
        """Unpack a verified zip once, into a tree named by its digest. Done already: returns at once.

        Raises `UnpackRefused` for what the archive holds, `SandboxError` for what the machine lacks. A tree is
        there whole or not at all, whatever is killed.
        """
        ...

    async def trees(self) -> frozenset[CodeDigest]:
        """The trees that are there, whichever run unpacked them."""
        ...

    async def discard(self, digest: CodeDigest) -> None:
        """Forget a tree that no sandbox uses."""
        ...

    async def unpack_image(self, digest: CodeDigest) -> None:
        """Make the root of an image that was fetched, once. Raises as `unpack` does, and leaves a tree as whole."""
        ...

    async def discard_image(self, digest: CodeDigest) -> None:
        """Forget an image, unpacked or not, that no sandbox uses and no slot was prepared of."""
        ...

    async def close(self) -> None:
        """Stop every sandbox; nothing of them remains."""
        ...
