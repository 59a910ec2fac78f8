"""Durable executions in virtual time: what is written before what is answered, and what goes on after a kill."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from durable_world import (
    CALLER,
    PENDING,
    Answer,
    Crash,
    Invocation,
    World,
    callback,
    chained,
    run,
    step,
    succeeded,
    version,
    wait,
)
from ondol.durable.api import AlreadyStarted, CallbackTimedOut, Failed, Ran, Refused, Run, RunOutcome, Start
from ondol.model.errors import CallerError, InvalidParameterValue, PlatformError, ResourceConflict, ResourceNotFound


async def steps_and_a_wait(it: Invocation) -> Answer:
    if "a" not in it.operations:
        await it.say(step("a", "START"), step("a", "SUCCEED", Payload="1"))
    if "w" not in it.operations:
        await it.say(wait("w", 3600 * 24 * 30))
    if it.operations["w"]["Status"] != "SUCCEEDED":
        return PENDING
    return succeeded(it.operations["a"]["StepDetails"]["Result"])


async def until_ended(world: World, execution: str) -> Answer:
    await world.service.ended(execution)
    return await world.get(execution)


def test_a_wait_of_a_month_survives_a_kill() -> None:
    async def main() -> None:
        world = World(steps_and_a_wait)
        world.known["fn"] = version(timeout_s=31_622_400)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1000)
        await world.killed_and_started()
        await asyncio.sleep(1000)
        assert len(world.invocations) == 1, "nothing had to be done again"
        shown = await until_ended(world, execution)
        assert (shown["Status"], shown["Result"], len(world.invocations)) == ("SUCCEEDED", "1", 2)
        assert shown["EndTimestamp"] - shown["StartTimestamp"] == pytest.approx(30 * 86_400_000, abs=1000)

    run(main())


def test_an_invocation_that_a_kill_ended_is_made_again_with_what_it_had_said() -> None:
    async def main() -> None:
        hangs = asyncio.Event()

        async def function(it: Invocation) -> Answer:
            if "a" not in it.operations:
                await it.say(step("a", "START"), step("a", "SUCCEED", Payload="7"))
                await hangs.wait()
            return succeeded(it.operations["a"]["StepDetails"]["Result"])

        world = World(function)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1)
        await world.killed_and_started()
        assert (await until_ended(world, execution))["Result"] == "7"
        assert world.invocations[1].raw["UpdatedOperationIds"] == list(world.invocations[1].operations)
        with pytest.raises(InvalidParameterValue, match="Invalid checkpoint token"):
            await world.invocations[0].say(step("b", "START"))

    run(main())


def test_what_could_not_be_written_did_not_happen() -> None:
    async def main() -> None:
        told: list[str] = []

        async def function(it: Invocation) -> Answer:
            world.store.fail_at = 0
            for _ in range(2):
                try:
                    await it.say(step("a", "START"))
                except PlatformError as error:
                    told.append(str(error))
                    world.store.fail_at = None
            return succeeded()

        world = World(function)
        await world.open()
        execution = await world.start()
        await until_ended(world, execution)
        assert len(told) == 1 and "the disk is full" in told[0]
        assert (await world.events(execution)).count("StepStarted") == 1

    run(main())


def test_an_end_that_cannot_be_written_is_written_later() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            world.store.fail_at = 0
            return succeeded("1")

        world = World(function)
        await world.open()
        execution = await world.start()
        waiting = asyncio.create_task(world.service.ended(execution))
        await asyncio.sleep(20)
        assert not waiting.done()
        world.store.fail_at = None
        assert (await waiting).result == "1"
        assert len(world.invocations) == 1

    run(main())


def test_an_execution_that_could_not_be_kept_is_not_answered() -> None:
    async def main() -> None:
        world = World(steps_and_a_wait)
        await world.open()
        for fail_at in (1, 2):
            world.store.writes, world.store.fail_at = 0, fail_at
            with pytest.raises(PlatformError):
                await world.start(name="n")
        world.store.fail_at = None
        await world.killed_and_started()
        assert world.invocations == []
        assert await world.start(name="n")

    run(main())


def test_a_name_is_one_execution_however_often_and_whenever_it_is_asked_for() -> None:
    async def main() -> None:
        world = World(steps_and_a_wait)
        await world.open()
        executions = await asyncio.gather(*(world.start(name="n") for _ in range(5)))
        assert len(set(executions)) == 1
        await world.killed_and_started()
        assert await world.start(name="n") == executions[0]
        with pytest.raises(AlreadyStarted, match=executions[0]):
            await world.start('{"n": 2}', name="n")
        world.known["fn"] = version(number="2")
        with pytest.raises(AlreadyStarted):
            await world.start(name="n")

    run(main())


def test_retention_is_over_after_its_days() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            return succeeded()

        world = World(function)
        await world.open()
        execution = await world.start(name="n")
        await until_ended(world, execution)
        await asyncio.sleep(13.9 * 86_400)
        await world.killed_and_started()
        assert (await world.get(execution))["Status"] == "SUCCEEDED"
        await asyncio.sleep(0.2 * 86_400)
        with pytest.raises(ResourceNotFound, match="Durable Execution does not exist"):
            await world.get(execution)
        assert await world.store.list("") == []
        assert await world.start(name="n") != execution

    run(main())


# Invocations that fail


def test_a_function_that_crashes_is_tried_at_growing_distances_and_then_given_up() -> None:
    async def main() -> None:
        times: list[float] = []

        async def function(it: Invocation) -> Answer:
            times.append(asyncio.get_running_loop().time())
            raise Crash

        world = World(function)
        await world.open()
        shown = await until_ended(world, await world.start())
        assert (shown["Status"], shown["Error"]["ErrorType"]) == ("FAILED", "Runtime.ExitError")
        gaps = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
        assert gaps == [1, 2, 4, 8, 16, 32, 64]

    run(main())


def test_progress_begins_the_count_anew() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            done = len(it.operations) - 1
            if done == 12:
                return succeeded(str(done))
            await it.say(step(f"s{done}", "SUCCEED"))
            raise Crash

        world = World(function)
        await world.open()
        assert (await until_ended(world, await world.start()))["Result"] == "12"

    run(main())


def test_what_was_not_the_functions_fault_is_tried_for_as_long_as_it_takes() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            return succeeded()

        world = World(function)
        refusals = [Refused("throttled")] * 30
        world_run = world.run

        async def refuse(run: Run) -> RunOutcome:
            return refusals.pop() if refusals else await world_run(run)

        world.run = refuse  # type: ignore[method-assign]
        await world.open()
        shown = await until_ended(world, await world.start())
        assert shown["Status"] == "SUCCEEDED"

    run(main())


def test_a_function_that_is_gone_ends_its_executions() -> None:
    async def main() -> None:
        world = World(steps_and_a_wait)
        world.known["fn"] = version(timeout_s=31_622_400)
        await world.open()
        execution = await world.start()
        del world.known["fn"]
        shown = await until_ended(world, execution)
        assert shown["Error"]["ErrorType"] == "ResourceNotFoundException"

    run(main())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"Status": "PENDING"}, "Cannot return PENDING status with no pending operations."),
        ({"Status": "DONE"}, "Invalid Status in invocation output."),
        ({"result": 1}, "Invalid Status in invocation output."),
        ({"Status": "SUCCEEDED", "Error": {}}, "Cannot provide an Error for SUCCEEDED status."),
        ({"Status": "FAILED", "Result": "1"}, "Cannot provide a Result for FAILED status."),
    ],
)
def test_answers_that_are_none(answer: Answer, error: str) -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            return answer

        world = World(function)
        await world.open()
        shown = await until_ended(world, await world.start())
        assert shown["Status"] == "FAILED" and shown["Error"]["ErrorMessage"].startswith(error)

    run(main())


def test_what_is_told_in_an_answer_too_late_to_be_acted_on_is_told_again() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            if "w" not in it.operations:
                await it.say(wait("w", 1))
                await asyncio.sleep(2)
                # By now the wait is over, and this answer says so; but the function had made up its mind to go.
                assert [each["Id"] for each in await it.say(step("s", "SUCCEED"))] == ["w", "s"]
                return PENDING
            return succeeded()

        world = World(function)
        await world.open()
        await until_ended(world, await world.start())
        assert len(world.invocations) == 2

    run(main())


def test_a_checkpoint_that_is_sent_twice_counts_once() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            token = it.token
            first = await it.say(step("a", "START"), client_token="c")
            following, it.token = it.token, token
            assert await it.say(step("a", "START"), client_token="c") == first
            assert it.token == following
            it.token = token
            with pytest.raises(InvalidParameterValue, match="Invalid checkpoint token"):
                await it.say(step("b", "START"), client_token="d")
            return succeeded()

        world = World(function)
        await world.open()
        shown = await until_ended(world, await world.start())
        assert shown["Status"] == "SUCCEEDED"

    run(main())


# Callbacks


async def a_callback(it: Invocation) -> Answer:
    if "c" not in it.operations:
        await it.say(callback("c", TimeoutSeconds=100, HeartbeatTimeoutSeconds=10))
    if it.operations["c"]["Status"] == "STARTED":
        return PENDING
    return succeeded(str(it.operations["c"]["CallbackDetails"].get("Result")))


def test_heartbeats_keep_a_callback_alive_and_wake_nobody() -> None:
    async def main() -> None:
        world = World(a_callback)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1)
        id = world.invocations[0].operations["c"]["CallbackDetails"]["CallbackId"]
        for _ in range(9):
            await asyncio.sleep(8)
            await world.service.perform("SendDurableExecutionCallbackHeartbeat", CALLER, {"CallbackId": id})
        await world.killed_and_started()
        assert len(world.invocations) == 1
        parameters = {"CallbackId": id, "Result": b"done"}
        await world.service.perform("SendDurableExecutionCallbackSuccess", CALLER, parameters)
        assert (await until_ended(world, execution))["Result"] == "done"
        for operation in ("SendDurableExecutionCallbackSuccess", "SendDurableExecutionCallbackHeartbeat"):
            with pytest.raises(CallbackTimedOut):
                await world.service.perform(operation, CALLER, {"CallbackId": id})

    run(main())


@pytest.mark.parametrize(("heartbeats", "error"), [(0, "Callback.Heartbeat"), (20, "Callback.Timeout")])
def test_callbacks_time_out(heartbeats: int, error: str) -> None:
    async def main() -> None:
        world = World(a_callback)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1)
        id = world.invocations[0].operations["c"]["CallbackDetails"]["CallbackId"]
        for _ in range(heartbeats):
            await asyncio.sleep(5)
            try:
                await world.service.perform("SendDurableExecutionCallbackHeartbeat", CALLER, {"CallbackId": id})
            except CallbackTimedOut:
                break
        await until_ended(world, execution)
        details = world.invocations[1].operations["c"]["CallbackDetails"]
        assert details["Error"]["ErrorType"] == error

    run(main())


# Chained invocations


def chain_to(function: str) -> Callable[[Invocation], Awaitable[Answer]]:
    async def play(it: Invocation) -> Answer:
        if it.operations[it.arn.rpartition("/")[2]]["ExecutionDetails"]["InputPayload"] == "child":
            if "w" not in it.operations:
                await it.say(wait("w", 60))
                return PENDING
            return succeeded('"from the child"')
        if "i" not in it.operations:
            await it.say(chained("i", function, "child"))
        if it.operations["i"]["Status"] == "STARTED":
            return PENDING
        return succeeded(str(it.operations["i"]["ChainedInvokeDetails"]))

    return play


@pytest.mark.parametrize("kill_after_s", [0.0, 0.001, 30, 60.0])
def test_a_child_answers_its_parent_whenever_ondol_is_killed(kill_after_s: float) -> None:
    async def main() -> None:
        world = World(chain_to("fn:1"))
        await world.open()
        execution = await world.start("parent")
        await asyncio.sleep(kill_after_s)
        await world.killed_and_started()
        shown = await until_ended(world, execution)
        assert shown["Result"] == """{'Result': '"from the child"'}"""
        listed = await world.service.perform("ListDurableExecutionsByFunction", CALLER, {"FunctionName": "fn"})
        assert len(listed["DurableExecutions"]) == 2

    run(main())


def test_a_child_that_had_ended_when_ondol_was_killed_answers_its_parent_afterwards() -> None:
    async def main() -> None:
        play = chain_to("fn:1")

        async def function(it: Invocation) -> Answer:
            answer = await play(it)
            if answer == succeeded('"from the child"'):
                # Its last step and its head are written; that its parent is told is not.
                world.store.fail_at = world.store.writes + 3
            return answer

        world = World(function)
        await world.open()
        execution = await world.start("parent")
        await asyncio.sleep(70)
        assert (await world.get(execution))["Status"] == "RUNNING"
        world.store.fail_at = None
        await world.killed_and_started()
        assert (await until_ended(world, execution))["Result"] == """{'Result': '"from the child"'}"""
        assert await world.events(execution) == [
            *("ExecutionStarted", "ChainedInvokeStarted", "InvocationCompleted", "ChainedInvokeSucceeded"),
            *("InvocationCompleted", "ExecutionSucceeded"),
        ]

    run(main())


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Ran(b"[1]"), "{'Result': '[1]'}"),
        (Failed(b'{"errorType": "E", "errorMessage": "m"}'), "{'Error': {'ErrorMessage': 'm', 'ErrorType': 'E'}}"),
        (
            Refused("it is unknown how it ended", started=True),
            "{'Error': {'ErrorType': 'ServiceException', 'ErrorMessage': 'it is unknown how it ended'}}",
        ),
    ],
)
def test_a_function_that_is_not_durable_answers_once(outcome: Ran | Failed | Refused, answer: str) -> None:
    async def main() -> None:
        world = World(chain_to("plain"))
        outcomes: list[Ran | Failed | Refused] = [outcome, Refused("throttled"), Refused("throttled")]
        world.plain = lambda payload: outcomes.pop()
        await world.open()
        assert (await until_ended(world, await world.start("parent")))["Result"] == answer

    run(main())


# What others do


def test_a_pause_is_in_force_with_the_next_checkpoint_and_what_is_owed_is_paid_on_resumption() -> None:
    async def main() -> None:
        paused = asyncio.Event()

        async def function(it: Invocation) -> Answer:
            if "a" not in it.operations:
                await paused.wait()
                await it.say(step("a", "SUCCEED", Payload="1"))
                assert it.token is None
                return PENDING
            return succeeded("2")

        world = World(function)
        world.known["fn"] = version(timeout_s=100)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1)
        await world.perform("PauseDurableExecution", execution, ClientToken="p", Reason="r")
        assert (await world.get(execution))["Status"] == "PAUSING"
        await world.perform("PauseDurableExecution", execution, ClientToken="p")
        paused.set()
        await asyncio.sleep(1)
        assert (await world.get(execution))["Status"] == "PAUSED"
        await asyncio.sleep(1000)
        await world.killed_and_started()
        assert len(world.invocations) == 1
        await world.perform("ResumeDurableExecution", execution, ClientToken="r")
        await world.perform("ResumeDurableExecution", execution, ClientToken="r")
        shown = await until_ended(world, execution)
        assert (shown["Status"], shown["Result"]) == ("SUCCEEDED", "2")
        told = await world.events(execution)
        assert told[1:5] == ["StepSucceeded", "ExecutionPaused", "InvocationCompleted", "ExecutionResumed"]
        with pytest.raises(ResourceConflict):
            await world.perform("PauseDurableExecution", execution)

    run(main())


def test_waits_go_on_in_a_pause_and_the_time_out_does_if_it_is_told_to() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            if "w" not in it.operations:
                await it.say(wait("w", 50))
                return PENDING
            return succeeded()

        world = World(function)
        world.known["fn"] = version(timeout_s=100)
        await world.open()
        still, passing = await world.start(), await world.start()
        await asyncio.sleep(1)
        await world.perform("PauseDurableExecution", still)
        await world.perform("PauseDurableExecution", passing, ExecutionTimeoutPaused=False)
        await asyncio.sleep(200)
        assert "WaitSucceeded" in await world.events(still)
        assert (await world.get(passing))["Status"] == "TIMED_OUT"
        assert len(world.invocations) == 2
        await world.perform("ResumeDurableExecution", still)
        assert (await until_ended(world, still))["Status"] == "SUCCEEDED"

    run(main())


def test_a_pause_that_was_asked_for_before_a_kill_is_in_force_after_it() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        world = World(function)
        await world.open()
        execution = await world.start()
        await asyncio.sleep(1)
        await world.perform("PauseDurableExecution", execution)
        await world.killed_and_started()
        await asyncio.sleep(1)
        assert (await world.get(execution))["Status"] == "PAUSED"
        assert len(world.invocations) == 1

    run(main())


def test_a_stopped_execution_is_not_spoken_for_any_more() -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            await asyncio.sleep(10)
            await it.say(step("a", "SUCCEED"))
            raise AssertionError("it may not")

        world = World(function)
        await world.open()
        execution = await world.start()
        waiting = asyncio.create_task(world.service.ended(execution))
        await asyncio.sleep(1)
        await world.perform("StopDurableExecution", execution)
        assert (await waiting).error == {}
        await asyncio.sleep(100)
        assert (await world.events(execution))[-1] == "ExecutionStopped"
        assert len(world.invocations) == 1

    run(main())


def test_everything_is_forgotten_at_once() -> None:
    async def main() -> None:
        world = World(a_callback)
        await world.open()
        execution = await world.start()
        waiting = asyncio.create_task(world.service.ended(execution))
        await asyncio.sleep(1)
        await world.service.forget_all()
        with pytest.raises(PlatformError):
            await waiting
        await asyncio.sleep(1000)
        assert await world.store.list("") == []
        with pytest.raises(CallerError):
            await world.get(execution)

    run(main())


@pytest.mark.parametrize("synchronous", [False, True])
def test_what_fails_for_nobody_goes_to_the_dead_letter_queue(synchronous: bool) -> None:
    async def main() -> None:
        async def function(it: Invocation) -> Answer:
            return {"Status": "FAILED", "Error": {"ErrorType": "E", "ErrorMessage": "m"}}

        world = World(function)
        await world.open()
        queue = "arn:aws:sqs:eu-west-1:123456789012:dead"
        function_version = msgspec.structs.replace(version(), dead_letter=queue)
        execution = await world.service.start(Start(function_version, "7", synchronous=synchronous))
        await until_ended(world, execution)
        await asyncio.sleep(1)
        assert world.buried == ([] if synchronous else [(b"7", b'{"errorMessage":"m","errorType":"E"}')])

    run(main())
