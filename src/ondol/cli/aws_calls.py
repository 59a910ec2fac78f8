"""Operations of AWS's services through ondol's door, with members as a template has them: a number may be a text."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ondol.cli.client import Client
from ondol.cli.failure import CommandFailed

_MISSING = frozenset(
    {
        *("ResourceNotFoundException", "NotFound", "NotFoundException", "NoSuchBucket", "404", "ResourceNotFound"),
        "ProvisionedConcurrencyConfigNotFoundException",
        *("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NoSuchEntity"),
    }
)


class Declined(CommandFailed):
    """A service answered with an error; `code` is its AWS name."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {message} ({code})")
        self.code = code

    @property
    def missing(self) -> bool:
        """What was meant is not there."""
        return self.code in _MISSING


class AwsCalls:
    """Calls of any service, as the account and in the region of the light client."""

    def __init__(self, client: Client) -> None:
        self._light = client
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """The result of an operation. Raises `Declined`, `CommandFailed`."""
        from botocore import xform_name  # noqa: PLC0415 - `ondol --help` does without
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        shape = self.shape(service, operation)
        try:
            call = getattr(self._client(service), xform_name(operation))
            result: dict[str, Any] = call(**conform(dict(members), shape))
        except ClientError as error:
            told = error.response.get("Error", {})
            raise Declined(operation, told.get("Code", "?"), told.get("Message", str(error))) from error
        except BotoCoreError as error:
            raise CommandFailed(f"{operation}: {error}") from error
        return result

    def find(self, service: str, operation: str, members: Mapping[str, Any]) -> dict[str, Any] | None:
        """As a call; None for what is not there."""
        try:
            return self(service, operation, members)
        except Declined as declined:
            if declined.missing:
                return None
            raise

    def pages(self, service: str, operation: str, members: Mapping[str, Any], member: str) -> list[Any]:
        """The items of all pages of a list."""
        from botocore import xform_name  # noqa: PLC0415

        pages = self._client(service).get_paginator(xform_name(operation)).paginate(**members)
        return [item for page in pages for item in page.get(member, ())]

    def shape(self, service: str, operation: str) -> Any:
        """What the operation takes, by its service's model."""
        return self._client(service).meta.service_model.operation_model(operation).input_shape

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            import boto3  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415

            identity = self._light.identity
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self._light.endpoint,
                region_name=identity.region,
                aws_access_key_id=identity.credentials.access_key,
                aws_secret_access_key=identity.credentials.secret or "nobody",
                aws_session_token=identity.credentials.token,
                config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, read_timeout=300),
            )
        return self._clients[service]


def conform(value: Any, shape: Any) -> Any:
    """A value in the types that a shape of a service's model has, where it can be in them."""
    convert = _CONVERSIONS.get(shape.type_name)
    if convert is not None and isinstance(value, str | int | float):
        try:
            return convert(value)
        except ValueError:
            return value  # which the model will say better
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {name: conform(item, members[name]) if name in members else item for name, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list | tuple):
        return [conform(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {str(name): conform(item, shape.value) for name, item in value.items()}
    return value


def text_of(value: Any) -> str:
    """As CloudFormation has a boolean or a number where a text is wanted."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def attribute_of(value: Any) -> str:
    """As SQS and SNS have attributes: each is a text, and an object is JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else text_of(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() not in {"true", "false"}:
        raise ValueError(value)
    return value.lower() == "true" if isinstance(value, str) else bool(value)


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "string": text_of,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": _boolean,
}
