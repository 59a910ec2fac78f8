"""What a reset is made of: control forgets every function, telemetry every line, and nobody what comes after."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from control_world import CALLER, World, key_of, package, run

from ondol.control.api import Caller
from ondol.model.errors import PlatformError
from ondol.model.ids import AccountId, Region
from ondol.model.time import Instant, WallTime
from ondol.telemetry.api import LogStream
from ondol.telemetry.service import TelemetryService

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")


class StandingClock:
    def now(self) -> Instant:
        return Instant(0)

    def wall(self) -> WallTime:
        return WallTime(1_760_000_000_000)


def write(service: TelemetryService, stream: str, *messages: str, group: str = "/aws/lambda/fn") -> Any:
    log = service.open(LogStream(ACCOUNT, REGION, group, stream))
    log.write(StandingClock().wall(), messages)
    return log


async def messages(service: TelemetryService) -> dict[str, list[str]]:
    """Of all groups."""
    found = await service.perform("DescribeLogGroups", ACCOUNT, REGION, {})
    answer = {}
    for group in found["logGroups"]:
        name = group["logGroupName"]
        events = await service.perform("FilterLogEvents", ACCOUNT, REGION, {"logGroupName": name})
        answer[name] = [event["message"] for event in events["events"]]
    return answer


def test_logs_open_before_write_to_nowhere_and_new_ones_are_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        service = TelemetryService(tmp_path / "logs", StandingClock())
        await service.forget_all()  # with nothing there yet
        old = write(service, "old", "one\n", "two\n")
        write(service, "other", "three\n", group="another")
        assert await messages(service) == {"/aws/lambda/fn": ["one\n", "two\n"], "another": ["three\n"]}
        write(service, "waiting", "not on the disk yet\n")
        await service.forget_all()
        assert await messages(service) == {}
        old.write(StandingClock().wall(), ["from before\n"])
        new = write(service, "new", "after\n")
        assert await messages(service) == {"/aws/lambda/fn": ["after\n"]}
        new.write(StandingClock().wall(), ["more\n"])
        await service.close()
        again = TelemetryService(tmp_path / "logs", StandingClock())
        assert await messages(again) == {"/aws/lambda/fn": ["after\n", "more\n"]}
        await again.close()

    asyncio.run(scenario())


def test_logs_that_cannot_be_deleted_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(f"{path} is held")

    async def scenario() -> None:
        service = TelemetryService(tmp_path / "logs", StandingClock())
        write(service, "s", "one\n")
        assert await messages(service)
        with monkeypatch.context() as patched:
            patched.setattr("shutil.rmtree", refuse)
            with pytest.raises(PlatformError, match="is held"):
                await service.forget_all()
        assert await messages(service) == {"/aws/lambda/fn": ["one\n"]}
        await service.forget_all()
        assert await messages(service) == {}
        await service.close()

    asyncio.run(scenario())


def test_every_function_goes_and_everybody_is_told() -> None:
    async def scenario(world: World) -> None:
        for name in ("one", "two"):
            await world.active(name)
        await world("PublishVersion", FunctionName="one")
        await world("PutFunctionConcurrency", FunctionName="two", ReservedConcurrentExecutions=5)
        world.retired.calls.clear()
        assert await world.control.reset() == 2
        assert (await world("ListFunctions"))["Functions"] == []
        assert {key for view, key in world.retired.calls if view is None} == {key_of("one"), key_of("two")}
        assert world.keeper.reserved[key_of("two")] is None
        await world.restart()
        assert (await world("ListFunctions"))["Functions"] == []
        assert await world.control.reset() == 0
        assert (await world.active("one"))["Version"] == "$LATEST"

    run(scenario)


def test_functions_of_all_accounts_and_regions_go() -> None:
    async def scenario(world: World) -> None:
        other = Caller(AccountId("111122223333"), Region("us-east-1"))
        await world.active("fn")
        code = {"ZipFile": package()}
        role = "arn:aws:iam::111122223333:role/other"
        parameters = {"FunctionName": "fn", "Runtime": "python3.12", "Handler": "index.handler", "Role": role}
        await world.control.perform("CreateFunction", other, {**parameters, "Code": code})
        assert await world.control.reset() == 2
        for caller in (CALLER, other):
            assert (await world.control.perform("ListFunctions", caller, {}))["Functions"] == []

    run(scenario)


def test_a_store_that_fails_is_said_and_what_is_left_goes_the_next_time() -> None:
    async def scenario(world: World) -> None:
        for name in ("one", "two", "three"):
            await world.active(name)
        world.store.fail_at = world.store.writes + 2
        with pytest.raises(PlatformError):
            await world.control.reset()
        await world.restart()
        left = (await world("ListFunctions"))["Functions"]
        assert 0 < len(left) < 3
        assert await world.control.reset() == len(left)

    run(scenario)
