"""Sample events: each is what its service hands over, and can be changed member by member."""

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import ondol.cli
from ondol.cli.failure import CommandFailed
from ondol.cli.main import main
from ondol.cli.samples import SAMPLES, sample


def test_every_sample_is_listed_and_every_listed_one_is_there() -> None:
    directory = Path(ondol.cli.__file__).with_name("events")
    assert sorted(path.stem for path in directory.iterdir()) == sorted(SAMPLES)
    assert all(isinstance(sample(name), dict) for name in SAMPLES)


SOURCES = {
    "dynamodb-update": ("eventSource", "aws:dynamodb"),
    "kinesis": ("eventSource", "aws:kinesis"),
    "s3-delete": ("eventName", "ObjectRemoved:Delete"),
    "s3-put": ("eventName", "ObjectCreated:Put"),
    "ses": ("eventSource", "aws:ses"),
    "sns": ("EventSource", "aws:sns"),
    "sqs": ("eventSource", "aws:sqs"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_records_name_their_source(name: str) -> None:
    member, value = SOURCES[name]
    assert [record[member] for record in sample(name)["Records"]] == [value]


def test_what_is_encoded_can_be_decoded() -> None:
    logs = json.loads(gzip.decompress(base64.b64decode(sample("cloudwatch-logs")["awslogs"]["data"])))
    assert logs["messageType"] == "DATA_MESSAGE" and logs["logEvents"][0]["message"]
    record = sample("kinesis")["Records"][0]["kinesis"]
    assert json.loads(base64.b64decode(record["data"])) == {"room": 7, "celsius": 21.5}
    message = sample("sqs")["Records"][0]
    assert message["md5OfBody"] == hashlib.md5(message["body"].encode()).hexdigest()


def test_requests_have_the_members_of_their_payload_format() -> None:
    first, second, balancer = sample("api-gateway-v1"), sample("api-gateway-v2"), sample("alb")
    assert first["httpMethod"] == first["requestContext"]["httpMethod"]
    assert first["multiValueHeaders"].keys() == first["headers"].keys()
    assert second["version"] == "2.0" and second["requestContext"]["http"]["method"] in second["routeKey"]
    assert set(balancer["requestContext"]) == {"elb"}


@pytest.mark.parametrize(
    ("setting", "where", "value"),
    [
        ("Records.0.s3.object.key=a b.txt", ("s3", "object", "key"), "a b.txt"),
        ("Records.0.s3.object.size=7", ("s3", "object", "size"), 7),
        ("Records.0.eventVersion=3", ("eventVersion",), "3"),
        ('Records.0.s3.object={"key": "x"}', ("s3", "object"), {"key": "x"}),
        ("Records.0.s3.bucket.new=words", ("s3", "bucket", "new"), "words"),
        ("Records.0.requestParameters.with\\.dot=a=b", ("requestParameters", "with.dot"), "a=b"),
    ],
)
def test_a_member_is_set(setting: str, where: tuple[str, ...], value: Any) -> None:
    found = sample("s3-put", [setting])["Records"][0]
    for key in where:
        found = found[key]
    assert found == value
    assert sample("s3-put") != sample("s3-put", [setting])


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("s3-puts", "a=b", "there are: alb"),
        ("s3-put", "Records", "must be PATH=VALUE"),
        ("s3-put", "Records.1.s3=1", "there is no '1' here; there is: 0"),
        ("s3-put", "Records.0.s4.object=1", "'s4' here; there is: eventVersion"),
        ("s3-put", "Records.0.awsRegion.x.y=1", "there is: nothing"),
        ("s3-put", "Records.first=1", "there is no 'first'"),
    ],
)
def test_what_cannot_be_set_is_said(name: str, setting: str, words: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        sample(name, [setting])
    assert words in str(refused.value)
    assert refused.value.exit_code == 2


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ondol", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_lists_and_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "event") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAME", *SAMPLES]
    assert run(monkeypatch, "event", "sqs", "--set", "Records.0.body=hello") == 0
    assert json.loads(capsys.readouterr().out) == sample("sqs", ["Records.0.body=hello"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{}", "--event", "sqs"], "Give a payload or --event, not both."),
        (["--set", "a=b"], "--set changes a sample event"),
    ],
)
def test_invoke_says_what_does_not_go_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(monkeypatch, "invoke", "fn", *arguments) == 2
    assert words in capsys.readouterr().err
