"""The platform's hold on its relay process."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Sequence

from ondol.model.ids import SandboxId
from ondol.model.network import AllowedHost
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import channel


class RelayHandle:
    """Starts the relay when the first sandbox needs it to be there; without anything to reach there is none."""

    def __init__(self, allowed: Sequence[AllowedHost]) -> None:
        self._targets = [(each.host, each.port) for each in allowed]
        self.ports = [each.port for each in allowed]
        """Of each sandbox's own loopback: a service is there at its own port."""

        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """While the caller has no threads and its power is not yet dropped. Raises `SandboxError`."""
        if not self._targets:
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

    def open(self, sandbox: SandboxId, listeners: tuple[int, ...]) -> None:
        """Serve these sockets, in the order of `ports`."""
        if listeners:
            self._tell({"open": sandbox, "targets": self._targets}, listeners)

    def close(self, sandbox: SandboxId) -> None:
        if self._process is not None:
            self._tell({"close": sandbox})

    async def end(self) -> None:
        """Have it end; nothing of it remains."""
        if self._process is not None:
            self._control.close()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def _tell(self, order: dict[str, object], descriptors: tuple[int, ...] = ()) -> None:
        # One that has ended is told nothing: connections are refused then, and its last words are on the error output.
        with contextlib.suppress(OSError):
            channel.send(self._control, order, descriptors)
