"""`ondol dev` as a person uses it: real saves, a real ondol, and what is seen on the terminal."""

import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from ondol.cli.client import Client
from ondol_process import ONDOL, RUNTIME, OndolProcess

DEV = ("env", "--default-signal=INT", ONDOL, "dev")
"""As a terminal starts it: a shell's background leaves Ctrl-C ignored."""


class Dev:
    """An `ondol dev --json` over a directory."""

    def __init__(self, ondol: OndolProcess, directory: Path, name: str, *more: str) -> None:
        self.directory = directory
        command = [*DEV, directory, "--name", name, "--endpoint", ondol.endpoint, "--json", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def save(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def next(self, kind: str, **members: Any) -> dict[str, Any]:
        """Wait for the next event of this kind that has these members."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["event"] == kind and members.items() <= event.items():
                return event
        raise AssertionError(f"ondol dev ended with {self.process.wait()}")

    def end(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "fn"
    directory.mkdir()
    (directory / "app.py").write_text("def handler(event, context): return 'first'\n")
    return directory


@pytest.fixture
def dev(ondol: OndolProcess, directory: Path, name: str) -> Iterator[Dev]:
    dev = Dev(ondol, directory, name, "--runtime", RUNTIME, "--env", "STAGE=dev")
    # Whoever waits for what never comes sees the stream end, and fails.
    watchdog = threading.Timer(120, dev.process.kill)
    watchdog.start()
    yield dev
    watchdog.cancel()
    if dev.process.poll() is None:
        dev.end()


def test_a_save_is_deployed_runs_and_is_seen_in_the_log(dev: Dev, client: Any, name: str) -> None:
    first = dev.next("deployed")
    assert (first["function"], first["created"], first["files"]) == (name, True, [])
    assert invoke(client, name)[1] == "first"
    source = "import os\ndef handler(event, context):\n    print('hi from', os.environ['STAGE'])\n    return 'second'\n"
    dev.save("app.py", source)
    second = dev.next("deployed")
    assert (second["created"], second["files"]) == (False, ["app.py"])
    # What is said to be deployed is what runs.
    assert invoke(client, name)[1] == "second"
    assert dev.next("log", message="hi from dev\n")["logStreamName"]
    assert dev.end() == 0
    assert client.get_function_configuration(FunctionName=name)["State"] == "Active"


def test_what_cannot_be_compiled_is_shown_and_not_deployed(dev: Dev, client: Any, name: str) -> None:
    dev.next("deployed")
    dev.save("other.py", "VALUE = (\n")
    fault = dev.next("broken")
    assert (Path(fault["file"]).name, fault["line"]) == ("other.py", 1)
    assert "was never closed" in fault["message"]
    dev.save("app.py", "from other import VALUE\ndef handler(event, context): return VALUE\n")
    assert Path(dev.next("broken")["file"]).name == "other.py"
    assert invoke(client, name)[1] == "first"
    dev.save("other.py", "VALUE = 3\n")
    dev.next("deployed")
    assert invoke(client, name)[1] == 3


def test_only_what_belongs_to_the_package_is_deployed(dev: Dev, directory: Path) -> None:
    dev.next("deployed")
    for junk in ("__pycache__", ".git", ".venv"):
        (directory / junk).mkdir()
        (directory / junk / "x.py").write_text("broken (")
    dev.save(".app.py.swp", "x")
    dev.save("app.py", "def handler(event, context): return 2\n")
    assert dev.next("deployed")["files"] == ["app.py"]
    # The same content again is no new version.
    dev.save("app.py", "def handler(event, context): return 2\n")
    dev.save("data.json", "{}")
    assert "data.json" in dev.next("deployed")["files"]


def test_files_in_new_directories_and_removed_ones(dev: Dev, directory: Path, client: Any, name: str) -> None:
    dev.next("deployed")
    (directory / "lib").mkdir()
    for number in range(20):
        dev.save(f"lib/part{number}.py", f"VALUE = {number}\n")
    dev.save("app.py", "import os\ndef handler(event, context): return len(os.listdir('/var/task/lib'))\n")
    while invoke(client, name)[1] != 20:
        dev.next("deployed")
    (directory / "lib" / "part0.py").unlink()
    dev.next("deployed")
    assert invoke(client, name)[1] == 19


def test_a_function_that_was_deleted_meanwhile_is_made_again(dev: Dev, client: Any, name: str) -> None:
    dev.next("deployed")
    client.delete_function(FunctionName=name)
    dev.save("app.py", "def handler(event, context): return 'again'\n")
    assert dev.next("deployed")["created"] is True
    assert invoke(client, name)[1] == "again"


def test_from_save_to_redeployed_in_half_a_second(dev: Dev) -> None:
    dev.next("deployed")
    taken = []
    for number in range(7):
        began = time.monotonic()
        dev.save("app.py", f"def handler(event, context): return {number}\n")
        dev.next("deployed")
        taken.append(time.monotonic() - began)
    # The quickest: the machine may have other things to do besides.
    assert min(taken) < 0.5


def test_the_terminal_shows_errors_with_their_source(
    ondol: OndolProcess, directory: Path, client: Any, name: str
) -> None:
    (directory / "app.py").write_text("def handler(event, context):\n    return event['missing']\n")
    ours, theirs = pty.openpty()
    command = [*DEV, directory, "--name", name, "--endpoint", ondol.endpoint, "--runtime", RUNTIME]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""

    def until(text: str) -> None:
        nonlocal shown
        while text.encode() not in shown:
            shown += os.read(ours, 65536)

    try:
        until(f"{name} stays.")
        invoke(client, name, {})
        until("REPORT RequestId")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    text = shown.decode()
    assert f"\033[32mCreated {name} in " in text
    assert f'\033[36m  File "{directory}/app.py", line 2, in handler\033[0m' in text
    assert "\033[33m\033[1m    return event['missing']\033[0m" in text


def test_output_into_a_file_has_no_colours(ondol: OndolProcess, directory: Path, name: str) -> None:
    (directory / "app.py").write_text("def handler(\n")
    command = [*DEV, directory, "--name", name, "--endpoint", ondol.endpoint, "--runtime", RUNTIME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
    assert lines[0].startswith(f"{directory}/app.py:1: SyntaxError: '(' was never closed")
    assert lines[-1] == "Not deployed until this is mended.\n"
    assert "\033" not in "".join(lines)


def test_without_an_ondol_it_says_how_to_start_one(directory: Path) -> None:
    command = [*DEV, directory, "--endpoint", "http://127.0.0.1:9"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Nothing answers at http://127.0.0.1:9. Start ondol with: ondol up ")


def test_invoke_with_a_sample_event(ondol: OndolProcess, client: Any, directory: Path, name: str) -> None:
    (directory / "app.py").write_text(
        "def handler(event, context): return event['Records'][0]['s3']['object']['key']\n"
    )

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ONDOL, *command, "--endpoint", ondol.endpoint], check=True, capture_output=True, text=True
        )

    run("deploy", directory, "--name", name, "--runtime", RUNTIME)
    assert json.loads(run("invoke", name, "--event", "s3-put").stdout) == "2026/01/kitchen.csv"
    changed = run("invoke", name, "--event", "s3-put", "--set", "Records.0.s3.object.key=a.txt")
    assert json.loads(changed.stdout) == "a.txt"
    assert Client(ondol.endpoint).configuration(name)["State"] == "Active"
