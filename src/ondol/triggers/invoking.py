"""Has functions invoked on behalf of what triggers them: whether that is allowed, and then as an event that is kept.

A service acts by the function's own policy, which may hold for what it acts for alone; a role of an account does in
that account what it is told, for ondol knows no policies of roles. Source: developer guide, "Using resource-based
policies"; IAM user guide, "The confused deputy problem".
"""

import logging
from collections.abc import Callable

import msgspec

from ondol.control.api import Control
from ondol.events.api import Event, Events, Letter
from ondol.model.arn import parse_function_arn
from ondol.model.errors import InvariantError
from ondol.model.function import LATEST, FunctionKey
from ondol.model.ids import AccountId, RequestId
from ondol.model.policy import INVOKE, SOURCE_ACCOUNT, SOURCE_ARN, Principal
from ondol.model.time import Clock

_MOST_TOLD = 1024

_NO_RESOURCE, _NO_PERMISSIONS = "NO_RESOURCE", "NO_PERMISSIONS"
_NAMED = {"events": "RULE_ARN", "scheduler": "SCHEDULE_ARN"}
"""How dead letters call who wanted the invocation."""

_log = logging.getLogger(__name__)


class Source(msgspec.Struct, frozen=True):
    """Who invokes, and for what."""

    arn: str
    """Of the rule, schedule, bucket or topic."""

    account: AccountId
    """Whose that is."""

    service: str | None
    """As `events.amazonaws.com`; None for a role of the account."""


class Undeliverable(Exception):
    """The function is not there, or may not be invoked; a sentence that says which, and perhaps the way out.

    `code` is how a dead letter puts it.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Invoking:
    """`open` before anything is invoked."""

    def __init__(self, control: Control, clock: Clock, new_id: Callable[[], str]) -> None:
        self._control = control
        self._clock = clock
        self._new_id = new_id
        self._events: Events | None = None
        self._told: set[tuple[str, str, str]] = set()

    def open(self, events: Events) -> None:
        self._events = events

    async def invoke(
        self, target: str, payload: bytes, source: Source, *, trace: str | None = None, dead_letters: str | None = None
    ) -> None:
        """Durable when it returns. Raises `PlatformError`.

        If the function cannot be invoked ondol's log says so once, as AWS's metrics do, and the queue of `dead_letters`
        gets what was for it.
        """
        try:
            function, qualifier = await self.allowed(target, source)
        except Undeliverable as error:
            self.tell(source.arn, target, str(error))
            if dead_letters is not None:
                await self._opened.send(_letter(dead_letters, target, payload, source, error))
            return
        await self._opened.accept(
            Event(RequestId(self._new_id()), function, qualifier, payload, self._clock.wall(), trace=trace)
        )

    @property
    def _opened(self) -> Events:
        if self._events is None:
            raise InvariantError("something was triggered before events were there")
        return self._events

    async def allowed(self, target: str, source: Source) -> tuple[FunctionKey, str | None]:
        """The function and qualifier that an ARN names. Raises `Undeliverable`."""
        arn = parse_function_arn(target)
        if arn is None:
            raise Undeliverable(_NO_RESOURCE, "it is not the ARN of a function")
        key = FunctionKey(arn.account, arn.region, arn.name)
        view = await self._control.view(key)
        label = arn.qualifier or LATEST
        if view is None or (label not in view.versions and label not in view.aliases):
            raise Undeliverable(_NO_RESOURCE, "there is no such function")
        if source.service is None and source.account == arn.account:
            return key, arn.qualifier
        principal = Principal(source.service, source.account if source.service is None else None)
        context = {SOURCE_ARN: source.arn, SOURCE_ACCOUNT: source.account}
        if not view.permits(arn.qualifier, INVOKE, principal, context):
            named = f" --qualifier {arn.qualifier}" if arn.qualifier else ""
            raise Undeliverable(
                _NO_PERMISSIONS,
                f"its policy does not let {source.service or source.account} invoke it; if it should: "
                f"aws lambda add-permission --function-name {arn.name}{named} --statement-id NAME "
                f"--action {INVOKE} --principal {source.service or source.account} --source-arn {source.arn}",
            )
        return key, arn.qualifier

    def tell(self, source: str, target: str, reason: str) -> None:
        """That something did not reach a function: once for each reason."""
        if (source, target, reason) not in self._told:
            if len(self._told) == _MOST_TOLD:
                self._told.clear()
            self._told.add((source, target, reason))
            _log.warning("%s does not reach %s: %s", source, target, reason)


def _letter(queue: str, target: str, payload: bytes, source: Source, error: Undeliverable) -> Letter:
    """Source: EventBridge user guide, "Using dead-letter queues to process undelivered events"."""
    arn = parse_function_arn(target)
    if arn is None:
        raise InvariantError(f"{target} was taken for the ARN of a function")
    attributes = {
        _NAMED[source.arn.split(":")[2]]: source.arn,
        "TARGET_ARN": target,
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": str(error),
    }
    return Letter(
        queue,
        FunctionKey(arn.account, arn.region, arn.name),
        source.arn,
        payload.decode(),
        {name: ("String", value) for name, value in attributes.items()},
    )


def is_queue(arn: str) -> bool:
    """Whether it can have dead letters: a queue of SQS, and none that keeps an order."""
    parts = arn.split(":")
    return len(parts) == 6 and parts[2] == "sqs" and not arn.endswith(".fifo")


def is_function(arn: str) -> bool:
    return parse_function_arn(arn) is not None
