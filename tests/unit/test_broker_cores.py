"""What is decided of message brokers without one: addresses, ARNs, records, and settings of mappings."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ondol.config import ConfigError, load
from ondol.control.event_source_settings import changed_mapping, new_mapping
from ondol.control.event_sources import MappingRecord, MappingState, describe_mapping
from ondol.model.endpoint import Broker
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime
from ondol.pollers.broker_events import event_of, message_of
from ondol.pollers.sources import Kind, parse_source

ARN = "arn:aws:mq:us-east-1:000000000000:broker:My_Broker:b-1234"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"
ACCESS = [{"Type": "BASIC_AUTH", "URI": SECRET}]
FUNCTION = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "fn")


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("amqp://127.0.0.1", Broker("127.0.0.1", 5672)),
        ("amqps://host.example", Broker("host.example", 5671, tls=True)),
        ("amqp://me:p%40ss%2F@[::1]:99/", Broker("::1", 99, user="me", password="p@ss/")),
    ],
)
def test_an_address_of_a_broker_is_understood(url: str, broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "ondol.toml"
    file.write_text(f'[endpoints]\nsqs = "http://127.0.0.1:1"\n"{ARN}" = "{url}"\n')
    endpoints = load({}, {}, file).endpoints
    assert endpoints.brokers == {ARN: broker}
    assert [*endpoints.named] == ["sqs"]
    assert "p@ss" not in str(broker)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (ARN, "http://127.0.0.1:5672", "must be the address of a RabbitMQ broker"),
        (ARN, "amqp://127.0.0.1:5672/orders", "a mapping names its own"),
        ("arn:aws:sqs:us-east-1:000000000000:q", "amqp://127.0.0.1", "is for no broker"),
    ],
)
def test_other_addresses_are_refused(key: str, value: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "ondol.toml"
    file.write_text(f'[endpoints]\n"{key}" = "{value}"\n')
    with pytest.raises(ConfigError, match=words):
        load({}, {}, file)


def test_a_brokers_arn_is_a_source() -> None:
    source = parse_source(ARN)
    assert source is not None and (source.kind, source.name) == (Kind.MQ, "My_Broker")
    assert parse_source("arn:aws:mq:us-east-1:000000000000:configuration:c-1") is None


def test_a_record_has_what_amqp_has() -> None:
    properties = {
        "headers": {"when": datetime(2026, 7, 4, 15, 5, 9, tzinfo=UTC), "raw": b"\xff", "list": ["a", 1]},
        "cluster_id": "",
    }
    message = message_of(7, True, properties, b"\xff\x00")
    assert (message.tag, message.text) == (7, None)
    record = json.loads(message.body)
    assert record["basicProperties"]["headers"] == {
        "when": "Jul 4, 2026, 3:05:09 PM",
        "raw": {"bytes": [255]},
        "list": [{"bytes": [97]}, 1],
    }
    assert (record["basicProperties"]["bodySize"], record["basicProperties"]["clusterId"]) == (2, None)
    assert (record["redelivered"], record["data"]) == (True, "/wA=")
    event = json.loads(event_of(ARN, "q", "/v", [message.body, message.body]))
    assert event["eventSource"] == "aws:rmq"
    assert event["rmqMessagesByQueue"] == {"q::/v": [record, record]}


def made(**parameters: Any) -> Any:
    given = {"EventSourceArn": ARN, "Queues": ["q"], "SourceAccessConfigurations": ACCESS, **parameters}
    return new_mapping("id", FUNCTION, given)


def shown(mapping: Any) -> dict[str, Any]:
    return describe_mapping(MappingRecord(mapping, MappingState.ENABLED, True, WallTime(0)), None)


def test_a_mapping_has_awss_defaults_until_it_has_its_own() -> None:
    mapping = made()
    assert shown(mapping)["BatchSize"] == 100
    assert "MaximumBatchingWindowInSeconds" not in shown(mapping)
    assert shown(mapping)["LastProcessingResult"] == "No records processed"
    host = [*ACCESS, {"Type": "VIRTUAL_HOST", "URI": "/v"}]
    changes = {"MaximumBatchingWindowInSeconds": 0, "SourceAccessConfigurations": host, "BatchSize": 10_000}
    changed = shown(changed_mapping(mapping, changes))
    assert (changed["BatchSize"], changed["MaximumBatchingWindowInSeconds"]) == (10_000, 0)
    assert (changed["Queues"], changed["SourceAccessConfigurations"]) == (["q"], host)


@pytest.mark.parametrize(
    "parameters",
    [
        {"Queues": None},
        {"SourceAccessConfigurations": None},
        {"SourceAccessConfigurations": [{"Type": "VIRTUAL_HOST", "URI": "/"}]},
        {"SourceAccessConfigurations": [*ACCESS, *ACCESS]},
        {"SourceAccessConfigurations": [*ACCESS, {"Type": "SASL_SCRAM_256_AUTH", "URI": SECRET}]},
        {"FunctionResponseTypes": ["ReportBatchItemFailures"]},
        {"StartingPosition": "LATEST"},
        {"ScalingConfig": {"MaximumConcurrency": 2}},
        {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q"},
    ],
)
def test_what_rabbitmq_cannot_have_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValue):
        made(**parameters)
