"""What templates made: a record for each stack, kept for whoever deploys it, so that what leaves a template is deleted.

```
 stack/<account>/<region>/<name>   the record of one stack, as its owner wrote it
```
ondol reads nothing in it: what a resource is, and how it is deleted, is known where templates are.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ondol.control.api import Caller
from ondol.model.errors import InvalidParameterValue, Outcome, PlatformError, ResourceNotFound
from ondol.model.ids import AccountId, Region
from ondol.store.protocol import Store, StoreError

STACKS = "stack/"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", re.ASCII)


class StackRegistry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._stacks: dict[tuple[AccountId, Region, str], bytes] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        for text, entry in await self._store.list(STACKS):
            _, account, region, name = text.split("/")
            self._stacks[AccountId(account), Region(region), name] = entry.value

    def get(self, owner: Caller, name: str) -> dict[str, Any]:
        """Raises `ResourceNotFound`."""
        value = self._stacks.get((owner.account, owner.region, name))
        if value is None:
            raise _missing(name)
        record: dict[str, Any] = msgspec.json.decode(value)
        return record

    def names(self, owner: Caller) -> list[str]:
        return sorted(
            name for account, region, name in self._stacks if (account, region) == (owner.account, owner.region)
        )

    async def put(self, owner: Caller, name: str, record: Mapping[str, Any]) -> None:
        """Durable when it returns. Raises `InvalidParameterValue`, `PlatformError`."""
        if not _NAME.fullmatch(name):
            raise InvalidParameterValue(f"The name of a stack has letters, digits and -, 128 at most, unlike {name!r}.")
        value = msgspec.json.encode(record)
        async with self._lock:
            try:
                await self._store.put(f"{STACKS}{owner.account}/{owner.region}/{name}", value)
            except StoreError as error:
                raise PlatformError(f"the record of {name} was not written: {error}", Outcome.NOT_STARTED) from error
            self._stacks[owner.account, owner.region, name] = value

    async def delete(self, owner: Caller, name: str) -> None:
        """Raises `ResourceNotFound`, `PlatformError`."""
        async with self._lock:
            if (owner.account, owner.region, name) not in self._stacks:
                raise _missing(name)
            try:
                await self._store.delete(f"{STACKS}{owner.account}/{owner.region}/{name}")
            except StoreError as error:
                raise PlatformError(f"the record of {name} was not deleted: {error}", Outcome.NOT_STARTED) from error
            del self._stacks[owner.account, owner.region, name]

    async def clear(self) -> None:
        """Forget every stack of every account. Raises `PlatformError`."""
        for account, region, name in list(self._stacks):
            await self.delete(Caller(account, region), name)


def _missing(name: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no stack {name}.", Type="")
