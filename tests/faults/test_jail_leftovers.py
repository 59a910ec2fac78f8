"""Whatever is killed, nothing of a sandbox stays behind: no process, cgroup, mount or loop device."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lone_guest import LoneGuest
from ondol.runtimes import catalog
from ondol.sandbox.driver import Exit, SlotSpec
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail.driver import JailDriver
from processes import in_sandboxes

pytestmark = pytest.mark.sandbox

PATIENCE_S = 30
ACCOUNT = "111122223333"

PLATFORM = """
import asyncio, json, sys
from pathlib import Path
from ondol.runtimes import catalog
from ondol.sandbox.driver import SlotSpec, StartSpec
from ondol.sandbox.jail.driver import JailDriver

class Guest:
    def __init__(self):
        self.said = asyncio.Event()
    def connected(self):
        return asyncio.Protocol()
    def output(self, data):
        self.said.set()
    def exited(self, exit):
        print(json.dumps({"exit": exit.signal}), flush=True)

async def main(directory):
    driver = JailDriver(directory)
    runtime = catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)
    await driver.open([runtime])
    tree = directory / "code" / "hanging"
    tree.mkdir(exist_ok=True)
    (tree / "hanging.py").write_text(
        "import os, time\\nif os.fork() == 0: os.setsid()\\nprint('up', flush=True)\\ntime.sleep(1000)"
    )
    variables = {"_HANDLER": "hanging.handler", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
                 "LAMBDA_TASK_ROOT": "/var/task"}
    running = []
    for number in range(3):
        sandbox = await driver.create(SlotSpec(f"leftover-{number}", runtime, "111122223333"))
        guest = Guest()
        sandbox.attach(guest)
        running.append(sandbox)
        if number < 2:
            await sandbox.start(StartSpec("hanging", (), variables, 256, 0.5, 512))
            await guest.said.wait()
    running[1].freeze()
    await running[0].stop(0)
    print(json.dumps({"spawner": driver.spawner_pid}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    try:
        await driver.create(SlotSpec("late", runtime, "111122223333"))
    except Exception as error:
        print(json.dumps({"refused": type(error).__name__}), flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


class Platform:
    """A process with an open driver: one sandbox stopped, one frozen, one still a slot."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", PLATFORM, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        said: list[dict[str, int]] = []
        while not said or "spawner" not in said[-1]:
            said.append(json.loads(self._line()))
        self.spawner = said[-1]["spawner"]
        self.spawner_handle = os.pidfd_open(self.spawner)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the platform ended"
        return line

    def next_line(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(self._line())
        return said

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for_spawners_end(self) -> None:
        """It is the first process of its namespace: when it has ended, every other has."""
        readable, _, _ = select.select([self.spawner_handle], [], [], PATIENCE_S)
        assert readable

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        os.close(self.spawner_handle)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leftovers")


@pytest.fixture
def platform(directory: Path) -> Iterator[Platform]:
    platform = Platform(directory)
    yield platform
    platform.close()


def groups(directory: Path) -> list[Path]:
    status = directory.stat()
    owner = f"ondol-{status.st_dev:x}-{status.st_ino:x}"
    return [group for level in ("", "*/") for group in Path("/sys/fs/cgroup").glob(f"{level}{owner}")]


def mounts_and_loops(directory: Path) -> list[str]:
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    backing = [file.read_text() for file in Path("/sys/block").glob("loop*/loop/backing_file")]
    return mounts + [name for name in backing if str(directory) in name]


def reopen(directory: Path) -> None:
    """What the next start of ondol does: it must find its directory free and its leftovers removable."""

    async def main() -> None:
        driver = JailDriver(directory)
        runtime = catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)
        await driver.open([runtime])
        sandbox = await driver.create(SlotSpec("after", runtime, ACCOUNT))  # type: ignore[arg-type]
        await sandbox.stop(0)
        await driver.close()

    asyncio.run(main())


def test_a_running_platform_leaves_no_mount_on_the_host(platform: Platform) -> None:
    assert (groups(platform.directory) != []) == (os.geteuid() == 0)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(platform.directory) not in mounts


def test_a_killed_platform_leaves_nothing(platform: Platform) -> None:
    platform.process.kill()
    platform.wait_for_spawners_end()
    assert groups(platform.directory) == []
    assert mounts_and_loops(platform.directory) == []
    reopen(platform.directory)


def test_a_killed_spawner_ends_every_sandbox_and_the_platform_hears_of_it(platform: Platform) -> None:
    os.kill(platform.spawner, signal.SIGKILL)
    assert platform.next_line() == {"exit": signal.SIGKILL}
    assert platform.next_line() == {"exit": signal.SIGKILL}
    platform.hang_up()
    assert platform.next_line() == {"refused": "SpawnerGone"}
    platform.wait_for_spawners_end()
    assert mounts_and_loops(platform.directory) == []


def test_what_two_killed_processes_leave_the_next_start_removes(platform: Platform) -> None:
    platform.process.send_signal(signal.SIGSTOP)
    os.kill(platform.spawner, signal.SIGKILL)
    platform.process.kill()
    platform.process.wait()
    # What a control group has frozen cannot die, not even of this.
    assert (groups(platform.directory) != []) == (os.geteuid() == 0)
    reopen(platform.directory)
    platform.wait_for_spawners_end()
    assert groups(platform.directory) == []
    assert mounts_and_loops(platform.directory) == []


def test_a_directory_in_use_is_refused(platform: Platform) -> None:
    async def main() -> None:
        with pytest.raises(SandboxError, match="in use by another ondol"):
            await JailDriver(platform.directory).open([])

    asyncio.run(main())
    assert platform.process.poll() is None


def test_a_sandbox_that_ends_while_it_is_a_slot_is_heard_of(directory: Path) -> None:
    async def main() -> None:
        driver = JailDriver(directory)
        runtime = catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)
        await driver.open([runtime])
        sandbox = await driver.create(SlotSpec("slot", runtime, ACCOUNT))  # type: ignore[arg-type]
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

        class Guest(LoneGuest):
            def connected(self) -> asyncio.Protocol:
                return asyncio.Protocol()

            def output(self, data: bytes) -> None:
                raise AssertionError(data)

            def exited(self, exit: Exit) -> None:
                ended.set_result(exit)

        sandbox.attach(Guest())
        (runtime_process,) = in_sandboxes(driver)
        os.kill(runtime_process, signal.SIGKILL)
        assert await asyncio.wait_for(ended, PATIENCE_S) == Exit(signal=signal.SIGKILL)
        await driver.close()

    asyncio.run(main())
