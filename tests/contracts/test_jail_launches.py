"""What the jail makes of runtimes that it executes, of wrappers, layers and sizes of /tmp."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_to_end import PATIENCE_S, Listener, run_to_end

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Launch, Runtime
from ondol.runtimes import catalog
from ondol.sandbox.driver import Exit, SlotSpec, StartSpec
from ondol.sandbox.errors import SandboxGone
from ondol.sandbox.jail.driver import JailDriver

pytestmark = pytest.mark.sandbox

PROVIDED = Runtime("provided.al2023", "2023", Launch.EXEC, ())
RUNNABLE = 0o755


class Launcher:
    """An open driver; `launch` runs a tree to its end."""

    def __init__(self, directory: Path) -> None:
        self.code = directory / "code"
        self.runner = asyncio.Runner()
        self.driver = JailDriver(directory)
        self.python = catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)
        self._made = 0
        self.runner.run(self.driver.open([self.python, PROVIDED]))

    def tree(self, files: dict[str, str], mode: int = RUNNABLE) -> CodeDigest:
        self._made += 1
        digest = CodeDigest(f"launched{self._made}")
        for name, text in files.items():
            file = self.code / digest / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        return digest

    def launch(
        self,
        runtime: Runtime,
        code: CodeDigest,
        *,
        layers: tuple[CodeDigest, ...] = (),
        tmp_mb: int = 512,
        fresh: bool = False,
        **variables: str,
    ) -> tuple[Exit, str]:
        self._made += 1
        slot = SlotSpec(SandboxId(f"launch-{self._made}"), runtime, "111122223333")
        given = {
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "LAMBDA_TASK_ROOT": "/var/task",
            "_HANDLER": "f.handler",
            "PATH": "/var/lang/bin:/usr/bin:/bin",
            **variables,
        }
        start = StartSpec(code, layers, given, 256, 1.0, tmp_mb, fresh)
        return self.runner.run(run_to_end(self.driver, slot, start))


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("launches"))
    yield launcher
    launcher.runner.run(launcher.driver.close())
    launcher.runner.close()


BOOTSTRAP = """#!/bin/bash
set -u
echo "pid $$ uid $UID in $PWD sees $(echo /*) and $(tr -d '\\0' < /proc/1/cmdline)"
echo "given $GIVEN, handler $_HANDLER"
echo "opened $(echo /proc/self/fd/*)"
exit 7
"""


def test_a_provided_runtime_executes_the_functions_own_bootstrap(launcher: Launcher) -> None:
    ended, written = launcher.launch(PROVIDED, launcher.tree({"bootstrap": BOOTSTRAP}), GIVEN="gift")
    assert ended == Exit(code=7)
    first, given, opened = written.splitlines()
    assert first.startswith("pid 2 uid ")
    assert " in /var/task sees " in first
    assert "/home" not in first
    assert "ondol" not in first
    assert given == "given gift, handler f.handler"
    # The last is the directory that the shell reads this from.
    assert opened.split() == ["opened", *(f"/proc/self/fd/{number}" for number in range(4))]


def test_a_layer_may_bring_the_bootstrap(launcher: Launcher) -> None:
    layer = launcher.tree({"bootstrap": "#!/bin/sh\necho from the layer\n"})
    ended, written = launcher.launch(PROVIDED, launcher.tree({"data": ""}), layers=(layer,))
    assert (ended, written) == (Exit(code=0), "from the layer\n")


def test_a_missing_bootstrap_is_named(launcher: Launcher) -> None:
    ended, written = launcher.launch(PROVIDED, launcher.tree({"data": ""}))
    assert ended == Exit(code=127)
    assert written == "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]\n"


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [("#!/bin/sh\n", 0o644, "permission denied"), ("not a program", RUNNABLE, "exec format error")],
)
def test_a_bootstrap_that_cannot_run_is_named(launcher: Launcher, text: str, mode: int, reason: str) -> None:
    ended, written = launcher.launch(PROVIDED, launcher.tree({"bootstrap": text}, mode))
    assert ended == Exit(code=126)
    assert written == f"fork/exec /var/task/bootstrap: {reason}\n"


def test_a_wrapper_is_executed_with_the_runtime_as_its_arguments(launcher: Launcher) -> None:
    wrapper = "#!/bin/bash\necho wrapped: $@\nexport WRAPPED=yes\nexec $@\n"
    code = launcher.tree({"wrapper": wrapper, "f.py": "import os\nprint(os.environ['WRAPPED'])\nos._exit(4)"})
    ended, written = launcher.launch(launcher.python, code, fresh=True, AWS_LAMBDA_EXEC_WRAPPER="/var/task/wrapper")
    assert ended == Exit(code=4)
    assert written == f"wrapped: {' '.join(launcher.python.command)}\nyes\n"


def test_a_wrapper_that_is_not_there_is_named(launcher: Launcher) -> None:
    code = launcher.tree({"f.py": ""})
    ended, written = launcher.launch(launcher.python, code, fresh=True, AWS_LAMBDA_EXEC_WRAPPER="/opt/none")
    assert (ended, written) == (Exit(code=127), "fork/exec /opt/none: no such file or directory\n")


def test_later_layers_cover_earlier_ones(launcher: Launcher) -> None:
    layers = tuple(
        launcher.tree({"common": str(number), f"own/{number}": str(number), "shared/dir/file": "x"})
        for number in range(5)
    )
    seen = """
import json, os
own = sorted(os.listdir("/opt/own"))
print(json.dumps([own, open("/opt/common").read(), os.access("/opt/common", os.W_OK), os.listdir("/opt/shared/dir")]))
os._exit(0)
"""
    ended, written = launcher.launch(launcher.python, launcher.tree({"f.py": seen}), layers=layers)
    assert ended == Exit(code=0)
    assert json.loads(written) == [["0", "1", "2", "3", "4"], "4", False, ["file"]]


@pytest.mark.root
def test_a_slot_for_which_somebody_waits_rehearses_nothing(launcher: Launcher) -> None:
    async def prepared_bytes(awaited: bool) -> int:
        slot = SlotSpec(SandboxId(f"awaited-{awaited}"), launcher.python, "111122223333", awaited)
        sandbox = await launcher.driver.create(slot)
        used = sandbox.stats().memory_peak_bytes
        await sandbox.stop(0)
        return used

    rehearsed, hurried = (launcher.runner.run(prepared_bytes(awaited)) for awaited in (False, True))
    assert hurried + (1 << 19) < rehearsed, "a rehearsal touches memory that a fork must copy"


@pytest.mark.root
def test_a_disk_that_was_left_alone_is_the_next_sandboxs_and_no_other_is(launcher: Launcher) -> None:
    looks = launcher.tree({"bootstrap": "#!/bin/sh\ngrep ' /tmp ' /proc/self/mountinfo\nls -A /tmp\n"})
    writes = launcher.tree({"bootstrap": "#!/bin/sh\ngrep ' /tmp ' /proc/self/mountinfo\necho mine > /tmp/own\n"})
    mounted = [launcher.launch(PROVIDED, code)[1].splitlines() for code in (looks, looks, writes, looks)]
    left_alone = [lines[0].split()[2] for lines in mounted[:3]]
    assert len(set(left_alone)) == 1
    assert [lines[1:] for lines in mounted] == [[]] * 4
    assert Path(f"/sys/dev/block/{mounted[3][0].split()[2]}/loop").exists(), "it is kept while nobody has it mounted"


@pytest.mark.parametrize("size_mb", [512, 1024, 10_240])
def test_tmp_is_as_large_as_configured(launcher: Launcher, size_mb: int) -> None:
    seen = """
import json, os
size = os.statvfs("/tmp")
with open("/tmp/file", "w") as file:
    file.write("mine")
print(json.dumps([size.f_frsize * size.f_bavail >> 20, oct(os.stat("/tmp").st_mode), os.listdir("/tmp")]))
os._exit(0)
"""
    ended, written = launcher.launch(launcher.python, launcher.tree({"f.py": seen}), tmp_mb=size_mb)
    assert ended == Exit(code=0)
    available_mb, mode, there = json.loads(written)
    assert size_mb * 0.94 <= available_mb <= size_mb
    assert (mode, there) == ("0o41777", ["file"])


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"from inside")


def test_what_listens_in_a_sandbox_is_reached_and_nothing_of_the_host_by_it(launcher: Launcher) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sandbox = await launcher.driver.create(SlotSpec(SandboxId("reached"), launcher.python, "111122223333"))
        listener = Listener()
        listener.connected = Greeter  # type: ignore[method-assign]
        sandbox.attach(listener)
        with await sandbox.reach() as made:
            await loop.sock_connect(made, ("127.0.0.1", 9001))
            assert await asyncio.wait_for(loop.sock_recv(made, 64), PATIENCE_S) == b"from inside"
        with (
            socket.create_server(("127.0.0.1", 0)) as host,
            await sandbox.reach() as made,
            pytest.raises(ConnectionRefusedError),
        ):
            await loop.sock_connect(made, host.getsockname())
        await sandbox.stop(0)
        with pytest.raises(SandboxGone):
            await sandbox.reach()
        another = await launcher.driver.create(SlotSpec(SandboxId("after"), launcher.python, "111122223333"))
        await another.stop(0)  # the spawner is back in its own network, and makes sandboxes as before

    launcher.runner.run(main())
