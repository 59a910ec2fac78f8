"""Messages of RabbitMQ as functions get them: pure.

Source: developer guide, "Using Lambda with Amazon MQ", whose examples are what AWS's client in Java makes of them.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec


class BrokerMessage(msgspec.Struct, frozen=True, gc=False):
    tag: int
    """By which it is acknowledged, on the connection that it came by."""

    record: dict[str, Any]
    text: str | None
    """What was sent, if that is text."""

    body: bytes
    """The record as JSON."""


def message_of(tag: int, redelivered: bool, properties: Mapping[str, Any], sent: bytes) -> BrokerMessage:
    """`properties` by the names that AMQP has for them, with dashes as underscores."""
    record = {
        "basicProperties": {
            "contentType": properties.get("content_type"),
            "contentEncoding": properties.get("content_encoding"),
            "headers": _shown(properties.get("headers")),
            "deliveryMode": properties.get("delivery_mode"),
            "priority": properties.get("priority"),
            "correlationId": properties.get("correlation_id"),
            "replyTo": properties.get("reply_to"),
            "expiration": properties.get("expiration"),
            "messageId": properties.get("message_id"),
            "timestamp": _shown(properties.get("timestamp")),
            "type": properties.get("message_type"),
            "userId": properties.get("user_id"),
            "appId": properties.get("app_id"),
            "clusterId": properties.get("cluster_id") or None,
            "bodySize": len(sent),
        },
        "redelivered": redelivered,
        "data": base64.b64encode(sent).decode(),
    }
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        text = None
    return BrokerMessage(tag, record, text, msgspec.json.encode(record))


def event_of(source: str, queue: str, virtual_host: str, bodies: Sequence[bytes]) -> bytes:
    """The payload that a function gets: records that are JSON already."""
    frame = {
        "eventSource": "aws:rmq",
        "eventSourceArn": source,
        "rmqMessagesByQueue": {f"{queue}::{virtual_host}": msgspec.Raw(b"[" + b",".join(bodies) + b"]")},
    }
    return msgspec.json.encode(frame)


def _shown(value: Any) -> Any:
    """Java's client knows texts in headers as bytes, and writes moments as its locale has them."""
    match value:
        case str():
            return {"bytes": list(value.encode())}
        case bytes() | bytearray():
            return {"bytes": list(value)}
        case datetime():
            hour = value.hour % 12 or 12
            return f"{value:%b} {value.day}, {value.year}, {hour}:{value:%M:%S %p}"
        case Mapping():
            return {str(name): _shown(item) for name, item in value.items()}
        case list() | tuple():
            return [_shown(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)
