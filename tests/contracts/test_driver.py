"""What every sandbox driver does, whatever it is made of. One suite, run for each."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from driver_bench import CODE, LAYER_CODE, LIMITS, Bench, World, spec
from runtime_api_probe import Posted, Probe
from sandbox_functions import FUNCTIONS, LARGE, LAYER, NUMBERED_LINES, package

from ondol.model.ids import CodeDigest, SandboxId
from ondol.sandbox.driver import Exit
from ondol.sandbox.errors import SandboxError, SandboxGone, UnpackRefused
from ondol.sandbox.limits import UnpackLimits


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
