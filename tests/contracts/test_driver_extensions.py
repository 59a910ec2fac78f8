"""What every sandbox driver does where the function has external extensions."""

import asyncio

import pytest
from driver_bench import Bench, World
from runtime_api_probe import Posted, Probe

from ondol.sandbox.driver import Exit, Sandbox

VARIABLES = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "PATH": "/usr/local/bin:/usr/bin:/bin", "GIVEN": "to it"}


async def running(world: World, *extensions: str, function: str = "echo") -> tuple[Sandbox, Probe]:
    """All have registered, and the runtime is ready."""
    sandbox, probe = await world.run_with(*extensions, function=function)
    sandbox.start_extensions(VARIABLES)
    await probe.until(lambda: set(probe.registered) == set(extensions))
    sandbox.start_runtime()
    await probe.ready()
    return sandbox, probe


def test_they_are_found_before_anything_runs_and_the_runtime_waits(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await world.run_with("stays", "listens")
        assert probe.extensions == ["listens", "stays"]
        assert not probe.registered
        sandbox.start_extensions(VARIABLES)
        await probe.extension_waits("listens")
        await probe.extension_waits("stays")
        assert probe.registered["listens"] == ["INVOKE", "SHUTDOWN"]
        ready = asyncio.ensure_future(probe.ready())
        done, _ = await asyncio.wait({ready}, timeout=0.3)
        assert not done, "the runtime was not let go yet"
        sandbox.start_runtime()
        await ready
        assert await probe.call(b"1") == Posted("response", b"1")

    bench.run(test)


def test_they_run_beside_the_function_and_write_to_its_output(bench: Bench) -> None:
    async def test(world: World) -> None:
        _, probe = await running(world, "listens")
        for _ in range(3):
            await probe.extension_waits("listens")
            probe.tell("listens", "INVOKE")
            assert await probe.call(b"1") == Posted("response", b"1")
        await probe.until(lambda: probe.written.count(b"listens: called\n") == 3)

    bench.run(test)


@pytest.mark.parametrize(("name", "exit"), [("crashes", Exit(code=3)), ("killed", Exit(signal=9))])
def test_how_one_ends_is_told_and_the_others_live_on(bench: Bench, name: str, exit: Exit) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await world.run_with("listens", name)
        sandbox.start_extensions(VARIABLES)
        await probe.until(lambda: name in probe.extension_exits)
        assert probe.extension_exits == {name: exit}
        assert name != "crashes" or b"crashing\n" in probe.written
        await probe.extension_waits("listens")
        sandbox.start_runtime()
        assert await probe.call(b"1") == Posted("response", b"1")

    bench.run(test)


def test_the_end_of_the_runtime_is_not_theirs(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await running(world, "listens", function="exits")
        await probe.extension_waits("listens")
        probe.send(b"{}")
        assert await probe.exit() == Exit(code=3)
        probe.tell("listens", "INVOKE")
        await probe.extension_waits("listens")
        probe.tell("listens", "SHUTDOWN")
        await probe.until(lambda: bool(probe.extension_exits))
        assert probe.extension_exits == {"listens": Exit(code=0)}
        assert probe.written.endswith(b"listens: over\n")
        await sandbox.stop(0.0)

    bench.run(test)


def test_a_stop_ends_the_runtime_first_and_is_over_with_the_last_extension(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await running(world, "listens")
        await probe.extension_waits("listens")
        stopping = asyncio.ensure_future(sandbox.stop(0.3, 30.0))
        assert (await probe.exit()).signal == 15
        assert not stopping.done()
        probe.tell("listens", "SHUTDOWN")
        await asyncio.wait_for(stopping, 10.0)
        assert probe.extension_exits == {"listens": Exit(code=0)}

    bench.run(test)


def test_one_that_does_not_end_is_ended(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await running(world, "stays")
        await probe.extension_waits("stays")
        stopping = asyncio.ensure_future(sandbox.stop(0.1, 0.3))
        await probe.exit()
        probe.tell("stays", "SHUTDOWN")
        await asyncio.wait_for(stopping, 10.0)
        assert b"stays: not yet\n" in probe.written
        assert len(probe.exits) == 1

    bench.run(test)


def test_a_second_stop_waits_for_nobody(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await running(world, "stays")
        stopping = asyncio.ensure_future(sandbox.stop(0.1, 60.0))
        await probe.exit()
        await asyncio.wait_for(asyncio.gather(stopping, sandbox.stop(0.0)), 10.0)

    bench.run(test)


def test_what_waits_for_its_extensions_can_be_stopped(bench: Bench) -> None:
    async def test(world: World) -> None:
        for say in (False, True):
            sandbox, probe = await world.run_with("listens")
            if say:
                sandbox.start_extensions(VARIABLES)
                await probe.extension_waits("listens")
            await asyncio.wait_for(sandbox.stop(0.2), 10.0)
            assert len(probe.exits) == 1
            sandbox.start_extensions(VARIABLES)
            sandbox.start_runtime()

    bench.run(test)


def test_they_freeze_with_the_function(bench: Bench) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await running(world, "listens")
        await probe.extension_waits("listens")
        sandbox.freeze()
        # Freezing takes effect soon, and this is what it takes effect on.
        await asyncio.sleep(0.1)
        probe.tell("listens", "INVOKE")
        again = asyncio.ensure_future(probe.extension_waits("listens"))
        done, _ = await asyncio.wait({again}, timeout=0.3)
        assert not done
        sandbox.thaw()
        await again

    bench.run(test)
