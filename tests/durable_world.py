"""Durable executions in virtual time, with all their neighbours: a function that a test plays, a store that breaks."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from ondol.control.api import Caller
from ondol.durable.api import Failed, Ran, Refused, Run, RunOutcome, Start
from ondol.durable.service import DurableService
from ondol.events.api import Event
from ondol.events.api import Failed as EventFailed
from ondol.model.errors import CallerError, PlatformError, ResourceNotFound
from ondol.model.function import DurableSettings, FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, Region, RequestId, VersionId
from ondol.model.limits import DurableSchedule
from ondol.model.time import WallTime
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop
from ondol.simulator.virtual_time import run as run_virtually
from ondol.store.memory import MemoryStore
from ondol.store.protocol import Change, Entry, StoreError, Subscription

ACCOUNT, REGION = AccountId("123456789012"), Region("eu-west-1")
CALLER = Caller(ACCOUNT, REGION)
Answer = dict[str, Any]
Play = Callable[["Invocation"], Awaitable[Answer]]


def version(name: str = "fn", durable: bool = True, timeout_s: int = 3600, number: str = "1") -> FunctionVersion:
    return FunctionVersion(
        id=VersionId(f"{name}/{number}"),
        function=FunctionKey(ACCOUNT, REGION, name),
        version=number,
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("0" * 64),
        role="arn:aws:iam::123456789012:role/r",
        memory_mb=128,
        timeout_s=3,
        tmp_mb=512,
        environment={},
        logs=LogSettings("/aws/lambda/fn"),
        durable=DurableSettings(timeout_s) if durable else None,
    )


class BreakingStore(MemoryStore):
    """Breaks the write with the number `fail_at`, counted from 1, and all after it, as if the disk were full."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.fail_at: int | None = None

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        self.writes += 1
        if self.fail_at is not None and self.writes >= self.fail_at:
            raise StoreError("the disk is full")
        return await super().put(key, value, expect)


class Handle:
    """A process's own way to the store, which is cut when it is killed."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.dead = False

    async def get(self, key: str) -> Entry | None:
        return await self._store.get(key)

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        self._check()
        return await self._store.put(key, value, expect)

    async def delete(self, key: str, expect: int | None = None) -> None:
        self._check()
        await self._store.delete(key, expect)

    async def list(self, prefix: str) -> list[tuple[str, Entry]]:
        return await self._store.list(prefix)

    async def watch(self, prefix: str, on_change: Callable[[Change], None]) -> Subscription:
        return await self._store.watch(prefix, on_change)

    async def close(self) -> None:
        self.dead = True

    def _check(self) -> None:
        if self.dead:
            raise StoreError("this process is dead")


class Invocation:
    """What a function was invoked with, and what it can say."""

    def __init__(self, world: "World", payload: bytes, request: RequestId) -> None:
        self.world = world
        self.request = request
        told = msgspec.json.decode(payload)
        self.raw = told
        self.arn: str = told.get("DurableExecutionArn", "")
        self.token: str | None = told.get("CheckpointToken")
        self.operations: dict[str, Answer] = {
            each["Id"]: each for each in told.get("InitialExecutionState", {}).get("Operations", ())
        }

    async def say(self, *updates: Answer, client_token: str | None = None) -> list[Answer]:
        """A checkpoint; the answer is what has changed."""
        parameters: Answer = {"DurableExecutionArn": self.arn, "CheckpointToken": self.token, "Updates": list(updates)}
        if client_token is not None:
            parameters["ClientToken"] = client_token
        answer = await self.world.service.perform("CheckpointDurableExecution", CALLER, parameters)
        self.token = answer.get("CheckpointToken")
        changed: list[Answer] = answer["NewExecutionState"]["Operations"]
        self.operations |= {each["Id"]: each for each in changed}
        return changed


class World:
    """`function` is played for each invocation of `fn`, `plain` for those of other functions."""

    def __init__(self, function: Play, store: BreakingStore | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.clock = VirtualClock(loop)
        self.store = store or BreakingStore()
        self.function = function
        self.plain: Callable[[bytes], RunOutcome] = Ran
        self.invocations: list[Invocation] = []
        self.running: set[asyncio.Future[Answer]] = set()
        self.buried: list[tuple[bytes, bytes]] = []
        self.known = {"fn": version(), "plain": version("plain", durable=False)}
        self._numbers = itertools.count()
        self.handle = Handle(self.store)
        self.service = self._made()

    def _made(self) -> DurableService:
        return DurableService(
            store=self.handle,
            runner=self,
            clock=self.clock,
            schedule=DurableSchedule(),
            chance=lambda: 0.0,
            new_id=lambda: f"id-{next(self._numbers)}",
        )

    async def open(self) -> None:
        await self.service.open(self)

    async def killed_and_started(self) -> None:
        """As kill -9 of ondol: what has not been written never was."""
        await self.handle.close()
        for running in self.running:
            running.cancel()
        self.running.clear()
        await self.service.pause()
        await self.service.close()
        self.handle = Handle(self.store)
        self.service = self._made()
        await self.open()

    # As the events service

    async def forget_all(self) -> None:
        self.buried.clear()

    async def accept(self, event: Event) -> None:
        raise AssertionError("executions are no events")

    async def bury(self, event: Event, failure: EventFailed) -> None:
        self.buried.append((event.payload, failure.payload))

    # As the runner

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> FunctionVersion:
        if function.name not in self.known:
            raise ResourceNotFound(f"Function not found: {function.arn}:{qualifier or '$LATEST'}")
        return self.known[function.name]

    async def run(self, run: Run) -> RunOutcome:
        function = self.known.get(run.function.name)
        if function is None:
            return Refused("Function not found", gone=True)
        if function.durable is None:
            return self.plain(run.payload)
        invocation = Invocation(self, run.payload, run.request)
        self.invocations.append(invocation)
        service = self.service
        running = asyncio.ensure_future(self.function(invocation))
        self.running.add(running)
        try:
            answer = await running
        except asyncio.CancelledError:
            if self.service is service:
                raise
            return Refused("killed", started=True)
        except (Crash, CallerError, PlatformError):
            return Failed(b'{"errorType": "Runtime.ExitError", "errorMessage": "it died"}')
        return Ran(msgspec.json.encode(answer))

    # What a test does

    async def start(self, payload: str = '{"n": 1}', name: str | None = None) -> str:
        return await self.service.start(Start(self.known["fn"], payload, name))

    async def perform(self, operation: str, execution: str, **parameters: Any) -> Answer:
        return await self.service.perform(operation, CALLER, {"DurableExecutionArn": execution, **parameters})

    async def get(self, execution: str) -> Answer:
        return await self.perform("GetDurableExecution", execution)

    async def events(self, execution: str) -> list[str]:
        told = await self.perform("GetDurableExecutionHistory", execution, MaxItems=1000)
        return [event["EventType"] for event in told["Events"]]

    def wall(self) -> WallTime:
        return self.clock.wall()


class Crash(Exception):
    """The function's process ends."""


PENDING = {"Status": "PENDING"}


def succeeded(result: str = "null") -> Answer:
    return {"Status": "SUCCEEDED", "Result": result}


def step(id: str, action: str, **more: Any) -> Answer:
    return {"Id": id, "Type": "STEP", "Action": action, **more}


def wait(id: str, seconds: int, **more: Any) -> Answer:
    return {"Id": id, "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": seconds}, **more}


def callback(id: str, **options: int) -> Answer:
    return {"Id": id, "Type": "CALLBACK", "Action": "START", "CallbackOptions": options}


def chained(id: str, function: str, payload: str | None = None) -> Answer:
    told: Answer = {
        "Id": id,
        "Type": "CHAINED_INVOKE",
        "Action": "START",
        "ChainedInvokeOptions": {"FunctionName": function},
    }
    return told if payload is None else {**told, "Payload": payload}


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    run_virtually(coroutine)
