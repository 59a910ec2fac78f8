"""Function URLs as those see them who answer at them."""

import msgspec


class Cors(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """Which web pages may call a URL, and what they are told. What was not given is None (API reference, Cors)."""

    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_origins: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age: int | None = None


class FunctionUrl(msgspec.Struct, frozen=True):
    """A URL of a function or of one of its aliases."""

    id: str
    """The first label of its host name."""

    qualifier: str | None
    """The alias; None for the function itself."""

    signed: bool
    """AuthType AWS_IAM: who calls must have signed."""

    streams: bool
    """InvokeMode RESPONSE_STREAM."""

    cors: Cors | None = None
