"""Published versions and aliases."""

from typing import Any

import pytest
from control_world import PREFIX, World, key_of, package, run

from ondol.control.api import PrepareError
from ondol.model.errors import (
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.function import Alias, VersionState

ARN = f"{PREFIX}fn"


async def change(world: World, **settings: Any) -> dict[str, Any]:
    await world("UpdateFunctionConfiguration", FunctionName="fn", **settings)
    return await world.settled()


async def versions(world: World) -> list[str]:
    answer = await world("ListVersionsByFunction", FunctionName="fn")
    return [version["Version"] for version in answer["Versions"]]


def test_create_with_publish_answers_version_one_under_the_functions_arn() -> None:
    async def test(world: World) -> None:
        world.code_host.open.clear()
        created = await world.create(Publish=True)
        assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", ARN, "Pending")
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert {version.state for version in view.versions.values()} == {VersionState.PENDING}
        world.code_host.open.set()
        first = await world.settled(qualifier="1")
        assert (first["FunctionArn"], first["State"], first["LastUpdateStatus"]) == (f"{ARN}:1", "Active", "Successful")
        assert first["RevisionId"] != created["RevisionId"]
        again = await world("PublishVersion", FunctionName="fn", Description="another")
        assert again == first
        assert await versions(world) == ["$LATEST", "1"]

    run(test)


def test_a_publication_renews_the_revision_of_latest() -> None:
    async def test(world: World) -> None:
        async def revision(qualifier: str = "$LATEST") -> Any:
            return (await world("GetFunctionConfiguration", FunctionName="fn", Qualifier=qualifier))["RevisionId"]

        await world.active()
        before, view = await revision(), await world.control.view(key_of("fn"))
        first = await world("PublishVersion", FunctionName="fn", RevisionId=before)
        after = await revision()
        assert len({before, after, first["RevisionId"]}) == 3
        with pytest.raises(PreconditionFailed):
            await world("PublishVersion", FunctionName="fn", RevisionId=before)
        assert (await world("PublishVersion", FunctionName="fn", RevisionId=after))["Version"] == "1"
        assert (await revision(), await revision("1")) == (after, first["RevisionId"])
        # What runs is the same, so environments are kept.
        now = await world.control.view(key_of("fn"))
        assert view is not None and now is not None and view.versions["$LATEST"] == now.versions["$LATEST"]

    run(test)


def test_a_version_stays_what_it_was() -> None:
    async def test(world: World) -> None:
        await world.active(Description="of the function", Environment={"Variables": {"A": "1"}})
        first = await world("PublishVersion", FunctionName="fn", Description="of the version")
        assert (first["Description"], first["State"], first["LastUpdateStatus"]) == (
            "of the version",
            "Active",
            "Successful",
        )
        await change(world, Environment={"Variables": {"A": "2"}}, Description="later")
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("new"))
        await world.settled()
        second = await world("PublishVersion", FunctionName="fn")
        assert (second["Version"], second["Description"]) == ("2", "later")
        assert second["CodeSha256"] != first["CodeSha256"]
        assert await world("GetFunctionConfiguration", FunctionName="fn", Qualifier="1") == first
        got = await world("GetFunction", FunctionName="fn", Qualifier="1")
        assert world.blobs.contents[got["Code"]["Location"]] == package()
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert {number: dict(version.environment) for number, version in view.versions.items()} == {
            "$LATEST": {"A": "2"},
            "1": {"A": "1"},
            "2": {"A": "2"},
        }
        assert len({version.id for version in view.versions.values()}) == 3

    run(test)


def test_what_is_published_must_be_what_is_meant() -> None:
    async def test(world: World) -> None:
        with pytest.raises(ResourceNotFound) as missing:
            await world("PublishVersion", FunctionName="fn")
        assert missing.value.message == f"Function not found: {ARN}"
        settled = await world.active()
        with pytest.raises(InvalidParameterValue) as raised:
            await world("PublishVersion", FunctionName="fn", CodeSha256="other")
        assert raised.value.message == (
            f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({settled['CodeSha256']}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
        await world("PublishVersion", FunctionName="fn", CodeSha256=settled["CodeSha256"])

    run(test)


def test_update_with_publish_answers_the_version_as_pending() -> None:
    async def test(world: World) -> None:
        await world.active()
        world.code_host.open.clear()
        updated = await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("new"), Publish=True)
        assert (updated["FunctionArn"], updated["Version"], updated["State"]) == (f"{ARN}:1", "1", "Pending")
        assert updated["StateReasonCode"] == "Creating" and "LastUpdateStatus" not in updated
        latest = await world("GetFunctionConfiguration", FunctionName="fn")
        assert (latest["State"], latest["LastUpdateStatus"]) == ("Active", "InProgress")
        assert latest["RevisionId"] != updated["RevisionId"]
        world.code_host.open.set()
        assert (await world.settled())["LastUpdateStatus"] == "Successful"
        assert (await world.settled(qualifier="1"))["State"] == "Active"

    run(test)


def test_numbers_are_not_used_again() -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True)
        await change(world, Description="2")
        await world("PublishVersion", FunctionName="fn")
        await world("DeleteFunction", FunctionName="fn", Qualifier="2")
        assert await versions(world) == ["$LATEST", "1"]
        with pytest.raises(ResourceNotFound):
            await world("GetFunction", FunctionName="fn", Qualifier="2")
        third = await world("PublishVersion", FunctionName="fn")
        assert third["Version"] == "3"
        await world.restart()
        assert await versions(world) == ["$LATEST", "1", "3"]
        await world("DeleteFunction", FunctionName="fn")
        await world.active()
        assert await versions(world) == ["$LATEST"]
        assert (await world("PublishVersion", FunctionName="fn"))["Version"] == "1"

    run(test)


def test_after_a_failed_update_a_version_is_made_ready_by_itself() -> None:
    async def test(world: World) -> None:
        await world.active()
        world.code_host.refusal = PrepareError("InvalidZipFileException", "not a zip")
        await change(world, Timeout=9)
        published = await world("PublishVersion", FunctionName="fn")
        assert published["State"] == "Pending"
        assert (await world.settled(qualifier="1"))["State"] == "Failed"
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert view.versions["1"].state is VersionState.FAILED
        assert view.versions["$LATEST"].state is VersionState.ACTIVE

    run(test)


def test_versions_come_in_pages_by_number() -> None:
    async def test(world: World) -> None:
        with pytest.raises(ResourceNotFound) as missing:
            await world("ListVersionsByFunction", FunctionName="fn")
        assert missing.value.message == f"Function not found: {ARN}"
        await world.active()
        for n in range(11):
            await change(world, Description=str(n))
            await world("PublishVersion", FunctionName="fn")
        found: list[str] = []
        parameters: dict[str, Any] = {"FunctionName": "fn", "MaxItems": 5}
        while True:
            answer = await world("ListVersionsByFunction", parameters)
            found += [version["Version"] for version in answer["Versions"]]
            if "NextMarker" not in answer:
                break
            parameters["Marker"] = answer["NextMarker"]
        assert found == ["$LATEST", *(str(n) for n in range(1, 12))]
        first = (await world("ListVersionsByFunction", parameters | {"Marker": ""}))["Versions"][0]
        assert first["FunctionArn"] == f"{ARN}:$LATEST"
        assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & first.keys()

    run(test)


def test_an_alias_from_birth_to_death() -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True)
        created = await world(
            "CreateAlias", FunctionName="fn", Name="blue", FunctionVersion="1", Description="d", RoutingConfig={}
        )
        assert created == {
            "AliasArn": f"{ARN}:blue",
            "Name": "blue",
            "FunctionVersion": "1",
            "Description": "d",
            "RevisionId": created["RevisionId"],
        }
        assert await world("GetAlias", FunctionName="fn", Name="blue") == created
        through = await world("GetFunctionConfiguration", FunctionName="fn", Qualifier="blue")
        assert (through["FunctionArn"], through["Version"]) == (f"{ARN}:blue", "1")
        await change(world, Description="2")
        await world("PublishVersion", FunctionName="fn")
        routed = await world(
            "UpdateAlias",
            FunctionName="fn",
            Name="blue",
            RoutingConfig={"AdditionalVersionWeights": {"2": 0.2}},
            RevisionId=created["RevisionId"],
        )
        assert routed["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.2}}
        assert (routed["FunctionVersion"], routed["Description"]) == ("1", "d")
        assert routed["RevisionId"] != created["RevisionId"]
        view = await world.control.view(key_of("fn"))
        assert view is not None and view.aliases == {"blue": Alias("blue", "1", "2", 0.2)}
        with pytest.raises(PreconditionFailed):
            await world("UpdateAlias", FunctionName="fn", Name="blue", RevisionId=created["RevisionId"])
        for number in ("1", "2"):
            with pytest.raises(ResourceConflict) as raised:
                await world("DeleteFunction", FunctionName="fn", Qualifier=number)
            assert raised.value.message == (
                "Unable to delete version because the following aliases reference it: [blue]"
            )
        kept = await world("UpdateAlias", FunctionName="fn", Name="blue", Description="kept")
        assert kept["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.2}}
        moved = await world("UpdateAlias", FunctionName="fn", Name="blue", FunctionVersion="2", RoutingConfig={})
        assert moved["FunctionVersion"] == "2" and "RoutingConfig" not in moved
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert await world("DeleteAlias", FunctionName="fn", Name="blue") == {}
        assert await world("DeleteAlias", FunctionName="fn", Name="blue") == {}
        await world("DeleteFunction", FunctionName="fn", Qualifier="2")

    run(test)


def test_an_alias_of_the_latest_version_shows_it() -> None:
    async def test(world: World) -> None:
        await world.active()
        await world("CreateAlias", FunctionName="fn", Name="newest", FunctionVersion="$LATEST")
        shown = await world("GetFunctionConfiguration", FunctionName="fn", Qualifier="newest")
        assert (shown["FunctionArn"], shown["Version"]) == (f"{ARN}:newest", "$LATEST")

    run(test)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1, "2": 0.1}}},
            InvalidParameterValue,
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            InvalidParameterValue,
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        (
            {"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            InvalidParameterValue,
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        ({"FunctionVersion": "10"}, ResourceNotFound, f"Function not found: {ARN}:10"),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"10": 0.5}}},
            ResourceNotFound,
            f"Function not found: {ARN}:10",
        ),
        ({"FunctionName": "other"}, ResourceNotFound, f"Function not found: {PREFIX}other:1"),
        ({"Name": "taken"}, ResourceConflict, f"Alias already exists: {ARN}:taken"),
    ],
)
def test_aliases_that_are_refused(more: dict[str, Any], error: type[Exception], message: str) -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True)
        await world("CreateAlias", FunctionName="fn", Name="taken", FunctionVersion="1")
        with pytest.raises(error) as raised:
            await world("CreateAlias", {"FunctionName": "fn", "Name": "blue", "FunctionVersion": "1", **more})
        refusal: Any = raised.value
        assert refusal.message == message
        # This one error says nothing of whose fault it was.
        assert refusal.members == ({"Type": ""} if message.startswith("$LATEST") else {})

    run(test)


def test_aliases_that_are_not_there() -> None:
    async def test(world: World) -> None:
        await world.active()
        with pytest.raises(ResourceNotFound) as got:
            await world("GetAlias", FunctionName="fn", Name="blue")
        assert got.value.message == f"Cannot find alias arn: {ARN}:blue"
        with pytest.raises(ResourceNotFound) as updated:
            await world("UpdateAlias", FunctionName="fn", Name="blue")
        assert updated.value.message == f"Alias not found: {ARN}:blue"

    run(test)


def test_aliases_are_listed_by_name_and_by_version() -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True)
        await change(world, Description="2")
        await world("PublishVersion", FunctionName="fn")
        for name, version in (("c", "2"), ("a", "1"), ("b", "1")):
            await world("CreateAlias", FunctionName="fn", Name=name, FunctionVersion=version)

        async def names(**more: Any) -> tuple[list[str], str | None]:
            answer = await world("ListAliases", FunctionName="fn", **more)
            return [alias["Name"] for alias in answer["Aliases"]], answer.get("NextMarker")

        assert await names() == (["a", "b", "c"], None)
        assert await names(FunctionVersion="1") == (["a", "b"], None)
        first, marker = await names(MaxItems=2)
        assert first == ["a", "b"] and marker is not None
        assert await names(MaxItems=2, Marker=marker) == (["c"], None)

    run(test)
