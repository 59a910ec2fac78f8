"""The pytest plugin as somebody's tests use it: run by a pytest of their own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ondol_process import OndolProcess, create

CONFTEST = """
import io, zipfile
import pytest

@pytest.fixture
def deploy(ondol_clean):
    client = ondol_clean.client()
    def deploy(name, code):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(zipfile.ZipInfo("m.py"), code)
        client.create_function(FunctionName=name, Runtime="RUNTIME", Role="arn:aws:iam::000000000000:role/t",
                               Handler="m.h", Code={"ZipFile": content.getvalue()})
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
        return client
    return deploy
"""

TESTS = """
import json, os, subprocess, sys, time

import pytest

@pytest.mark.parametrize("number", range(3))
def test_each_begins_with_nothing(ondol_clean, deploy, number):
    client = ondol_clean.client()
    assert client.list_functions()["Functions"] == []
    deploy("same-name", f"def h(event, context): return {number}")
    assert json.loads(client.invoke(FunctionName="same-name")["Payload"].read()) == number

def test_the_run_has_one_ondol_and_it_keeps_what_nobody_resets(ondol):
    assert len(ondol.client().list_functions()["Functions"]) == 1

def test_a_reset_takes_milliseconds(ondol):
    taken = []
    for _ in range(5):
        began = time.monotonic()
        ondol.reset()
        taken.append(time.monotonic() - began)
    assert min(taken) < 0.1

def test_other_processes_find_it_by_their_environment(ondol):
    code = "import boto3; print(boto3.client('lambda').list_functions()['Functions'])"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **ondol.environ},
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "conftest.py").write_text(CONFTEST.replace("RUNTIME", f"python3.{sys.version_info.minor}"))
    (directory / "test_functions.py").write_text(TESTS)
    return directory


def run_pytest(project: Path, *, environ: Mapping[str, str] | None = None, before: tuple[str, ...] = ()) -> str:
    """What pytest printed about the project's tests."""
    # Named, not found by its entry point, so that it is this tree's that is tested.
    command = [*before, sys.executable, "-m", "pytest", "-p", "ondol.testing.pytest_plugin", "-p", "no:cacheprovider"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONDOL_", "PYTEST_"))}
    environment = {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environ or {})}
    done = subprocess.run(
        [*command, "-rsfE"], cwd=project, env=environment, check=False, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def summary(output: str) -> str:
    """`3 passed, 1 skipped`"""
    found = re.search(r"=+ (.*) in [\d.]+s", output.splitlines()[-1])
    assert found is not None, output
    return found[1]


def test_a_run_starts_one_empties_it_and_leaves_nothing_behind(project: Path, tmp_path: Path) -> None:
    output = run_pytest(project, environ={"TMPDIR": str(tmp_path)})
    assert summary(output) == "6 passed", output
    assert list(tmp_path.glob("ondol-*")) == []
    remains = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert str(tmp_path) not in remains


def test_an_ondol_that_runs_already_is_used_and_emptied(
    project: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with OndolProcess(tmp_path_factory.mktemp("plugin") / "data") as own:
        create(own.client(), "left-over", "def h(event, context): return 1")
        output = run_pytest(project, environ={"ONDOL_ENDPOINT": own.endpoint})
        assert summary(output) == "6 passed", output
        assert f"ondol: {own.endpoint} (from ONDOL_ENDPOINT; ondol_clean deletes what is in it)" in output
        assert own.client().list_functions()["Functions"] == []


def test_a_wrong_endpoint_is_said(project: Path) -> None:
    output = run_pytest(project, environ={"ONDOL_ENDPOINT": "http://127.0.0.1:9"})
    assert "ONDOL_ENDPOINT is set to http://127.0.0.1:9: Nothing answers at http://127.0.0.1:9." in output
    assert summary(output) == "6 errors"


def test_where_functions_cannot_run_tests_are_skipped_with_the_reason(project: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare is not None, "unshare is part of util-linux"
    powerless = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    output = run_pytest(project, before=(unshare, "--user", "--map-root-user", "sh", "-c", powerless, "sh"))
    assert summary(output) == "6 skipped", output
    assert "ondol cannot run functions here: Functions cannot run here:" in output
