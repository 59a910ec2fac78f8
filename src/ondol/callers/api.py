"""The door of the callers: credentials, what they may do, and how they come and go."""

import enum
from collections.abc import Mapping
from typing import Protocol

import msgspec

from ondol.model.ids import AccountId
from ondol.model.time import WallTime


class Right(enum.StrEnum):
    """What a caller may do; none holds another."""

    INVOKE = "invoke"
    READ = "read"
    MANAGE = "manage"


class Credential(msgspec.Struct, frozen=True, gc=False):
    """Somebody who may call, without the secret."""

    access_key: str
    account: AccountId
    name: str
    """Of the user that it is of the account."""

    rights: frozenset[Right]
    created: WallTime
    operator: bool = False
    """Whoever can read the data directory: may also do what concerns all accounts."""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/{self.name}"


class Key(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A credential and its secret; the same object for as long as it counts."""

    credential: Credential
    secret: str


class Callers(Protocol):
    """Who may call."""

    @property
    def keys(self) -> Mapping[str, Key]:
        """Those that count now, by their access keys: always the same mapping, which changes."""
        ...

    def listed(self) -> list[Credential]:
        """All of them, the oldest first."""
        ...

    async def create(self, account: AccountId, name: str | None, rights: frozenset[Right]) -> Key:
        """A new credential, durable, and its secret. Without a name it is called as its access key.

        Raises `PlatformError` if the store could not.
        """
        ...

    async def revoke(self, access_key: str) -> None:
        """From when this returns, on and for ever, the credential counts no more.

        Raises `ResourceNotFound`; `ResourceConflict` for the operator's; `PlatformError` if the store could not.
        """
        ...
