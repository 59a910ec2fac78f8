"""HTTP APIs as the store has them: read from memory, written by compare-and-set, told to those who answer for them."""

import asyncio
from collections.abc import Iterator

from ondol.control.holders import Holders
from ondol.control.http_apis import (
    HTTP_APIS,
    WantedApi,
    api_of,
    decode_api,
    encode_api,
    http_api_key,
    missing_api,
    read_http_api_key,
)
from ondol.model.errors import Outcome, PlatformError
from ondol.model.http_api import HttpApi, HttpApiKey
from ondol.model.ids import AccountId, Region
from ondol.store.protocol import RevisionConflict, Store, StoreError


class HttpApiRegistry:
    """`secret`, the same for ever, keeps the addresses of APIs from being guessed."""

    def __init__(self, store: Store, holders: Holders, secret: str) -> None:
        self._store = store
        self._holders = holders
        self._secret = secret
        self._apis: dict[HttpApiKey, HttpApi] = {}
        self._by_id: dict[str, HttpApi] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        for text, entry in await self._store.list(HTTP_APIS):
            self._keep(api_of(self._secret, read_http_api_key(text), decode_api(entry.value), entry.revision))

    def by_id(self, id: str) -> HttpApi | None:
        return self._by_id.get(id)

    def listed(self, account: AccountId, region: Region) -> Iterator[HttpApi]:
        """Those of one account in one region, by name."""
        return (self._apis[key] for key in sorted(self._apis) if (key.account, key.region) == (account, region))

    async def put(self, key: HttpApiKey, wanted: WantedApi) -> HttpApi:
        """Create or replace it; durable, and every frontend answers by it. Raises `PlatformError`."""
        async with self._lock:
            before = self._apis.get(key)
            if before is not None and before == api_of(self._secret, key, wanted, before.revision):
                return before
            try:
                expected = 0 if before is None else before.revision
                revision = await self._store.put(http_api_key(key), encode_api(wanted), expected)
            except (StoreError, RevisionConflict) as error:
                raise _unchanged(key, error) from error
            api = api_of(self._secret, key, wanted, revision)
            self._keep(api)
            await self._holders.announce_api(api)
            return api

    async def delete(self, key: HttpApiKey) -> None:
        """Raises `ResourceNotFound`, `PlatformError`."""
        async with self._lock:
            api = self._apis.get(key)
            if api is None:
                raise missing_api(key.name)
            try:
                await self._store.delete(http_api_key(key), api.revision)
            except (StoreError, RevisionConflict) as error:
                raise _unchanged(key, error) from error
            del self._apis[key], self._by_id[api.id]
            await self._holders.forget_api(api)

    async def clear(self) -> None:
        """Delete every API of every account. Raises `PlatformError`."""
        for key in list(self._apis):
            await self.delete(key)

    def _keep(self, api: HttpApi) -> None:
        self._apis[api.key] = self._by_id[api.id] = api


def _unchanged(key: HttpApiKey, error: Exception) -> PlatformError:
    return PlatformError(f"{key.arn} was not changed: {error}", Outcome.NOT_STARTED)
