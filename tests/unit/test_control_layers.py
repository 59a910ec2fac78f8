"""Layers in control: what is kept of them, who may use them, and what functions make of them."""

import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from control_world import CALLER, World, key_of, package, run

from ondol.control import checks
from ondol.control.api import Caller
from ondol.control.layers import LAYERS
from ondol.model.errors import (
    AccessDenied,
    CallerError,
    CodeStorageExceeded,
    InvalidParameterValue,
    Outcome,
    PlatformError,
    ResourceNotFound,
)
from ondol.model.function import LATEST
from ondol.model.ids import AccountId, Region

ARN = "arn:aws:lambda:eu-west-1:000000000000:layer:"
STRANGER = Caller(AccountId("111111111111"), CALLER.region)


async def publish(world: World, name: str = "layer", content: bytes | None = None, **more: Any) -> str:
    """The ARN of a new version."""
    zipped = package(name) if content is None else content
    arn: str = (await world("PublishLayerVersion", LayerName=name, Content={"ZipFile": zipped}, **more))[
        "LayerVersionArn"
    ]
    return arn


async def digest(world: World, name: str) -> str:
    """Of the first version's package."""
    shown = await world("GetLayerVersion", LayerName=name, VersionNumber=1)
    location: str = shown["Content"]["Location"]
    return location


async def delete(world: World, name: str, number: int) -> None:
    await world("DeleteLayerVersion", LayerName=name, VersionNumber=number)


async def numbers(world: World, name: str = "layer") -> list[int]:
    answer = await world("ListLayerVersions", LayerName=name)
    return [item["Version"] for item in answer["LayerVersions"]]


async def use(world: World, *arns: str, name: str = "fn") -> None:
    await world("UpdateFunctionConfiguration", FunctionName=name, Layers=list(arns))
    await world.settled(name)


def inflated(size: int) -> bytes:
    """A small package of one file that is this large."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


async def refusal(asked: Awaitable[Any]) -> str:
    with pytest.raises(CallerError) as raised:
        await asked
    return raised.value.message


def test_numbers_go_up_for_ever_whatever_is_deleted_or_dies() -> None:
    async def test(world: World) -> None:
        for number in (1, 2, 3):
            assert await publish(world) == f"{ARN}layer:{number}"
        assert await numbers(world) == [3, 2, 1]
        await delete(world, "layer", 3)
        await delete(world, "layer", 3)
        await delete(world, "layer", 99)
        assert await publish(world) == f"{ARN}layer:4"
        for number in (1, 2, 4):
            await delete(world, "layer", number)
        assert (await world("ListLayers"))["Layers"] == []
        await world.restart()
        assert await numbers(world) == []
        assert await publish(world) == f"{ARN}layer:5"

    run(test)


def test_a_layer_is_what_it_was_after_a_restart() -> None:
    async def test(world: World) -> None:
        described = {"Description": "d", "LicenseInfo": "MIT", "CompatibleRuntimes": [], "CompatibleArchitectures": []}
        await publish(world, **described)
        permission = {"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": "s"}
        await world("AddLayerVersionPermission", LayerName="layer", VersionNumber=1, **permission)
        await world.active(Layers=[f"{ARN}layer:1"])
        questions: list[tuple[str, dict[str, Any]]] = [
            ("GetLayerVersion", {"LayerName": "layer", "VersionNumber": 1}),
            ("GetLayerVersionPolicy", {"LayerName": "layer", "VersionNumber": 1}),
            ("ListLayers", {}),
            ("GetFunctionConfiguration", {"FunctionName": "fn"}),
            ("GetAccountSettings", {}),
        ]
        before = [await world(operation, parameters) for operation, parameters in questions]
        assert described.items() <= before[0].items()
        await world.restart()
        assert [await world(operation, parameters) for operation, parameters in questions] == before

    run(test)


Steps = Callable[[World], Awaitable[Any]]


async def grant(world: World) -> None:
    permission = {"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": "s"}
    await world("AddLayerVersionPermission", LayerName="layer", VersionNumber=1, **permission)


async def delete_first(world: World) -> None:
    await delete(world, "layer", 1)


@pytest.mark.parametrize(
    ("step", "versions", "statements"), [(publish, [2, 1], 0), (grant, [1], 1), (delete_first, [], 0)]
)
def test_nothing_is_half_made_wherever_control_dies(step: Steps, versions: list[int], statements: int) -> None:
    async def test(world: World) -> None:
        await publish(world)
        kept = await world.store.list(LAYERS)
        world.store.fail_at = world.store.writes + 1
        with pytest.raises(PlatformError) as raised:
            await step(world)
        assert raised.value.outcome is Outcome.NOT_STARTED
        await world.restart()
        assert await world.store.list(LAYERS) == kept
        world.store.fail_at = world.store.writes + 2
        await step(world)
        await world.restart()
        assert await numbers(world) == versions
        if versions:
            got = await world("GetLayerVersion", LayerName="layer", VersionNumber=versions[0])
            assert got["Content"]["Location"] in world.blobs.contents
        if statements:
            policy = await world("GetLayerVersionPolicy", LayerName="layer", VersionNumber=1)
            assert len(json.loads(policy["Policy"])["Statement"]) == statements

    run(test)


def test_a_package_that_can_not_be_stored_leaves_no_layer() -> None:
    async def test(world: World) -> None:
        world.blobs.fail = True
        with pytest.raises(PlatformError):
            await publish(world)
        assert await world.store.list(LAYERS) == []

    run(test)


def test_a_control_that_was_replaced_uses_no_number_again() -> None:
    async def test(world: World) -> None:
        await publish(world)
        other = world.service()
        await other.open()
        content = {"ZipFile": package("theirs")}
        await other.perform("PublishLayerVersion", CALLER, {"LayerName": "layer", "Content": content})
        await other.perform("DeleteLayerVersion", CALLER, {"LayerName": "layer", "VersionNumber": 2})
        await other.perform("DeleteLayerVersion", CALLER, {"LayerName": "layer", "VersionNumber": 1})
        assert await publish(world) == f"{ARN}layer:3"
        assert await numbers(world) == [3]
        await other.close()

    run(test)


def test_a_reset_leaves_no_layer_and_no_number() -> None:
    async def test(world: World) -> None:
        for name in ("a", "a", "b"):
            await publish(world, name)
        await delete(world, "a", 2)
        await world.active(Layers=[f"{ARN}a:1"])
        await world.control.reset()
        assert await world.store.list(LAYERS) == []
        assert (await world("ListLayers"))["Layers"] == []
        assert (await world("GetAccountSettings"))["AccountUsage"]["TotalCodeSize"] == 0
        assert await publish(world, "a") == f"{ARN}a:1"
        await world.restart()
        assert await numbers(world, "a") == [1]
        assert await world.control.collect(grace_s=-1) == 2

    run(test)


def test_packages_stay_while_a_layer_or_a_function_has_them() -> None:
    async def test(world: World) -> None:
        arn = await publish(world)
        await world.active(Layers=[arn], Publish=True)
        await delete(world, "layer", 1)
        assert await world.control.collect(grace_s=-1) == 0
        await use(world)
        assert "Layers" not in await world.settled()
        assert await world.control.collect(grace_s=-1) == 0, "version 1 keeps it"
        await world.restart()
        assert await world.control.collect(grace_s=-1) == 0
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert await world.control.collect(grace_s=-1) == 1
        assert await world.blobs.kept() == {package()}

    run(test)


@pytest.mark.parametrize("operation", ["CreateFunction", "UpdateFunctionConfiguration"])
def test_a_layer_that_is_deleted_while_a_function_takes_it_up_stays(operation: str) -> None:
    async def test(world: World) -> None:
        arn = await publish(world)
        if operation == "UpdateFunctionConfiguration":
            await world.active()
        at_work = False

        async def meanwhile() -> None:
            nonlocal at_work
            if not at_work:
                at_work = True
                await delete(world, "layer", 1)
                await world.control.collect(grace_s=-1)

        world.store.before_write = meanwhile
        await (world.active(Layers=[arn]) if operation == "CreateFunction" else use(world, arn))
        assert await world.blobs.kept() == {package(), package("layer")}

    run(test)


def test_layers_are_what_they_were_when_they_were_named() -> None:
    async def test(world: World) -> None:
        first, second = await publish(world, "a"), await publish(world, "b")
        await world.active(Layers=[first, second], Publish=True)
        view = await world.control.view(key_of("fn"))
        assert view is not None
        digests = (await digest(world, "a"), await digest(world, "b"))
        assert view.versions[LATEST].layers == view.versions["1"].layers == digests
        assert set(world.code_host.layers_prepared) == {digests}
        id = view.versions[LATEST].id
        await use(world, second, first)
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert (view.versions[LATEST].layers, view.versions["1"].layers) == (digests[::-1], digests)
        assert view.versions[LATEST].id != id
        published = await world("PublishVersion", FunctionName="fn")
        assert published["Version"] == "2"
        assert [layer["Arn"] for layer in published["Layers"]] == [second, first]

    run(test)


def test_one_package_in_two_layers_is_merged_where_the_last_of_them_is() -> None:
    async def test(world: World) -> None:
        arns = [await publish(world, name, package(text)) for name, text in (("a", "1"), ("b", "2"), ("c", "1"))]
        created = await world.active(Layers=arns)
        assert [layer["Arn"] for layer in created["Layers"]] == arns
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert view.versions[LATEST].layers == (await digest(world, "b"), await digest(world, "c"))

    run(test)


def test_code_and_layers_have_one_size_together() -> None:
    async def test(world: World) -> None:
        arns = [await publish(world, name, inflated(100 << 20)) for name in ("a", "b")]
        await world.active(Layers=arns)
        text = (
            "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
            "The actual size is 272629760 bytes."
        )
        large = inflated(60 << 20)
        assert await refusal(world("UpdateFunctionCode", FunctionName="fn", ZipFile=large)) == text
        assert await refusal(world.create("other", Code={"ZipFile": large}, Layers=arns)) == text
        await world.active("other", Code={"ZipFile": large}, Layers=arns[:1])
        update = world("UpdateFunctionConfiguration", FunctionName="other", Layers=arns)
        assert await refusal(update) == text

    run(test)


def test_layers_count_against_the_code_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: World) -> None:
        await publish(world, content=package("12345"))
        await world.active()
        used = (await world("GetAccountSettings"))["AccountUsage"]["TotalCodeSize"]
        assert used == len(package("12345")) + len(package())
        monkeypatch.setattr(checks, "CODE_STORAGE_BYTES", used)
        with pytest.raises(CodeStorageExceeded):
            await publish(world)
        with pytest.raises(CodeStorageExceeded):
            await world.create("other")
        await delete(world, "layer", 1)
        await publish(world, content=package("123"))

    run(test)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([f"{ARN}a:1"] * 6, "Cannot reference more than 5 layers."),
        ([f"{ARN}a:9"], f"Layer version {ARN}a:9 does not exist."),
        ([f"{ARN}a:2"], f"Layer version {ARN}a:2 does not exist."),
        ([f"{ARN}nobody:1"], f"Layer version {ARN}nobody:1 does not exist."),
        (["arn:aws:lambda:::awslayer:Old"], "Layer version arn:aws:lambda:::awslayer:Old does not exist."),
        (
            [f"{ARN.replace('eu-west-1', 'us-east-1')}a:1"],
            "Layers are not in the same region as the function. Layers are expected to be in region eu-west-1.",
        ),
        (
            [f"{ARN}a:1", f"{ARN}b:1", f"{ARN}a:3", f"{ARN}a:1"],
            "Two different versions of the same layer are not allowed to be referenced in the same function. "
            f"{ARN}a:1 and {ARN}a:3 are versions of the same layer.",
        ),
        (
            [f"{ARN}a:1", f"{ARN}a:1"],
            "Two different versions of the same layer are not allowed to be referenced in the same function. "
            f"{ARN}a:1 and {ARN}a:1 are versions of the same layer.",
        ),
    ],
)
def test_what_a_function_may_not_use(layers: list[str], text: str) -> None:
    async def test(world: World) -> None:
        for name in ("a", "b", "a", "a"):
            await publish(world, name)
        await delete(world, "a", 2)
        with pytest.raises(InvalidParameterValue) as raised:
            await world.create(Layers=layers)
        assert raised.value.message == text
        with pytest.raises(ResourceNotFound):
            await world("GetFunction", FunctionName="fn")
        await world.active()
        assert await refusal(world("UpdateFunctionConfiguration", FunctionName="fn", Layers=layers)) == text
        assert (await world.settled())["LastUpdateStatus"] == "Successful"

    run(test)


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        (None, False),
        ({"Principal": "*"}, True),
        ({"Principal": "111111111111"}, True),
        ({"Principal": "arn:aws:iam::111111111111:root"}, True),
        ({"Principal": "222222222222"}, False),
        ({"Principal": "*", "OrganizationId": "o-abcdefghij"}, False),
    ],
)
def test_another_account_needs_the_layers_permission(permission: dict[str, str] | None, allowed: bool) -> None:
    async def test(world: World) -> None:
        arn = await publish(world)
        if permission is not None:
            add = {"LayerName": "layer", "VersionNumber": 1, "Action": "lambda:GetLayerVersion", "StatementId": "s"}
            await world("AddLayerVersionPermission", {**add, **permission})
        function = {"FunctionName": "fn", "Runtime": "python3.12", "Handler": "h", "Role": "r", "Layers": [arn]}
        questions: list[tuple[str, dict[str, Any]]] = [
            ("GetLayerVersion", {"LayerName": arn[:-2], "VersionNumber": 1}),
            ("GetLayerVersionByArn", {"Arn": arn}),
            ("CreateFunction", {**function, "Code": {"ZipFile": package()}}),
        ]
        for operation, parameters in questions:
            asked = world.control.perform(operation, STRANGER, parameters)
            if allowed:
                assert await asked
                continue
            with pytest.raises(AccessDenied) as raised:
                await asked
            assert raised.value.message == (
                "User: arn:aws:iam::111111111111:root is not authorized to perform: lambda:GetLayerVersion on "
                f"resource: {arn} because no resource-based policy allows the lambda:GetLayerVersion action"
            )

    run(test)


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("PublishLayerVersion", {"Content": {"ZipFile": package()}}),
        ("ListLayerVersions", {}),
        ("DeleteLayerVersion", {"VersionNumber": 1}),
        ("GetLayerVersionPolicy", {"VersionNumber": 1}),
        ("RemoveLayerVersionPermission", {"VersionNumber": 1, "StatementId": "s"}),
    ],
)
def test_what_no_permission_gives_to_another_account_or_region(operation: str, more: dict[str, Any]) -> None:
    async def test(world: World) -> None:
        await publish(world)
        await grant(world)
        named = {"LayerName": f"{ARN}layer", **more}
        assert f"lambda:{operation} on resource: {ARN}layer " in await refusal(
            world.control.perform(operation, STRANGER, named)
        )
        elsewhere = Caller(CALLER.account, Region("us-east-1"))
        with pytest.raises(ResourceNotFound):
            await world.control.perform(operation, elsewhere, named)
        assert await world.control.perform("ListLayers", STRANGER, {}) == {"Layers": []}
        assert await numbers(world) == [1]

    run(test)


def test_a_policy_has_a_longest_length() -> None:
    async def test(world: World) -> None:
        await publish(world)
        named = {"LayerName": "layer", "VersionNumber": 1}
        permission = {**named, "Action": "lambda:GetLayerVersion", "Principal": "*"}
        with pytest.raises(CallerError) as raised:
            for number in range(200):
                await world("AddLayerVersionPermission", {**permission, "StatementId": f"{number:0100d}"})
        assert raised.value.code == "PolicyLengthExceededException"
        shown = await world("GetLayerVersionPolicy", named)
        assert 20_000 < len(shown["Policy"]) <= 20_480

    run(test)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "Please provide a source for function code."),
        ({"ZipFile": b"no zip"}, "Could not unzip uploaded file. Please check your file, then try to upload again."),
        ({"ZipFile": b""}, "Uploaded file must be a non-empty zip"),
        ({"ZipFile": inflated(251 << 20)}, "Unzipped size must be smaller than 262144000 bytes"),
        ({"ZipFile": bytes(52_428_801)}, "Zipped size must be smaller than 52428800 bytes"),
        ({"S3Bucket": "b", "S3Key": "k"}, "Error occurred while GetObject."),
    ],
    ids=["nothing", "no zip", "empty", "unzipped", "zipped", "S3"],
)
def test_what_publish_refuses(content: dict[str, Any], text: str) -> None:
    async def test(world: World) -> None:
        assert await refusal(world("PublishLayerVersion", LayerName="layer", Content=content)) == text
        assert await numbers(world) == []

    run(test)


def test_a_page_goes_on_where_the_last_ended_although_versions_are_deleted() -> None:
    async def test(world: World) -> None:
        for _ in range(5):
            await publish(world)
        first = await world("ListLayerVersions", LayerName="layer", MaxItems=2)
        await delete(world, "layer", 3)
        second = await world("ListLayerVersions", LayerName="layer", MaxItems=2, Marker=first["NextMarker"])
        seen = [item["Version"] for page in (first, second) for item in page["LayerVersions"]]
        assert seen == [5, 4, 2, 1]
        assert "NextMarker" not in second

    run(test)
