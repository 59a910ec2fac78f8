"""Invocations that ondol makes for what it reads from queues and streams: the way of every other one.

The caller is a part of the platform, so there is nothing to frame and nobody to verify; it waits for the answer.
"""

import asyncio
from collections.abc import Callable

from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.gathering import Gathering, perhaps_started
from ondol.frontend.invocations import Invocation, Invocations
from ondol.frontend.payloads import WholePayload
from ondol.frontend.targets import Targets
from ondol.model.errors import CallerError, OndolError
from ondol.model.function import FunctionKey
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.pollers.api import Failed, InvokedFunction, NotRun, Ran


class OwnInvocations:
    """An `Invoker`."""

    def __init__(
        self, targets: Targets, invocations: Invocations, durable: DurableInvocations, new_id: Callable[[], str]
    ) -> None:
        self._targets = targets
        self._invocations = invocations
        self._durable = durable
        self._new_id = new_id

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        try:
            target = await self._targets.find(function, qualifier)
        except CallerError:
            return None
        return InvokedFunction(target.version.role)

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun:
        try:
            target = await self._targets.find(function, qualifier)
        except CallerError as error:
            return NotRun(str(error))
        request_id = RequestId(self._new_id())
        waiting = _Waiting(request_id, target.version.version)
        door = self._invocations if target.version.durable is None else self._durable
        door.begin(Invocation(request_id, target, len(payload), WholePayload(payload), waiting))
        return await asyncio.shield(waiting.answer)


class _Waiting(Gathering):
    """A `Client` that has the answer for whoever awaits it."""

    def __init__(self, request_id: RequestId, executed_version: str) -> None:
        super().__init__()
        self._request_id = request_id
        self._executed = executed_version
        self.answer: asyncio.Future[Ran | Failed | NotRun] = asyncio.get_running_loop().create_future()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        if failure is not None:
            self.answer.set_result(Failed(self._request_id, self._executed))
        else:
            self.answer.set_result(Ran(self.result))

    def refuse(self, error: OndolError) -> None:
        self.answer.set_result(Failed(self._request_id, None) if perhaps_started(error) else NotRun(str(error)))
