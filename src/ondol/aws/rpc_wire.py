"""A service of the JSON 1.1 protocol as its clients see it, by its model: see `ondol.aws.wire`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ondol.aws.errors import Errors
from ondol.aws.parse import JsonReader, decode_json
from ondol.aws.reply import JSON_RPC, WireReply
from ondol.aws.routes import Match
from ondol.aws.serialize import JsonWriter
from ondol.aws.service_model import load
from ondol.aws.validate import Validator
from ondol.model.errors import CallerError, ValidationFailed


class RpcWire:
    """Breaks of a constraint are `refusal`."""

    def __init__(self, service: str, version: str, refusal: type[CallerError] = ValidationFailed) -> None:
        self._model = load(service, version)
        self._validator = Validator(self._model, refusal)
        self._errors = Errors(self._model, rpc=True)
        self._reader = JsonReader(self._model)
        self._writer = JsonWriter(self._model)
        self._prefix = f"{self._model.metadata.target_prefix}."

    @property
    def operations(self) -> frozenset[str]:
        """Every operation that the model has, whether ondol serves it or not."""
        return frozenset(self._model.operations)

    def match(self, target: str | None) -> Match | None:
        """Which operation an X-Amz-Target header addresses."""
        if target is None or not target.startswith(self._prefix):
            return None
        name = target.removeprefix(self._prefix)
        return Match(name) if name in self._model.operations else None

    def parse(self, match: Match, body: bytes) -> dict[str, Any]:
        """The input of the operation. Raises `SerializationFailed` and `InvalidParameter`."""
        structure = self._model.operations[match.operation].input
        if structure is None:
            return {}
        params: dict[str, Any] = self._reader.reader(structure.shape)(decode_json(body) if body else {})
        self._validator.check(structure.shape, params)
        return params

    def reply(self, operation: str, result: Mapping[str, Any], request_id: str) -> WireReply:
        """The answer to an operation that succeeded. Raises `InvariantError` for a field that the model lacks."""
        output = self._model.operations[operation].output
        headers = {"Content-Type": JSON_RPC, "x-amzn-RequestId": request_id}
        if output is None:
            return WireReply(200, headers, b"")
        write = self._writer.writer(output.shape)
        return WireReply(200, headers, msgspec.json.encode(result if write is None else write(result)))

    def failure(self, error: Exception, request_id: str) -> WireReply:
        """The answer to a request that ended in `error`, whatever that is."""
        return self._errors.reply(error, request_id)
