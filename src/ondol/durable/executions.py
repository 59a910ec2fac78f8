"""All executions: those that live, those that have ended and are kept for a while, and when to look at which."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

import msgspec
from msgspec.structs import replace

from ondol.background import SLOW_BYTES, Background
from ondol.durable.api import AlreadyStarted, Ended, Runner, Start
from ondol.durable.chaining import answer_of_child, run_plain
from ondol.durable.function_answers import failure_of
from ondol.durable.heads import Heads, read_arn
from ondol.durable.journal import Journal
from ondol.durable.life import Life
from ondol.durable.machine import Execution
from ondol.durable.records import Closed, Error, Head, Operation, Parent, Stage, Status
from ondol.events.api import Event, Events, Failed
from ondol.model.agenda import Agenda
from ondol.model.errors import InvariantError, Outcome, PlatformError, ResourceConflict, ResourceNotFound
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import RequestId
from ondol.model.limits import EVENT_PAYLOAD_BYTES, REQUEST_PAYLOAD_BYTES, DurableSchedule
from ondol.model.time import Clock, WallTime
from ondol.store.protocol import RevisionConflict, StoreError
from ondol.waiting import happens

_DAY_MS = 86_400_000
_LONGEST_SLEEP_S = 60.0
"""The clock of the wall may be set meanwhile."""

_LONGEST_REST_S = 5.0

_log = logging.getLogger(__name__)


class Executions:
    """`Surroundings` of each life."""

    def __init__(
        self,
        *,
        journal: Journal,
        runner: Runner,
        clock: Clock,
        schedule: DurableSchedule,
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self.journal = journal
        self.runner = runner
        self.clock = clock
        self.background = Background("the life of a durable execution")
        self.stopping = False
        self.closed = False
        self.heads = Heads()
        self.events: Events | None = None
        self._schedule = schedule
        self._chance = chance
        self._new_id = new_id
        self._lives: dict[str, Life] = {}
        self._agenda: Agenda[str] = Agenda()
        self._earlier = asyncio.Event()
        self._waking: asyncio.Task[None] | None = None
        self._naming: WeakValueDictionary[tuple[FunctionKey, str], asyncio.Lock] = WeakValueDictionary()

    async def open(self, events: Events) -> None:
        """Go on with what was under way. Raises `StoreError`."""
        self.events = events
        for head in await self.journal.heads():
            self.heads.put(head)
            if head.closed is None:
                steps = [step async for step in self.journal.steps(head.id)]
                self._lives[head.id] = Life(Execution(head, steps, self._schedule), self)
            elif head.closed.deleting:
                self.background.spawn(self.forget(head))
            else:
                self._agenda.plan(head.id, head.closed.forget_at)
        for life in list(self._lives.values()):
            self.background.spawn(life.insist(lambda execution, now: execution.woken(now)))
        self._waking = asyncio.create_task(self._wake_for_ever(), name="durable executions' agenda")

    async def pause(self) -> None:
        """Begin nothing more; whoever waits is told that ondol stops. What runs may still say how far it has come."""
        self.stopping = True
        if self._waking is not None:
            self._waking.cancel()
            await asyncio.gather(self._waking, return_exceptions=True)
        stops = PlatformError("ondol stops; the execution goes on when it starts again.", Outcome.UNKNOWN)
        for life in self._lives.values():
            life.tell(stops)

    def close(self) -> None:
        """Write nothing more."""
        self.closed = True

    @property
    def alive(self) -> int:
        return len(self._lives)

    # As the surroundings of lives

    def new_id(self) -> str:
        return self._new_id()

    def chance(self) -> float:
        return self._chance()

    def wake(self, execution: str, at: WallTime | None) -> None:
        if at is None:
            self._agenda.drop(execution)
            return
        before = self._agenda.next
        self._agenda.plan(execution, at)
        if before is None or at < before:
            self._earlier.set()

    async def chain(self, life: Life, operation: Operation) -> None:
        """See to it that the function that a CHAINED_INVOKE names answers: again, if that was under way before."""
        if operation.child is None:
            answer = await run_plain(
                life.execution.head,
                operation,
                runner=self.runner,
                schedule=self._schedule,
                new_id=self._new_id,
                chance=self._chance,
            )
            await life.insist(lambda execution, now: execution.chained_ended(operation.id, *answer, now))
            return
        child = self.heads.find(operation.child)
        if child is None:
            await self._insist(lambda: self._begin_child(life, operation))
        elif child.closed is not None:
            await self._insist(lambda: self._tell_parent(child))

    async def ended(self, life: Life) -> None:
        """Keep for a while what has ended, and tell whoever waits for it."""
        head, execution = life.execution.head, life.execution
        outcome = execution.progress.outcome
        if outcome is None:
            raise InvariantError(f"{head.arn} has ended, and nobody knows how")
        life.tell(Ended(outcome.result, outcome.error))
        forget_at = WallTime(outcome.ended + head.retention_days * _DAY_MS)
        closed = replace(head, closed=Closed(outcome.status, outcome.ended, forget_at, execution.steps))
        await self._insist(lambda: self._bury(execution))
        await self._insist(lambda: self._keep(closed))
        await self._insist(lambda: self._tell_parent(closed))
        self._lives.pop(head.id, None)
        self.wake(head.id, forget_at)
        life.settled.set()

    async def _bury(self, execution: Execution) -> None:
        """What nobody waited for, and failed, goes where its function wants to have it."""
        head, outcome = execution.head, execution.progress.outcome
        if head.dead_letter is None or outcome is None or outcome.status not in (Status.FAILED, Status.TIMED_OUT):
            return
        if self.events is None:
            raise InvariantError("executions end before they are opened")
        payload = (execution.operations[head.id].input or "null").encode()
        settings = EventSettings(dead_letter=head.dead_letter)
        event = Event(
            RequestId(head.id), head.function, head.version, payload, head.started, settings, trace=head.trace
        )
        failure = msgspec.json.encode(failure_of(outcome.error or {}))
        await self.events.bury(event, Failed(head.version, failure))

    # Beginning

    async def start(self, start: Start, id: str | None = None, parent: Parent | None = None) -> Head:
        """Raises `AlreadyStarted`, `PlatformError`."""
        version, settings = start.version, start.version.durable
        if settings is None:
            raise InvariantError(f"{version.arn} is no durable function")
        name = start.name or self._new_id()
        digest = await _digest(start.payload)
        lock = self._naming.setdefault((version.function, name), asyncio.Lock())
        async with lock:
            existing = self.heads.named(version.function, name)
            if existing is not None:
                if (existing.version, existing.payload) != (version.version, digest):
                    raise AlreadyStarted(f"Execution already started: {existing.arn}")
                return existing
            head = Head(
                id=id or self._new_id(),
                name=name,
                function=version.function,
                version=version.version,
                started=self.clock.wall(),
                timeout_s=settings.timeout_s,
                retention_days=settings.retention_days,
                payload=digest,
                largest_result=REQUEST_PAYLOAD_BYTES if start.synchronous else EVENT_PAYLOAD_BYTES,
                kms_key=settings.kms_key,
                trace=start.trace,
                dead_letter=version.dead_letter if not start.synchronous and parent is None else None,
                parent=parent,
            )
            await self._open(head, start.payload)
            return head

    async def _open(self, head: Head, payload: str) -> None:
        execution, step = Execution.begun(head, payload, self._schedule)
        try:
            await self.journal.open(head, step)
        except (StoreError, RevisionConflict) as error:
            raise PlatformError(f"The durable execution could not be kept: {error}", Outcome.NOT_STARTED) from error
        self.heads.put(head)
        life = self._lives[head.id] = Life(execution, self)
        life.advance()

    async def _begin_child(self, life: Life, operation: Operation) -> None:
        """The execution that was named when the CHAINED_INVOKE was taken."""
        head = life.execution.head
        function, version, name, id = read_arn(operation.child or "")
        try:
            found = await self.runner.find(FunctionKey(head.function.account, head.function.region, function), version)
        except ResourceNotFound as error:
            told: Error = {"ErrorType": error.code, "ErrorMessage": error.message}
            await life.act(lambda execution, now: execution.chained_ended(operation.id, Stage.FAILED, None, told, now))
            return
        start = Start(found, operation.input or "null", name, trace=head.trace)
        await self.start(start, id, Parent(head.arn, operation.id))

    async def _tell_parent(self, head: Head) -> None:
        if head.parent is None:
            return
        parent = self.heads.find(head.parent.arn)
        life = None if parent is None else self._lives.get(parent.id)
        if life is None:
            return
        execution = await self.load(head)
        outcome, operation = execution.progress.outcome, head.parent.operation
        if outcome is not None:
            answer = answer_of_child(head, outcome)
            await life.act(lambda execution, now: execution.chained_ended(operation, *answer, now))

    async def _insist(self, work: Callable[[], Awaitable[object]]) -> None:
        """Have it done, as soon as it can be."""
        rest_s = 0.1
        while not self.closed:
            try:
                await work()
            except (StoreError, PlatformError, ResourceConflict) as error:
                _log.error("a durable execution has to wait: %s", error)
                await asyncio.sleep(rest_s)
                rest_s = min(_LONGEST_REST_S, 2 * rest_s)
            else:
                return

    # Finding

    def find(self, arn: str) -> Head:
        """Raises `ResourceNotFound`."""
        head = self.heads.find(arn)
        if head is None:
            raise ResourceNotFound("Durable Execution does not exist")
        return head

    def life(self, head: Head) -> Life | None:
        """None if it has ended."""
        return self._lives.get(head.id)

    async def load(self, head: Head) -> Execution:
        """What it has come to, from memory or from the store. Raises `StoreError`."""
        life = self._lives.get(head.id)
        if life is not None:
            return life.execution
        steps = [step async for step in self.journal.steps(head.id)]
        return Execution(head, steps, self._schedule)

    # Forgetting

    async def delete(self, head: Head) -> None:
        """It is as good as gone when this returns. Raises `StoreError`."""
        if head.closed is None:
            raise InvariantError(f"{head.arn} has not ended")
        deleting = replace(head, closed=replace(head.closed, deleting=True))
        await self._keep(deleting)
        self.background.spawn(self.forget(deleting))

    async def expire(self, head: Head) -> None:
        """Its retention is over."""
        await self._insist(lambda: self.delete(head))

    async def forget(self, head: Head) -> None:
        """Remove what is being deleted, of store and memory."""
        steps = 0 if head.closed is None else head.closed.steps
        await self._insist(lambda: self.journal.forget(head, steps))
        if not self.closed:
            self.heads.remove(head)

    async def forget_all(self) -> None:
        """Raises `StoreError`."""
        heads = list(self.heads)
        for head in heads:
            self.heads.remove(head)
            self._agenda.drop(head.id)
        for head in heads:
            life = self._lives.pop(head.id, None)
            steps = life.execution.steps if life is not None else head.closed.steps if head.closed is not None else 0
            if life is not None:
                life.drop()
                life.tell(PlatformError("The durable execution was forgotten.", Outcome.UNKNOWN))
            await self.journal.forget(head, steps)

    # Inside

    async def _keep(self, head: Head) -> None:
        """Write what a head says now, unless it was forgotten meanwhile."""
        if self.heads.get(head.id) is not None:
            await self.journal.write(head)
            self.heads.put(head)

    async def _wake_for_ever(self) -> None:
        while True:
            now = self.clock.wall()
            for id in self._agenda.due(now):
                self._look_at(id)
            at = self._agenda.next
            sleep_s = _LONGEST_SLEEP_S if at is None else min(_LONGEST_SLEEP_S, (at - now) / 1000)
            self._earlier.clear()
            await happens(self._earlier, sleep_s)

    def _look_at(self, id: str) -> None:
        life, head = self._lives.get(id), self.heads.get(id)
        if life is not None:
            self.background.spawn(life.insist(lambda execution, now: execution.woken(now)))
        elif head is not None and head.closed is not None:
            self.background.spawn(self.expire(head))


async def _digest(payload: str) -> bytes:
    if len(payload) > SLOW_BYTES:
        return await asyncio.to_thread(_hashed, payload)
    return _hashed(payload)


def _hashed(payload: str) -> bytes:
    return hashlib.blake2b(payload.encode(), digest_size=16).digest()
