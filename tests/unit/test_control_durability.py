"""What is left when control dies between two writes, loses a race, or is left by its client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from control_world import CALLER, World, package, run

from ondol.control import settler
from ondol.control.records import VERSIONS
from ondol.model.errors import Outcome, PlatformError, ResourceNotFound

Steps = Callable[[World], Awaitable[Any]]


async def contents(world: World) -> list[tuple[str, str]]:
    """Each function and version there is, with its description; everything shown can be had."""
    answer = await world("ListFunctions", FunctionVersion="ALL")
    found = []
    for item in answer["Functions"]:
        got = await world("GetFunction", FunctionName=item["FunctionName"], Qualifier=item["Version"])
        assert got["Code"]["Location"] in world.blobs.contents
        found.append((item["Version"], item["Description"]))
    return found


async def no_function(world: World) -> None:
    return None


async def a_function(world: World) -> None:
    await world.active(Description="one", Publish=True)
    await world.settled(qualifier="1")


async def two_versions(world: World) -> None:
    await a_function(world)
    await world("UpdateFunctionConfiguration", FunctionName="fn", Description="two")
    await world.settled()
    await world("PublishVersion", FunctionName="fn")


async def an_unpublished_change(world: World) -> None:
    await a_function(world)
    await world("UpdateFunctionConfiguration", FunctionName="fn", Description="two")
    await world.settled()


@pytest.mark.parametrize(
    ("before", "operation", "parameters", "was", "becomes"),
    [
        (
            no_function,
            "CreateFunction",
            {"Runtime": "python3.12", "Handler": "h", "Role": "r", "Code": {"ZipFile": package()}, "Publish": True},
            [],
            [("$LATEST", ""), ("1", "")],
        ),
        (
            an_unpublished_change,
            "PublishVersion",
            {},
            [("$LATEST", "two"), ("1", "one")],
            [("$LATEST", "two"), ("1", "one"), ("2", "two")],
        ),
        (
            a_function,
            "UpdateFunctionCode",
            {"ZipFile": package("new"), "Publish": True},
            [("$LATEST", "one"), ("1", "one")],
            [("$LATEST", "one"), ("1", "one"), ("2", "one")],
        ),
        (
            two_versions,
            "DeleteFunction",
            {"Qualifier": "1"},
            [("$LATEST", "two"), ("1", "one"), ("2", "two")],
            [("$LATEST", "two"), ("2", "two")],
        ),
        (two_versions, "DeleteFunction", {}, [("$LATEST", "two"), ("1", "one"), ("2", "two")], []),
    ],
)
def test_nothing_is_half_made_wherever_control_dies(
    before: Steps,
    operation: str,
    parameters: dict[str, Any],
    was: list[tuple[str, str]],
    becomes: list[tuple[str, str]],
) -> None:
    outcomes = set()

    async def dying_at(write: int, world: World) -> None:
        await before(world)
        world.code_host.open.clear()
        world.store.fail_at = world.store.writes + write
        try:
            await world(operation, {"FunctionName": "fn", **parameters})
            outcomes.add("answered")
            left = [becomes]
        except PlatformError as error:
            assert error.outcome is Outcome.NOT_STARTED
            outcomes.add("refused")
            left = [was]
        await world.restart()
        world.code_host.open.set()
        assert await contents(world) in left
        named = sum(version != "$LATEST" for version, _ in await contents(world))
        assert len(await world.store.list(VERSIONS)) == named
        shown = [version for version, _ in await contents(world)]
        if shown:
            for version in shown:
                assert (await world.settled(qualifier=version))["State"] == "Active"
            await world("UpdateFunctionConfiguration", FunctionName="fn", Description="next")
            await world.settled()
            published = await world("PublishVersion", FunctionName="fn")
            assert (published["Description"], published["Version"] in shown) == ("next", False)

    for write in range(1, 6):
        run(lambda world, write=write: dying_at(write, world))
    assert outcomes == {"answered", "refused"}


def test_what_was_under_way_goes_on_at_the_next_start() -> None:
    async def test(world: World) -> None:
        world.code_host.open.clear()
        await world.create("created")
        await world.restart()
        assert (await world("GetFunctionConfiguration", FunctionName="created"))["State"] == "Pending"
        world.code_host.open.set()
        assert (await world.settled("created"))["State"] == "Active"
        world.code_host.open.clear()
        await world("UpdateFunctionConfiguration", FunctionName="created", Timeout=9)
        await world.restart()
        world.code_host.open.set()
        settled = await world.settled("created")
        assert (settled["LastUpdateStatus"], settled["Timeout"]) == ("Successful", 9)

    run(test)


def test_a_package_that_can_not_be_stored_leaves_no_function() -> None:
    async def test(world: World) -> None:
        world.blobs.fail = True
        with pytest.raises(PlatformError) as raised:
            await world.create()
        assert raised.value.outcome is Outcome.NOT_STARTED
        with pytest.raises(ResourceNotFound):
            await world("GetFunction", FunctionName="fn")

    run(test)


def test_a_control_that_was_replaced_does_not_overwrite_what_it_has_not_seen() -> None:
    async def test(world: World) -> None:
        await world.active()
        other = world.service()
        await other.open()
        alias = {"FunctionName": "fn", "FunctionVersion": "$LATEST"}
        await other.perform("CreateAlias", CALLER, {**alias, "Name": "theirs"})
        await other.perform("PublishVersion", CALLER, {"FunctionName": "fn"})
        await world("CreateAlias", {**alias, "Name": "ours"})
        listed = await world("ListAliases", FunctionName="fn")
        assert [found["Name"] for found in listed["Aliases"]] == ["ours", "theirs"]
        assert (await world("PublishVersion", FunctionName="fn"))["Version"] == "1"
        await other.perform("DeleteFunction", CALLER, {"FunctionName": "fn"})
        with pytest.raises(ResourceNotFound):
            await world("TagResource", Resource="arn:aws:lambda:eu-west-1:000000000000:function:fn", Tags={"a": "b"})
        await other.close()

    run(test)


def test_writers_of_one_function_are_kept_in_order() -> None:
    async def test(world: World) -> None:
        await world.active()
        arn = "arn:aws:lambda:eu-west-1:000000000000:function:fn"
        await asyncio.gather(*(world("TagResource", Resource=arn, Tags={str(n): ""}) for n in range(30)))
        assert len((await world("ListTags", Resource=arn))["Tags"]) == 30
        created = await asyncio.gather(*(world.create("same") for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(answer, dict) for answer in created) == 1
        published = await asyncio.gather(*(world("PublishVersion", FunctionName="fn") for _ in range(5)))
        assert {answer["Version"] for answer in published} == {"1"}

    run(test)


def test_an_operation_is_finished_although_its_client_has_gone() -> None:
    async def test(world: World) -> None:
        writing = asyncio.Event()
        proceed = asyncio.Event()

        async def held_up() -> None:
            writing.set()
            await proceed.wait()

        world.store.before_write = held_up
        request = asyncio.create_task(world.create())
        await writing.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert request.cancelled()
        proceed.set()
        await world.restart()
        assert (await world.settled())["State"] == "Active"

    run(test)


def test_packages_are_collected_when_no_version_needs_them() -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True)
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("2"))
        await world.settled()
        world.code_host.open.clear()
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("3"))
        assert await world.control.collect(grace_s=0) == 0
        world.code_host.open.set()
        await world.settled()
        assert await world.control.collect() == 0
        assert await world.control.collect(grace_s=0) == 1
        assert await world.blobs.kept() == {package(), package("3")}
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert await world.control.collect(grace_s=0) == 1
        await world("DeleteFunction", FunctionName="fn")
        assert await world.control.collect(grace_s=0) == 1

    run(test)


def test_a_package_on_its_way_is_not_collected() -> None:
    async def test(world: World) -> None:
        world.store.before_write = lambda: world.control.collect(grace_s=-1)
        await world.active()
        assert await world.blobs.kept() == {package()}

    run(test)


def test_what_could_not_be_written_for_a_while_is_settled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settler, "_RETRY_S", 0.001)

    async def test(world: World) -> None:
        failed = asyncio.Event()

        async def noticed() -> None:
            if world.store.fail_at is not None:
                failed.set()

        world.store.before_write = noticed
        world.code_host.open.clear()
        await world.create()
        await world.code_host.asked.wait()
        world.store.fail_at = 0
        world.code_host.open.set()
        await failed.wait()
        assert (await world("GetFunctionConfiguration", FunctionName="fn"))["State"] == "Pending"
        world.store.fail_at = None
        assert (await world.settled())["State"] == "Active"

    run(test)
