"""Where AWS does otherwise than its own service model says. Each departure is a row, with what it is known from.

Rows are applied to the model once, when it is loaded; nothing else in ondol tells a departure from the model.
What the model says right is not repeated here. A source says how well a row is known: "recorded" is an answer of
AWS's that somebody published; "unconfirmed" is what is believed of AWS while no such answer has been seen.
"""

from typing import Any

import msgspec


class ShapeRow(msgspec.Struct, frozen=True):
    """A shape has other constraints than the model's."""

    shape: str
    constraints: dict[str, Any]
    source: str


class MemberRow(msgspec.Struct, frozen=True):
    """A field (or with `member` empty: the elements of a list) has another shape than the model's.

    With `like` that shape is new: a copy of `like` whose enum is `enum`, followed by what the model's adds where
    `open` is set.
    """

    structure: str
    member: str
    shape: str
    source: str
    like: str = ""
    enum: tuple[str, ...] = ()
    open: bool = False


class StatusRow(msgspec.Struct, frozen=True):
    """An operation answers another status than the model's."""

    operation: str
    status: int
    source: str


class UnmodelledError(msgspec.Struct, frozen=True):
    """An error that AWS sends and the model does not have."""

    code: str
    status: int
    message_key: str
    source: str
    typed: bool = False
    """Its body carries `Type`."""


class Departures(msgspec.Struct, frozen=True):
    """The rows of one service."""

    shapes: tuple[ShapeRow, ...] = ()
    members: tuple[MemberRow, ...] = ()
    statuses: tuple[StatusRow, ...] = ()
    errors: tuple[UnmodelledError, ...] = ()


DEPRECATED_RUNTIMES = frozenset(
    {
        *(
            "nodejs",
            "nodejs4.3",
            "nodejs4.3-edge",
            "nodejs6.10",
            "nodejs8.10",
            "nodejs10.x",
            "nodejs12.x",
            "nodejs14.x",
        ),
        *("python2.7", "python3.6", "python3.7", "java8", "go1.x", "ruby2.5", "ruby2.7", "provided"),
        *("dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1"),
    }
)
"""In the model, but refused for new functions. Unconfirmed: the developer guide's table moves with the calendar."""

RUNTIME_ORDER = (
    *("nodejs20.x", "provided.al2023", "python3.12", "python3.13", "nodejs22.x", "java17", "nodejs16.x", "dotnet8"),
    *("python3.10", "java11", "python3.11", "dotnet6", "java21", "nodejs18.x", "provided.al2", "ruby3.3", "java8.al2"),
    *("ruby3.2", "python3.8", "python3.9"),
)
"""The order in which AWS lists the runtimes of functions, at second hand, as of end 2024; later ones as modelled."""

LAYER_RUNTIME_ORDER = (
    *("ruby2.6", "dotnetcore1.0", "python3.7", "nodejs8.10", "nasa", "ruby2.7", "python2.7-greengrass"),
    *("dotnetcore2.0", "python3.8", "java21", "dotnet6", "dotnetcore2.1", "python3.9", "java11", "nodejs6.10"),
    *("provided", "dotnetcore3.1", "dotnet8", "java17", "nodejs", "nodejs4.3", "java8.al2", "go1.x", "nodejs20.x"),
    *("go1.9", "byol", "nodejs10.x", "provided.al2023", "nodejs22.x", "python3.10", "java8", "nodejs12.x"),
    *("python3.11", "nodejs8.x", "python3.12", "nodejs14.x", "nodejs8.9", "python3.13", "nodejs16.x", "provided.al2"),
    *("nodejs4.3-edge", "nodejs18.x", "ruby3.2", "python3.4", "ruby3.3", "ruby2.5", "python3.6", "python2.7"),
)
"""The runtimes that layers may name, which are more than functions may have, in AWS's order, known likewise."""

_LIMITS = "developer guide, Lambda quotas; unconfirmed: that the model's higher limit is for capacity providers only"

LAMBDA = Departures(
    shapes=(
        ShapeRow("Timeout", {"max": 900}, _LIMITS),
        ShapeRow("MemorySize", {"max": 10_240}, _LIMITS),
        ShapeRow("EphemeralStorageSize", {"max": 10_240}, _LIMITS),
        ShapeRow("NamespacedFunctionName", {"max": 170}, "unconfirmed: the model says 256"),
        ShapeRow("EventSourcePosition", {"enum": ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")}, "recorded: their order"),
    ),
    members=(
        MemberRow(
            "DeleteFunctionRequest",
            "FunctionName",
            "FunctionName",
            "unconfirmed: no dots, at most 140; the model says otherwise",
        ),
        *(
            MemberRow(
                structure, "Runtime", "FunctionRuntime", "recorded: see `ondol.aws.runtime_names`", like="Runtime"
            )
            for structure in ("CreateFunctionRequest", "UpdateFunctionConfigurationRequest")
        ),
        *(
            MemberRow(
                structure,
                member,
                "LayerRuntime",
                "at second hand: a ValidationException, with names that functions may not have",
                like="Runtime",
                enum=LAYER_RUNTIME_ORDER,
                open=True,
            )
            for structure, member in (
                ("CompatibleRuntimes", ""),
                ("ListLayersRequest", "CompatibleRuntime"),
                ("ListLayerVersionsRequest", "CompatibleRuntime"),
            )
        ),
    ),
    statuses=(StatusRow("DeleteFunction", 204, "API reference, DeleteFunction"),),
    errors=(
        UnmodelledError("ValidationException", 400, "message", "recorded"),
        UnmodelledError(
            "AccessDeniedException", 403, "Message", "recorded, with a null message; its key is unconfirmed"
        ),
        UnmodelledError(
            "RequestEntityTooLargeException", 413, "message", "recorded; its status and key are unconfirmed"
        ),
        UnmodelledError(
            "SerializationException", 400, "Message", "common errors of the API references; its key is unconfirmed"
        ),
        UnmodelledError(
            "UnknownOperationException", 404, "Message", "common errors of the API references; its key is unconfirmed"
        ),
        UnmodelledError("MissingAuthenticationTokenException", 403, "message", "common errors"),
        UnmodelledError("IncompleteSignatureException", 400, "message", "common errors"),
        UnmodelledError("InvalidSignatureException", 403, "message", "common errors"),
        UnmodelledError("UnrecognizedClientException", 403, "message", "common errors"),
        # 501 says "never", and is not among the statuses that botocore repeats.
        UnmodelledError("NotImplementedException", 501, "Message", "ondol's own"),
    ),
)

_RPC_ERRORS = (
    UnmodelledError(
        "SerializationException", 400, "message", "common errors of the API references; its key is unconfirmed"
    ),
    UnmodelledError(
        "UnknownOperationException", 400, "message", "common errors of the API references; its key is unconfirmed"
    ),
    UnmodelledError("MissingAuthenticationTokenException", 400, "message", "common errors"),
    UnmodelledError("IncompleteSignatureException", 400, "message", "common errors"),
    UnmodelledError("InvalidSignatureException", 400, "message", "common errors"),
    UnmodelledError("NotImplementedException", 501, "message", "ondol's own"),
)

LOGS = Departures(errors=_RPC_ERRORS)

EVENTS = Departures(
    errors=(*_RPC_ERRORS, UnmodelledError("ValidationException", 400, "message", "common errors of the API reference"))
)

SCHEDULER = Departures(
    errors=(
        UnmodelledError("AccessDeniedException", 403, "Message", "common errors of the API reference"),
        UnmodelledError("SerializationException", 400, "Message", "common errors of the API reference"),
        UnmodelledError("UnknownOperationException", 404, "Message", "common errors of the API reference"),
        UnmodelledError("RequestEntityTooLargeException", 413, "Message", "unconfirmed"),
        UnmodelledError("NotImplementedException", 501, "Message", "ondol's own"),
    )
)

DEPARTURES = {"lambda": LAMBDA, "logs": LOGS, "events": EVENTS, "scheduler": SCHEDULER}
