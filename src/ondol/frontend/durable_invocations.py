"""Invocations of durable functions: each begins an execution, or finds the one of its name, and may wait for its end.

Source: developer guide, "Invoking Lambda durable functions"; texts as others have recorded them.
"""

import msgspec

from ondol.background import Background
from ondol.durable.api import Durable, Ended, Start
from ondol.durable.function_answers import failure_of
from ondol.frontend.directory import Target
from ondol.frontend.invocations import Invocation
from ondol.model.errors import InvalidParameterValue, OndolError
from ondol.model.invocation import FailureKind, FunctionFailure
from ondol.model.limits import LONGEST_SYNCHRONOUS_S


class DurableInvocations:
    def __init__(self, durable: Durable) -> None:
        self._durable = durable
        self._background = Background("an invocation of a durable function")

    async def start(
        self, target: Target, payload: bytes, *, name: str | None, synchronous: bool, trace: str | None
    ) -> str:
        """The ARN of the execution, which is durable then. Raises `CallerError`, `PlatformError`."""
        check_target(target, synchronous)
        return await self._durable.start(Start(target.version, payload.decode(), name, synchronous, trace))

    async def result(self, arn: str) -> tuple[FunctionFailure | None, bytes]:
        """How it ended, once it has. Raises `PlatformError` when ondol stops before."""
        return _told(await self._durable.ended(arn))

    def begin(self, invocation: Invocation) -> None:
        """As `Invocations.begin`: the client is told how the execution ended."""
        self._background.spawn(self._run(invocation))

    async def _run(self, invocation: Invocation) -> None:
        client = invocation.client
        payload = invocation.source.first
        try:
            arn = await self.start(invocation.target, payload, name=None, synchronous=True, trace=invocation.trace)
            failure, result = await self.result(arn)
        except OndolError as error:
            client.refuse(error)
            return
        client.write(result)
        client.finish(failure, b"")


def check_target(target: Target, synchronous: bool) -> None:
    """Raises `InvalidParameterValue` for a durable function that cannot be invoked so."""
    durable = target.version.durable
    if durable is None:
        raise InvalidParameterValue("A durable execution name can be given to durable functions only.")
    if target.invoked_arn == target.view.key.arn:
        raise InvalidParameterValue("You cannot invoke a durable function using an unqualified ARN.")
    if synchronous and durable.timeout_s > LONGEST_SYNCHRONOUS_S:
        raise InvalidParameterValue(
            "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes."
        )


def _told(ended: Ended) -> tuple[FunctionFailure | None, bytes]:
    if ended.error is None:
        return None, (ended.result or "null").encode()
    told = failure_of(dict(ended.error))
    kind = str(told.get("errorType", "Unhandled"))
    return FunctionFailure(FailureKind.HANDLED_BY_RUNTIME, kind, msgspec.json.encode(told)), b""
