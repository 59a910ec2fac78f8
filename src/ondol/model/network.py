"""What code in sandboxes may reach beside its Runtime API, and by which names this machine is meant."""

import enum
import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

RUNTIME_API_PORT = 9001
NAMES_PORT = 53
"""Where a sandbox that reaches the internet asks for names."""

LOOPBACK = "127.0.0.1"
"""A sandbox's own, where whatever it reaches through ondol is found."""

MOST_ALLOWED = 12
MOST_RELAYED = 40
"""Listening sockets that a sandbox hands out, beside what it always does."""

_ALLOWED = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)
_SERVER = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?", re.ASCII)
_HIGHEST_PORT = 65_535
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_LONGEST_HOST = 270
"""Characters of a name of DNS and a port: bounds what strangers make us keep."""


class NetworkMode(enum.StrEnum):
    """How far a function's network goes."""

    NONE = "none"
    """To its Runtime API, and no further."""

    RELAY = "relay"
    """To ondol's own API, the servers of `[endpoints]`, and the services of this machine that are allowed."""

    NAT = "nat"
    """To these, and to the internet."""


class AuthMode(enum.StrEnum):
    """How callers from outside of sandboxes are known."""

    NONE = "none"
    """By what they say; on loopback only."""

    SIGV4 = "sigv4"
    """By a signature of a credential that ondol knows."""


class AllowedHost(msgspec.Struct, frozen=True):
    """A service that functions reach as `host.ondol.internal`, at its own port."""

    host: str
    port: int


class Relayed(msgspec.Struct, frozen=True):
    """A server, and the port of each sandbox's own loopback at which it is reached."""

    at: int
    host: str
    port: int
    tls: bool = False
    """Its side of the way is encrypted; the sandbox's never leaves this machine."""


class SandboxNetwork(msgspec.Struct, frozen=True):
    """What the sandboxes of one ondol reach, and how their code learns of it."""

    mode: NetworkMode = NetworkMode.RELAY
    relayed: tuple[Relayed, ...] = ()
    variables: Mapping[str, str] = {}
    """Of every function's environment."""


def parse_allowed_hosts(text: str) -> tuple[AllowedHost, ...]:
    """From `HOST:PORT, HOST:PORT`. Raises ValueError, whose text ends the sentence "... must be"."""
    allowed: dict[int, AllowedHost] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _ALLOWED.fullmatch(part)
        port = int(found[2]) if found is not None else 0
        if found is None or not 0 < port <= _HIGHEST_PORT:
            raise ValueError(f"addresses like 127.0.0.1:5432, with commas between them, not {part!r}")
        if port == RUNTIME_API_PORT:
            raise ValueError(f"without port {port}, at which every sandbox has its Runtime API")
        if port in allowed:
            raise ValueError(f"of one host for each port: {port} is there twice")
        allowed[port] = AllowedHost(found[1].strip("[]"), port)
    if len(allowed) > MOST_ALLOWED:
        raise ValueError(f"{MOST_ALLOWED} addresses at most")
    return tuple(allowed.values())


def is_server(text: str) -> bool:
    """Whether a server is written like this: its host, perhaps a port, as `registry.example` and `[::1]:5000` are."""
    return _SERVER.fullmatch(text) is not None


def is_our_name(host: str, names: frozenset[str] = frozenset()) -> bool:
    """Whether a Host header means this machine: a loopback name or address, or one of `names`; with a port or without.

    Names under `.localhost` never leave the machine (RFC 6761, 6.3). `names` are in lower case, addresses of IPv6 in
    brackets; one that begins with `*.` stands for every name of one label more (RFC 6125, 6.4.3).
    """
    return len(host) <= _LONGEST_HOST and (_is_loopback(host) or (bool(names) and _is_among(host, names)))


@lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    name = without_port(host)
    return name in _LOOPBACK_NAMES or name.endswith(".localhost")


@lru_cache(maxsize=1024)
def _is_among(host: str, names: frozenset[str]) -> bool:
    name = without_port(host)
    return name in names or f"*.{name.partition('.')[2]}" in names


def without_port(host: str) -> str:
    """The name or address of a Host header, in lower case."""
    name = host.lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
