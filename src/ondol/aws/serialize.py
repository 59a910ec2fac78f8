"""The result of an operation, written as AWS would: status, headers, body, by the model.

A field that is None or not given is absent on the wire. A field that the model does not have is a bug of the
service that gave it: `InvariantError`. Compiled for an operation when it is first used.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from ondol.aws.service_model import Operation, ServiceModel, Shape
from ondol.aws.values import json_writer
from ondol.model.errors import InvariantError

Writer = Callable[[Any], Any]

_NO_CONTENT = 204

_ENCODE = msgspec.json.Encoder().encode


class JsonWriter:
    """Values of the model's shapes into what JSON can say. One per service, compiled as shapes are first met."""

    def __init__(self, model: ServiceModel) -> None:
        self._shapes = model.shapes
        self._compiled: dict[str, Writer | None] = {}

    def writer(self, name: str) -> Writer | None:
        """How a value of the shape `name` is written; None where it is written as it is."""
        if name not in self._compiled:
            # Shapes may hold themselves; while one is compiled it stands for what it will become.
            self._compiled[name] = partial(self._write, name)
            self._compiled[name] = self._compile(name, self._shapes[name])
        return self._compiled[name]

    def _write(self, name: str, value: Any) -> Any:
        writer = self._compiled[name]
        return value if writer is None else writer(value)

    def _compile(self, name: str, shape: Shape) -> Writer | None:
        match shape.type:
            case "structure":
                return self.fields(name, shape.members)
            case "list":
                return _each_element(self.writer(shape.member.shape if shape.member else ""))
            case "map":
                return _each_value(self.writer(shape.value.shape if shape.value else ""))
            case _:
                return json_writer(shape)

    def fields(self, name: str, members: Iterable[str]) -> Writer:
        """How an object of the structure `name` is written, with those of its fields that `members` has."""
        known = {key: self._shapes[name].members[key] for key in members}
        writers = {key: (member.name_on_wire or key, self.writer(member.shape)) for key, member in known.items()}

        def write(value: Mapping[str, Any]) -> dict[str, Any]:
            written: dict[str, Any] = {}
            for key, field in value.items():
                if field is None:
                    continue
                try:
                    wire, writer = writers[key]
                except KeyError as error:
                    raise InvariantError(f"{name} has no field {key!r}") from error
                written[wire] = field if writer is None else writer(field)
            return written

        return write


def _each_element(write: Writer | None) -> Writer | None:
    return None if write is None else lambda value: [write(element) for element in value]


def _each_value(write: Writer | None) -> Writer | None:
    return None if write is None else lambda value: {key: write(element) for key, element in value.items()}


class RestSerializer:
    """One rest-json operation: where each field of its output goes."""

    def __init__(self, operation: Operation, model: ServiceModel, json: JsonWriter) -> None:
        self._status = operation.http.status
        self._status_field: str | None = None
        self._headers: dict[str, str] = {}
        self._payload: str | None = None
        self._write: Writer | None = None
        if operation.output is None:
            return
        name = operation.output.shape
        structure = model.shapes[name]
        body: list[str] = []
        for key, member in structure.members.items():
            if member.location == "statusCode":
                self._status_field = key
            elif member.location == "header":
                self._headers[key] = member.name_on_wire or key
            elif key != structure.payload:
                body.append(key)
        if structure.payload is None:
            self._write = json.fields(name, body)
        else:
            self._payload = structure.payload

    def serialize(self, result: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Status, the headers that carry fields, and the body. Raises `InvariantError` for an unknown field."""
        status, payload = self._status, b""
        headers: dict[str, str] = {}
        body: dict[str, Any] = {}
        for key, field in result.items():
            if field is None:
                continue
            if key in self._headers:
                headers[self._headers[key]] = str(field)
            elif key == self._status_field:
                status = field
            elif key == self._payload:
                payload = field
            else:
                body[key] = field
        if self._write is None:
            if body:
                raise InvariantError(f"no field of the output: {', '.join(body)}")
            return status, headers, payload
        written = self._write(body)
        return status, headers, b"" if status == _NO_CONTENT else _ENCODE(written)
