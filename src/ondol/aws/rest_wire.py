"""A service of the rest-json protocol as its clients see it, by its model: see `ondol.aws.wire`."""

from collections.abc import Mapping
from typing import Any

from ondol.aws.errors import Errors
from ondol.aws.parse import JsonReader, RestParser
from ondol.aws.reply import JSON, WireReply
from ondol.aws.routes import Match, Routes
from ondol.aws.serialize import JsonWriter, RestSerializer
from ondol.aws.service_model import load
from ondol.aws.validate import Validator


class RestWire:
    def __init__(self, service: str, version: str) -> None:
        self._model = load(service, version)
        self._routes = Routes(self._model.operations.values())
        self._validator = Validator(self._model)
        self._errors = Errors(self._model, rpc=False)
        self._reader = JsonReader(self._model)
        self._writer = JsonWriter(self._model)
        self._parsers: dict[str, RestParser] = {}
        self._serializers: dict[str, RestSerializer] = {}

    @property
    def operations(self) -> frozenset[str]:
        """Every operation that the model has, whether ondol serves it or not."""
        return frozenset(self._model.operations)

    def match(self, method: str, path: str, query: str = "") -> Match | None:
        """Which operation is addressed; `path` and `query` as they came, percent-encoded."""
        return self._routes.match(method, path, query)

    def parse(self, match: Match, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The input of the operation, named as in the model; header names in lower case.

        Raises `SerializationFailed` and `ValidationFailed`. Not for large bodies on the event loop: base64 and JSON
        take about 2 ms per MB.
        """
        operation = self._model.operations[match.operation]
        parser = self._parsers.get(match.operation)
        if parser is None:
            parser = self._parsers[match.operation] = RestParser(operation, self._model, self._reader)
        params = parser.parse(match.uri, match.query, headers, body)
        if operation.input is not None:
            self._validator.check(operation.input.shape, params)
        return params

    def reply(self, operation: str, result: Mapping[str, Any], request_id: str) -> WireReply:
        """The answer to an operation that succeeded. Raises `InvariantError` for a field that the model lacks."""
        serializer = self._serializers.get(operation)
        if serializer is None:
            modelled = self._model.operations[operation]
            serializer = self._serializers[operation] = RestSerializer(modelled, self._model, self._writer)
        status, headers, body = serializer.serialize(result)
        told = {"x-amzn-RequestId": request_id, **headers}
        if body:
            told = {"Content-Type": JSON, **told}
        return WireReply(status, told, body)

    def failure(self, error: Exception, request_id: str) -> WireReply:
        """The answer to a request that ended in `error`, whatever that is."""
        return self._errors.reply(error, request_id)
