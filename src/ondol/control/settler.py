"""What happens after an accepted change, in the background: code is made ready, handed over, and the old retired."""

import asyncio
from collections.abc import Callable

from ondol.control import lifecycle
from ondol.control.api import CodeHost, PrepareError, Retirer
from ondol.control.catalog import Stored
from ondol.control.claims import Claims
from ondol.control.holders import Holders
from ondol.control.records import Edit, FunctionRecord, Reason, Settings
from ondol.control.registry import Registry
from ondol.model.errors import PlatformError
from ondol.model.function import LATEST, FunctionKey
from ondol.model.ids import AccountId

_RETRY_S = 1.0


class Settler:
    """Takes each function that is not settled to where it is, with one task for each."""

    def __init__(
        self,
        *,
        registry: Registry,
        holders: Holders,
        code_host: CodeHost,
        retirer: Retirer,
        claims: Claims,
        new_id: Callable[[], str],
        nearest_runtime: bool,
    ) -> None:
        self._registry = registry
        self._holders = holders
        self._code_host = code_host
        self._retirer = retirer
        self._claims = claims
        self._new_id = new_id
        self._nearest_runtime = nearest_runtime
        self._tasks: dict[FunctionKey, asyncio.Task[None]] = {}

    def start(self, key: FunctionKey) -> None:
        """Settle what there is to settle; no-one waits."""
        stored = self._registry.catalog.get(key)
        if key not in self._tasks and stored is not None and _unsettled(stored.record):
            self._tasks[key] = asyncio.create_task(self._settle(key), name=f"settle {key.arn}")
            self._tasks[key].add_done_callback(lambda task: self._ended(key, task))

    async def settled(self, key: FunctionKey) -> None:
        """Wait until what there is to settle now is, or is begun anew."""
        task = self._tasks.get(key)
        await (asyncio.wait((task,)) if task is not None else asyncio.sleep(0))

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: FunctionKey, task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})
        else:
            self.start(key)

    async def _settle(self, key: FunctionKey) -> None:
        while (stored := self._registry.catalog.get(key)) is not None and _unsettled(stored.record):
            try:
                await self._pass(key, stored)
            except PlatformError:
                # The store cannot write now. What is settled so far is in it; the rest is done again.
                await asyncio.sleep(_RETRY_S)

    async def _pass(self, key: FunctionKey, stored: Stored) -> None:
        incarnation = stored.record.incarnation
        verdicts = {
            label: await self._verdict(key.account, _settings(stored, label))
            for label in lifecycle.awaiting_code(stored.record)
        }
        if verdicts:
            await self._advance(key, incarnation, lambda record: lifecycle.prepared(record, verdicts, self._new_id))
        view = await self._holders.announce(key)
        if view is None:
            return
        if stored.record.provisioned:
            await self._claims.provision(key)  # of a version that could not run until now
        await self._retirer.retire(view, key)
        await self._advance(key, incarnation, lambda record: lifecycle.adopted(record, self._new_id))

    async def _verdict(self, account: AccountId, settings: Settings) -> Reason | None:
        try:
            await self._code_host.prepare(
                account,
                settings.runtime,
                self._nearest_runtime,
                settings.code,
                settings.layer_packages(),
                image=settings.image,
            )
        except PrepareError as error:
            return Reason(error.code, error.reason)
        except (PlatformError, OSError) as error:
            return Reason("InternalError", str(error))
        return None

    async def _advance(
        self, key: FunctionKey, incarnation: str, change: Callable[[FunctionRecord], FunctionRecord]
    ) -> None:
        def decide(stored: Stored | None) -> Edit | None:
            if stored is None or stored.record.incarnation != incarnation:
                return None
            record = change(stored.record)
            return None if record == stored.record else Edit(record)

        await self._registry.change(key, decide)


def _unsettled(record: FunctionRecord) -> bool:
    return bool(lifecycle.awaiting_code(record)) or lifecycle.awaiting_adoption(record)


def _settings(stored: Stored, label: str) -> Settings:
    return stored.record.settings if label == LATEST else stored.version(label).settings
