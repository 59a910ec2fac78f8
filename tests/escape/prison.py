"""Hostile code in real jails: each test hands some to a sandbox and reads what came of it.

The code runs while its module is imported. It calls `report(name=value, ...)` for what the test is to see, and
`wait_for_go()` where the test looks at it from outside first.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from lone_guest import LoneGuest
from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.network import NetworkMode
from ondol.model.runtime import Runtime
from ondol.sandbox.driver import Exit, Sandbox, SlotSpec, StartSpec
from ondol.sandbox.jail.driver import JailDriver

PATIENCE_S = 60.0
TOOLS = Path(__file__).with_name("prisoner_tools.py").read_text()
MEMORY_MB = 256


class Guard(LoneGuest):
    """The guest of one prisoner: remembers what it said, and lets it go on."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.told_of: list[str] = []
        self.exit: Exit | None = None
        self.changed = asyncio.Event()
        self.transports: list[asyncio.Transport] = []
        self.go = False

    def connected(self) -> asyncio.Protocol:
        return _Connection(self)

    def output(self, data: bytes) -> None:
        self.written += data
        self.changed.set()

    def told(self, text: str) -> None:
        self.told_of.append(text)
        self.changed.set()

    def exited(self, exit: Exit) -> None:
        self.exit = exit
        self.changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    def reports(self) -> dict[str, Any]:
        reported: dict[str, Any] = {}
        for line in self.written.splitlines():
            with contextlib.suppress(ValueError):
                reported.update(json.loads(line))
        return reported


class _Connection(asyncio.Protocol):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What a driver connects has the interface, perhaps without the class.
        connected = cast(asyncio.Transport, transport)
        self._guard.transports.append(connected)
        if self._guard.go:
            connected.write(b"go")
        self._guard.changed.set()


class Prisoner:
    """One sandbox with hostile code in it."""

    def __init__(self, sandbox: Sandbox, guard: Guard) -> None:
        self.sandbox = sandbox
        self.guard = guard

    async def said(self, name: str) -> Any:
        """Wait until it has reported `name`, or has ended."""
        await self.guard.until(lambda: name in self.guard.reports() or self.guard.exit is not None)
        assert name in self.guard.reports(), self.guard.written.decode()
        return self.guard.reports()[name]

    async def ended(self) -> Exit:
        await self.guard.until(lambda: self.guard.exit is not None)
        assert self.guard.exit is not None
        return self.guard.exit

    async def waits(self) -> None:
        """Until it waits for `let_go`: on a connection beside the one that was made ahead."""
        await self.guard.until(lambda: len(self.guard.transports) == 2)

    def let_go(self) -> None:
        self.guard.go = True
        for transport in self.guard.transports:
            transport.write(b"go")


class Prison:
    """An open jail driver, and the event loop it lives on."""

    def __init__(self, directory: Path, runtime: Runtime, mode: NetworkMode = NetworkMode.RELAY) -> None:
        self.directory = directory
        self.runner = asyncio.Runner()
        self.driver = JailDriver(directory, mode)
        self._runtime = runtime
        self._made = 0
        self.runner.run(self.driver.open([runtime]))

    def close(self) -> None:
        self.runner.run(self.driver.close())
        self.runner.close()

    def run(self, test: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(test)

    async def hold(
        self,
        code: str,
        memory_mb: int = MEMORY_MB,
    ) -> Prisoner:
        """Start a sandbox with this code in it."""
        self._made += 1
        digest = CodeDigest(f"hostile{self._made}")
        tree = self.directory / "code" / digest
        tree.mkdir()
        (tree / "hostile.py").write_text(f"from prisoner_tools import *\n{code}\nos._exit(0)\n")
        (tree / "prisoner_tools.py").write_text(TOOLS)
        slot = SlotSpec(SandboxId(f"hostile-{self._made}"), self._runtime, "111122223333")
        sandbox = await self.driver.create(slot)
        guard = Guard()
        sandbox.attach(guard)
        variables = {
            "_HANDLER": "hostile.handler",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        await sandbox.start(StartSpec(digest, (), variables, memory_mb, 0.5, 512))
        return Prisoner(sandbox, guard)

    async def _results(self, code: str) -> dict[str, Any]:
        prisoner = await self.hold(code)
        ended = await prisoner.ended()
        await prisoner.sandbox.stop(0)
        assert ended == Exit(code=0), prisoner.guard.written.decode()
        return prisoner.guard.reports()

    def results(self, code: str) -> dict[str, Any]:
        """What the code reported until it ended by itself."""
        results: dict[str, Any] = self.run(self._results(code))
        return results


def limit_files(sandbox: Sandbox, name: str) -> list[Path]:
    """The files of that name in the sandbox's cgroups, of whichever version."""
    return [file for level in ("", "*/") for file in Path("/sys/fs/cgroup").glob(f"{level}ondol-*/{sandbox.id}/{name}")]
