"""What is stored of a credential, and what follows from it.

```
 credential/<access key>   one credential, without its secret
```
"""

import base64
import hmac

import msgspec

from ondol.callers.api import Credential, Right
from ondol.model.ids import AccountId
from ondol.model.time import WallTime

CREDENTIALS = "credential/"

RANDOM_BYTES = 10
"""Of an access key."""

_SECRET_CHARACTERS = 40


class _Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    account: AccountId
    name: str
    rights: tuple[Right, ...]
    created: WallTime
    operator: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def credential_key(access_key: str) -> str:
    return f"{CREDENTIALS}{access_key}"


def encode_credential(credential: Credential) -> bytes:
    rights = tuple(sorted(credential.rights))
    record = _Record(credential.account, credential.name, rights, credential.created, credential.operator)
    return _encoder.encode(record)


def decode_credential(key: str, value: bytes) -> Credential:
    record = _decoder.decode(value)
    access_key = key.removeprefix(CREDENTIALS)
    return Credential(
        access_key, record.account, record.name, frozenset(record.rights), record.created, record.operator
    )


def access_key_of(chance: bytes) -> str:
    """A lasting access key, as AWS's look: never twelve digits, which would name an account."""
    return f"AKIA{base64.b32encode(chance).decode()}"


def secret_of(key: bytes, access_key: str) -> str:
    """The secret that belongs to an access key, from the key of the data directory."""
    derived = hmac.digest(key, f"credential\n{access_key}".encode(), "sha256")
    return base64.b64encode(derived).decode()[:_SECRET_CHARACTERS]
