"""A request, read into the fields of its operation's input: from path, query, headers and body, by the model.

What the model does not have is ignored, as AWS does; null is the same as absent. Only types are checked here,
constraints in `ondol.aws.validate`. Compiled for an operation when it is first used.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from ondol.aws.json_fault import find_fault
from ondol.aws.service_model import Member, Operation, ServiceModel, Shape
from ondol.aws.values import Reader, json_reader, refuse, text_reader
from ondol.model.errors import SerializationFailed
from ondol.model.foreign_json import UNREADABLE

_JSON = msgspec.json.Decoder()


class JsonReader:
    """Decoded JSON into values of the model's shapes. One per service; shapes are compiled as they are first met."""

    def __init__(self, model: ServiceModel) -> None:
        self._shapes = model.shapes
        self._compiled: dict[str, Reader] = {}

    def reader(self, name: str) -> Reader:
        """How a value of the shape `name` is read. What it returns raises `SerializationFailed` on a wrong type."""
        if name not in self._compiled:
            # Shapes may hold themselves; while one is compiled it stands for what it will become.
            self._compiled[name] = partial(self._read, name)
            self._compiled[name] = self._compile(self._shapes[name])
        return self._compiled[name]

    def _read(self, name: str, value: Any) -> Any:
        return self._compiled[name](value)

    def _compile(self, shape: Shape) -> Reader:
        match shape.type:
            case "structure":
                return self.fields(shape.members)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                return json_reader(shape)

    def fields(self, members: Mapping[str, Member]) -> Reader:
        """How an object with these fields is read: a dict named as in the model."""
        readers = [(name, member.name_on_wire or name, self.reader(member.shape)) for name, member in members.items()]

        def read(value: Any) -> dict[str, Any]:
            if isinstance(value, list):
                raise refuse(value, "a structure")
            if not isinstance(value, dict):
                raise SerializationFailed("Expected null")
            get = value.get
            return {name: read(field) for name, key, read in readers if (field := get(key)) is not None}

        return read

    def _list(self, shape: Shape) -> Reader:
        element = self.reader(shape.member.shape if shape.member else "")

        def read(value: Any) -> list[Any]:
            if isinstance(value, dict):
                raise refuse(value, "a list")
            if not isinstance(value, list):
                raise SerializationFailed("Expected list or null")
            return [None if one is None else element(one) for one in value]

        return read

    def _map(self, shape: Shape) -> Reader:
        element = self.reader(shape.value.shape if shape.value else "")

        def read(value: Any) -> dict[str, Any]:
            if isinstance(value, list):
                raise refuse(value, "a map")
            if not isinstance(value, dict):
                raise SerializationFailed("Expected map or null")
            return {key: None if one is None else element(one) for key, one in value.items()}

        return read


class RestParser:
    """One rest-json operation: where each field of its input is found."""

    def __init__(self, operation: Operation, model: ServiceModel, json: JsonReader) -> None:
        structure = model.shapes[operation.input.shape] if operation.input else Shape("structure")
        self._uri: list[tuple[str, str, Reader]] = []
        self._headers: list[tuple[str, str, Reader]] = []
        self._query: list[tuple[str, str, Callable[[list[str]], Any]]] = []
        body: dict[str, Member] = {}
        for name, member in structure.members.items():
            shape, wire = model.shapes[member.shape], member.name_on_wire or name
            if member.location == "uri":
                self._uri.append((name, wire, text_reader(shape)))
            elif member.location == "header":
                self._headers.append((name, wire.lower(), text_reader(shape)))
            elif member.location == "querystring":
                self._query.append((name, wire, _query_reader(shape, model)))
            elif name != structure.payload:
                body[name] = member
        self._body = json.fields(body) if body else None
        self._payload: tuple[str, Reader | None] | None = None
        if structure.payload is not None:
            name = structure.members[structure.payload].shape
            raw = model.shapes[name].type == "blob"
            self._payload = (structure.payload, None if raw else json.reader(name))

    def parse(
        self,
        uri: Mapping[str, str],
        query: Mapping[str, list[str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        """The input of the operation. Raises `SerializationFailed`."""
        params: dict[str, Any] = {name: read(uri[wire]) for name, wire, read in self._uri}
        for name, wire, read in self._headers:
            if (text := headers.get(wire)) is not None:
                params[name] = read(text)
        for name, wire, read_all in self._query:
            if (texts := query.get(wire)) is not None:
                params[name] = read_all(texts)
        if self._payload is not None:
            name, reader = self._payload
            if reader is None:
                params[name] = body
            elif body:
                params[name] = reader(decode_json(body))
        elif self._body is not None and body and (decoded := decode_json(body)) is not None:
            params.update(self._body(decoded))
        return params


def _query_reader(shape: Shape, model: ServiceModel) -> Callable[[list[str]], Any]:
    if shape.type != "list" or shape.member is None:
        read_one = text_reader(shape)
        return lambda texts: read_one(texts[0])
    read_element = text_reader(model.shapes[shape.member.shape])
    return lambda texts: [read_element(text) for text in texts]


def decode_json(body: bytes) -> Any:
    """A body as JSON. Raises `SerializationFailed`, saying what is wrong with it and where."""
    try:
        return _JSON.decode(body)
    except UNREADABLE as error:
        fault = find_fault(body) or str(error)
        raise SerializationFailed(f"Could not parse request body into json: {fault}") from error
