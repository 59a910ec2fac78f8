"""Functions whose code is an image, as control keeps and shows them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from control_world import ROLE, World, package

from ondol.control.api import PrepareError
from ondol.model.errors import CallerError, InvalidParameterValue
from ondol.model.function import FunctionImage, ImageOverrides
from ondol.model.ids import CodeDigest

ONE, TWO = CodeDigest("1" * 64), CodeDigest("2" * 64)
URI = "registry.example/app:1"


def in_world(work: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World()
        world.images.digests[URI] = ONE
        await world.control.open()
        try:
            await work(world)
        finally:
            await world.control.close()

    asyncio.run(run())


async def create(world: World, name: str = "fn", **more: Any) -> dict[str, Any]:
    parameters = {"FunctionName": name, "Role": ROLE, "PackageType": "Image", "Code": {"ImageUri": URI}}
    return await world("CreateFunction", {**parameters, **more})


def test_the_digest_is_kept_and_shown_and_what_a_zip_has_is_absent() -> None:
    async def work(world: World) -> None:
        created = await create(world)
        assert (created["PackageType"], created["CodeSha256"], created["CodeSize"]) == ("Image", ONE, 0)
        absent = {"Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse", "Layers"}
        shown = await world.settled()
        assert shown["State"] == "Active"
        assert not absent & {*created, *shown}
        code = (await world("GetFunction", FunctionName="fn"))["Code"]
        resolved = f"registry.example/app@sha256:{ONE}"
        assert code == {"RepositoryType": "ECR", "ImageUri": URI, "ResolvedImageUri": resolved}
        assert world.code_host.images_prepared == [FunctionImage(URI, resolved)]
        listed = (await world("ListFunctions"))["Functions"][0]
        assert (listed["PackageType"], "Runtime" in listed) == ("Image", False)

    in_world(work)


def test_a_config_is_replaced_as_a_whole_and_stays_when_the_image_changes() -> None:
    async def work(world: World) -> None:
        config = {"EntryPoint": ["run"], "Command": ["a", "b"], "WorkingDirectory": "/app"}
        assert (await create(world, ImageConfig=config))["ImageConfigResponse"] == {"ImageConfig": config}
        await world.settled()
        world.images.digests[URI] = TWO
        updated = await world("UpdateFunctionCode", FunctionName="fn", ImageUri=URI)
        assert (updated["CodeSha256"], updated["ImageConfigResponse"]) == (TWO, {"ImageConfig": config})
        await world.settled()
        changed = await world("UpdateFunctionConfiguration", FunctionName="fn", ImageConfig={"Command": ["c"]})
        assert changed["ImageConfigResponse"] == {"ImageConfig": {"Command": ["c"]}}
        await world.settled()
        last = world.code_host.images_prepared[-1]
        assert last is not None
        assert last.overrides == ImageOverrides(command=("c",))
        emptied = await world("UpdateFunctionConfiguration", FunctionName="fn", ImageConfig={"EntryPoint": []})
        assert "ImageConfigResponse" not in emptied

    in_world(work)


def test_versions_keep_their_images_also_after_a_restart() -> None:
    async def work(world: World) -> None:
        await create(world, Publish=True)
        await world.settled()
        world.images.digests[URI] = TWO
        await world("UpdateFunctionCode", FunctionName="fn", ImageUri=URI)
        await world.settled()
        await world.restart()
        shown = {
            label: (await world("GetFunctionConfiguration", FunctionName="fn", Qualifier=label))["CodeSha256"]
            for label in ("1", "$LATEST")
        }
        assert shown == {"1": ONE, "$LATEST": TWO}
        assert await world.control.needs(ONE)
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert not await world.control.needs(ONE)
        assert await world.control.needs(TWO)

    in_world(work)


def test_an_image_that_the_workers_cannot_have_fails_the_function_and_another_repairs_it() -> None:
    async def work(world: World) -> None:
        world.code_host.refusal = PrepareError("InvalidImage", "it is broken")
        await create(world)
        failed = await world.settled()
        assert (failed["State"], failed["StateReasonCode"], failed["StateReason"]) == (
            "Failed",
            "InvalidImage",
            "it is broken",
        )
        world.code_host.refusal = None
        world.images.digests[URI] = TWO
        await world("UpdateFunctionCode", FunctionName="fn", ImageUri=URI)
        assert (await world.settled())["State"] == "Active"

    in_world(work)


@pytest.mark.parametrize(
    ("operation", "parameters", "text"),
    [
        (
            "UpdateFunctionCode",
            {"ZipFile": package()},
            "Please provide ImageUri when updating a function with packageType Image.",
        ),
        (
            "UpdateFunctionCode",
            {"ImageUri": "registry.example/app:none"},
            "Source image registry.example/app:none does not exist. Provide a valid source image.",
        ),
        (
            "PutRuntimeManagementConfig",
            {"UpdateRuntimeOn": "Auto"},
            "Runtimes are not managed for functions created with container images.",
        ),
    ],
)
def test_what_an_image_is_refused(operation: str, parameters: dict[str, Any], text: str) -> None:
    async def work(world: World) -> None:
        await create(world)
        await world.settled()
        with pytest.raises(InvalidParameterValue) as raised:
            await world(operation, FunctionName="fn", **parameters)
        assert raised.value.message == text

    in_world(work)


def test_an_image_is_not_signed() -> None:
    async def work(world: World) -> None:
        publisher = "arn:aws:signer:eu-west-1:000000000000:/signing-profiles/p/v"
        made = await world("CreateCodeSigningConfig", AllowedPublishers={"SigningProfileVersionArns": [publisher]})
        arn = made["CodeSigningConfig"]["CodeSigningConfigArn"]
        await create(world, "other")
        for attempt in (
            create(world, CodeSigningConfigArn=arn),
            world("PutFunctionCodeSigningConfig", FunctionName="other", CodeSigningConfigArn=arn),
        ):
            with pytest.raises(CallerError, match="Code signing is not supported"):
                await attempt

    in_world(work)
