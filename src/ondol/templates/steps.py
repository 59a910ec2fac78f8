"""The steps by which a template is made so. Each can be done again: it makes what is not there, and changes what is.

Members are those of AWS's operations; a value may have parts that only an earlier step tells (`Attribute`).
"""

import enum
from pathlib import PurePath
from typing import Any

import msgspec

from ondol.templates.values import Text


class Kind(enum.StrEnum):
    """What a step makes. In this order: what is not told otherwise comes before what may need it."""

    TABLE = "table"
    QUEUE = "queue"
    TOPIC = "topic"
    BUCKET = "bucket"
    STREAM = "stream"
    BUS = "event bus"
    LAYER = "layer"
    FUNCTION = "function"
    ALIAS = "alias"
    PROVISIONED = "provisioned concurrency"
    EVENT_INVOKE = "event invoke configuration"
    URL = "function URL"
    API = "HTTP API"
    PERMISSION = "permission"
    MAPPING = "event source mapping"
    RULE = "rule"
    SCHEDULE = "schedule"
    NOTIFICATION = "notifications of bucket"
    SUBSCRIPTION = "subscription"


ORDER = {kind: number for number, kind in enumerate(Kind)}


class Folder(msgspec.Struct, frozen=True):
    """Code in a directory or a zip file; relative to the template."""

    path: PurePath
    within: str = ""
    """Where in the package it goes: a layer that is built has Python's modules in `python`."""

    build: bool = False
    """Install its requirements.txt, if it has one."""


class Inline(msgspec.Struct, frozen=True):
    """Code that stands in the template."""

    text: Text


class StoredCode(msgspec.Struct, frozen=True):
    """Code in S3, as the members of CreateFunction's `Code` or PublishLayerVersion's `Content`."""

    members: dict[str, Any]


Code = Folder | Inline | StoredCode


class Step(msgspec.Struct, frozen=True):
    id: str
    """The resource's logical name, or of several that one resource makes a longer one."""

    kind: Kind
    name: Text
    """By which whoever has it knows it: a function, `function:alias`, a queue."""

    members: dict[str, Any]
    line: int
    code: Code | None = None
    tags: dict[str, Any] = {}
    reserved: int | None = None
    """A function's reserved concurrency."""

    after: frozenset[str] = frozenset()
    """Resources that must be there before, beside those whose attributes it has."""

    retain: bool = False
    """It stays when it leaves the template."""
