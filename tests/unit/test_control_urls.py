"""What belongs to a function beside its code: URLs, policies, configurations. Frontends see it, and it stays."""

import pytest
from control_world import CALLER, PREFIX, Holder, World, key_of, run

from ondol.control.api import Caller
from ondol.model.errors import CodeVerificationFailed, PlatformError, ResourceNotFound
from ondol.model.ids import AccountId
from ondol.model.policy import INVOKE, Principal

STRANGER = Principal(account=AccountId("111122223333"))
PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:eu-west-1:000000000000:/signing-profiles/p"]}


async def allow(world: World, id: str = "s", **more: str) -> None:
    given = {"StatementId": id, "Action": INVOKE, "Principal": "111122223333", **more}
    await world("AddPermission", given, FunctionName="fn")


def test_a_permission_is_seen_by_every_frontend_before_it_is_answered() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        view = await world.control.view(key_of("fn"))
        assert view is not None and not view.permits(None, INVOKE, STRANGER)
        await allow(world)
        seen = holder.views[key_of("fn")]
        assert seen.permits(None, INVOKE, STRANGER) and seen.permits("$LATEST", INVOKE, STRANGER)
        assert not seen.permits("live", INVOKE, STRANGER)
        await world("RemovePermission", FunctionName="fn", StatementId="s")
        assert not holder.views[key_of("fn")].permits(None, INVOKE, STRANGER)

    run(test)


def test_a_url_is_found_by_its_id_as_long_as_it_is_there() -> None:
    async def test(world: World) -> None:
        await world.active()
        made = await world("CreateFunctionUrlConfig", FunctionName="fn", AuthType="NONE")
        id = made["FunctionUrl"]
        assert await world.control.url_owner(id) == key_of("fn")
        await world.restart()
        assert await world.control.url_owner(id) == key_of("fn")
        view = await world.control.view(key_of("fn"))
        assert view is not None and [url.id for url in view.urls] == [id]
        await world("DeleteFunctionUrlConfig", FunctionName="fn")
        assert await world.control.url_owner(id) is None
        await world("CreateFunctionUrlConfig", FunctionName="fn", AuthType="NONE")
        await world("DeleteFunction", FunctionName="fn")
        assert await world.control.url_owner(id) is None

    run(test)


def test_what_was_answered_is_there_after_a_restart() -> None:
    async def test(world: World) -> None:
        await world.active()
        await allow(world)
        config = (await world("CreateCodeSigningConfig", AllowedPublishers=PUBLISHERS))["CodeSigningConfig"]
        named = {"CodeSigningConfigArn": config["CodeSigningConfigArn"]}
        await world("PutFunctionCodeSigningConfig", FunctionName="fn", **named)
        await world("PutFunctionRecursionConfig", FunctionName="fn", RecursiveLoop="Allow")
        policy = await world("GetPolicy", FunctionName="fn")
        await world.restart()
        assert await world("GetPolicy", FunctionName="fn") == policy
        assert await world("GetCodeSigningConfig", named) == {"CodeSigningConfig": config}
        assert await world("ListFunctionsByCodeSigningConfig", named) == {"FunctionArns": [f"{PREFIX}fn"]}
        assert await world("GetFunctionRecursionConfig", FunctionName="fn") == {"RecursiveLoop": "Allow"}
        assert await world.control.reset() == 1
        with pytest.raises(ResourceNotFound):
            await world("GetCodeSigningConfig", named)

    run(test)


def test_what_the_store_did_not_take_is_not_there() -> None:
    async def test(world: World) -> None:
        await world.active()
        made = await world("CreateCodeSigningConfig", AllowedPublishers=PUBLISHERS)
        named = {"CodeSigningConfigArn": made["CodeSigningConfig"]["CodeSigningConfigArn"]}
        world.store.fail_at = 0
        with pytest.raises(PlatformError):
            await world("CreateFunctionUrlConfig", FunctionName="fn", AuthType="NONE")
        with pytest.raises(PlatformError):
            await world("UpdateCodeSigningConfig", named, Description="new")
        world.store.fail_at = None
        assert await world("GetCodeSigningConfig", named) == made
        assert await world("ListFunctionUrlConfigs", FunctionName="fn") == {"FunctionUrlConfigs": []}

    run(test)


def test_a_configuration_that_enforces_lets_no_code_and_no_layer_in() -> None:
    async def test(world: World) -> None:
        await world.active()
        policies = {"UntrustedArtifactOnDeployment": "Enforce"}
        made = await world("CreateCodeSigningConfig", AllowedPublishers=PUBLISHERS, CodeSigningPolicies=policies)
        arn = made["CodeSigningConfig"]["CodeSigningConfigArn"]
        await world("PutFunctionCodeSigningConfig", FunctionName="fn", CodeSigningConfigArn=arn)
        with pytest.raises(CodeVerificationFailed):
            await world("UpdateFunctionCode", FunctionName="fn", ZipFile=b"")
        with pytest.raises(CodeVerificationFailed):
            await world("UpdateFunctionConfiguration", FunctionName="fn", Layers=["any"])
        await world("UpdateFunctionConfiguration", FunctionName="fn", Timeout=7)
        assert (await world.settled())["Timeout"] == 7

    run(test)


def test_a_configuration_is_its_accounts_own() -> None:
    async def test(world: World) -> None:
        made = await world("CreateCodeSigningConfig", AllowedPublishers=PUBLISHERS)
        named = {"CodeSigningConfigArn": made["CodeSigningConfig"]["CodeSigningConfigArn"]}
        stranger = Caller(AccountId("111122223333"), CALLER.region)
        with pytest.raises(ResourceNotFound):
            await world.control.perform("GetCodeSigningConfig", stranger, named)
        assert await world.control.perform("ListCodeSigningConfigs", stranger, {}) == {"CodeSigningConfigs": []}

    run(test)
