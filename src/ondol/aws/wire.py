"""The two services as their clients see them: the door of `ondol.aws`.

```
 match   ─▶ which operation              None: the model has no such path or target
 parse   ─▶ its input, read and valid    raises CallerError
 reply   ─▶ its result, framed
 failure ─▶ an error, framed
```
Everything is compiled from the service model when it is first used, per operation.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from ondol.aws.errors import Errors
from ondol.aws.identity import Caller
from ondol.aws.invoke import (
    CONTEXT_HEADER,
    DURABLE_HEADER,
    LOG_HEADER,
    OPERATION,
    TAILS,
    TENANT_HEADER,
    TYPE_HEADER,
    TYPES,
    InvocationType,
    InvokeParameters,
    check_client_context,
)
from ondol.aws.names import resolve_function
from ondol.aws.parse import JsonReader, RestParser, decode_json
from ondol.aws.reply import JSON, JSON_RPC, WireReply
from ondol.aws.routes import Match, Routes
from ondol.aws.runtime_names import RUNTIME_SHAPE, RuntimeNames
from ondol.aws.serialize import JsonWriter, RestSerializer
from ondol.aws.service_model import load
from ondol.aws.validate import Validator
from ondol.model.errors import InvalidParameter, InvariantError
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region


class LambdaWire:
    """AWS Lambda, 2015-03-31, rest-json."""

    def __init__(self) -> None:
        self._model = load("lambda", "2015-03-31")
        self._routes = Routes(self._model.operations.values())
        self._validator = Validator(self._model)
        self._runtimes = RuntimeNames(self._model)
        self._errors = Errors(self._model, rpc=False)
        self._reader = JsonReader(self._model)
        self._writer = JsonWriter(self._model)
        self._parsers: dict[str, RestParser] = {}
        self._serializers: dict[str, RestSerializer] = {}
        self._invoked = lru_cache(maxsize=8192)(self._resolve_invoked)

    @property
    def operations(self) -> frozenset[str]:
        """Every operation that the model has, whether ondol serves it or not."""
        return frozenset(self._model.operations)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes that a function may name, in AWS's order."""
        return self._runtimes.accepted

    def match(self, method: str, path: str, query: str = "") -> Match | None:
        """Which operation is addressed; `path` and `query` as they came, percent-encoded."""
        return self._routes.match(method, path, query)

    def parse(self, match: Match, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The input of the operation, named as in the model; header names in lower case.

        Raises `SerializationFailed`, `ValidationFailed`, and `InvalidParameterValue` for a runtime. Not for large
        bodies on the event loop: base64 and JSON take about 2 ms per MB.
        """
        operation = self._model.operations[match.operation]
        parser = self._parsers.get(match.operation)
        if parser is None:
            parser = self._parsers[match.operation] = RestParser(operation, self._model, self._reader)
        params = parser.parse(match.uri, match.query, headers, body)
        if operation.input is not None:
            self._validator.check(operation.input.shape, params)
            runtime = self._model.shapes[operation.input.shape].members.get("Runtime")
            if runtime is not None and runtime.shape == RUNTIME_SHAPE:
                self._runtimes.check(params)
        return params

    def parse_invoke(self, match: Match, headers: Mapping[str, str], caller: Caller) -> InvokeParameters:
        """What `parse` and `resolve_function` say of an Invoke, in a few microseconds and without its payload."""
        tenant, durable = headers.get(TENANT_HEADER), headers.get(DURABLE_HEADER)
        kind = TYPES.get(headers.get(TYPE_HEADER))
        tail = TAILS.get(headers.get(LOG_HEADER))
        if kind is None or tail is None or tenant is not None or durable is not None:
            self.parse(match, headers, b"")
        if kind is None or tail is None:
            raise InvariantError("the model has an invocation or log type that ondol does not know")
        qualifiers = match.query.get("Qualifier")
        function, qualifier = self._invoked(
            match.uri["FunctionName"], qualifiers[0] if qualifiers else None, caller.account, caller.region
        )
        context = headers.get(CONTEXT_HEADER)
        if context is not None:
            check_client_context(context)
        return InvokeParameters(function, qualifier, kind, tail, context, tenant, durable)

    def parse_invoke_stream(self, match: Match, headers: Mapping[str, str], caller: Caller) -> InvokeParameters:
        """As `parse_invoke`, of an InvokeWithResponseStream: the same but for its invocation types, which are fewer."""
        self.parse(match, headers, b"")
        return msgspec.structs.replace(self.parse_invoke(match, headers, caller), stream=True)

    def parse_invoke_async(self, match: Match, caller: Caller) -> InvokeParameters:
        """As `parse_invoke`, of an InvokeAsync, which has nothing but a name and a payload."""
        return msgspec.structs.replace(self.parse_invoke(match, {}, caller), type=InvocationType.EVENT)

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

    def _resolve_invoked(
        self, name: str, qualifier: str | None, account: AccountId, region: Region
    ) -> tuple[FunctionKey, str | None]:
        self._validator.check("InvocationRequest", {"FunctionName": name, "Qualifier": qualifier})
        arn = resolve_function(name, qualifier, account, region, OPERATION)
        return FunctionKey(arn.account, arn.region, arn.name), arn.qualifier


class LogsWire:
    """CloudWatch Logs, 2014-03-28, JSON 1.1. Breaks of a constraint are `InvalidParameterException` here."""

    def __init__(self) -> None:
        self._model = load("logs", "2014-03-28")
        self._validator = Validator(self._model, refusal=InvalidParameter)
        self._errors = Errors(self._model, rpc=True)
        self._reader = JsonReader(self._model)
        self._writer = JsonWriter(self._model)
        self._prefix = f"{self._model.metadata.target_prefix}."

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
