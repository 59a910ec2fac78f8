"""Open drivers with the sandbox contract's functions unpacked: what its tests run in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from runtime_api_probe import Probe
from sandbox_functions import FUNCTIONS, Scripted, companions, extended, inspect

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Runtime
from ondol.sandbox.driver import Driver, Sandbox, SlotSpec, StartSpec
from ondol.sandbox.limits import UnpackLimits
from ondol.sandbox.simulated import SimulatedDriver

CODE = CodeDigest("a" * 64)
LAYER_CODE = CodeDigest("b" * 64)
ACCOUNT = "000000000000"
LIMITS = UnpackLimits(bytes=10_000_000, entries=1000)


class World:
    """One open driver with the suite's package unpacked, and sandboxes made of it."""

    def __init__(self, driver: Driver, runtime: Runtime, directory: Path) -> None:
        self.driver = driver
        self.runtime = runtime
        self.directory = directory
        self._made = 0

    def archive(self, content: bytes) -> Path:
        path = self.directory / "archive.zip"
        path.write_bytes(content)
        return path

    async def slot(self) -> tuple[Sandbox, Probe]:
        self._made += 1
        name = SandboxId(f"contract-{self.directory.name[-20:]}-{self._made}".replace("_", "-"))
        sandbox = await self.driver.create(SlotSpec(sandbox=name, runtime=self.runtime, account=ACCOUNT))
        probe = Probe()
        sandbox.attach(probe)
        return sandbox, probe

    async def run(self, function: str, memory_mb: int = 256, fresh: bool = False) -> tuple[Sandbox, Probe]:
        sandbox, probe = await self.slot()
        await sandbox.start(spec(function, memory_mb, fresh=fresh))
        return sandbox, probe

    async def run_with(self, *extensions: str, function: str = "echo") -> tuple[Sandbox, Probe]:
        """A sandbox whose function has these extensions, as far as they are known to be there."""
        digest = CodeDigest("-".join(extensions).replace("_", "-").ljust(64, "0"))
        await self.driver.unpack(self.archive(extended(*extensions)), digest, LIMITS)
        sandbox, probe = await self.slot()
        await sandbox.start(spec(function, layers=(digest,), extensions=" ".join(extensions)))
        await probe.until(lambda: bool(probe.extensions))
        return sandbox, probe


def spec(
    function: str,
    memory_mb: int = 256,
    *,
    code: CodeDigest = CODE,
    layers: tuple[CodeDigest, ...] = (),
    fresh: bool = False,
    extensions: str = "",
) -> StartSpec:
    variables = {
        "_HANDLER": f"{function}.handler",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/task:/var/task/lib:/opt/lib",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PYTHONPATH": "/var/runtime",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "GIVEN": "한국 = x",
    }
    if extensions:
        variables["EXTENSIONS"] = extensions
    return StartSpec(
        code=code,
        layers=layers,
        environment=variables,
        memory_mb=memory_mb,
        cpu_share=1.0,
        tmp_mb=512,
        fresh_interpreter=fresh,
    )


class Bench:
    """Runs one test's coroutine in the world of one driver."""

    def __init__(self, name: str, runtime: Runtime, shared: Path, own: Path) -> None:
        self.name = name
        self._runtime = runtime
        self._shared = shared
        self._own = own

    def run(self, test: Callable[[World], Awaitable[None]]) -> None:
        async def main() -> None:
            async with self._world() as world:
                await test(world)

        asyncio.run(main())

    def _driver(self) -> Driver:
        if self.name == "simulated":
            return SimulatedDriver(Scripted, inspect=inspect, companions=companions)
        from ondol.sandbox.jail.driver import JailDriver  # noqa: PLC0415 (only where it can work)

        return JailDriver(self._shared)

    @contextlib.asynccontextmanager
    async def _world(self) -> AsyncIterator[World]:
        driver = self._driver()
        await driver.open([self._runtime])
        try:
            world = World(driver, self._runtime, self._own)
            await driver.unpack(world.archive(FUNCTIONS), CODE, LIMITS)
            yield world
        finally:
            await driver.close()
