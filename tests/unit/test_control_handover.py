"""Updates as those notice who run the function: what runs when, who is told, and what is retired."""

import asyncio
from typing import Any

import pytest
from control_world import Holder, World, key_of, package, run

from ondol.control.api import PrepareError
from ondol.model.function import FunctionView, VersionState
from ondol.model.ids import VersionId

FN = key_of("fn")


async def latest_view(world: World) -> FunctionView:
    view = await world.control.view(FN)
    assert view is not None
    return view


async def latest(world: World) -> VersionId:
    return (await latest_view(world)).versions["$LATEST"].id


def test_the_old_code_runs_until_the_new_is_ready_and_every_frontend_knows_it() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        old = await world.control.view(FN)
        assert old is not None
        world.code_host.open.clear()
        world.code_host.asked.clear()
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("new"))
        await world.code_host.asked.wait()
        assert await latest(world) == old.versions["$LATEST"].id
        assert FN not in holder.views

        holder.open.clear()
        world.retired.calls.clear()
        world.code_host.open.set()
        await holder.told.wait()
        new = await latest(world)
        assert new != old.versions["$LATEST"].id
        shown = await world("GetFunctionConfiguration", FunctionName="fn")
        assert shown["LastUpdateStatus"] == "InProgress"
        assert not world.retired.calls

        holder.open.set()
        assert (await world.settled())["LastUpdateStatus"] == "Successful"
        assert holder.views[FN].versions["$LATEST"].id == new
        [(view, function)] = world.retired.calls
        assert function == FN and view is not None and view.versions["$LATEST"].id == new

    run(test)


def test_a_frontend_that_does_not_answer_holds_an_update_up_only_until_its_lease_has_run_out() -> None:
    async def test(world: World) -> None:
        silent, good = Holder("silent"), Holder("good")
        world.control.register(silent)
        world.control.register(good)
        await world.active()
        await world.control.view(FN)
        silent.open.clear()
        began = asyncio.get_running_loop().time()
        await world("UpdateFunctionConfiguration", FunctionName="fn", Timeout=9)
        assert (await world.settled())["LastUpdateStatus"] == "Successful"
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert good.views[FN].versions["$LATEST"].timeout_s == 9
        assert FN not in silent.views
        silent.open.set()
        await world("CreateAlias", FunctionName="fn", Name="a", FunctionVersion="$LATEST")
        assert "a" in silent.views[FN].aliases

    run(test, holder_lease=50_000_000)


def test_a_frontend_that_fails_is_waited_for_as_one_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Holder):
        async def adopt(self, view: FunctionView) -> None:
            raise ConnectionError("gone")

    async def test(world: World) -> None:
        world.control.register(Failing())
        await world.active()
        await world.control.view(FN)
        began = asyncio.get_running_loop().time()
        await world("CreateAlias", FunctionName="fn", Name="a", FunctionVersion="$LATEST")
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert "frontend-1 did not take a change" in caplog.text

    run(test, holder_lease=50_000_000)


@pytest.mark.parametrize(
    ("operation", "parameters", "changes"),
    [
        ("UpdateFunctionConfiguration", {"Timeout": 9}, True),
        ("UpdateFunctionConfiguration", {"MemorySize": 256}, True),
        ("UpdateFunctionConfiguration", {"Environment": {"Variables": {"A": "1"}}}, True),
        ("UpdateFunctionConfiguration", {"Handler": "a.b"}, True),
        ("UpdateFunctionConfiguration", {"LoggingConfig": {"LogFormat": "JSON"}}, True),
        ("UpdateFunctionCode", {"ZipFile": package("new")}, True),
        ("UpdateFunctionCode", {"ZipFile": package()}, False),
        ("UpdateFunctionConfiguration", {"Description": "d"}, False),
        ("PublishVersion", {}, False),
        ("CreateAlias", {"Name": "a", "FunctionVersion": "$LATEST"}, False),
        ("PutFunctionConcurrency", {"ReservedConcurrentExecutions": 3}, False),
    ],
)
def test_environments_are_replaced_only_by_what_they_can_notice(
    operation: str, parameters: dict[str, Any], changes: bool
) -> None:
    async def test(world: World) -> None:
        await world.active()
        before = await latest(world)
        await world(operation, {"FunctionName": "fn", **parameters})
        await world.settled()
        assert (await latest(world) != before) is changes

    run(test)


def test_a_deleted_function_is_forgotten_and_its_environments_retired() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        before = await world.control.view(FN)
        assert before is not None
        holder.views[FN] = before
        world.retired.calls.clear()
        await world("DeleteFunction", FunctionName="fn")
        assert not holder.views
        assert world.retired.calls == [(None, FN)]
        assert await world.control.view(FN) is None
        await world.active()
        after = await world.control.view(FN)
        assert after is not None
        assert after.revision > before.revision
        assert after.versions["$LATEST"].id != before.versions["$LATEST"].id

    run(test)


def test_a_deleted_version_is_not_in_the_view_that_is_left() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active(Publish=True)
        await world.control.view(FN)
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert set(holder.views[FN].versions) == {"$LATEST"}
        view, _ = world.retired.calls[-1]
        assert view is not None and set(view.versions) == {"$LATEST"}

    run(test)


def test_what_nobody_looked_at_is_told_to_nobody() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        await world("UpdateFunctionConfiguration", FunctionName="fn", Timeout=9)
        await world.settled()
        await world("DeleteFunction", FunctionName="fn")
        assert not holder.told.is_set()

    run(test)


def test_a_function_that_can_not_run_is_shown_as_failed_to_those_who_would_run_it() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        world.code_host.open.clear()
        await world.create()
        pending = await world.control.view(FN)
        assert pending is not None and pending.versions["$LATEST"].state is VersionState.PENDING
        world.code_host.refusal = PrepareError("InvalidRuntime", "no interpreter")
        world.code_host.open.set()
        await world.settled()
        await holder.told.wait()
        assert holder.views[FN].versions["$LATEST"].state is VersionState.FAILED

    run(test)


def test_the_workers_are_asked_for_the_runtime_and_the_package() -> None:
    async def test(world: World) -> None:
        await world.active()
        view = await world.control.view(FN)
        assert view is not None
        assert world.code_host.prepared == [(FN.account, "python3.12", False, view.versions["$LATEST"].code)]

    run(test)


def test_a_function_that_follows_one_of_its_name_keeps_what_it_reserved() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        await world.control.view(FN)
        holder.open.clear()
        deletion = asyncio.create_task(world("DeleteFunction", FunctionName="fn"))
        await holder.told.wait()
        await world.active()
        await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=5)
        holder.open.set()
        await deletion
        assert world.keeper.reserved[FN] == 5
        view, _ = world.retired.calls[-1]
        assert view is not None and view.versions["$LATEST"].id == await latest(world)

    run(test)


def test_a_frontend_hears_of_one_function_in_order() -> None:
    class Late(Holder):
        """What was said first arrives last, if both are on their way."""

        async def adopt(self, view: FunctionView) -> None:
            self.told.set()
            await self.open.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            await super().adopt(view)

    async def test(world: World) -> None:
        holder = Late()
        world.control.register(holder)
        await world.active()
        await world.control.view(FN)
        deleted = asyncio.Event()
        await world.store.watch("function/", lambda change: deleted.set() if change.entry is None else None)
        holder.open.clear()
        alias = asyncio.create_task(world("CreateAlias", FunctionName="fn", Name="a", FunctionVersion="$LATEST"))
        await holder.told.wait()
        deletion = asyncio.create_task(world("DeleteFunction", FunctionName="fn"))
        await deleted.wait()
        holder.open.set()
        await asyncio.gather(alias, deletion)
        assert FN not in holder.views

    run(test)


def test_control_closes_although_a_frontend_answers_nothing() -> None:
    async def test(world: World) -> None:
        holder = Holder()
        world.control.register(holder)
        await world.active()
        await world.control.view(FN)
        holder.open.clear()
        for name in ("a", "b"):
            await world("CreateAlias", FunctionName="fn", Name=name, FunctionVersion="$LATEST")
        await world.control.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("tell")]

    run(test, holder_lease=10_000_000)
