"""An everyday round with the AWS CLI as people type it: create, wait, invoke, update, publish, alias, logs, delete."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import arn

from ondol_process import ROLE, RUNTIME, OndolProcess, package

AWS = Path(__file__).parents[2] / ".venvs" / "clients" / "bin" / "aws"

Aws = Callable[[str], Any]


@pytest.fixture
def aws(ondol: OndolProcess, tmp_path: Path) -> Aws:
    """Types a command in a directory of its own, and answers what it printed."""
    if not AWS.exists():
        pytest.fail("the AWS CLI is not set up: run .venv/bin/python tests/prepare.py")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {
        "AWS_ENDPOINT_URL": ondol.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "HOME": str(tmp_path),
    }

    def call(command: str) -> Any:
        ended = subprocess.run(
            [AWS, *command.split()], check=False, capture_output=True, text=True, cwd=tmp_path, env=inherited | own
        )
        if ended.returncode != 0:
            raise CliFailed(ended.stderr.strip())
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    return call


class CliFailed(Exception):
    """The CLI ended with an error; the text is what it said."""


def test_the_everyday_round(aws: Aws, name: str, tmp_path: Path) -> None:
    name = name[:40]
    (tmp_path / "one.zip").write_bytes(package({"m.py": "def h(event, context): print('hi'); return event"}))
    (tmp_path / "two.zip").write_bytes(package({"m.py": "def h(event, context): return context.function_version"}))

    created = aws(
        f"lambda create-function --function-name {name} --runtime {RUNTIME} --role {ROLE} --handler m.h "
        "--zip-file fileb://one.zip --environment Variables={KEY=value} --tags team=heat"
    )
    assert (created["FunctionArn"], created["State"]) == (arn(name), "Pending")
    aws(f"lambda wait function-active-v2 --function-name {name}")

    told = aws(f'lambda invoke --function-name {name} --payload {{"text":"온돌"}} --log-type Tail out.json')
    assert (told["StatusCode"], told["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((tmp_path / "out.json").read_text()) == {"text": "온돌"}
    assert told["LogResult"]

    updated = aws(f"lambda update-function-code --function-name {name} --zip-file fileb://two.zip")
    assert updated["LastUpdateStatus"] == "InProgress"
    aws(f"lambda wait function-updated-v2 --function-name {name}")

    assert aws(f"lambda publish-version --function-name {name} --description first")["Version"] == "1"
    alias = aws(f"lambda create-alias --function-name {name} --name live --function-version 1")
    assert alias["AliasArn"] == arn(name, "live")
    aws(f"lambda invoke --function-name {name}:live out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == "1"

    shown = aws(f"lambda get-function --function-name {name}")
    assert (shown["Tags"], shown["Configuration"]["Environment"]["Variables"]) == ({"team": "heat"}, {"KEY": "value"})
    listed = aws("lambda list-functions --query Functions[].FunctionName")
    assert name in listed

    filtered = aws(f"logs filter-log-events --log-group-name /aws/lambda/{name} --filter-pattern hi")
    assert [event["message"] for event in filtered["events"]] == ["hi\n"]
    stream = filtered["events"][0]["logStreamName"]
    events = aws(
        f"logs get-log-events --log-group-name /aws/lambda/{name} --log-stream-name {stream} --start-from-head"
    )
    kinds = [event["message"].split()[0] for event in events["events"]]
    assert kinds == ["INIT_START", "START", "hi", "END", "REPORT"]

    aws(f"lambda delete-function --function-name {name}")
    with pytest.raises(CliFailed) as gone:
        aws(f"lambda get-function --function-name {name}")
    text = f"when calling the GetFunction operation: Function not found: {arn(name)}"
    assert f"An error occurred (ResourceNotFoundException) {text}" in str(gone.value)
