"""What a request to AWS's API is signed with."""

import msgspec


class SessionCredentials(msgspec.Struct, frozen=True):
    """`token` goes along with every request and is covered by its signature; lasting ones have none."""

    access_key: str
    secret: str
    token: str = ""
