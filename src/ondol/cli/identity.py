"""Who a command calls ondol as, and its signatures: the first of what is found.

```
 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY ─▶ AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE ─▶ the operator's file ─▶ nobody
```
For what only the operator may do the operator's file comes first. It is looked for in the data directory that
`ondol up` would use here, and used for an ondol on this machine alone. Nobody in particular is enough for an ondol that
verifies no signatures. docs/callers.md tells it to people.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ondol.aws.signing import Credentials, sign
from ondol.callers.credentials_file import DEFAULT_PROFILE, OPERATOR_FILE, read_credentials
from ondol.config import ConfigError, load
from ondol.model.credentials import SessionCredentials
from ondol.model.network import is_our_name
from ondol.model.time import WallTime

_NOBODY = SessionCredentials("000000000000", "")


class Identity:
    """Signs requests to the ondol at `authority`; `operator` for those of a command that concerns all accounts."""

    def __init__(self, authority: str, *, operator: bool) -> None:
        self._authority = authority
        self.region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        ways = (_operators, _own) if operator else (_own, _operators)
        found = next((each for way in ways for each in way(authority)), _NOBODY)
        self.credentials = Credentials(found.access_key, found.secret, found.token or None)

    def signed(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, *, service: str
    ) -> dict[str, str]:
        """All the fields to send, in lower case."""
        fields = {"host": self._authority, **{name.lower(): value for name, value in headers.items()}}
        return fields | sign(
            method,
            path,
            query,
            fields,
            body,
            credentials=self.credentials,
            region=self.region,
            service=service,
            now=WallTime(time.time_ns() // 1_000_000),
        )


def _own(_: str) -> Iterator[SessionCredentials]:
    if access_key := os.environ.get("AWS_ACCESS_KEY_ID"):
        # Even without a secret: who names a key does not mean the operator.
        secret, token = os.environ.get("AWS_SECRET_ACCESS_KEY", ""), os.environ.get("AWS_SESSION_TOKEN", "")
        yield SessionCredentials(access_key, secret, token)
    if file := os.environ.get("AWS_SHARED_CREDENTIALS_FILE"):
        held = read_credentials(Path(file).expanduser(), os.environ.get("AWS_PROFILE") or DEFAULT_PROFILE)
        if held is not None:
            yield held


def _operators(authority: str) -> Iterator[SessionCredentials]:
    if not is_our_name(authority):
        return
    try:
        data_dir = load({}, os.environ).data_dir
    except ConfigError:
        # `ondol up` says what is wrong with it.
        return
    held = read_credentials(data_dir / OPERATOR_FILE)
    if held is not None:
        yield held
