"""The callers' shell: credentials in memory as the store has them, and the operator's file."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ondol.callers.api import Credential, Key, Right
from ondol.callers.credentials_file import read_credentials, write_credentials
from ondol.callers.records import (
    CREDENTIALS,
    RANDOM_BYTES,
    access_key_of,
    credential_key,
    decode_credential,
    encode_credential,
    secret_of,
)
from ondol.model.errors import Outcome, PlatformError, ResourceConflict, ResourceNotFound
from ondol.model.ids import AccountId
from ondol.model.time import Clock
from ondol.store.protocol import Change, RevisionConflict, Store, StoreError, Subscription

OPERATOR = "operator"
_OPERATORS_ACCOUNT = AccountId("000000000000")


class CallersService:
    """Keeps credentials. `open` before anything else; `key` is the data directory's own, and never leaves it."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        key: bytes,
        operator_file: Path,
        chance: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._operator_file = operator_file
        self._chance = chance
        self._keys: dict[str, Key] = {}
        self._watching: Subscription | None = None

    async def open(self) -> None:
        """Load what is stored, and see to it that the operator has a key. Raises `StoreError` and OSError."""
        self._watching = await self._store.watch(CREDENTIALS, self._changed)
        await self._provide_for_operator()

    def close(self) -> None:
        if self._watching is not None:
            self._watching.close()

    @property
    def keys(self) -> Mapping[str, Key]:
        return self._keys

    def listed(self) -> list[Credential]:
        return sorted((key.credential for key in self._keys.values()), key=lambda each: (each.created, each.access_key))

    async def create(self, account: AccountId, name: str | None, rights: frozenset[Right]) -> Key:
        access_key = access_key_of(self._chance(RANDOM_BYTES))
        credential = Credential(access_key, account, name or access_key, rights, self._clock.wall())
        try:
            return await self._add(credential)
        except StoreError as error:
            raise PlatformError(f"the credential was not made: {error}", Outcome.NOT_STARTED) from error

    async def revoke(self, access_key: str) -> None:
        known = self._keys.get(access_key)
        if known is None:
            raise ResourceNotFound(f"There is no credential {access_key}.")
        if known.credential.operator:
            raise ResourceConflict(
                f"{access_key} is the operator's own. It is replaced when ondol starts and does not find "
                f"{self._operator_file.name} in its data directory."
            )
        try:
            await self._remove(access_key)
        except StoreError as error:
            raise PlatformError(f"{access_key} was not revoked: {error}", Outcome.NOT_STARTED) from error

    async def _provide_for_operator(self) -> None:
        """Keep the operator's key if the file has it; else it is nobody's any more, and a new one is made."""
        held = read_credentials(self._operator_file)
        theirs = {name: key.secret for name, key in self._keys.items() if key.credential.operator}
        if held is not None and theirs == {held.access_key: held.secret}:
            return
        for access_key in theirs:
            await self._remove(access_key)
        access_key = access_key_of(self._chance(RANDOM_BYTES))
        rights = frozenset(Right)
        key = await self._add(
            Credential(access_key, _OPERATORS_ACCOUNT, OPERATOR, rights, self._clock.wall(), operator=True)
        )
        write_credentials(self._operator_file, access_key, key.secret)

    async def _add(self, credential: Credential) -> Key:
        try:
            await self._store.put(credential_key(credential.access_key), encode_credential(credential), expect=0)
        except RevisionConflict as error:
            # 80 random bits that were drawn before: something is wrong with the randomness.
            raise PlatformError("an access key was drawn twice", Outcome.NOT_STARTED) from error
        return self._keep(credential)

    async def _remove(self, access_key: str) -> None:
        await self._store.delete(credential_key(access_key))
        self._keys.pop(access_key, None)

    def _changed(self, change: Change) -> None:
        """Somebody has written a credential, here or elsewhere."""
        access_key = change.key.removeprefix(CREDENTIALS)
        if change.entry is None:
            self._keys.pop(access_key, None)
        else:
            self._keep(decode_credential(change.key, change.entry.value))

    def _keep(self, credential: Credential) -> Key:
        key = self._keys.get(credential.access_key)
        if key is None or key.credential != credential:
            key = Key(credential, secret_of(self._key, credential.access_key))
            self._keys[credential.access_key] = key
        return key
