"""The invocations that durable executions are made of, on the same way as every one: what those see of a frontend."""

import asyncio

from ondol.durable.api import Failed, Ran, Refused, Run, RunOutcome
from ondol.frontend.gathering import Gathering, perhaps_started
from ondol.frontend.invocations import Invocation, Invocations
from ondol.frontend.payloads import WholePayload
from ondol.frontend.targets import Targets
from ondol.model.errors import CallerError, OndolError, ResourceNotFound
from ondol.model.function import FunctionKey, FunctionVersion
from ondol.model.invocation import FunctionFailure


class DurableRunner:
    """A `Runner`."""

    def __init__(self, targets: Targets, invocations: Invocations) -> None:
        self._targets = targets
        self._invocations = invocations

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> FunctionVersion:
        return (await self._targets.find(function, qualifier, tenant=tenant)).version

    async def run(self, run: Run) -> RunOutcome:
        try:
            target = await self._targets.find(run.function, run.version, tenant=run.tenant)
        except CallerError as error:
            return Refused(error.message, gone=isinstance(error, ResourceNotFound))
        waiting = _Waiting()
        source = WholePayload(run.payload)
        self._invocations.begin(Invocation(run.request, target, len(run.payload), source, waiting, trace=run.trace))
        return await waiting.outcome


class _Waiting(Gathering):
    """A `Client` that has the outcome for whoever awaits it."""

    __slots__ = ("outcome",)

    def __init__(self) -> None:
        super().__init__()
        self.outcome: asyncio.Future[RunOutcome] = asyncio.get_running_loop().create_future()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        self._tell(Ran(self.result) if failure is None else Failed(failure.payload))

    def refuse(self, error: OndolError) -> None:
        self._tell(Refused(str(error), started=perhaps_started(error)))

    def _tell(self, outcome: RunOutcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
