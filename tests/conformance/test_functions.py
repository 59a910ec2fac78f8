"""Create, get, list and delete functions, as boto3 sees them."""

import base64
import re
import urllib.request
from typing import Any

import pytest
from configurations import CODE, minimal, plain, settled
from lambda_calls import (
    ABSENT,
    answer,
    arn,
    conflict,
    invalid,
    not_found,
    refusal,
    unmodelled,
    violations,
)

from ondol_process import OndolProcess, create, package

ROLE_PATTERN = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)


def test_a_new_function_is_pending_and_then_active(client: Any, name: str) -> None:
    created = answer(client.create_function(**minimal(name)), 201)
    pending = {key: value for key, value in plain(name).items() if key != "LastUpdateStatus"} | {
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }
    assert settled(created) == pending
    assert "RuntimeVersionConfig" in created
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    active = answer(client.get_function_configuration(FunctionName=name))
    assert settled(active) == plain(name)
    assert active["RuntimeVersionConfig"] == created["RuntimeVersionConfig"]
    assert active["LastModified"] == created["LastModified"]
    assert active["RevisionId"] != created["RevisionId"], "it changes once more when the state settles"
    assert answer(client.get_function_configuration(FunctionName=name)) == active


def test_every_setting_is_shown_as_it_was_given(client: Any, name: str) -> None:
    given: dict[str, Any] = {
        "Description": "온돌",
        "Timeout": 900,
        "MemorySize": 10240,
        "EphemeralStorage": {"Size": 10240},
        "Environment": {"Variables": {"LATER": "2", "EARLIER": "1"}},
        "TracingConfig": {"Mode": "Active"},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1",
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "DEBUG",
            "SystemLogLevel": "WARN",
            "LogGroup": "/mine",
        },
    }
    created = answer(client.create_function(**minimal(name, Tags={"team": "heat"}, **given)), 201)
    assert {key: created[key] for key in given} == given
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    assert settled(answer(client.get_function_configuration(FunctionName=name))) == plain(name) | given


@pytest.mark.parametrize(
    ("given", "shown"), [(None, None), ({}, {"Variables": {}}), ({"Variables": {}}, {"Variables": {}})]
)
def test_an_environment_is_shown_only_if_one_was_given(client: Any, name: str, given: Any, shown: Any) -> None:
    create(client, name, "", **({} if given is None else {"Environment": given}))
    assert client.get_function_configuration(FunctionName=name).get("Environment") == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"LogFormat": "JSON"}, {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}),
        (
            {"LogFormat": "JSON", "SystemLogLevel": "WARN"},
            {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"},
        ),
        ({"LogFormat": "Text"}, {"LogFormat": "Text"}),
        ({"LogGroup": "/elsewhere"}, {"LogFormat": "Text", "LogGroup": "/elsewhere"}),
    ],
)
def test_a_logging_config_is_filled_up(client: Any, name: str, given: Any, shown: Any) -> None:
    created = client.create_function(**minimal(name, LoggingConfig=given))
    assert created["LoggingConfig"] == {"LogGroup": f"/aws/lambda/{name}", **shown}


def test_publish_on_create_answers_version_1_under_the_functions_own_arn(client: Any, name: str) -> None:
    created = answer(client.create_function(**minimal(name, Publish=True)), 201)
    assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", arn(name), "Pending")
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 0.05})
    first = answer(client.get_function_configuration(FunctionName=name, Qualifier="1"))
    assert settled(first) == plain(name) | {"Version": "1", "FunctionArn": arn(name, "1")}


def test_the_location_of_the_code_gives_the_exact_zip_and_changes_with_it(client: Any, name: str) -> None:
    create(client, name, {"m.py": "", "data.bin": bytes(range(256)) * 100})
    before = client.get_function(FunctionName=name)["Code"]
    assert list(before) == ["RepositoryType", "Location"]
    assert before["RepositoryType"] == "S3"
    client.update_function_code(FunctionName=name, ZipFile=CODE)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    after = client.get_function(FunctionName=name)["Code"]
    assert after["Location"] != before["Location"]
    with urllib.request.urlopen(after["Location"]) as download:
        assert download.read() == CODE
    with urllib.request.urlopen(before["Location"]) as download:
        assert download.read() == package({"m.py": "", "data.bin": bytes(range(256)) * 100})


def test_get_function_has_tags_and_concurrency_only_where_there_are_some(client: Any, name: str) -> None:
    create(client, name, {"m.py": "def h(event, context): return event"})
    bare = answer(client.get_function(FunctionName=name))
    assert set(bare) == {"Configuration", "Code"}
    assert settled(bare["Configuration"]) == plain(name)
    client.tag_resource(Resource=arn(name), Tags={"k": "v"})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    full = answer(client.get_function(FunctionName=name))
    assert full["Tags"] == {"k": "v"}
    assert full["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    client.delete_function_concurrency(FunctionName=name)


def test_a_deleted_function_is_gone_and_its_name_is_free(client: Any, name: str) -> None:
    create(client, name, "")
    assert answer(client.delete_function(FunctionName=name), 204) == {"StatusCode": 204}
    assert refusal(lambda: client.get_function(FunctionName=name)) == not_found(f"Function not found: {arn(name)}")
    create(client, name, "def h(event, context): return 2")
    assert client.invoke(FunctionName=name)["Payload"].read() == b"2"


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "delete_function"])
def test_an_unknown_function_is_not_found(client: Any, operation: str) -> None:
    call = getattr(client, operation)
    assert refusal(lambda: call(FunctionName="nobody-made-this")) == not_found(f"Function not found: {ABSENT}")
    with_qualifier = refusal(lambda: call(FunctionName="nobody-made-this", Qualifier="7"))
    shown = ABSENT if operation == "delete_function" else f"{ABSENT}:7"
    assert with_qualifier == not_found(f"Function not found: {shown}")


def test_an_unknown_version_of_a_function(client: Any, name: str) -> None:
    create(client, name, "")
    absent = not_found(f"Function not found: {arn(name, '7')}")
    assert refusal(lambda: client.get_function(FunctionName=name, Qualifier="7")) == absent
    assert answer(client.delete_function(FunctionName=name, Qualifier="7"), 204) == {"StatusCode": 204}
    latest = invalid("$LATEST version cannot be deleted without deleting the function.")
    assert refusal(lambda: client.delete_function(FunctionName=name, Qualifier="$LATEST")) == latest
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
    assert refusal(lambda: client.delete_function(FunctionName=name, Qualifier="live"))[0] == 400


def test_a_name_is_taken_once(client: Any, name: str) -> None:
    create(client, name, "")
    taken = refusal(lambda: client.create_function(**minimal(name)))
    assert taken == conflict(f"Function already exist: {name}")


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        (
            {"Role": "me"},
            [
                "'me' at 'role' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: {ROLE_PATTERN}"
            ],
        ),
        (
            {"FunctionName": "two words"},
            [
                "'two words' at 'functionName' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
            ],
        ),
        (
            {"Timeout": 901},
            ["'901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"],
        ),
        (
            {"MemorySize": 10241, "Description": "x" * 257},
            [
                f"'{'x' * 257}' at 'description' failed to satisfy constraint: "
                "Member must have length less than or equal to 256",
                "'10241' at 'memorySize' failed to satisfy constraint: "
                "Member must have value less than or equal to 10240",
            ],
        ),
        (
            {"EphemeralStorage": {"Size": 20000}},
            [
                "'20000' at 'ephemeralStorage.size' failed to satisfy constraint: "
                "Member must have value less than or equal to 10240"
            ],
        ),
        (
            {"Architectures": ["pdp11"]},
            [
                "'[pdp11]' at 'architectures' failed to satisfy constraint: "
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], "
                "Member must not be null]"
            ],
        ),
    ],
)
def test_constraints_are_told_in_aws_words(client: Any, name: str, settings: Any, texts: list[str]) -> None:
    assert refusal(lambda: client.create_function(**minimal(name) | settings)) == violations(*texts)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"Runtime": "cobol"},
            r"Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
            r"set: \[nodejs20\.x, .*\] or be a valid ARN",
        ),
        ({"Runtime": "PYTHON3.12"}, r"Value PYTHON3\.12 at 'runtime' failed .* or be a valid ARN"),
        (
            {"Runtime": "python2.7"},
            r"The runtime parameter of python2\.7 is no longer supported for creating or updating "
            r"AWS Lambda functions\. We recommend you use a supported runtime while creating or updating functions\.",
        ),
        ({"Runtime": "provided"}, r"The runtime parameter of provided is no longer supported .*"),
        (
            {"Code": {"ZipFile": b"no zip"}},
            r"Could not unzip uploaded file\. Please check your file, then try to upload "
            r"again\.",
        ),
        ({"Code": {}}, r"Please provide a source for function code\."),
        (
            {"Code": {"ZipFile": b"x", "S3Bucket": "bucket"}},
            r"Please do not provide other FunctionCode parameters when "
            r"providing a ZipFile\.",
        ),
        (
            {"Environment": {"Variables": {"ZZ": "x" * 2048, "AA": "y" * 2048}}},
            r"Lambda was unable to configure your "
            r"environment variables because the environment variables you have provided exceeded the 4KB limit\. "
            r'String measured: \{"ZZ":"x{2048}","AA":"y{2048}"\}',
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "here"}}},
            r".*contains reserved keys that are currently not "
            r"supported for modification\. Reserved keys used in this request: AWS_REGION",
        ),
        ({"Tags": {f"tag{n}": "" for n in range(51)}}, r"Number of tags exceeds resource tag limit\."),
        (
            {"FunctionName": "n" * 65},
            r"1 validation error detected: Value 'n{65}' at 'functionName' failed to satisfy "
            r"constraint: Member must have length less than or equal to 64",
        ),
        (
            {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}},
            r".* can be set only when LogFormat is JSON\.",
        ),
    ],
)
def test_what_the_service_refuses(client: Any, name: str, settings: Any, text: str) -> None:
    status, error = refusal(lambda: client.create_function(**minimal(name) | settings))
    message = error["Error"]["Message"]
    assert re.fullmatch(text, message), message
    assert (status, error) == invalid(message)
    assert refusal(lambda: client.get_function(FunctionName=name))[0] == 404


def test_a_package_or_a_request_over_its_limit_is_too_large(client: Any, name: str) -> None:
    zipped = refusal(lambda: client.create_function(**minimal(name, Code={"ZipFile": bytes(52_428_801)})))
    text = "Zipped size must be smaller than 52428800 bytes"
    assert zipped == unmodelled(413, "RequestEntityTooLargeException", text)
    whole = refusal(lambda: client.create_function(**minimal(name, Code={"ZipFile": bytes(52_700_000)})))
    text = "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    assert whole == unmodelled(413, "RequestEntityTooLargeException", text)


def test_lists_show_less_and_come_in_pages(ondol: OndolProcess) -> None:
    client = ondol.client(account="222233334444")
    names = [f"f{n}" for n in range(5)]
    for name in reversed(names):
        client.create_function(**minimal(name))
    client.get_waiter("function_active_v2").wait(FunctionName="f0", WaiterConfig={"Delay": 0.05})
    for page_size in (1, 2, 5, 50):
        pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": page_size}))
        assert len(pages) == -(-5 // page_size)
        assert [set(answer(page)) for page in pages] == [{"Functions", "NextMarker"}] * (len(pages) - 1) + [
            {"Functions"}
        ]
        assert [item["FunctionName"] for page in pages for item in page["Functions"]] == names
    unlisted = {"State", "LastUpdateStatus"}
    expected = {key: value for key, value in plain("f0").items() if key not in unlisted}
    shown = client.list_functions()["Functions"][0]
    assert settled(shown) == expected | {"FunctionArn": arn("f0").replace("0" * 12, "222233334444")}
    assert "RuntimeVersionConfig" not in shown


def test_all_versions_are_listed_with_their_own_arns(ondol: OndolProcess) -> None:
    client = ondol.client(account="333344445555")
    for name in ("a", "b"):
        client.create_function(**minimal(name, Publish=True))
    pages = client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 3})
    ends = [item["FunctionArn"].split(":function:")[1] for page in pages for item in page["Functions"]]
    assert ends == ["a:$LATEST", "a:1", "b:$LATEST", "b:1"]


@pytest.mark.parametrize("marker", ["9" * 5000, "x" * 600], ids=["digits", "letters"])
def test_a_marker_that_is_longer_than_any_is_refused(client: Any, name: str, marker: str) -> None:
    create(client, name, "")
    for call in (client.list_versions_by_function, client.list_aliases):
        error = refusal(lambda call=call: call(FunctionName=name, Marker=base64.b64encode(marker.encode()).decode()))
        assert error == invalid("The provided marker is not valid.")


def test_a_marker_that_nobody_gave_out_is_refused(client: Any) -> None:
    assert refusal(lambda: client.list_functions(Marker="\N{SNOWMAN}"))[0] == 400
    above = "'10001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 10000"
    assert refusal(lambda: client.list_functions(MaxItems=10001)) == violations(above)


@pytest.fixture(scope="module")
def waited_for(client: Any) -> str:
    """A function with version 1 and an alias for it."""
    create(client, "waited-for", "", Publish=True)
    client.create_alias(FunctionName="waited-for", Name="live", FunctionVersion="1")
    return "waited-for"


@pytest.mark.parametrize("waiter", ["function_active_v2", "function_updated_v2", "function_exists", "function_active"])
@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "live"])
def test_waiters_return(client: Any, waited_for: str, waiter: str, qualifier: str | None) -> None:
    named = {"FunctionName": waited_for} | ({} if qualifier is None else {"Qualifier": qualifier})
    client.get_waiter(waiter).wait(**named, WaiterConfig={"Delay": 0.05, "MaxAttempts": 20})


def test_the_waiter_for_a_published_version_returns(client: Any, waited_for: str) -> None:
    waiter = client.get_waiter("published_version_active")
    for named in ({"FunctionName": waited_for, "Qualifier": "1"}, {"FunctionName": f"{waited_for}:1"}):
        waiter.wait(**named, WaiterConfig={"Delay": 0.05, "MaxAttempts": 20})
