"""What every sandbox driver does, whatever it is made of. One suite, run for each."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from runtime_api_probe import Posted, Probe
from sandbox_functions import FUNCTIONS, LARGE, LAYER, NUMBERED_LINES, Scripted, inspect, package

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Runtime
from ondol.runtimes import catalog
from ondol.sandbox.driver import Driver, Exit, Sandbox, SlotSpec, StartSpec
from ondol.sandbox.errors import SandboxError, SandboxGone, UnpackRefused
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


def spec(
    function: str,
    memory_mb: int = 256,
    *,
    code: CodeDigest = CODE,
    layers: tuple[CodeDigest, ...] = (),
    fresh: bool = False,
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
            return SimulatedDriver(Scripted, inspect=inspect)
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


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for all tests: base roots are made once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)


@pytest.fixture(params=["simulated", pytest.param("jail", marks=pytest.mark.root)])
def bench(request: pytest.FixtureRequest, runtime: Runtime, shared: Path, tmp_path: Path) -> Bench:
    return Bench(request.param, runtime, shared, tmp_path)


class TestInvocations:
    def test_a_function_answers_invocation_after_invocation_in_one_environment(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("counter")
            assert [(await probe.call()).body for _ in range(3)] == [b"1", b"2", b"3"]

        bench.run(test)

    def test_environments_do_not_share_what_they_remember(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            (_, one), (_, other) = await asyncio.gather(world.run("counter"), world.run("counter"))
            assert (await one.call(), await one.call()) == (Posted("response", b"1"), Posted("response", b"2"))
            assert await other.call() == Posted("response", b"1")

        bench.run(test)

    def test_an_exception_is_an_error_answer_and_the_environment_lives_on(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("raises")
            for _ in range(2):
                what, body = await probe.call()
                assert what == "error"
                assert json.loads(body)["errorType"] == "ValueError"
                assert json.loads(body)["errorMessage"] == "no good"

        bench.run(test)

    def test_results_larger_than_any_buffer_arrive_whole(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("large")
            assert len((await probe.call()).body) == LARGE + 2

        bench.run(test)

    def test_a_failing_init_is_reported_and_ends_the_runtime(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("broken")
            what, body = await probe.answer()
            assert what == "init/error"
            assert json.loads(body)["errorMessage"] == "no init"
            assert await probe.exit() == Exit(code=1)

        bench.run(test)

    @pytest.mark.parametrize("fresh", [False, True])
    def test_a_function_sees_its_variables_its_code_and_its_layers(self, bench: Bench, fresh: bool) -> None:
        async def test(world: World) -> None:
            await world.driver.unpack(world.archive(package(LAYER)), LAYER_CODE, LIMITS)
            sandbox, probe = await world.slot()
            given = spec("surroundings", layers=(LAYER_CODE,), fresh=fresh)
            await sandbox.start(given)
            seen = json.loads((await probe.call()).body)
            # The C library's locale coercion, where the base root lacks the function's locale.
            seen["variables"].pop("LC_CTYPE", None)
            assert seen["variables"] == dict(given.environment)
            assert (seen["layer"], seen["here"]) == ("warm", "/var/task")

        bench.run(test)


class TestEndings:
    @pytest.mark.parametrize(
        ("function", "ending"),
        [("exits", Exit(code=3)), ("crashes", Exit(signal=11)), ("talks_and_exits", Exit(code=0))],
    )
    def test_exit_codes_and_signals_are_told_apart(self, bench: Bench, function: str, ending: Exit) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run(function)
            await probe.ready()
            probe.send(b"{}")
            assert await probe.exit() == ending

        bench.run(test)

    def test_running_out_of_memory_is_known_for_what_it_is(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("devours", memory_mb=128)
            await probe.ready()
            probe.send(b"{}")
            ended = await probe.exit()
            assert ended == Exit(signal=9, out_of_memory=True)

        bench.run(test)

    def test_all_output_comes_before_the_exit(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            _, probe = await world.run("talks_and_exits")
            await probe.ready()
            probe.send(b"{}")
            await probe.exit()
            assert probe.written_at_exit == NUMBERED_LINES

        bench.run(test)

    def test_what_has_ended_cannot_be_started_again(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("exits")
            await probe.ready()
            probe.send(b"{}")
            await probe.exit()
            with pytest.raises(SandboxGone):
                await sandbox.start(spec("echo"))

        bench.run(test)


class TestOutput:
    def test_output_is_there_when_the_answer_is(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("echo")
            for number in range(20):
                posted = await probe.call(b"%d" % number)
                sandbox.drain_output()
                assert posted == Posted("response", b"%d" % number)
                assert probe.written.endswith(b"heard %d\n" % number)

        bench.run(test)

    def test_draining_what_has_nothing_to_say_does_nothing(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.slot()
            sandbox.drain_output()
            assert probe.written == b""

        bench.run(test)


class TestFreezing:
    FROZEN_S = 0.6
    """Longer than `slow` takes."""

    def test_a_frozen_function_makes_no_progress_until_it_is_thawed(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("slow")
            await probe.ready()
            probe.send(b"{}")
            answer = asyncio.ensure_future(probe.answer())
            sandbox.freeze()
            done, _ = await asyncio.wait({answer}, timeout=self.FROZEN_S)
            assert not done
            sandbox.thaw()
            assert await answer == Posted("response", b'"done"')

        bench.run(test)

    def test_the_last_order_counts(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("echo")
            await probe.ready()
            for _ in range(20):
                sandbox.freeze()
                sandbox.thaw()
            assert await probe.call(b"1") == Posted("response", b"1")
            sandbox.throttle()
            sandbox.thaw()
            sandbox.freeze()
            sandbox.freeze()
            sandbox.thaw()
            assert await probe.call(b"2") == Posted("response", b"2")

        bench.run(test)

    def test_what_is_frozen_can_be_stopped(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("hangs")
            await probe.ready()
            probe.send(b"{}")
            await probe.said(b"hanging\n")
            sandbox.freeze()
            await sandbox.stop(grace_s=0.1)
            assert len(probe.exits) == 1

        bench.run(test)


class TestStopping:
    @pytest.mark.parametrize("grace_s", [0.0, 0.5])
    def test_a_function_that_hangs_is_ended_and_heard_of_once(self, bench: Bench, grace_s: float) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("hangs")
            await probe.ready()
            probe.send(b"{}")
            await probe.said(b"hanging\n")
            await sandbox.stop(grace_s)
            assert [ended.signal for ended in probe.exits] in ([9], [15])

        bench.run(test)

    def test_stopping_again_and_together_is_no_error(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("echo")
            await probe.ready()
            await asyncio.gather(sandbox.stop(0.0), sandbox.stop(0.1))
            await sandbox.stop(0.1)
            assert len(probe.exits) == 1

        bench.run(test)

    def test_everything_may_be_asked_of_what_is_gone(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, _ = await world.run("echo")
            await sandbox.stop(0.0)
            sandbox.freeze()
            sandbox.thaw()
            sandbox.throttle()
            sandbox.drain_output()
            assert sandbox.stats().cpu_time_ns >= 0
            with pytest.raises(SandboxGone):
                await sandbox.start(spec("echo"))

        bench.run(test)

    def test_a_slot_that_was_never_used_can_be_stopped(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, _ = await world.slot()
            await sandbox.stop(0.1)
            with pytest.raises(SandboxGone):
                await sandbox.start(spec("echo"))

        bench.run(test)

    def test_nothing_of_it_remains(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("echo")
            await probe.call(b"1")
            await sandbox.stop(0.0)
            assert traces(sandbox.id) == []

        bench.run(test)

    def test_closing_the_driver_ends_what_still_runs(self, bench: Bench) -> None:
        probes: list[tuple[SandboxId, Probe]] = []

        async def test(world: World) -> None:
            for function in ("hangs", "echo"):
                sandbox, probe = await world.run(function)
                await probe.ready()
                probe.send(b"1")
                probes.append((sandbox.id, probe))
            await probes[0][1].said(b"hanging\n")

        bench.run(test)
        assert [len(probe.exits) for _, probe in probes] == [1, 1]
        assert [traces(name) for name, _ in probes] == [[], []]


class TestStats:
    def test_they_grow_with_what_the_function_uses(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, probe = await world.run("busy")
            await probe.call()
            first = sandbox.stats()
            assert first.memory_peak_bytes >= 30_000_000
            assert first.cpu_time_ns >= 40_000_000
            await probe.call()
            second = sandbox.stats()
            assert second.memory_peak_bytes >= first.memory_peak_bytes + 20_000_000
            assert second.cpu_time_ns >= first.cpu_time_ns + 40_000_000

        bench.run(test)

    def test_a_slot_that_was_never_used_has_stats_too(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            sandbox, _ = await world.slot()
            assert sandbox.stats().memory_peak_bytes >= 0

        bench.run(test)


class TestPackages:
    OTHER = CodeDigest("c" * 64)

    def test_what_is_unpacked_is_not_unpacked_again(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            await world.driver.unpack(Path("/nonexistent"), CODE, LIMITS)
            _, probe = await world.run("echo")
            assert await probe.call(b"1") == Posted("response", b"1")

        bench.run(test)

    def test_what_is_refused_is_not_there(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            hostile = world.archive(package({"echo.py": "", "../../outside": "x"}))
            with pytest.raises(UnpackRefused, match="outside"):
                await world.driver.unpack(hostile, self.OTHER, LIMITS)
            sandbox, _ = await world.slot()
            with pytest.raises(SandboxError):
                await sandbox.start(spec("echo", code=self.OTHER))

        bench.run(test)

    def test_limits_are_those_of_the_call(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            large = world.archive(package({"large": "x" * 2_000_000}))
            with pytest.raises(UnpackRefused, match="Unzipped size must be smaller than 1000000 bytes"):
                await world.driver.unpack(large, self.OTHER, UnpackLimits(bytes=1_000_000, entries=10))
            await world.driver.unpack(large, self.OTHER, LIMITS)
            await world.driver.discard(self.OTHER)

        bench.run(test)

    def test_what_is_discarded_is_gone_and_may_come_again(self, bench: Bench) -> None:
        async def test(world: World) -> None:
            archive = world.archive(FUNCTIONS)
            before = await world.driver.trees()
            await world.driver.unpack(archive, self.OTHER, LIMITS)
            assert await world.driver.trees() == before | {self.OTHER}
            await world.driver.discard(self.OTHER)
            await world.driver.discard(self.OTHER)
            assert await world.driver.trees() == before
            sandbox, _ = await world.slot()
            with pytest.raises(SandboxError):
                await sandbox.start(spec("echo", code=self.OTHER))
            await world.driver.unpack(archive, self.OTHER, LIMITS)
            sandbox, probe = await world.slot()
            await sandbox.start(spec("echo", code=self.OTHER))
            assert await probe.call(b"1") == Posted("response", b"1")
            await sandbox.stop(0.0)
            await world.driver.discard(self.OTHER)

        bench.run(test)


def test_a_driver_says_what_it_is_and_what_it_lacks(bench: Bench) -> None:
    async def test(world: World) -> None:
        capabilities = world.driver.capabilities
        assert capabilities.driver == bench.name
        enforced = (
            capabilities.memory_limit,
            capabilities.cpu_limit,
            capabilities.process_limit,
            capabilities.tmp_limit,
        )
        assert all(enforced) or capabilities.shortfalls

    bench.run(test)


def traces(sandbox: SandboxId) -> list[str]:
    """What on this machine still carries a sandbox's name: control groups, processes in them, mounts."""
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob("**/*") if sandbox in path.name]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if sandbox in line]
    processes = []
    for process in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if sandbox in process.read_text():
                processes.append(str(process.parent))
    return groups + mounts + processes
