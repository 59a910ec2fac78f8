"""What extensions find in a jail, what keeps one from being started, and what hostile ones achieve."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_bench import LIMITS, Bench, World, spec
from runtime_api_probe import Probe
from sandbox_functions import executables
from test_driver_extensions import VARIABLES

from ondol.model.ids import CodeDigest
from ondol.model.runtime import Launch, Runtime
from ondol.sandbox.driver import Exit, Sandbox
from ondol.sandbox.jail.driver import JailDriver
from processes import in_sandboxes

pytestmark = pytest.mark.sandbox


@pytest.fixture
def jail(runtime: Runtime, shared: Path, tmp_path: Path) -> Bench:
    return Bench("jail", runtime, shared, tmp_path)


@pytest.fixture
def digest() -> CodeDigest:
    return CodeDigest(f"extensions-of-jails-{next(_NUMBERS)}".ljust(64, "0"))


PYTHONS = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
"""Signals that an interpreter ignores, which its children shall not inherit."""

_NUMBERS: Iterator[int] = iter(range(1000))


async def started(
    world: World, digest: CodeDigest, files: dict[str, str], *, mode: int = 0o755, fresh: bool = False
) -> tuple[Sandbox, Probe]:
    archive = world.archive(executables({f"extensions/{name}": text for name, text in files.items()}, mode))
    await world.driver.unpack(archive, digest, LIMITS)
    sandbox, probe = await world.slot()
    await sandbox.start(spec("echo", layers=(digest,), fresh=fresh))
    await probe.until(lambda: bool(probe.extensions))
    sandbox.start_extensions(VARIABLES)
    return sandbox, probe


SEES = """#!/bin/bash
read -r _ _ _ _ _ session _ < /proc/$$/stat
echo "me $0 $UID $((session == $$)) $(umask)"
echo "open $(echo /proc/self/fd/*)"
echo "variables $(env -u _ -u SHLVL -u PWD | sort | tr '\\n' ' ')"
echo "ignored $(sed -n 's/^SigIgn:\\t//p' /proc/self/status) $(sed -n 's/^Cap...:\\t//p' /proc/self/status | sort -u)"
echo "limits $(sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status) $(sed -n 's/^Seccomp:\\t//p' /proc/self/status)"
echo done
exec sleep 60
"""


@pytest.mark.parametrize("fresh", [False, True])
def test_one_runs_like_the_function_within_the_same_walls(jail: Bench, digest: CodeDigest, fresh: bool) -> None:
    async def test(world: World) -> None:
        _, probe = await started(world, digest, {"sees": SEES}, fresh=fresh)
        await probe.said(b"done\n")
        seen = dict(line.split(" ", 1) for line in probe.written.decode().splitlines() if " " in line)
        file, user, own_session, mask = seen["me"].split()
        assert (file, own_session, mask) == ("/opt/extensions/sees", "1", "0022")
        assert int(user) not in (0, os.geteuid())
        # The last is the shell's own program.
        assert [path.rpartition("/")[2] for path in seen["open"].split()][:3] == ["0", "1", "2"]
        assert len(seen["open"].split()) <= 4
        variables = {part.partition("=")[0] for part in seen["variables"].split() if "=" in part}
        assert variables == set(VARIABLES)
        ignored, capabilities = (int(mask, 16) for mask in seen["ignored"].split())
        assert not ignored & PYTHONS and capabilities == 0
        assert seen["limits"].split() == ["1", "2"]

    jail.run(test)


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("no program\n", 0o755, "exec format error"),
        ("#!/nowhere\n", 0o755, "no such file or directory"),
        ("#!/bin/bash\n", 0o644, "permission denied"),
    ],
)
def test_what_cannot_be_executed_is_named_and_none_after_it_is_tried(
    jail: Bench, digest: CodeDigest, text: str, mode: int, reason: str
) -> None:
    async def test(world: World) -> None:
        _, probe = await started(world, digest, {"bad": text, "good": "#!/bin/bash\necho never\n"}, mode=mode)
        await probe.until(lambda: bool(probe.refused))
        assert probe.refused == [("bad", reason)]
        assert not probe.extension_exits and b"never" not in probe.written

    jail.run(test)


def test_only_files_directly_in_the_directory_are_meant_and_eleven_are_named(jail: Bench, digest: CodeDigest) -> None:
    async def test(world: World) -> None:
        files = {f"e{number:02}": "#!/bin/bash\n" for number in range(13)}
        _, probe = await started(world, digest, {**files, "a/program": "#!/bin/bash\n"})
        assert probe.extensions == [f"e{number:02}" for number in range(11)]

    jail.run(test)


def test_a_runtime_of_the_functions_own_waits_too(runtime: Runtime, shared: Path, tmp_path: Path) -> None:
    provided = Runtime("provided.al2023", "2023", Launch.EXEC, ())

    async def test(world: World) -> None:
        digest = CodeDigest("provided-with-extension".ljust(64, "0"))
        files = {"bootstrap": "#!/bin/bash\necho runtime; exec sleep 60\n", "extensions/one": "#!/bin/bash\necho one\n"}
        await world.driver.unpack(world.archive(executables(files)), digest, LIMITS)
        sandbox, probe = await world.slot()
        await sandbox.start(spec("none", code=digest, layers=(digest,)))
        await probe.until(lambda: bool(probe.extensions))
        sandbox.start_extensions(VARIABLES)
        await probe.until(lambda: bool(probe.extension_exits))
        assert probe.written == b"one\n"
        sandbox.start_runtime()
        await probe.said(b"runtime\n")

    Bench("jail", provided, shared, tmp_path).run(test)


FLOODS = """#!/bin/bash
for round in 1 2 3 4 5; do
  for n in {1..40}; do (sleep 0.01 &); done
  wait
done
sleep 0.1
echo flooded
exec sleep 60
"""


def test_orphans_of_hostile_ones_are_nobodys_end(jail: Bench, digest: CodeDigest) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await started(world, digest, {"floods": FLOODS, "ends": "#!/bin/bash\nexit 4\n"})
        await probe.said(b"flooded\n")
        assert probe.extension_exits == {"ends": Exit(code=4)}
        assert not probe.exits
        sandbox.start_runtime()
        assert (await probe.call(b"1")).body == b"1"

    jail.run(test)


KILLS = """#!/bin/bash
kill -KILL 1 2>/dev/null && echo may || echo "may not"
for entry in /proc/1/fd/*; do [ -e "$entry" ] && echo "sees $entry"; done
until kill -0 2 2>/dev/null; do :; done
echo about to
kill -KILL -1
sleep 60
"""


def test_one_that_kills_all_it_can_kills_its_own_function(jail: Bench, digest: CodeDigest) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await started(world, digest, {"kills": KILLS, "other": "#!/bin/bash\nexec sleep 60\n"})
        assert await probe.exit() == Exit(signal=9)
        # The first of a namespace does not hear those in it, may they or not.
        assert probe.written == (b"may not" if world.driver.capabilities.own_uid else b"may") + b"\nabout to\n"
        await asyncio.wait_for(sandbox.stop(0.3, 1.0), 10.0)

    jail.run(test)


OUTLIVES = """#!/bin/bash
trap '' TERM HUP INT
(bash -c "trap '' TERM; echo orphan; while true; do sleep 0.05; done" &)
while true; do sleep 0.05; done
"""


def test_none_outlives_its_sandbox(jail: Bench, digest: CodeDigest) -> None:
    async def test(world: World) -> None:
        sandbox, probe = await started(world, digest, {"outlives": OUTLIVES})
        await probe.said(b"orphan\n")
        assert isinstance(world.driver, JailDriver)
        assert len(in_sandboxes(world.driver)) >= 3, "the runtime-to-be, the extension, its orphan"
        await asyncio.wait_for(sandbox.stop(0.1, 0.2), 10.0)
        assert not in_sandboxes(world.driver)

    jail.run(test)
