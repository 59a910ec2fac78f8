"""Code signing configurations as the store has them: read from memory, each written by compare-and-set."""

import asyncio
from collections.abc import Callable
from functools import partial

from ondol.control.code_signing import (
    CODE_SIGNING,
    CodeSigningKey,
    CodeSigningRecord,
    code_signing_key,
    decode_code_signing,
    encode_code_signing,
    read_code_signing_key,
)
from ondol.model.ids import AccountId, Region
from ondol.store.compare_and_set import repeated
from ondol.store.protocol import Store

DecideConfig = Callable[[CodeSigningRecord | None], CodeSigningRecord | None]
"""Given a configuration as it is, what it is to be; None where there is or shall be none. It may be asked twice."""


class CodeSigningRegistry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._configs: dict[CodeSigningKey, tuple[CodeSigningRecord, int]] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        for text, entry in await self._store.list(CODE_SIGNING):
            self._configs[read_code_signing_key(text)] = (decode_code_signing(entry.value), entry.revision)

    def get(self, key: CodeSigningKey) -> CodeSigningRecord | None:
        return self._configs[key][0] if key in self._configs else None

    def listed(self, account: AccountId, region: Region) -> list[CodeSigningKey]:
        """Those of one account in one region, by id."""
        return sorted(key for key in self._configs if (key.account, key.region) == (account, region))

    async def change(self, key: CodeSigningKey, decide: DecideConfig) -> CodeSigningRecord | None:
        """Write what `decide` wants; the answer is durable. Raises what `decide` raises, and `PlatformError`."""
        async with self._lock:
            return await repeated(key.arn, partial(self._change, key, decide), partial(self._reload, key))

    async def clear(self) -> None:
        """Delete every configuration of every account. Raises `PlatformError`."""
        for key in list(self._configs):
            await self.change(key, lambda _: None)

    async def _change(self, key: CodeSigningKey, decide: DecideConfig) -> CodeSigningRecord | None:
        before, revision = self._configs.get(key, (None, 0))
        wanted = decide(before)
        if wanted is not None and wanted != before:
            revision = await self._store.put(code_signing_key(key), encode_code_signing(wanted), revision)
            self._configs[key] = (wanted, revision)
        elif wanted is None and before is not None:
            await self._store.delete(code_signing_key(key), revision)
            del self._configs[key]
        return wanted

    async def _reload(self, key: CodeSigningKey) -> None:
        """Somebody else wrote it."""
        entry = await self._store.get(code_signing_key(key))
        if entry is None:
            self._configs.pop(key, None)
        else:
            self._configs[key] = (decode_code_signing(entry.value), entry.revision)
