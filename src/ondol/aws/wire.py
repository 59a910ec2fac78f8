"""The services as their clients see them: the door of `ondol.aws`.

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
from ondol.aws.rest_wire import RestWire
from ondol.aws.routes import Match
from ondol.aws.rpc_wire import RpcWire
from ondol.aws.runtime_names import RUNTIME_SHAPE, RuntimeNames
from ondol.model.errors import InvalidParameter, InvariantError
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region

_PARAMETERS = frozenset((TYPE_HEADER, LOG_HEADER, CONTEXT_HEADER, TENANT_HEADER, DURABLE_HEADER))


class LambdaWire(RestWire):
    """AWS Lambda, 2015-03-31, rest-json."""

    def __init__(self) -> None:
        super().__init__("lambda", "2015-03-31")
        self._runtimes = RuntimeNames(self._model)
        self._plain = lru_cache(maxsize=8192)(self._plain_invoke)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes that a function may name, in AWS's order."""
        return self._runtimes.accepted

    def parse(self, match: Match, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """As of every such service. Raises `InvalidParameterValue` for a runtime, too."""
        params = super().parse(match, headers, body)
        structure = self._model.operations[match.operation].input
        if structure is not None:
            runtime = self._model.shapes[structure.shape].members.get("Runtime")
            if runtime is not None and runtime.shape == RUNTIME_SHAPE:
                self._runtimes.check(params)
        return params

    def parse_invoke(self, match: Match, headers: Mapping[str, str], caller: Caller) -> InvokeParameters:
        """What `parse` and `resolve_function` say of an Invoke, in a few microseconds and without its payload."""
        qualifiers = match.query.get("Qualifier")
        named = match.uri["FunctionName"], qualifiers[0] if qualifiers else None, caller.account, caller.region
        if headers.keys().isdisjoint(_PARAMETERS):
            return self._plain(*named)
        tenant, durable = headers.get(TENANT_HEADER), headers.get(DURABLE_HEADER)
        kind = TYPES.get(headers.get(TYPE_HEADER))
        tail = TAILS.get(headers.get(LOG_HEADER))
        if kind is None or tail is None or tenant is not None or durable is not None:
            self.parse(match, headers, b"")
        if kind is None or tail is None:
            raise InvariantError("the model has an invocation or log type that ondol does not know")
        plain = self._plain(*named)
        context = headers.get(CONTEXT_HEADER)
        if context is not None:
            check_client_context(context)
        return InvokeParameters(plain.function, plain.qualifier, kind, tail, context, tenant, durable)

    def parse_invoke_stream(self, match: Match, headers: Mapping[str, str], caller: Caller) -> InvokeParameters:
        """As `parse_invoke`, of an InvokeWithResponseStream: the same but for its invocation types, which are fewer."""
        self.parse(match, headers, b"")
        return msgspec.structs.replace(self.parse_invoke(match, headers, caller), stream=True)

    def parse_invoke_async(self, match: Match, caller: Caller) -> InvokeParameters:
        """As `parse_invoke`, of an InvokeAsync, which has nothing but a name and a payload."""
        return msgspec.structs.replace(self.parse_invoke(match, {}, caller), type=InvocationType.EVENT)

    def _plain_invoke(self, name: str, qualifier: str | None, account: AccountId, region: Region) -> InvokeParameters:
        """An Invoke that says nothing but what it invokes."""
        self._validator.check("InvocationRequest", {"FunctionName": name, "Qualifier": qualifier})
        arn = resolve_function(name, qualifier, account, region, OPERATION)
        function = FunctionKey(arn.account, arn.region, arn.name)
        return InvokeParameters(function, arn.qualifier, InvocationType.REQUEST_RESPONSE, False, None, None, None)


class LogsWire(RpcWire):
    """CloudWatch Logs, 2014-03-28, JSON 1.1. Breaks of a constraint are `InvalidParameterException` here."""

    def __init__(self) -> None:
        super().__init__("logs", "2014-03-28", InvalidParameter)


class EventsWire(RpcWire):
    """EventBridge, 2015-10-07, JSON 1.1."""

    def __init__(self) -> None:
        super().__init__("events", "2015-10-07")


class SchedulerWire(RestWire):
    """EventBridge Scheduler, 2021-06-30, rest-json."""

    def __init__(self) -> None:
        super().__init__("scheduler", "2021-06-30")
