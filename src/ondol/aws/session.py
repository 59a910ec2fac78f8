"""The credentials of an execution environment: who they stand for, derived from one key instead of kept.

A token says whose it is and is sealed; access key and secret follow from token and key. So a frontend can tell any
environment's credentials without having been told of it, and an environment's die with it: a token counts only on the
connections of the environment that it names (`ondol.frontend.sandbox_door`).

Source: IAM user guide, "Temporary security credentials": an access key begins with ASIA, its role's session is named
as the function.
"""

import base64
import hmac

import msgspec

from ondol.model.credentials import SessionCredentials
from ondol.model.ids import AccountId, EnvironmentId, Region

_LONGEST_TOKEN = 2_048


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Whom an environment's code acts as."""

    account: AccountId
    region: Region
    role: str
    """The function's role, an ARN."""

    function: str
    environment: EnvironmentId

    @property
    def arn(self) -> str:
        """Of the role as this function has assumed it."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role.rpartition('/')[2]}/{self.function}"


class Sessions:
    """Makes and reads the credentials of environments; `key` never leaves the platform."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def credentials(self, session: Session) -> SessionCredentials:
        body = _text(msgspec.msgpack.encode(session))
        token = f"{body}.{_text(self._derived('token', body))}"
        return SessionCredentials(self._access_key(token), self.secret(token), token)

    def read(self, token: str, access_key: str) -> Session | None:
        """Whose token it is; None if it is not ours, or if the access key is not the one that belongs to it."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        body, _, seal = token.partition(".")
        if not hmac.compare_digest(seal, _text(self._derived("token", body))):
            return None
        if not hmac.compare_digest(access_key.encode(), self._access_key(token).encode()):
            return None
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(f"{body}{'=' * (-len(body) % 4)}"), type=Session)

    def secret(self, token: str) -> str:
        """The secret that belongs to a token."""
        return _text(self._derived("secret", token))[:40]

    def _access_key(self, token: str) -> str:
        return f"ASIA{base64.b32encode(self._derived('access key', token)).decode()[:16]}"

    def _derived(self, what: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{what}\n{text}".encode(), "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
