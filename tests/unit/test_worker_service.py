"""The worker's shell on simulated sandboxes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from ondol.counting.service import CountingService
from ondol.http import HttpCommons
from ondol.linux.clock import SystemClock
from ondol.model.errors import PlatformError
from ondol.model.function import FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, Region, RequestId, VersionId, WorkerId
from ondol.model.limits import AccountLimits
from ondol.model.runtime import Launch, Runtime
from ondol.model.time import WallTime
from ondol.sandbox.driver import Exit, SlotSpec, StartSpec
from ondol.sandbox.limits import UnpackLimits
from ondol.sandbox.simulated import Behaviour, SimulatedDriver, SimulatedSandbox
from ondol.sandbox.simulated_process import Answer, Die, Phase, Raise
from ondol.telemetry.api import LogStream
from ondol.worker.api import InitFailed, Started, StartRequest
from ondol.worker.service import WorkerService, WorkerSettings

CODE = CodeDigest("c" * 64)
VERSION = FunctionVersion(
    VersionId("f/1"),
    function=FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f"),
    version="$LATEST",
    runtime="python3.11",
    handler="m.h",
    code=CODE,
    role="r",
    memory_mb=128,
    timeout_s=3,
    tmp_mb=512,
    environment={},
    logs=LogSettings("/aws/lambda/f"),
)
LAYER = CodeDigest("b" * 64)
LAYERED = msgspec.structs.replace(VERSION, layers=(LAYER,))


class Nobody:
    """Hears of ends, and of what is logged."""

    def __init__(self) -> None:
        self.an_end = asyncio.Event()
        self.a_failed_init = asyncio.Event()
        self.ends = 0

    def open(self, stream: LogStream) -> "Nobody":
        return self

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        if messages[0].startswith("INIT_REPORT"):
            self.a_failed_init.set()

    async def ended(self, environment: EnvironmentId) -> None:
        self.ends += 1
        self.an_end.set()


class Plain:
    """A function that is ready at once and answers null."""

    def init(self) -> Phase:
        return Phase()

    def invoke(self, request_id: str, event: bytes) -> Phase:
        return Phase(ending=Answer(b"null"))


def behave(spec: StartSpec) -> Behaviour:
    return Plain()


async def resolve_runtime(name: str, nearest: bool) -> Runtime:
    return Runtime(name, "3.11.0", Launch.ZYGOTE, ())


class Fails:
    """A function whose inits end like this, one after the other; after that it is ready."""

    def __init__(self, *endings: Raise | Die) -> None:
        self._endings = list(endings)
        self.inits = 0

    def __call__(self, spec: StartSpec) -> Behaviour:
        return self

    def init(self) -> Phase:
        self.inits += 1
        return Phase(self._endings.pop(0)) if self._endings else Phase()

    def invoke(self, request_id: str, event: bytes) -> Phase:
        return Phase()


FIRST, SECOND = Raise("First", "the first time"), Raise("Second", "the second time")


def with_worker(
    work: Callable[[WorkerService, SimulatedDriver, Nobody, set[CodeDigest]], Awaitable[None]],
    behave: Callable[[StartSpec], Behaviour] = behave,
) -> None:
    async def run() -> None:
        clock, driver, nobody = SystemClock(), SimulatedDriver(behave), Nobody()
        stored = {CODE}
        names = iter(range(1000))

        async def package(digest: CodeDigest) -> Path | None:
            return Path("/somewhere") if digest in stored else None

        worker = WorkerService(
            WorkerSettings(WorkerId("w"), slots_ahead=1),
            driver=driver,
            resolve_runtime=resolve_runtime,
            package=package,
            logs=nobody,
            counting=CountingService(AccountLimits(), clock),
            clock=clock,
            http=HttpCommons(clock),
            new_id=lambda: f"id-{next(names)}",
        )
        await worker.open(nobody)
        try:
            await work(worker, driver, nobody, stored)
        finally:
            await worker.close()

    asyncio.run(run())


def start(name: str, version: FunctionVersion = VERSION) -> StartRequest:
    return StartRequest(EnvironmentId(name), version, RequestId("cause"))


def test_an_environment_starts_and_stops() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        assert isinstance(await worker.start(start("e")), Started)
        assert [environment.state for environment in worker.status().environments] == ["idle"]
        await worker.stop(EnvironmentId("e"))
        await nobody.an_end.wait()
        assert worker.status().environments == []

    with_worker(work)


def test_what_cannot_start_leaves_nothing() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        await worker.prepare(AccountId("000000000000"), "python3.11", False, CODE)
        await driver.discard(CODE)
        with pytest.raises(PlatformError, match="no environment could be started"):
            await worker.start(start("e"))
        await nobody.an_end.wait()
        assert worker.status().environments == []

    with_worker(work)


def test_a_layer_that_is_not_stored_is_named() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        with pytest.raises(PlatformError, match=f"{LAYER} is missing"):
            await worker.start(start("e", LAYERED))
        assert worker.status().environments == []

    with_worker(work)


def test_layers_are_unpacked_once_and_kept_while_they_are_stored_or_run() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        stored.add(LAYER)
        unpack, asked = driver.unpack, []

        async def counted(archive: Path, digest: CodeDigest, limits: UnpackLimits) -> None:
            asked.append(digest)
            await unpack(archive, digest, limits)

        driver.unpack = counted  # type: ignore[method-assign]
        await worker.prepare(AccountId("000000000000"), "python3.11", False, CODE, (LAYER,))
        await worker.start(start("e", LAYERED))
        await worker.start(start("other", LAYERED))
        assert sorted(asked) == [LAYER, CODE]
        stored.clear()
        await worker.collect()
        assert await driver.trees() == {CODE, LAYER}
        await worker.stop(EnvironmentId("e"))
        await nobody.an_end.wait()
        nobody.an_end.clear()
        await worker.stop(EnvironmentId("other"))
        await nobody.an_end.wait()
        await worker.collect()
        assert await driver.trees() == frozenset()

    with_worker(work)


def test_code_trees_are_kept_while_they_are_stored_or_run() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        await worker.start(start("e"))
        stored.clear()
        await worker.collect()
        assert await driver.trees() == {CODE}
        await worker.stop(EnvironmentId("e"))
        await nobody.an_end.wait()
        await worker.collect()
        assert await driver.trees() == frozenset()

    with_worker(work)


def test_functions_with_the_same_code_share_one_unpacking() -> None:
    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        unpack, asked = driver.unpack, 0

        async def counted(archive: Path, digest: CodeDigest, limits: UnpackLimits) -> None:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)
            await unpack(archive, digest, limits)

        driver.unpack = counted  # type: ignore[method-assign]
        account = AccountId("000000000000")
        await asyncio.gather(*(worker.prepare(account, "python3.11", False, CODE) for _ in range(5)))
        await worker.prepare(account, "python3.11", False, CODE)
        assert asked == 1

    with_worker(work)


@pytest.mark.parametrize("ending", [FIRST, Die(Exit(code=1))])
def test_an_init_that_fails_is_run_again_in_another_slot_for_the_same_environment(ending: Raise | Die) -> None:
    code = Fails(ending)

    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        assert isinstance(await worker.start(start("e")), Started)
        assert code.inits == 2
        assert [environment.state for environment in worker.status().environments] == ["idle"]
        await worker.stop(EnvironmentId("e"))
        await nobody.an_end.wait()
        assert nobody.ends == 1, "that the first attempt ended is nobody's business"

    with_worker(work, code)


def test_an_init_that_fails_twice_has_failed_and_its_environment_has_ended() -> None:
    code = Fails(FIRST, SECOND)

    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        failed = await worker.start(start("e"))
        assert isinstance(failed, InitFailed) and failed.failure.error_type == "Second"
        await nobody.an_end.wait()
        assert (code.inits, nobody.ends) == (2, 1)
        assert worker.status().environments == []

    with_worker(work, code)


def test_what_is_stopped_between_two_attempts_is_not_tried_again() -> None:
    code = Fails(FIRST)

    async def work(worker: WorkerService, driver: SimulatedDriver, nobody: Nobody, stored: set[CodeDigest]) -> None:
        create, go = driver.create, asyncio.Event()

        async def only_one_at_first(spec: SlotSpec) -> SimulatedSandbox:
            if driver.sandboxes:
                await go.wait()
            return await create(spec)

        driver.create = only_one_at_first  # type: ignore[method-assign]
        starting = asyncio.ensure_future(worker.start(start("e")))
        await nobody.a_failed_init.wait()
        await worker.stop(EnvironmentId("e"))
        go.set()
        with pytest.raises(PlatformError, match="stopped"):
            await starting
        await nobody.an_end.wait()
        assert (code.inits, nobody.ends) == (1, 1)
        assert worker.status().environments == []

    with_worker(work, code)
