"""The fast way of reading an Invoke, and the payload that comes with it."""

import base64
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.aws.identity import Caller
from ondol.aws.invoke import InvocationType, InvokeParameters, client_context_of
from ondol.aws.json_fault import find_fault
from ondol.aws.payload import check_payload
from ondol.aws.wire import LambdaWire
from ondol.model.errors import CallerError, InvalidParameterValue, InvalidRequestContent, ValidationFailed
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region

WIRE = LambdaWire()
CALLER = Caller(AccountId("000000000000"), Region("us-east-1"), "test")
SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: "


def read(name: str, query: str = "", **headers: str) -> InvokeParameters:
    match = WIRE.match("POST", f"/2015-03-31/functions/{name}/invocations", query)
    assert match is not None
    return WIRE.parse_invoke(match, {key.replace("_", "-"): value for key, value in headers.items()}, CALLER)


def test_an_invoke_without_anything_is_synchronous() -> None:
    function = FunctionKey(CALLER.account, CALLER.region, "f")
    assert read("f") == InvokeParameters(function, None, InvocationType.REQUEST_RESPONSE, False, None)


def test_an_invoke_with_everything() -> None:
    parameters = read(
        "f%3Alive",
        "Qualifier=live",
        x_amz_invocation_type="Event",
        x_amz_log_type="Tail",
        x_amz_client_context="eyJjdXN0b20iOiB7fX0=",
        x_amz_tenant_id="blue",
    )
    assert parameters.qualifier == "live"
    assert parameters.type is InvocationType.EVENT
    assert parameters.tail
    assert parameters.client_context == "eyJjdXN0b20iOiB7fX0="
    assert parameters.tenant == "blue"


def test_the_fast_way_refuses_like_the_general_one() -> None:
    with pytest.raises(ValidationFailed) as raised:
        read("a%20b", x_amz_invocation_type="Sometimes")
    assert raised.value.message.startswith("2 validation errors detected: Value 'a b' at 'functionName'")
    assert raised.value.message.endswith(
        "Value 'Sometimes' at 'invocationType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Event, RequestResponse, DryRun]"
    )
    with pytest.raises(ValidationFailed, match="at 'logType' failed"):
        read("f", x_amz_log_type="tail")
    with pytest.raises(ValidationFailed, match="at 'qualifier' failed"):
        read("f", "Qualifier=a.b")
    with pytest.raises(ValidationFailed, match="at 'tenantId' failed"):
        read("f", x_amz_tenant_id="*")
    with pytest.raises(InvalidParameterValue, match="derived qualifier"):
        read("f:1", "Qualifier=2")


@given(
    name=st.text(st.sampled_from("ab:.$-_ 1"), min_size=1, max_size=8),
    qualifier=st.none() | st.text(st.sampled_from("a1$.-"), max_size=4),
)
def test_the_fast_way_agrees_with_the_general_one(name: str, qualifier: str | None) -> None:
    query = "" if qualifier is None else f"Qualifier={qualifier}"
    match = WIRE.match("POST", f"/2015-03-31/functions/{name}/invocations", query)
    assert match is not None

    def outcome(read: Any) -> Any:
        try:
            return read()
        except CallerError as error:
            return type(error), error.message

    general = outcome(lambda: WIRE.parse(match, {}, b""))
    fast = outcome(lambda: WIRE.parse_invoke(match, {}, CALLER))
    if isinstance(general, tuple):
        assert fast == general
    elif isinstance(fast, InvokeParameters):
        assert fast.function.name in name


@pytest.mark.parametrize("context", ["", "***", "e30", "W10=", "eyJ", "bnVsbA=="])
def test_a_client_context_is_an_object_in_base64(context: str) -> None:
    with pytest.raises(InvalidRequestContent) as raised:
        read("f", x_amz_client_context=context)
    reply = WIRE.failure(raised.value, "id")
    assert json.loads(reply.body) == {"message": "Client context must be a valid Base64-encoded JSON object."}


VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("payload", "cause", "column"),
    [
        (b"badbod", f"Unrecognized token 'badbod': was expecting {VALUES}", 7),
        (b"z{", f"Unrecognized token 'z': was expecting {VALUES}", 3),
        (b'{"a":tru}', f"Unrecognized token 'tru': was expecting {VALUES}", 10),
        (b"}", f"Unexpected character ('}}' (code 125)): expected a valid value {VALUES}", 1),
        (b"'a'", f"Unexpected character (''' (code 39)): expected a valid value {VALUES}", 1),
        ("²".encode(), f"Unexpected character ('²' (code 178)): expected a valid value {VALUES}", 1),
        (b"[1,]", f"Unexpected character (']' (code 93)): expected a valid value {VALUES}", 4),
        (b"{a:1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 2),
        (b'{"a":1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", 8),
        (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 6),
        (b'{"a":1 2', "Unexpected character ('2' (code 50)): was expecting comma to separate Object entries", 8),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 4),
        (b"0D", "Unexpected character ('D' (code 68)): Expected space separating root-level values", 2),
        (b"{}}", "Unexpected character ('}' (code 125)): Expected space separating root-level values", 3),
        (b"01", "Invalid numeric value: Leading zeroes not allowed", 2),
        (
            b"--",
            "Unexpected character ('-' (code 45)) in numeric value: expected digit (0-9) to follow minus sign, "
            "for valid numeric value",
            2,
        ),
        (b'"abc', "Unexpected end-of-input: was expecting closing quote for a string value", 5),
        (b'{"abc', "Unexpected end-of-input in field name", 6),
        (
            b'{"a":1',
            f"Unexpected end-of-input: expected close marker for Object (start marker at {SOURCE}1])",
            7,
        ),
        (b"[1}", f"Unexpected close marker '}}': expected ']' (for Array starting at {SOURCE}1])", 3),
        (b'"\\x"', "Unrecognized character escape 'x' (code 120)", 3),
        (
            b'"a\tb"',
            "Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash "
            "to be included in string value",
            3,
        ),
        (b'"\x80"', "Invalid UTF-8 start byte 0x80", 2),
        (b'"\xc3-"', "Invalid UTF-8 middle byte 0x2d", 3),
        (b"   ", "No content to map due to end-of-input", 4),
    ],
)
def test_a_payload_that_is_no_json_is_told_why_and_where(payload: bytes, cause: str, column: int) -> None:
    with pytest.raises(InvalidRequestContent) as raised:
        check_payload(payload)
    assert raised.value.message == (
        f"Could not parse request body into json: Could not parse payload into json: {cause}\n at {SOURCE}{column}]"
    )


def test_lines_are_counted() -> None:
    assert str(find_fault(b'{\n "a": 1,\n  b}')).endswith("line: 3, column: 3]")


@pytest.mark.parametrize("payload", [b'"\\ud800"', b"[" * 1000 + b"]" * 1000, b" {} ", b"1e5", b'"\xf0\x9f\x94\xa5"'])
def test_what_is_json_passes_byte_for_byte(payload: bytes) -> None:
    assert check_payload(payload) is payload


def test_nothing_means_an_empty_object() -> None:
    assert check_payload(b"") == b"{}"


@pytest.mark.parametrize(
    ("broken", "cause", "column"),
    [
        (b"1 2]", "Unexpected character ('2' (code 50))", 12_004),
        (b"1", "Unexpected end-of-input", 12_003),
        (b'"1', "Unexpected end-of-input", 12_004),
        (b"\xff", "Invalid UTF-8 start byte 0xff", 12_002),
        (b"NaN]", "Unexpected character ('N' (code 78))", 12_002),
        (b'"\\\\ud800" 1]', "Unexpected character ('1' (code 49))", 12_012),
    ],
)
def test_a_long_text_is_told_where_it_breaks(broken: bytes, cause: str, column: int) -> None:
    assert find_fault(b"[" + b"1," * 6000 + broken) == f"{cause}\n at {SOURCE}{column}]"


def test_a_long_text_that_jackson_takes_passes() -> None:
    payload = b'["' + b"x" * 5000 + b'\\ud800"]'
    assert check_payload(payload) is payload


def test_of_a_long_text_nothing_is_built() -> None:
    """What takes memory takes time, in which nobody else has a turn."""
    text = b"[" + b"1," * 500_000 + b"x]"
    tracemalloc.start()
    try:
        assert find_fault(text) is not None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * len(text)


def test_nesting_is_bounded() -> None:
    with pytest.raises(InvalidRequestContent, match=r"Document nesting depth \(1001\) exceeds the maximum allowed"):
        check_payload(b"[" * 100_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_any_json_passes_and_has_no_fault(value: Any, ascii_only: bool, indent: int | None) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert check_payload(payload) is payload
    assert find_fault(payload) is None


@given(JSON.map(lambda value: json.dumps(value).encode()), st.integers(0, 50), st.binary(max_size=2))
def test_what_the_decoder_refuses_has_a_fault(payload: bytes, at: int, inserted: bytes) -> None:
    broken = payload[:at] + inserted + payload[at + 1 :]
    try:
        json.loads(broken.decode(), parse_constant=int)  # "NaN" and the like become ValueErrors: they are no JSON
        valid = True
    except ValueError:
        valid = False
    assert (find_fault(broken) is None) == valid


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5)))
def test_a_client_context_is_the_same_json_in_a_header(context: dict[str, Any]) -> None:
    for text in (json.dumps(context), json.dumps(context, ensure_ascii=False, indent="\t")):
        carried = client_context_of(base64.b64encode(text.encode(errors="replace")).decode())
        assert carried.isascii() and carried.isprintable()
        assert json.loads(carried) == json.loads(text.encode(errors="replace"))
