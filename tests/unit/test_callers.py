"""Credentials: what is kept of them, when they count, and what they may do."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import asdict

from ondol.callers.api import Right
from ondol.callers.credentials_file import read_credentials
from ondol.callers.records import CREDENTIALS
from ondol.callers.service import CallersService
from ondol.linux.clock import SystemClock
from ondol.model.errors import PlatformError, ResourceConflict, ResourceNotFound
from ondol.model.ids import AccountId
from ondol.store.memory import MemoryStore
from ondol.store.protocol import StoreError

ACCOUNT = AccountId("111122223333")
KEY = b"k" * 32


def service(store: MemoryStore, directory: Path, key: bytes = KEY) -> CallersService:
    return CallersService(store=store, clock=SystemClock(), key=key, operator_file=directory / "operator")


async def opened(store: MemoryStore, directory: Path) -> CallersService:
    callers = service(store, directory)
    await callers.open()
    return callers


def test_a_credential_counts_until_it_is_revoked_and_over_restarts(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        callers = await opened(store, tmp_path)
        made = await callers.create(ACCOUNT, "ci", frozenset({Right.INVOKE, Right.READ}))
        access_key = made.credential.access_key
        assert access_key.startswith("AKIA") and len(access_key) == 20 and len(made.secret) == 40
        assert callers.keys[access_key] is made
        assert asdict((await opened(store, tmp_path)).keys[access_key]) == asdict(made)
        await callers.revoke(access_key)
        assert access_key not in callers.keys
        assert access_key not in (await opened(store, tmp_path)).keys
        with pytest.raises(ResourceNotFound):
            await callers.revoke(access_key)

    asyncio.run(scenario())


def test_a_change_by_another_process_counts_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        here, there = await opened(store, tmp_path), await opened(store, tmp_path)
        made = await there.create(ACCOUNT, None, frozenset(Right))
        access_key = made.credential.access_key
        await asyncio.sleep(0)
        assert asdict(here.keys[access_key]) == asdict(made) and made.credential.name == access_key
        await there.revoke(access_key)
        await asyncio.sleep(0)
        assert access_key not in here.keys
        here.close()

    asyncio.run(scenario())


def test_nothing_that_is_stored_holds_a_secret(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        callers = await opened(store, tmp_path)
        made = await callers.create(ACCOUNT, "ci", frozenset(Right))
        entries = await store.list(CREDENTIALS)
        assert len(entries) == 2
        assert not any(made.secret.encode() in entry.value for _, entry in entries)
        assert made.secret not in repr(callers.listed())

    asyncio.run(scenario())


def test_the_operators_key_is_in_a_file_for_the_owner_alone_and_made_anew_where_that_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        file = tmp_path / "operator"
        callers = await opened(store, tmp_path)
        first = read_credentials(file)
        assert first is not None and file.stat().st_mode & 0o777 == 0o600
        found = callers.keys[first.access_key]
        assert found.secret == first.secret and found.credential.operator
        assert found.credential.rights == frozenset(Right)
        with pytest.raises(ResourceConflict):
            await callers.revoke(first.access_key)
        await opened(store, tmp_path)
        assert read_credentials(file) == first
        file.unlink()
        again = await opened(store, tmp_path)
        second = read_credentials(file)
        assert second is not None and second.access_key != first.access_key
        assert first.access_key not in again.keys
        assert [each.access_key for each in again.listed()] == [second.access_key]

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["", "garbage", "[default]\naws_access_key_id = a\n", "[other]\n", "\xff"])
def test_a_file_of_credentials_that_says_nothing_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_bytes(text.encode("latin-1"))
    assert read_credentials(tmp_path / "file") is None
    assert read_credentials(tmp_path / "missing") is None


class BrokenStore(MemoryStore):
    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        if key.startswith(CREDENTIALS) and self.broken:
            raise StoreError("disk full")
        return await super().put(key, value, expect)

    async def delete(self, key: str, expect: int | None = None) -> None:
        if self.broken:
            raise StoreError("disk full")
        await super().delete(key, expect)

    broken = False


def test_what_the_store_could_not_do_has_not_happened(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = BrokenStore()
        callers = await opened(store, tmp_path)
        made = await callers.create(ACCOUNT, None, frozenset(Right))
        before = callers.listed()
        store.broken = True
        with pytest.raises(PlatformError):
            await callers.create(ACCOUNT, None, frozenset(Right))
        with pytest.raises(PlatformError):
            await callers.revoke(made.credential.access_key)
        assert callers.listed() == before and made.credential.access_key in callers.keys

    asyncio.run(scenario())
