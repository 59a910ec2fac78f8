"""Layers as boto3 sees them, and as functions do."""

import base64
import hashlib
import io
import json
import re
import stat
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from configurations import ID, TIME, minimal, plain, settled
from lambda_calls import answer, conflict, invalid, invoke, not_found, refusal, unmodelled, violations

from ondol_process import OndolProcess, create, package

pytestmark = pytest.mark.sandbox

ARN = "arn:aws:lambda:us-east-1:000000000000:layer:"
MISSING = not_found("The resource you requested does not exist.")
TOO_LOW = invalid("Layer Version Cannot be less than 1")
STALE_TEXT = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the "
    "latest Revision Id"
)
ARN_START = r"arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:"
VERSION_PATTERN = rf"(({ARN_START}[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))"
NAME_PATTERN = rf"({ARN_START}[a-zA-Z0-9-_]{{1,140}}|[a-zA-Z0-9-_]{{1,140}})"


@pytest.fixture
def layer(name: str) -> str:
    """A layer name of the test's own."""
    return f"layer-{name}"


def publish(client: Any, layer: str, files: dict[str, str | bytes] | None = None, **more: Any) -> dict[str, Any]:
    content = package({"python/tool.py": f"name = {layer!r}"} if files is None else files)
    published: dict[str, Any] = client.publish_layer_version(LayerName=layer, Content={"ZipFile": content}, **more)
    return published


def linked(files: dict[str, str], links: dict[str, str]) -> bytes:
    """A zip with files and symbolic links, each link by what it points to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (files | links).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFLNK | 0o777 if name in links else stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def arns(configuration: dict[str, Any]) -> list[str]:
    return [layer["Arn"] for layer in configuration.get("Layers", [])]


def update(client: Any, name: str, *layers: str) -> dict[str, Any]:
    """Have a function use these layers, and wait until it does."""
    updated: dict[str, Any] = client.update_function_configuration(FunctionName=name, Layers=list(layers))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    return updated


def shown(published: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """An answer about a layer version without what differs each time, whose form is checked here."""
    members = answer(published, status)
    assert TIME.fullmatch(members.pop("CreatedDate"))
    content = dict(members["Content"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/_ondol/code/[0-9a-f]{64}\?.*", content.pop("Location"))
    return {**members, "Content": content}


# What the API says


def test_a_version_is_shown_as_it_was_published(client: Any, layer: str) -> None:
    content = package({"python/tool.py": "온돌"})
    given = {
        "Description": "온돌",
        "LicenseInfo": "MIT",
        "CompatibleRuntimes": ["python3.11", "provided.al2023"],
        "CompatibleArchitectures": ["x86_64", "arm64"],
    }
    expected = {
        **given,
        "LayerArn": ARN + layer,
        "LayerVersionArn": f"{ARN}{layer}:1",
        "Version": 1,
        "Content": {
            "CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "CodeSize": len(content),
        },
    }
    published = client.publish_layer_version(LayerName=layer, Content={"ZipFile": content}, **given)
    assert shown(published, 201) == expected
    for named in (layer, ARN + layer):
        got = client.get_layer_version(LayerName=named, VersionNumber=1)
        assert shown(got) == expected
        with urllib.request.urlopen(got["Content"]["Location"]) as downloaded:
            assert downloaded.read() == content
    assert shown(client.get_layer_version_by_arn(Arn=f"{ARN}{layer}:1")) == expected
    item = {key: value for key, value in expected.items() if key not in ("LayerArn", "Content")}
    listed = answer(client.list_layer_versions(LayerName=layer))
    assert listed == {"LayerVersions": [{**item, "CreatedDate": published["CreatedDate"]}]}


def test_what_was_not_given_is_absent_and_what_was_given_empty_is_empty(client: Any, layer: str) -> None:
    bare = {"LayerArn", "LayerVersionArn", "Version", "Description", "CreatedDate", "Content"}
    assert set(answer(publish(client, layer), 201)) == bare
    empty = answer(publish(client, layer, CompatibleRuntimes=[], CompatibleArchitectures=[]), 201)
    assert (empty["Description"], empty["CompatibleRuntimes"], empty["CompatibleArchitectures"]) == ("", [], [])
    assert set(empty) == bare | {"CompatibleRuntimes", "CompatibleArchitectures"}


def test_versions_count_up_and_deleting_one_twice_is_no_error(client: Any, layer: str) -> None:
    for number in (1, 2, 3):
        assert publish(client, layer)["Version"] == number
    for _ in range(2):
        assert answer(client.delete_layer_version(LayerName=layer, VersionNumber=3), 204) == {}
    assert publish(client, ARN + layer)["LayerVersionArn"] == f"{ARN}{layer}:4"
    listed = client.list_layer_versions(LayerName=layer)["LayerVersions"]
    assert [item["Version"] for item in listed] == [4, 2, 1]
    assert answer(client.delete_layer_version(LayerName=f"{layer}-nobody", VersionNumber=1), 204) == {}
    assert answer(client.list_layer_versions(LayerName=f"{layer}-nobody")) == {"LayerVersions": []}


def test_versions_come_in_pages(client: Any, layer: str) -> None:
    for _ in range(5):
        publish(client, layer)
    for size in (1, 2, 5, 50):
        pages = list(
            client.get_paginator("list_layer_versions").paginate(LayerName=layer, PaginationConfig={"PageSize": size})
        )
        assert len(pages) == -(-5 // size)
        assert [item["Version"] for page in pages for item in page["LayerVersions"]] == [5, 4, 3, 2, 1]
        assert set(answer(pages[-1])) == {"LayerVersions"}


def test_layers_are_listed_in_pages_with_their_latest_matching_version(ondol: OndolProcess) -> None:
    client = ondol.client(account="444455556666")
    for name in ("b", "a", "c"):
        publish(client, name, CompatibleRuntimes=["python3.11"], CompatibleArchitectures=["arm64"])
    latest = publish(client, "a", CompatibleRuntimes=["nodejs20.x"], CompatibleArchitectures=["x86_64"])
    publish(client, "d")
    listed = answer(client.list_layers())["Layers"]
    item = {key: latest[key] for key in latest if key not in ("LayerArn", "Content", "ResponseMetadata")}
    assert listed[0] == {"LayerName": "a", "LayerArn": latest["LayerArn"], "LatestMatchingVersion": item}

    def found(**filters: str) -> list[str]:
        pages = client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 2}, **filters)
        return [
            layer["LatestMatchingVersion"]["LayerVersionArn"].partition(":layer:")[2]
            for page in pages
            for layer in page["Layers"]
        ]

    assert found() == ["a:2", "b:1", "c:1", "d:1"]
    assert found(CompatibleRuntime="python3.11") == ["a:1", "b:1", "c:1"]
    assert found(CompatibleArchitecture="x86_64") == ["a:2"]
    assert found(CompatibleRuntime="python3.11", CompatibleArchitecture="x86_64") == []
    versions = client.list_layer_versions(LayerName="a", CompatibleRuntime="python3.11")["LayerVersions"]
    assert [version["Version"] for version in versions] == [1]
    client.delete_layer_version(LayerName="d", VersionNumber=1)
    assert found() == ["a:2", "b:1", "c:1"]


def test_what_is_not_there_and_what_can_not_be(client: Any, layer: str) -> None:
    publish(client, layer)
    for absent in ({"LayerName": layer, "VersionNumber": 2}, {"LayerName": f"{layer}-nobody", "VersionNumber": 1}):
        assert refusal(lambda absent=absent: client.get_layer_version(**absent)) == MISSING
    for arn in (f"{ARN}{layer}:2", f"{ARN}{layer}-nobody:1"):
        assert refusal(lambda arn=arn: client.get_layer_version_by_arn(Arn=arn)) == MISSING
    for number in (0, -1):
        named = {"LayerName": layer, "VersionNumber": number}
        assert refusal(lambda named=named: client.get_layer_version(**named)) == TOO_LOW
        assert refusal(lambda named=named: client.delete_layer_version(**named)) == TOO_LOW
    unversioned = f"'{ARN}{layer}' at 'arn' failed to satisfy constraint: "
    assert refusal(lambda: client.get_layer_version_by_arn(Arn=ARN + layer)) == violations(
        f"{unversioned}Member must satisfy regular expression pattern: {VERSION_PATTERN}"
    )
    assert refusal(lambda: client.list_layer_versions(LayerName="two words")) == violations(
        "'two words' at 'layerName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
    )
    architecture = refusal(lambda: client.list_layers(CompatibleArchitecture="pdp11"))
    assert architecture == violations(
        "'pdp11' at 'compatibleArchitecture' failed to satisfy constraint: "
        "Member must satisfy enum value set: [x86_64, arm64]"
    )
    status, error = refusal(lambda: client.list_layers(CompatibleRuntime="cobol"))
    assert status == 400 and "Value 'cobol' at 'compatibleRuntime'" in error["Error"]["Message"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"ZipFile": b"no zip"}, "Could not unzip uploaded file. Please check your file, then try to upload again."),
        ({"S3Bucket": "bucket"}, "Please provide a source for function code."),
    ],
)
def test_what_is_no_package_is_refused(client: Any, layer: str, content: dict[str, Any], expected: str) -> None:
    refused = refusal(lambda: client.publish_layer_version(LayerName=layer, Content=content))
    assert refused == invalid(expected)
    assert client.list_layer_versions(LayerName=layer)["LayerVersions"] == []


def test_a_package_over_its_limit_is_too_large(client: Any, layer: str) -> None:
    zipped = refusal(lambda: client.publish_layer_version(LayerName=layer, Content={"ZipFile": bytes(52_428_801)}))
    text = "Zipped size must be smaller than 52428800 bytes"
    assert zipped == unmodelled(413, "RequestEntityTooLargeException", text)
    whole = refusal(lambda: client.publish_layer_version(LayerName=layer, Content={"ZipFile": bytes(52_700_000)}))
    text = "Request must be smaller than 70167211 bytes for the PublishLayerVersion operation"
    assert whole == unmodelled(413, "RequestEntityTooLargeException", text)


# Permissions


def permission(layer: str, statement: str, **more: Any) -> dict[str, Any]:
    return {
        "LayerName": layer,
        "VersionNumber": 1,
        "StatementId": statement,
        "Action": "lambda:GetLayerVersion",
        "Principal": "*",
        **more,
    }


def statement(layer: str, id: str, principal: Any = "*") -> dict[str, Any]:
    return {
        "Sid": id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{ARN}{layer}:1",
    }


def test_a_policy_grows_and_shrinks(client: Any, layer: str) -> None:
    publish(client, layer)

    def policy() -> tuple[Any, str]:
        told = answer(client.get_layer_version_policy(LayerName=layer, VersionNumber=1))
        assert set(told) == {"Policy", "RevisionId"}
        assert ID.fullmatch(told["RevisionId"])
        return json.loads(told["Policy"]), told["RevisionId"]

    first = answer(client.add_layer_version_permission(**permission(layer, "s1")), 201)
    assert json.loads(first["Statement"]) == statement(layer, "s1")
    assert policy() == (
        {"Version": "2012-10-17", "Id": "default", "Statement": [statement(layer, "s1")]},
        first["RevisionId"],
    )
    second = client.add_layer_version_permission(
        **permission(layer, "s2", Principal="111122223333", RevisionId=first["RevisionId"])
    )
    account = statement(layer, "s2", {"AWS": "arn:aws:iam::111122223333:root"})
    assert json.loads(second["Statement"]) == account
    third = client.add_layer_version_permission(**permission(layer, "s3", OrganizationId="o-t194hfs8cz"))
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-t194hfs8cz"}}
    assert json.loads(third["Statement"]) == statement(layer, "s3") | {"Condition": condition}
    removed = client.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="s1")
    assert answer(removed, 204) == {}
    document, revision = policy()
    assert document["Statement"] == [account, statement(layer, "s3") | {"Condition": condition}]
    assert len({revision, first["RevisionId"], second["RevisionId"], third["RevisionId"]}) == 4


def test_what_permissions_refuse(client: Any, layer: str) -> None:
    publish(client, layer)
    named = {"LayerName": layer, "VersionNumber": 1}
    no_policy = not_found("No policy is associated with the given resource.")
    assert refusal(lambda: client.get_layer_version_policy(**named)) == no_policy
    client.add_layer_version_permission(**permission(layer, "s1"))
    assert refusal(lambda: client.add_layer_version_permission(**permission(layer, "s1"))) == conflict(
        "The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing "
        "statement."
    )
    stale = unmodelled(412, "PreconditionFailedException", STALE_TEXT)
    stale = (412, {**stale[1], "message": STALE_TEXT, "Type": "User"})
    old = {"RevisionId": "wrong"}
    assert refusal(lambda: client.add_layer_version_permission(**permission(layer, "s2", **old))) == stale
    assert refusal(lambda: client.remove_layer_version_permission(**named, StatementId="s1", **old)) == stale
    nobody = refusal(lambda: client.remove_layer_version_permission(**named, StatementId="nobody"))
    assert nobody == not_found("Statement nobody is not found in resource policy.")
    action = refusal(lambda: client.add_layer_version_permission(**permission(layer, "s2", Action="*")))
    assert action == violations(
        "'*' at 'action' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: lambda:GetLayerVersion"
    )
    for elsewhere in ({"LayerName": f"{layer}-nobody"}, {"VersionNumber": 2}):
        place = named | elsewhere
        text = f"Layer version {ARN}{place['LayerName']}:{place['VersionNumber']} does not exist."
        calls: list[Callable[[], Any]] = [
            lambda place=place: client.add_layer_version_permission(**permission(layer, "s2", **place)),
            lambda place=place: client.get_layer_version_policy(**place),
            lambda place=place: client.remove_layer_version_permission(**place, StatementId="s1"),
        ]
        assert [refusal(call) for call in calls] == [not_found(text)] * 3
    with pytest.raises(client.exceptions.PolicyLengthExceededException, match="is bigger than the limit"):
        for number in range(200):
            client.add_layer_version_permission(**permission(layer, f"{number:0100d}"))


def test_another_account_uses_a_layer_once_it_may(client: Any, ondol: OndolProcess, layer: str, name: str) -> None:
    arn = publish(client, layer, {"python/tool.py": "name = 'shared'"})["LayerVersionArn"]
    other = ondol.client(account="777788889999")
    text = (
        "User: arn:aws:iam::777788889999:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"{arn} because no resource-based policy allows the lambda:GetLayerVersion action"
    )
    for call in (
        lambda: other.get_layer_version(LayerName=ARN + layer, VersionNumber=1),
        lambda: other.get_layer_version_by_arn(Arn=arn),
        lambda: other.create_function(**minimal(name, Layers=[arn])),
    ):
        status, error = refusal(call)
        assert (status, error["Error"]) == (403, {"Code": "AccessDeniedException", "Message": text})
    client.add_layer_version_permission(**permission(layer, "s1", Principal="777788889999"))
    assert other.get_layer_version_by_arn(Arn=arn)["Version"] == 1
    create(other, name, "import tool\ndef h(event, context): return tool.name", Layers=[arn])
    assert invoke(other, name)[1] == "shared"


# What functions make of them


def test_a_function_shows_its_layers(client: Any, layer: str, name: str) -> None:
    published = publish(client, layer)
    arn, size = published["LayerVersionArn"], published["Content"]["CodeSize"]
    create(client, name, {"m.py": "def h(event, context): return event"}, Layers=[arn])
    expected = plain(name) | {"Layers": [{"Arn": arn, "CodeSize": size}]}
    assert settled(answer(client.get_function_configuration(FunctionName=name))) == expected
    version = client.publish_version(FunctionName=name)
    assert arns(version) == [arn]
    updated = update(client, name)
    assert "Layers" not in updated
    assert settled(answer(client.get_function_configuration(FunctionName=name))) == plain(name)
    assert arns(client.get_function_configuration(FunctionName=name, Qualifier="1")) == [arn]
    assert client.publish_version(FunctionName=name)["Version"] == "2"


def test_what_a_function_may_not_use(client: Any, ondol: OndolProcess, layer: str, name: str) -> None:
    ours = [publish(client, layer)["LayerVersionArn"] for _ in range(2)]
    abroad = ondol.client(region="eu-west-1")
    elsewhere = publish(abroad, layer)["LayerVersionArn"]
    client.delete_layer_version(LayerName=layer, VersionNumber=publish(client, layer)["Version"])
    same = "Two different versions of the same layer are not allowed to be referenced in the same function. "
    cases = [
        (ours, f"{same}{ours[0]} and {ours[1]} are versions of the same layer."),
        ([ours[0]] * 2, f"{same}{ours[0]} and {ours[0]} are versions of the same layer."),
        ([f"{ARN}{layer}-{n}:1" for n in range(6)], "Cannot reference more than 5 layers."),
        ([f"{ARN}{layer}:3"], f"Layer version {ARN}{layer}:3 does not exist."),
        ([f"{ARN}{layer}-nobody:1"], f"Layer version {ARN}{layer}-nobody:1 does not exist."),
        (
            [elsewhere],
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        ),
    ]
    create(client, name, {"m.py": "def h(event, context): return event"})
    for layers, text in cases:
        settings = minimal(f"{name}-new", Layers=layers)
        assert refusal(lambda settings=settings: client.create_function(**settings)) == invalid(text)
        change = {"FunctionName": name, "Layers": layers}
        assert refusal(lambda change=change: client.update_function_configuration(**change)) == invalid(text)
    assert refusal(lambda: client.get_function(FunctionName=f"{name}-new"))[0] == 404
    assert settled(answer(client.get_function_configuration(FunctionName=name))) == plain(name)
    unversioned = refusal(lambda: client.update_function_configuration(FunctionName=name, Layers=[ARN + layer]))
    assert unversioned == violations(
        f"'[{ARN}{layer}]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, "
        f"Member must satisfy regular expression pattern: {VERSION_PATTERN}, Member must not be null]"
    )


LOOK = """
import os, sys, subprocess, tool, special
def h(event, context):
    inside = {name: open(f"/opt/{name}").read() for name in event}
    return {
        "tool": tool.name, "special": special.name, "files": inside, "link": os.readlink("/opt/bin/alias"),
        "script": subprocess.run(["said"], capture_output=True, text=True).stdout,
        "library": "/opt/lib" in os.environ["LD_LIBRARY_PATH"].split(":"),
        "writable": os.access("/opt", os.W_OK),
    }
"""


def test_later_layers_cover_earlier_ones_and_all_of_opt_is_found(client: Any, layer: str, name: str) -> None:
    site = f"python/lib/python3.{sys.version_info.minor}/site-packages"
    lower = publish(
        client,
        f"{layer}-lower",
        {"python/tool.py": "name = 'lower'", f"{site}/special.py": "name = 'site'", "both": "lower", "one": "lower"},
    )["LayerVersionArn"]
    content = linked(
        {"python/tool.py": "name = 'upper'", "both": "upper", "bin/real": "x"}, {"bin/alias": "real", "seen": "both"}
    )
    upper = client.publish_layer_version(LayerName=f"{layer}-upper", Content={"ZipFile": content})["LayerVersionArn"]
    script = publish(client, f"{layer}-script", {"bin/said*": "#!/bin/sh\necho heard"})["LayerVersionArn"]
    create(client, name, LOOK, Layers=[lower, upper, script])
    files = ["both", "one", "seen", "bin/alias"]
    expected = {
        "tool": "upper",
        "special": "site",
        "files": {"both": "upper", "one": "lower", "seen": "upper", "bin/alias": "x"},
        "link": "real",
        "script": "heard\n",
        "library": True,
        "writable": False,
    }
    assert invoke(client, name, files)[1] == expected
    update(client, name, upper, script, lower)
    expected["files"] = {"both": "lower", "one": "lower", "seen": "lower", "bin/alias": "x"}
    assert invoke(client, name, files)[1] == expected | {"tool": "lower"}


def test_a_deleted_version_goes_on_in_the_functions_that_use_it(client: Any, layer: str, name: str) -> None:
    arn = publish(client, layer, {"python/tool.py": "name = 'old'"})["LayerVersionArn"]
    create(client, name, "import tool\ndef h(event, context): return tool.name", Layers=[arn], Publish=True)
    client.delete_layer_version(LayerName=layer, VersionNumber=1)
    assert arns(client.get_function_configuration(FunctionName=name)) == [arn]
    assert invoke(client, name)[1] == "old"
    gone = refusal(lambda: client.update_function_configuration(FunctionName=name, Layers=[arn]))
    assert gone == invalid(f"Layer version {arn} does not exist.")
    new = publish(client, layer, {"python/tool.py": "name = 'new'"})["LayerVersionArn"]
    assert new == f"{ARN}{layer}:2"
    update(client, name, new)
    assert invoke(client, name)[1] == "new"
    assert invoke(client, name, Qualifier="1")[1] == "old"


def test_two_layers_with_the_same_package(client: Any, layer: str, name: str) -> None:
    used = [publish(client, f"{layer}-{n}", {"python/tool.py": "name = 'same'"})["LayerVersionArn"] for n in range(2)]
    create(client, name, "import tool\ndef h(event, context): return tool.name", Layers=used)
    assert arns(client.get_function_configuration(FunctionName=name)) == used
    assert invoke(client, name)[1] == "same"


def test_a_layer_may_bring_the_bootstrap(client: Any, layer: str, name: str) -> None:
    script = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -X POST "$api/invocation/$id/response" -d "[$event, \\"$(cat data)\\"]" > /dev/null
done
"""
    arn = publish(client, layer, {"bootstrap*": script}, CompatibleRuntimes=["provided.al2023"])["LayerVersionArn"]
    create(client, name, {"data": "from the function"}, Runtime="provided.al2023", Layers=[arn])
    assert invoke(client, name, 7)[1] == [7, "from the function"]


def test_layers_survive_a_kill(tmp_path_factory: pytest.TempPathFactory) -> None:
    with OndolProcess(tmp_path_factory.mktemp("layers") / "data") as process:
        client = process.client()
        arn = publish(client, "kept")["LayerVersionArn"]
        create(client, "f", "import tool\ndef h(event, context): return tool.name", Layers=[arn])
        client.delete_layer_version(LayerName="kept", VersionNumber=1)
        process.kill()
        process.start()
        client = process.client()
        assert invoke(client, "f")[1] == "kept"
        assert publish(client, "kept")["Version"] == 2
