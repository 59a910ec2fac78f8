"""The Extensions API as the processes of one sandbox see it, at the address of the Runtime API.

Source: developer guide, "Using the Lambda Extensions API to create extensions"; statuses, error types and texts are
those of AWS's runtime interface emulator. Frames what the environment decides. Everything that comes in is hostile.

The Logs and Telemetry APIs are not there: who subscribes is told so in the way in which that emulator tells it, an
acceptance that names itself unsupported, so that extensions which would use them go on without.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol
from uuid import UUID, uuid4

import msgspec

from ondol.http import Request, Response
from ondol.model.foreign_json import UNREADABLE
from ondol.model.function import FunctionVersion
from ondol.model.time import WallTime
from ondol.worker.api import InvocationHead
from ondol.worker.commands import ShutdownReason
from ondol.worker.extensions import ExtensionRefused

EXTENSION = "/2020-01-01/extension/"
TELEMETRY = {
    "/2020-08-15/logs": ("Logs.NotSupported", "Logs API is not supported"),
    "/2022-07-01/telemetry": ("Telemetry.NotSupported", "Telemetry API is not supported"),
}

BODY_BYTES = 262_144
NAME_LENGTH = 255
TYPE_LENGTH = 1024

_NAME = "lambda-extension-name"
_IDENTIFIER = "lambda-extension-identifier"
_ERROR_TYPE = "lambda-extension-function-error-type"
_FEATURES = "lambda-extension-accept-feature"
_JSON_FIELDS = (("Content-Type", "application/json"),)
_ACCEPTED = b'{"status":"OK"}\n'


class Environment(Protocol):
    """What the Extensions API needs of the environment behind it. Each may raise `ExtensionRefused`."""

    @property
    def version(self) -> FunctionVersion: ...

    def extension_registers(self, name: str, events: Sequence[str], id: str) -> None: ...

    def extension_asks(self, id: str) -> None:
        """What it is told, now or later, goes through `tell_invoke` and `tell_shutdown`."""
        ...

    def extension_init_failed(self, id: str, error_type: str) -> None: ...

    def extension_exit_failed(self, id: str, error_type: str) -> None: ...


class ExtensionsApi:
    """Serves one environment's Extensions API, and holds who waits for an event."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._waiting: dict[str, Response] = {}

    def serves(self, path: str) -> bool:
        """Whether this path is of one of its APIs."""
        return path.startswith(EXTENSION) or path in TELEMETRY

    def serve(self, request: Request, response: Response) -> Awaitable[None] | None:
        """Answer a request whose path is one of its own."""
        try:
            return self._route(request, response)
        except ExtensionRefused as error:
            refuse(response, error)
            return None

    def tell_invoke(self, ids: Sequence[str], head: InvocationHead, trace: str, deadline: WallTime) -> None:
        """These wait for an event: an invocation begins, with this tracing header."""
        event = {
            "eventType": "INVOKE",
            "deadlineMs": deadline,
            "requestId": head.request_id,
            "invokedFunctionArn": head.invoked_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace},
        }
        self._tell(ids, event)

    def tell_shutdown(self, ids: Sequence[str], reason: ShutdownReason, deadline: WallTime) -> None:
        """These wait for an event: the environment ends, and they have until then."""
        self._tell(ids, {"eventType": "SHUTDOWN", "deadlineMs": deadline, "shutdownReason": reason.value})

    def _tell(self, ids: Sequence[str], event: dict[str, object]) -> None:
        body = msgspec.json.encode(event)
        for id in ids:
            fields = [
                *_JSON_FIELDS,
                ("Lambda-Extension-Identifier", id),
                ("Lambda-Extension-Event-Identifier", str(uuid4())),
            ]
            self._waiting.pop(id).send(200, fields, body)

    def _route(self, request: Request, response: Response) -> Awaitable[None] | None:
        verb = request.path.removeprefix(EXTENSION)
        if request.method == "POST" and verb == "register":
            return self._register(request, response)
        if request.method == "GET" and verb == "event/next":
            id = _identifier(request)
            # Held first: what it waits for may be there already.
            before, self._waiting[id] = self._waiting.get(id), response
            try:
                self._environment.extension_asks(id)
            except ExtensionRefused:
                if before is None:
                    del self._waiting[id]
                else:
                    self._waiting[id] = before
                raise
            return None
        if request.method == "POST" and verb in ("init/error", "exit/error"):
            id = _identifier(request)
            error_type = request.headers.get(_ERROR_TYPE, "")[:TYPE_LENGTH]
            if not error_type:
                raise ExtensionRefused("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
            if verb == "init/error":
                self._environment.extension_init_failed(id, error_type)
            else:
                self._environment.extension_exit_failed(id, error_type)
            response.send(202, _JSON_FIELDS, _ACCEPTED)
            return None
        if request.method == "PUT" and request.path in TELEMETRY:
            error_type, text = TELEMETRY[request.path]
            response.send(202, _JSON_FIELDS, _error(error_type, text))
            return None
        response.send(404, _JSON_FIELDS, _error("Extension.UnknownPath", f"{request.method} {request.path}"))
        return None

    async def _register(self, request: Request, response: Response) -> None:
        body = await request.body.read(BODY_BYTES)
        try:
            # A field is read as one character for each byte, the name of a file is text.
            name = request.headers.get(_NAME, "").encode("latin-1").decode(errors="replace")
            if not name:
                raise ExtensionRefused("Extension.InvalidExtensionName", "Empty extension name")
            if len(name) > NAME_LENGTH:
                raise ExtensionRefused("Extension.InvalidExtensionName", "Invalid extension name")
            id = str(uuid4())
            self._environment.extension_registers(name, _events(body), id)
        except ExtensionRefused as error:
            refuse(response, error)
            return
        version = self._environment.version
        told = {"functionName": version.function.name, "functionVersion": version.version, "handler": version.handler}
        if "accountId" in (feature.strip() for feature in request.headers.get(_FEATURES, "").split(",")):
            told["accountId"] = version.function.account
        response.send(200, [*_JSON_FIELDS, ("Lambda-Extension-Identifier", id)], msgspec.json.encode(told))


def refuse(response: Response, error: ExtensionRefused) -> None:
    response.send(403, _JSON_FIELDS, _error(error.error_type, str(error)))


def _error(error_type: str, message: str) -> bytes:
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})


class _Registration(msgspec.Struct):
    events: list[str] | None = None


def _events(body: bytes) -> list[str]:
    try:
        return msgspec.json.decode(body, type=_Registration).events or []
    except UNREADABLE as error:
        raise ExtensionRefused("InvalidRequestFormat", str(error)) from error


def _identifier(request: Request) -> str:
    told = request.headers.get(_IDENTIFIER, "")
    if not told:
        raise ExtensionRefused("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
    try:
        return str(UUID(told))
    except ValueError as error:
        raise ExtensionRefused("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier") from error
