"""Reserved concurrency, account settings and tags."""

import pytest
from control_world import CALLER, PREFIX, World, key_of, package, run

from ondol.model.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from ondol.model.limits import AccountLimits

ARN = f"{PREFIX}fn"


def test_reserved_concurrency_is_told_to_counting_and_shown_to_frontends() -> None:
    async def test(world: World) -> None:
        await world.active()
        assert await world("GetFunctionConcurrency", FunctionName="fn") == {}
        before = await world.control.view(key_of("fn"))
        answer = await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=7)
        assert answer == {"ReservedConcurrentExecutions": 7}
        assert await world("GetFunctionConcurrency", FunctionName="fn") == {"ReservedConcurrentExecutions": 7}
        after = await world.control.view(key_of("fn"))
        assert before is not None and after is not None
        assert (before.reserved_concurrency, after.reserved_concurrency) == (None, 7)
        assert before.versions == after.versions and after.revision > before.revision
        assert world.keeper.reserved == {key_of("fn"): 7}
        world.keeper.reserved.clear()
        await world.restart()
        assert world.keeper.reserved == {key_of("fn"): 7}
        assert await world("DeleteFunctionConcurrency", FunctionName="fn") == {}
        assert world.keeper.reserved == {key_of("fn"): None}
        assert await world("GetFunctionConcurrency", FunctionName="fn") == {}

    run(test)


def test_what_others_must_keep_is_not_reserved() -> None:
    async def test(world: World) -> None:
        await world.active("a")
        await world.active("b")
        await world("PutFunctionConcurrency", FunctionName="a", ReservedConcurrentExecutions=60)
        with pytest.raises(InvalidParameterValue) as raised:
            await world("PutFunctionConcurrency", FunctionName="b", ReservedConcurrentExecutions=41)
        assert raised.value.message == (
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100]."
        )
        assert raised.value.members == {"Type": ""}
        await world("PutFunctionConcurrency", FunctionName="b", ReservedConcurrentExecutions=40)
        await world("PutFunctionConcurrency", FunctionName="b", ReservedConcurrentExecutions=0)
        await world("PutFunctionConcurrency", FunctionName="a", ReservedConcurrentExecutions=100)
        await world("DeleteFunction", FunctionName="a")
        assert world.keeper.reserved[key_of("a")] is None
        await world("PutFunctionConcurrency", FunctionName="b", ReservedConcurrentExecutions=100)

    run(test, limits=AccountLimits(concurrency=200))


def test_concurrency_of_what_is_not_there_or_not_a_function() -> None:
    async def test(world: World) -> None:
        with pytest.raises(ResourceNotFound) as put:
            await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=10_000)
        assert put.value.message == f"Function not found: {ARN}:$LATEST"
        for operation in ("GetFunctionConcurrency", "DeleteFunctionConcurrency"):
            with pytest.raises(ResourceNotFound) as missing:
                await world(operation, FunctionName="fn")
            assert missing.value.message == f"Function not found: {ARN}"
        with pytest.raises(InvalidParameterValue) as qualified:
            await world(
                "PutFunctionConcurrency", FunctionName="fn", Qualifier="$LATEST", ReservedConcurrentExecutions=1
            )
        assert qualified.value.message.startswith("This operation is permitted on Lambda functions only.")

    run(test)


def test_account_settings_count_every_version() -> None:
    async def test(world: World) -> None:
        empty = await world("GetAccountSettings")
        assert empty == {
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800,
                "CodeSizeUnzipped": 262_144_000,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": 1000,
                "UnreservedConcurrentExecutions": 1000,
            },
            "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": 0},
        }
        await world.active("a", Publish=True)
        await world.active("b")
        await world("PutFunctionConcurrency", FunctionName="b", ReservedConcurrentExecutions=100)
        for _ in range(2):
            settings = await world("GetAccountSettings")
            assert settings["AccountUsage"] == {"TotalCodeSize": 3 * len(package()), "FunctionCount": 2}
            assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 900
            await world.restart()
        await world("DeleteFunction", FunctionName="a")
        await world("DeleteFunction", FunctionName="b")
        assert await world("GetAccountSettings") == empty

    run(test)


def test_tags() -> None:
    async def test(world: World) -> None:
        await world.active()
        before = await world("GetFunctionConfiguration", FunctionName="fn")
        assert await world("ListTags", Resource=ARN) == {"Tags": {}}
        assert await world("TagResource", Resource=ARN, Tags={"A": "a", "B": "b"}) == {}
        assert await world("TagResource", Resource=ARN, Tags={"B": "2"}) == {}
        assert await world("ListTags", Resource=ARN) == {"Tags": {"A": "a", "B": "2"}}
        assert await world("UntagResource", Resource=ARN, TagKeys=["A", "nothing"]) == {}
        assert await world("ListTags", Resource=ARN) == {"Tags": {"B": "2"}}
        assert await world("GetFunctionConfiguration", FunctionName="fn") == before
        with pytest.raises(InvalidParameterValue) as empty:
            await world("TagResource", Resource=ARN, Tags={})
        assert empty.value.message == "An error occurred and the request cannot be processed."
        with pytest.raises(InvalidParameterValue) as many:
            await world("TagResource", Resource=ARN, Tags={str(n): "" for n in range(50)})
        assert many.value.message == "Number of tags exceeds resource tag limit."
        await world("TagResource", Resource=ARN, Tags={str(n): "" for n in range(49)})

    run(test)


@pytest.mark.parametrize("operation", ["TagResource", "UntagResource", "ListTags"])
def test_tags_belong_to_functions_alone(operation: str) -> None:
    async def test(world: World) -> None:
        more = {"Tags": {"a": "b"}, "TagKeys": ["a"]}
        with pytest.raises(ResourceNotFound) as missing:
            await world(operation, Resource=ARN, **more)
        assert missing.value.message == f"Function not found: {ARN}"
        with pytest.raises(InvalidParameterValue) as qualified:
            await world(operation, Resource=f"{ARN}:1", **more)
        assert qualified.value.message == (
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
        with pytest.raises(ResourceNotFound) as elsewhere:
            await world(operation, Resource=ARN.replace(CALLER.region, "us-east-1"), **more)
        assert elsewhere.value.message == "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')"
        with pytest.raises(AccessDenied) as foreign:
            await world(operation, Resource=ARN.replace(CALLER.account, "111111111111"), **more)
        assert foreign.value.message == ""
        with pytest.raises(ResourceNotFound):
            await world(operation, Resource="arn:aws:lambda:eu-west-1:000000000000:layer:x", **more)

    run(test)
