"""AWS's words for requests that break a constraint."""

import base64
import json
from typing import Any

import pytest

from ondol.aws.wire import LambdaWire
from ondol.model.errors import InvalidParameterValue, SerializationFailed, ValidationFailed

WIRE = LambdaWire()
ROLE = "arn:aws:iam::000000000000:role/r"
VALID = {"FunctionName": "f", "Role": ROLE, "Code": {"ZipFile": "UEs="}, "Runtime": "python3.11", "Handler": "a.b"}


def create(**changes: Any) -> dict[str, Any]:
    return send("POST", "/2015-03-31/functions", {**VALID, **changes})


def send(
    method: str, path: str, body: Any = None, query: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    match = WIRE.match(method, path, query)
    assert match is not None
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return WIRE.parse(match, headers or {}, raw)


def text(constraint: str, value: str, path: str) -> str:
    return f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {constraint}"


def test_what_is_valid_passes() -> None:
    assert create()["Code"] == {"ZipFile": b"PK"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"Role": "r1"},
            text(
                "Member must satisfy regular expression pattern: "
                r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
                "'r1'",
                "role",
            ),
        ),
        ({"Timeout": 901}, text("Member must have value less than or equal to 900", "'901'", "timeout")),
        ({"Timeout": 0}, text("Member must have value greater than or equal to 1", "'0'", "timeout")),
        ({"MemorySize": 10_241}, text("Member must have value less than or equal to 10240", "'10241'", "memorySize")),
        (
            {"EphemeralStorage": {"Size": 511}},
            text("Member must have value greater than or equal to 512", "'511'", "ephemeralStorage.size"),
        ),
        ({"EphemeralStorage": {}}, text("Member must not be null", "null", "ephemeralStorage.size")),
        (
            {"Architectures": ["x86_64", "arm64"]},
            text("Member must have length less than or equal to 1", "'[x86_64, arm64]'", "architectures"),
        ),
        (
            {"Architectures": ["mips"]},
            text(
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], "
                "Member must not be null]",
                "'[mips]'",
                "architectures",
            ),
        ),
        (
            {"VpcConfig": {"SubnetIds": ["x", None]}},
            text(
                "Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have "
                "length greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*, "
                "Member must not be null]",
                "'[x, null]'",
                "vpcConfig.subnetIds",
            ),
        ),
        (
            {"Environment": {"Variables": {"1BAD": "secret"}}},
            "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must "
            "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
        ),
        (
            {"KMSKeyArn": "nokey"},
            text(
                "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
                "'nokey'",
                "kMSKeyArn",
            ),
        ),
        (
            {"Handler": "a b"},
            text(r"Member must satisfy regular expression pattern: [^\s]+", "'a b'", "handler"),
        ),
    ],
)
def test_a_broken_constraint_is_told_in_the_words_of_aws(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        create(**changes)
    assert raised.value.message == message


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationFailed) as raised:
        send("POST", "/2015-03-31/functions", {"Timeout": -1})
    parts = raised.value.message.split("; ")
    assert parts[0] == (
        "4 validation errors detected: Value null at 'functionName' failed to satisfy constraint: "
        "Member must not be null"
    )
    assert [part.split("'")[-2] for part in parts] == ["functionName", "role", "code", "timeout"]


def test_weights_are_told_as_a_map() -> None:
    body = {"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 1.5}}}
    with pytest.raises(ValidationFailed) as raised:
        send("POST", "/2015-03-31/functions/f/aliases", body)
    assert raised.value.message == text(
        "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
        "Member must have value greater than or equal to 0.0, Member must not be null]",
        "'{2=1.5}'",
        "routingConfig.additionalVersionWeights",
    )


@pytest.mark.parametrize(("name", "valid"), [("2024", False), ("2024-01-02", True), ("a.b", False), ("live_1", True)])
def test_an_alias_is_not_a_number(name: str, valid: bool) -> None:
    body = {"Name": name, "FunctionVersion": "1"}
    if valid:
        assert send("POST", "/2015-03-31/functions/f/aliases", body)["Name"] == name
        return
    with pytest.raises(ValidationFailed) as raised:
        send("POST", "/2015-03-31/functions/f/aliases", body)
    assert raised.value.message == text(
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", f"'{name}'", "name"
    )


def test_elements_of_structures_have_numbered_paths() -> None:
    body = {"FunctionName": "f", "FilterCriteria": {"Filters": [{"Pattern": "ok"}, {"Pattern": "x" * 4097}]}}
    with pytest.raises(ValidationFailed, match=r"at 'filterCriteria\.filters\.2\.member\.pattern' failed"):
        send("POST", "/2015-03-31/event-source-mappings", body)


@pytest.mark.parametrize(
    ("path", "method", "longest"),
    [
        ("/2015-03-31/functions/{}", "GET", 170),
        ("/2015-03-31/functions/{}/invocations", "POST", 170),
        ("/2015-03-31/functions/{}", "DELETE", 140),
        ("/2015-03-31/functions/{}/code", "PUT", 140),
    ],
)
def test_names_have_their_lengths(path: str, method: str, longest: int) -> None:
    prefix = "arn:aws:lambda:us-east-1:000000000000:function:"
    assert send(method, path.format(prefix + "x" * (longest - len(prefix))))
    name = prefix + "x" * (longest - len(prefix) + 1)
    with pytest.raises(ValidationFailed) as raised:
        send(method, path.format(name))
    assert raised.value.message == text(
        f"Member must have length less than or equal to {longest}", f"'{name}'", "functionName"
    )


@pytest.mark.parametrize(
    ("method", "path", "valid"),
    [
        ("GET", "/2015-03-31/functions/a.b", True),
        ("POST", "/2015-03-31/functions/a.b:$LATEST.PUBLISHED/invocations", True),
        ("DELETE", "/2015-03-31/functions/a.b", False),
        ("GET", "/2015-03-31/functions/a:b:c", False),
        ("GET", "/2015-03-31/functions/a%20b", False),
        ("GET", "/2015-03-31/functions/a%0A", False),
    ],
)
def test_which_names_are_names(method: str, path: str, valid: bool) -> None:
    if valid:
        assert send(method, path)
    else:
        with pytest.raises(
            ValidationFailed, match="at 'functionName' failed to satisfy constraint: Member must satisfy"
        ):
            send(method, path)


@pytest.mark.parametrize(
    ("runtime", "opening"),
    [
        (
            "PYTHON3.9",
            "Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
        ),
        ("python2.7", "The runtime parameter of python2.7 is no longer supported for creating or updating AWS Lambda"),
        ("", "Value  at 'runtime' failed"),
    ],
)
def test_a_runtime_is_refused_under_another_name(runtime: str, opening: str) -> None:
    with pytest.raises(InvalidParameterValue) as raised:
        create(Runtime=runtime)
    assert raised.value.message.startswith(opening)
    with pytest.raises(ValidationFailed):
        create(Runtime=runtime, Timeout=0)


@pytest.mark.parametrize("runtime", ["python3.8", "python3.14", "nodejs24.x", "provided.al2023"])
def test_a_runtime_that_may_be_used_passes(runtime: str) -> None:
    assert create(Runtime=runtime)["Runtime"] == runtime
    assert f"{runtime}" in WIRE.runtimes


def test_layers_may_name_other_runtimes_than_functions() -> None:
    path = "/2018-10-31/layers/l/versions"
    assert send("POST", path, {"Content": {"ZipFile": "UEs="}, "CompatibleRuntimes": ["nasa", "python3.14"]})
    with pytest.raises(
        ValidationFailed, match=r"at 'compatibleRuntimes' .* enum value set: \[ruby2.6, dotnetcore1.0, "
    ):
        send("POST", path, {"Content": {"ZipFile": "UEs="}, "CompatibleRuntimes": ["basic"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FunctionName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"FunctionName": 1.5}, "DECIMAL_VALUE can not be converted to a String"),
        ({"FunctionName": True}, "TRUE_VALUE can not be converted to a String"),
        ({"FunctionName": ["f"]}, "Start of list found where not expected"),
        ({"FunctionName": {}}, "Start of structure or map found where not expected."),
        ({"Timeout": "3"}, "STRING_VALUE can not be converted to an Integer"),
        ({"Timeout": True}, "TRUE_VALUE can not be converted to an Integer"),
        ({"Publish": "true"}, "STRING_VALUE can not be converted to a Boolean"),
        ({"Layers": "l"}, "Expected list or null"),
        ({"Layers": {}}, "Start of structure or map found where not expected."),
        ({"Tags": []}, "Start of list found where not expected"),
        ({"Tags": 1}, "Expected map or null"),
        ({"Environment": []}, "Start of list found where not expected"),
    ],
)
def test_a_value_of_the_wrong_type_can_not_be_read(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SerializationFailed) as raised:
        create(**changes)
    assert raised.value.message == message


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"{'a': 1}", b'{"Code": {"ZipFile": "***"}}'])
def test_a_body_that_can_not_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(SerializationFailed):
        send("POST", "/2015-03-31/functions", body)


def test_what_the_model_lacks_is_ignored_and_null_is_absent() -> None:
    assert create(Nonsense=1, Description=None) == create()
    assert send("POST", "/2015-03-31/functions/f/versions", b"null") == {"FunctionName": "f"}


def test_starting_positions_are_told_in_awss_order() -> None:
    text = r"at 'startingPosition' failed .* enum value set: \[LATEST, AT_TIMESTAMP, TRIM_HORIZON\]"
    with pytest.raises(ValidationFailed, match=text):
        send("POST", "/2015-03-31/event-source-mappings", {"FunctionName": "f", "StartingPosition": "0"})


@pytest.mark.parametrize("moment", [1e306, 10**25, -1e300, "1e306", "nan", "-inf", "tomorrow"])
def test_a_moment_that_no_clock_shows_can_not_be_read(moment: Any) -> None:
    with pytest.raises(SerializationFailed, match="can not be converted to milliseconds since epoch"):
        send("POST", "/2015-03-31/event-source-mappings", {"FunctionName": "f", "StartingPositionTimestamp": moment})


def test_numbers_in_a_query_are_numbers() -> None:
    assert send("GET", "/2015-03-31/functions", query="MaxItems=5")["MaxItems"] == 5
    with pytest.raises(SerializationFailed, match="STRING_VALUE can not be converted to an Integer"):
        send("GET", "/2015-03-31/functions", query="MaxItems=five")
    with pytest.raises(ValidationFailed, match=r"'10001' at 'maxItems' failed .* less than or equal to 10000"):
        send("GET", "/2015-03-31/functions", query="MaxItems=10001")


def test_unicode_classes_of_the_model_are_understood() -> None:
    tagged = {"Tags": {"名 前_.:/=+-@": "è ½"}}
    path = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f"
    assert send("POST", path, tagged)["Tags"] == tagged["Tags"]
    with pytest.raises(ValidationFailed, match="at 'tags' failed to satisfy constraint: Map keys must satisfy"):
        send("POST", path, {"Tags": {"a*b": "c"}})


def test_a_long_blob_is_read_whole_and_as_strictly_as_a_short_one() -> None:
    content = bytes(range(256)) * 4096
    encoded = base64.b64encode(content).decode()
    assert create(Code={"ZipFile": encoded})["Code"] == {"ZipFile": content}
    for wrong in (f"{encoded[: (1 << 18) - 4]}AA=={encoded}", f"{encoded[:-4]}!{encoded[-3:]}"):
        with pytest.raises(SerializationFailed, match="can not be converted to a Blob"):
            create(Code={"ZipFile": wrong})
