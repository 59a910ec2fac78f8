"""Inputs made from botocore's shapes: the wire reads what botocore writes, and refuses what the model refuses."""

import re
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.aws.patterns import translate
from ondol.aws.wire import LambdaWire
from ondol.model.errors import InvalidParameterValue, ValidationFailed

WIRE = LambdaWire()
MODEL = botocore.session.get_session().get_service_model("lambda")
SERIALIZER = create_serializer("rest-json", include_validation=False)

NARROWER: dict[str, dict[str, Any]] = {
    "Timeout": {"max": 900},
    "MemorySize": {"max": 10_240},
    "EphemeralStorageSize": {"max": 10_240},
    "NamespacedFunctionName": {"max": 170},
}
"""Limits that are AWS's and not the model's; see `ondol.aws.departures`."""

OPERATIONS = [
    *("CreateFunction", "GetFunction", "GetFunctionConfiguration", "UpdateFunctionCode", "UpdateFunctionConfiguration"),
    *("ListFunctions", "PublishVersion", "ListVersionsByFunction", "CreateAlias", "GetAlias", "ListAliases"),
    *("UpdateAlias", "DeleteAlias", "PutFunctionConcurrency", "GetFunctionConcurrency", "DeleteFunctionConcurrency"),
    *("GetAccountSettings", "TagResource", "UntagResource", "ListTags", "Invoke", "PutFunctionEventInvokeConfig"),
    *("CreateFunctionUrlConfig", "AddPermission", "CreateEventSourceMapping"),
]


def constraints(shape: Shape) -> dict[str, Any]:
    return {**shape.metadata, **NARROWER.get(shape.name, {})}


def values(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    traits = constraints(shape)
    low, high = traits.get("min"), traits.get("max")
    if isinstance(shape, StructureShape):
        required = {name: values(shape.members[name], depth + 1) for name in shape.required_members}
        optional = {
            name: values(member, depth + 1)
            for name, member in shape.members.items()
            if name not in required and (depth < 2 or not isinstance(member, StructureShape))
        }
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(shape, ListShape):
        # In a query an empty list is none at all.
        return st.lists(values(shape.member, depth + 1), min_size=shape.name == "TagKeyList", max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(values(shape.key, depth + 1), values(shape.value, depth + 1), max_size=3)
    return scalars(shape.type_name, traits, low, high)


def scalars(kind: str, traits: dict[str, Any], low: int | None, high: int | None) -> st.SearchStrategy[Any]:
    match kind:
        case "string":
            return strings(traits)
        case "integer" | "long":
            return st.integers((low or 0) - 2, min(high or 100, 2**31) + 2)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=8)
        case "timestamp":
            return st.integers(0, 2_000_000_000)
        case _:
            return st.floats(-1, 2)


def strings(traits: dict[str, Any]) -> st.SearchStrategy[str]:
    anything = st.text("ab1:/.$-", min_size=1, max_size=6)
    if traits.get("enum"):
        return st.sampled_from([*traits["enum"], "bogus"])
    pattern = traits.get("pattern")
    if pattern is None or "(?" in pattern or "^" in pattern:
        return anything
    return st.one_of(st.from_regex(translate(pattern), fullmatch=True).filter(bool), anything)


def valid(shape: Shape, value: Any) -> bool:
    """The model's constraints, read anew, without a thought for texts."""
    traits = constraints(shape)
    if isinstance(shape, StructureShape):
        return all(name in value for name in shape.required_members) and all(
            valid(shape.members[name], member) for name, member in value.items()
        )
    if isinstance(shape, ListShape):
        return sized(traits, value) and all(valid(shape.member, element) for element in value)
    if isinstance(shape, MapShape):
        return sized(traits, value) and all(valid(shape.key, k) and valid(shape.value, v) for k, v in value.items())
    if shape.type_name in ("integer", "long", "double"):
        return bool(traits.get("min", value) <= value <= traits.get("max", value))
    if shape.type_name == "string":
        pattern = traits.get("pattern")
        return (
            sized(traits, value)
            and (not traits.get("enum") or shape.name == "Runtime" or value in traits["enum"])
            and (pattern is None or re.fullmatch(translate(pattern), value) is not None)
        )
    return True


def sized(traits: dict[str, Any], value: Any) -> bool:
    return bool(traits.get("min", 0) <= len(value) <= traits.get("max", len(value)))


def as_read(shape: Shape, value: Any) -> Any:
    """What the wire makes of a value that botocore was given."""
    if isinstance(shape, StructureShape):
        return {name: as_read(shape.members[name], member) for name, member in value.items()}
    if isinstance(shape, ListShape):
        return [as_read(shape.member, element) for element in value]
    if isinstance(shape, MapShape):
        return {key: as_read(shape.value, element) for key, element in value.items()}
    return value * 1000 if shape.type_name == "timestamp" else value


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_the_wire_agrees_with_the_model(operation: str, data: st.DataObject) -> None:
    model = MODEL.operation_model(operation)
    shape = model.input_shape
    params = data.draw(values(shape)) if shape is not None else {}
    written = SERIALIZER.serialize_to_request(params, model)
    query = "&".join(
        f"{name}={botocore.serialize.percent_encode(str(one).lower() if isinstance(one, bool) else one)}"
        for name, many in written["query_string"].items()
        for one in (many if isinstance(many, list) else [many])
    )
    match = WIRE.match(written["method"], written["url_path"].partition("?")[0], query)
    assert match is not None
    assert match.operation == operation
    body = written["body"]
    headers = {name.lower(): str(value) for name, value in written["headers"].items()}
    try:
        read = WIRE.parse(match, headers, body.encode() if isinstance(body, str) else bytes(body))
    except ValidationFailed as refused:
        assert not valid(shape, params), refused.message
    except InvalidParameterValue as refused:
        assert "untime" in refused.message
    else:
        assert shape is None or valid(shape, params)
        if operation == "Invoke":
            params.setdefault("Payload", b"")
        assert read == (as_read(shape, params) if shape is not None else {})
