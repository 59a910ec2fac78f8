"""Servers of other AWS services: where they are, and which one serves whom."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?|[0-9a-f.]*:[0-9a-f:.]*")
"""A name of DNS or an address, in lower case."""


class Endpoint(msgspec.Struct, frozen=True):
    """The address of an AWS-compatible server."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Broker(msgspec.Struct, frozen=True):
    """Where a message broker is, and as whom it is spoken to if that is said here."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str = ""

    def __str__(self) -> str:
        """Without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}"


class Endpoints(msgspec.Struct, frozen=True):
    """Who serves what ondol does not."""

    named: Mapping[str, Endpoint] = {}
    """By the signing name of the service, in lower case."""

    default: Endpoint | None = None
    """Serves every service that is not named."""

    brokers: Mapping[str, Broker] = {}
    """By ARN."""

    def of(self, service: str) -> Endpoint | None:
        return self.named.get(service.lower(), self.default)


def parse_endpoint(url: str) -> Endpoint:
    """The server at `url`. Raises ValueError, whose text ends the sentence "... must be"."""
    shape = "the address of a server like http://127.0.0.1:9000"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shape}, not {url!r}") from error
    tls = parts.scheme == "https"
    if not (tls or parts.scheme == "http") or not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise ValueError(f"{shape}, not {url!r}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{shape}, with nothing but a host and a port in it, since signatures cover the path")
    return Endpoint(parts.hostname, port or (443 if tls else 80), tls)


def parse_broker(url: str) -> Broker:
    """The message broker at `url`. Raises ValueError, whose text ends the sentence "... must be"."""
    shape = "the address of a RabbitMQ broker like amqp://127.0.0.1:5672 or amqps://USER:PASSWORD@HOST:5671"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(shape) from error
    tls = parts.scheme == "amqps"
    if not (tls or parts.scheme == "amqp") or not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise ValueError(shape)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{shape}, without a virtual host: a mapping names its own")
    user = None if parts.username is None else unquote(parts.username)
    return Broker(parts.hostname, port or (5671 if tls else 5672), tls, user, unquote(parts.password or ""))
