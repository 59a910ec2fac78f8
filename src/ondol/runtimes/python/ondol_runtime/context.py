"""The handler's second argument, as AWS documents it for Python ("Using the Lambda context object").

Its attributes are plain ones in the order in which AWS sets them, for code that prints or copies `vars(context)`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Invocation


class CognitoIdentity:
    """Who the caller is to Amazon Cognito; both None when it is nobody."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, identity: dict[str, Any]) -> None:
        self.cognito_identity_id = identity.get("cognitoIdentityId")
        self.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")

    def __repr__(self) -> str:
        return _listed(self, self.__slots__)


class Client:
    """The mobile application that called."""

    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")  # noqa: RUF023 (order of repr)

    def __init__(self, client: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, client.get(name))

    def __repr__(self) -> str:
        return _listed(self, self.__slots__)


class ClientContext:
    """What the caller sent as ClientContext."""

    __slots__ = ("custom", "env", "client")  # noqa: RUF023 (order of repr)

    def __init__(self, context: dict[str, Any]) -> None:
        self.custom = context.get("custom")
        self.env = context.get("env")
        client = context.get("client")
        self.client = None if client is None else Client(client)

    def __repr__(self) -> str:
        return _listed(self, self.__slots__)


TRACE_FIELDS = ("traceparent", "tracestate", "baggage")
"""What of a client context's `w3c` is told, as far as it is text."""


def _take_trace(client_context: Any) -> dict[str, str]:
    """The caller's W3C trace context; its place in the client context is not shown to the function."""
    sent = client_context.pop("w3c", None) if isinstance(client_context, dict) else None
    if not isinstance(sent, dict):
        return {}
    return {name: sent[name] for name in TRACE_FIELDS if isinstance(sent.get(name), str)}


class FunctionFacts:
    """What of the context is the same for every invocation of an environment."""

    def __init__(self) -> None:
        get = os.environ.get
        self.log_group_name = get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = get("AWS_LAMBDA_FUNCTION_VERSION")


class LambdaContext:
    """One invocation, as the customer's code sees it."""

    def __init__(
        self,
        facts: FunctionFacts,
        invocation: Invocation,
        client_context: Any,
        cognito_identity: Any,
    ) -> None:
        self.aws_request_id = invocation.request_id
        self.log_group_name = facts.log_group_name
        self.log_stream_name = facts.log_stream_name
        self.function_name = facts.function_name
        self.memory_limit_in_mb = facts.memory_limit_in_mb
        self.function_version = facts.function_version
        self.invoked_function_arn = invocation.function_arn
        self.tenant_id = invocation.tenant_id
        self._w3c_fields = {} if client_context is None else _take_trace(client_context)
        self.client_context = None if client_context is None else ClientContext(client_context)
        self.identity = CognitoIdentity({} if cognito_identity is None else cognito_identity)
        self._epoch_deadline_time_in_ms = invocation.deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out; never below 0."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self) -> dict[str, str]:
        """The W3C trace context that the caller sent along; empty where there is none."""
        return dict(self._w3c_fields)

    def log(self, msg: object) -> None:
        """Write an event to the log as it is: no level, no time."""
        for handler in logging.getLogger().handlers:
            if hasattr(handler, "log_sink"):
                handler.log_sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self) -> str:
        shown = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return _listed(self, shown)


def _listed(thing: object, names: tuple[str, ...]) -> str:
    return "{}([{}])".format(type(thing).__name__, ",".join(f"{name}={getattr(thing, name)}" for name in names))
