"""Code from a folder of this machine, live as soon as it is saved: the convention of local AWS tools, and its fence."""

import base64
import hashlib
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invalid, invoke, refusal

from ondol_process import ROLE, RUNTIME, OndolProcess, create, package

WITHIN_S = 10
"""How long a change is waited for before it counts as lost; the promise is below 0.5 s."""


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("allowed")


@pytest.fixture(scope="module")
def reloading(allowed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    directory = tmp_path_factory.mktemp("reloading")
    with OndolProcess(directory / "data", {"CODE_FOLDERS": str(allowed)}) as process:
        yield process


@pytest.fixture
def folder(allowed: Path, name: str) -> Path:
    made = allowed / name
    made.mkdir()
    say(made, "first")
    return made


def say(folder: Path, text: str) -> None:
    (folder / "m.py").write_text(f"def h(event, context):\n    return {text!r}\n")


def source(folder: Path) -> dict[str, str]:
    return {"S3Bucket": "hot-reload", "S3Key": str(folder)}


def create_from(client: Any, name: str, folder: Path, **settings: Any) -> dict[str, Any]:
    return create(client, name, {}, Code=source(folder), **settings)


def until(wanted: Any, found: Callable[[], Any]) -> float:
    """Wait until this is found; how long that took, in seconds."""
    began = time.monotonic()
    while (last := found()) != wanted:
        assert time.monotonic() - began < WITHIN_S, last
    return time.monotonic() - began


def settle(client: Any, name: str) -> dict[str, Any]:
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
    found: dict[str, Any] = client.get_function(FunctionName=name)
    return found


def test_a_save_is_live_at_once(reloading: OndolProcess, folder: Path, name: str) -> None:
    client = reloading.client()
    created = create_from(client, name, folder)
    assert invoke(client, name)[1] == "first"
    taken = []
    for number in range(5):
        say(folder, f"save {number}")
        taken.append(until(f"save {number}", lambda: invoke(client, name)[1]))
    assert min(taken) < 0.5, taken
    found = settle(client, name)
    with urllib.request.urlopen(found["Code"]["Location"]) as download:
        content = download.read()
    configuration = found["Configuration"]
    assert configuration["CodeSize"] == len(content)
    assert configuration["CodeSha256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert configuration["CodeSha256"] != created["CodeSha256"]
    assert configuration["RevisionId"] != created["RevisionId"]


def test_files_below_and_new_directories_count(reloading: OndolProcess, folder: Path, name: str) -> None:
    client = reloading.client()
    (folder / "m.py").write_text(
        "import os\ndef h(event, context):\n    return sorted(os.listdir('lib')) if os.path.isdir('lib') else None\n"
    )
    create_from(client, name, folder)
    assert invoke(client, name)[1] is None
    (folder / "lib").mkdir()
    (folder / "lib" / "one").write_text("1")
    until(["one"], lambda: invoke(client, name)[1])
    (folder / "lib" / "two").write_text("2")
    until(["one", "two"], lambda: invoke(client, name)[1])
    (folder / "lib" / "one").unlink()
    until(["two"], lambda: invoke(client, name)[1])


def test_it_survives_a_restart_and_takes_what_was_saved_meanwhile(allowed: Path, tmp_path: Path, name: str) -> None:
    folder = allowed / name
    folder.mkdir()
    say(folder, "before")
    with OndolProcess(tmp_path / "data", {"CODE_FOLDERS": str(allowed)}) as process:
        create_from(process.client(), name, folder)
        process.kill()
        say(folder, "meanwhile")
        process.start()
        until("meanwhile", lambda: invoke(process.client(), name)[1])
        say(folder, "after")
        until("after", lambda: invoke(process.client(), name)[1])


def test_a_folder_that_goes_leaves_the_last_code_and_is_found_again(
    reloading: OndolProcess, folder: Path, name: str
) -> None:
    client = reloading.client()
    create_from(client, name, folder)
    shutil.rmtree(folder)
    until(True, lambda: f"{name}, whose code is {folder}: {folder} is not a directory" in reloading.complaints())
    assert invoke(client, name)[1] == "first"
    folder.mkdir()
    say(folder, "again")
    until("again", lambda: invoke(client, name)[1])
    # As a build does it: a new directory takes the place of the old one.
    shutil.copytree(folder, built := folder.with_name(f"{name}-new"))
    say(built, "swapped")
    folder.rename(folder.with_name(f"{name}-old"))
    built.rename(folder)
    until("swapped", lambda: invoke(client, name)[1])


def test_updates_choose_and_leave_a_folder(reloading: OndolProcess, folder: Path, name: str) -> None:
    client = reloading.client()
    create(client, name, "def h(event, context): return 'zip'")
    client.update_function_code(FunctionName=name, **source(folder))
    settle(client, name)
    assert invoke(client, name)[1] == "first"
    number = client.publish_version(FunctionName=name)["Version"]
    say(folder, "second")
    until("second", lambda: invoke(client, name)[1])
    assert invoke(client, name, Qualifier=number)[1] == "first"
    settle(client, name)
    client.update_function_configuration(FunctionName=name, MemorySize=256)
    settle(client, name)
    say(folder, "third")
    until("third", lambda: invoke(client, name)[1])
    settle(client, name)
    client.update_function_code(FunctionName=name, ZipFile=package({"m.py": "def h(event, context): return 'zip'"}))
    digest = settle(client, name)["Configuration"]["CodeSha256"]
    say(folder, "unheard")
    other = f"{name[:50]}-other"
    create_from(client, other, folder)  # by the time that it runs, the change has been heard
    assert invoke(client, other)[1] == "unheard"
    assert settle(client, name)["Configuration"]["CodeSha256"] == digest
    assert invoke(client, name)[1] == "zip"


def test_outside_of_what_is_allowed_it_is_refused_with_the_flag(
    reloading: OndolProcess, client: Any, allowed: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    (link := folder / "out").symlink_to(tmp_path)
    say(tmp_path, "outside")

    def refused(client: Any, path: str) -> Any:
        code = {"S3Bucket": "hot-reload", "S3Key": path}
        settings = {"Runtime": RUNTIME, "Role": ROLE, "Handler": "m.h"}
        return refusal(lambda: client.create_function(FunctionName=name, Code=code, **settings))

    def named(path: str) -> str:
        return (
            f"{path} is below no folder that functions may be reloaded from: start ondol with --hot-reload {path}, "
            "or name it in [code] folders of ondol.toml."
        )

    inside = reloading.client()
    for path in (str(tmp_path), "/etc", f"{allowed}/../etc", str(link), f"{allowed}-not", "/no/such/directory"):
        assert refused(inside, path) == invalid(named(path))
    assert refused(client, str(folder)) == invalid(named(str(folder)))  # an ondol that allows nothing
    assert refused(inside, "relative") == invalid(
        "The S3Key of a hot-reload function must be an absolute directory, not 'relative'."
    )
    gone = f"{allowed}/never-made"
    assert refused(inside, gone) == invalid(f"{gone} is not a directory that is there.")


def test_links_are_followed_inside_and_never_out(
    reloading: OndolProcess, allowed: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    (secret := tmp_path / "secret").write_text("secret")
    (allowed / f"{name}-shared").mkdir()
    (allowed / f"{name}-shared" / "text").write_text("shared")
    (folder / "shared").symlink_to(f"../{name}-shared")
    (folder / "circle").symlink_to(".")
    (folder / "file").symlink_to(secret)
    (folder / "climbing").symlink_to(os.path.relpath(secret, folder))
    (folder / "directory").symlink_to(tmp_path)
    (folder / "host").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "m.py").write_text(
        "import os\ndef h(event, context):\n"
        "    return sorted(os.path.join(top, file) for top, _, files in os.walk('.') for file in files)\n"
    )
    client = reloading.client()
    create_from(client, name, folder)
    assert invoke(client, name)[1] == ["./m.py", "./shared/text"]
    until(True, lambda: f"they lead out of {allowed}: climbing, directory, file, host." in reloading.complaints())
