"""What a request to AWS's API is signed with."""

import msgspec


class SessionCredentials(msgspec.Struct, frozen=True):
    """Temporary ones; `token` goes along with every request and is covered by its signature."""

    access_key: str
    secret: str
    token: str
