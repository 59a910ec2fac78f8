"""The platform's hold on its relay process."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable

import msgspec

from ondol.model.ids import SandboxId
from ondol.model.network import NetworkMode, Relayed
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.relay import Bound

Refused = Callable[[SandboxId, int, str | None], None]
"""Called with a sandbox whose code was refused at a port of its own, and where on the host something listens there;
None where it asked for names: nobody tells."""


class RelayHandle:
    """Starts the relay before the first sandbox; without a network there is none."""

    def __init__(self, mode: NetworkMode, refused: Refused) -> None:
        self._mode = mode
        self._refused = refused
        self._ports: list[int] = []
        self._targets: list[object] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._watches = False

    def start(self) -> None:
        """While the caller has no threads and its power is not yet dropped. Raises `SandboxError`."""
        if self._mode is NetworkMode.NONE:
            return
        self._control, theirs = channel.pair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "ondol.sandbox.jail.relay.process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"the relay could not be started: {error}") from error
        finally:
            theirs.close()
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._heard)

    def lead(self, relayed: tuple[Relayed, ...]) -> None:
        """Where the ports of sandboxes made from now on lead."""
        self._ports = [each.at for each in relayed]
        self._targets = [msgspec.to_builtins(each) for each in relayed]

    def watch_refusals(self) -> None:
        """Sandboxes can be watched here: watch those made from now on."""
        self._watches = self._process is not None

    @property
    def bound(self) -> Bound:
        """What a sandbox's set-up is to bind."""
        return Bound(self._ports, self._mode is NetworkMode.NAT, self._watches)

    def open(self, sandbox: SandboxId, sockets: tuple[int, ...], bound: Bound) -> None:
        """Serve what a sandbox has bound."""
        if sockets:
            self._tell({"open": sandbox, "bound": msgspec.to_builtins(bound), "targets": self._targets}, sockets)

    def begin(self, sandbox: SandboxId) -> None:
        """Its function's code is at work from now on."""
        if self._watches:
            self._tell({"begin": sandbox})

    def close(self, sandbox: SandboxId) -> None:
        if self._process is not None:
            self._tell({"close": sandbox})

    async def end(self) -> None:
        """Have it end; nothing of it remains."""
        if self._process is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def _heard(self) -> None:
        received = channel.receive(self._control)
        if received is None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
        else:
            message, _ = received
            self._refused(SandboxId(message["refused"]), message["port"], message["host"])

    def _tell(self, order: dict[str, object], descriptors: tuple[int, ...] = ()) -> None:
        # One that has ended is told nothing: connections are refused then, and its last words are on the error output.
        with contextlib.suppress(OSError):
            channel.send(self._control, order, descriptors)
