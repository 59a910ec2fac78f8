"""Whom the scope of a signature makes the caller. Whether the signature is true is `ondol.aws.sigv4`'s to say.

An access key of twelve digits names its account, so that a client chooses an account by its key; every other key
belongs to the account 000000000000. The region is the one that the client signed for.
"""

import re
from functools import lru_cache

import msgspec

from ondol.aws.signing import Scope
from ondol.model.arn import partition_of
from ondol.model.ids import AccountId, Region

DEFAULT_ACCOUNT = AccountId("000000000000")

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and where."""

    account: AccountId
    region: Region
    access_key: str
    identity: str | None = None
    """The ARN of a user, or of the session of a role for code that acts in one; None is the root of the account."""

    @property
    def arn(self) -> str:
        return self.identity or f"arn:{partition_of(self.region)}:iam::{self.account}:root"

    @property
    def user_id(self) -> str:
        """As STS and events name who acts."""
        if self.identity is None:
            return self.account
        session = ":assumed-role/" in self.identity
        return f"{self.access_key}:{self.identity.rpartition('/')[2]}" if session else self.access_key


@lru_cache(maxsize=4096)
def caller_of(scope: Scope) -> Caller:
    """The caller that a scope stands for."""
    named = _ACCOUNT.fullmatch(scope.access_key)
    account = AccountId(scope.access_key) if named else DEFAULT_ACCOUNT
    return Caller(account, Region(scope.region), scope.access_key)
