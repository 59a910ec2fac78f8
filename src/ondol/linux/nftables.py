"""Packet filtering and address translation of a network namespace (nf_tables), IPv4: what is needed of it here.

A table belongs to the socket that made it: when that is closed, by whatever end, the kernel removes the table (Linux
5.12). The numbers are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from ondol.linux.netlink import (
    ACKNOWLEDGE,
    APPEND,
    CREATE,
    NETFILTER,
    Message,
    NetlinkSocket,
    attribute,
    attributes_of,
    nested,
    text,
)

BEFORE_TRANSLATION = -300
"""The priority at which a packet's destination is still the one that its sender gave."""

FILTER = 0
SOURCE_TRANSLATION = 100

PREROUTING, FORWARD, POSTROUTING = 0, 2, 4
"""Where on its way a packet is looked at."""

_FAMILY = socket.AF_INET
_BATCH_BEGIN, _BATCH_END = 16, 17
_SUBSYSTEM = 10
_NEW_TABLE, _NEW_CHAIN, _GET_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | number for number in (0, 3, 4, 6))
_FAMILY_BYTES = 4
_OWNED = 0x2

_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_ELEMENT, _NAME, _DATA = 1, 1, 2
_VALUE, _VERDICT, _VERDICT_CODE = 1, 2, 1

_REGISTER = 1
_WHOLE_REGISTER = 0
"""Where a verdict goes."""

_EQUAL, _UNEQUAL = 0, 1
_INCOMING_NAME, _OUTGOING_NAME = 6, 7
_NAME_BYTES = 16
_CONNECTION_STATE = 0
_ESTABLISHED, _RELATED = 2, 4
_NETWORK_HEADER = 1
_SOURCE_AT = 12
_ADDRESS_TYPE, _OF_DESTINATION = 3, 2
_UNICAST = 1
_DROP, _ACCEPT = 0, 1

Condition = bytes
Rule = bytes


class Chain(NamedTuple):
    """Rules for packets at one place of their way, the first that fits deciding; what fits none goes on."""

    name: str
    kind: str
    """`filter`, or `nat`, whose rules see the first packet of a connection alone."""

    place: int
    priority: int
    rules: tuple[Rule, ...]


def comes_from(link: str) -> Condition:
    return _expression("meta", _number(1, _REGISTER), _number(2, _INCOMING_NAME)) + _is(_EQUAL, _padded(link))


def goes_to(link: str) -> Condition:
    return _expression("meta", _number(1, _REGISTER), _number(2, _OUTGOING_NAME)) + _is(_EQUAL, _padded(link))


def goes_elsewhere_than(link: str) -> Condition:
    return _expression("meta", _number(1, _REGISTER), _number(2, _OUTGOING_NAME)) + _is(_UNEQUAL, _padded(link))


def has_source_in(network: str) -> Condition:
    """`192.0.2.0/24`."""
    address, _, prefix = network.partition("/")
    mask = struct.pack(">I", 0xFFFFFFFF << (32 - int(prefix)) & 0xFFFFFFFF)
    load = _expression(
        "payload", _number(1, _REGISTER), _number(2, _NETWORK_HEADER), _number(3, _SOURCE_AT), _number(4, len(mask))
    )
    return load + _masked(mask) + _is(_EQUAL, socket.inet_aton(address))


def is_not_for_one_other_host() -> Condition:
    """Its destination is this host, or all hosts, or a group of them."""
    load = _expression("fib", _number(1, _REGISTER), _number(2, _ADDRESS_TYPE), _number(3, _OF_DESTINATION))
    return load + _is(_UNEQUAL, struct.pack("=I", _UNICAST))


def belongs_to_a_known_connection() -> Condition:
    load = _expression("ct", _number(1, _REGISTER), _number(2, _CONNECTION_STATE))
    return load + _masked(struct.pack("=I", _ESTABLISHED | _RELATED)) + _is(_UNEQUAL, bytes(4))


def drop() -> Rule:
    return _decide(_DROP)


def accept() -> Rule:
    return _decide(_ACCEPT)


def translate_source() -> Rule:
    """Give it the address of the link by which it leaves, and its answers back to whom they belong."""
    return _expression("masq")


def chains_that_drop(place: int) -> list[str]:
    """Names of this namespace's chains, of any table, that drop whatever none of their rules lets pass there.

    Chains of the older iptables are not among them. Raises `OSError`.
    """
    netlink = NetlinkSocket(NETFILTER)
    try:
        bodies = netlink.ask("list the chains", _GET_CHAIN, struct.pack("=BBH", socket.AF_UNSPEC, 0, 0))
    finally:
        netlink.close()
    found = []
    for body in bodies:
        chain = attributes_of(body[_FAMILY_BYTES:])
        hook = attributes_of(chain.get(_CHAIN_HOOK, b""))
        if chain.get(_CHAIN_POLICY) == _number_bytes(_DROP) and hook.get(_HOOK_NUMBER) == _number_bytes(place):
            found.append(" ".join(chain[kind].rstrip(b"\0").decode() for kind in (_CHAIN_TABLE, _CHAIN_NAME)))
    return found


class OwnedTable:
    """A table of this namespace that lives as long as this object, and as this process."""

    def __init__(self, name: str, chains: tuple[Chain, ...]) -> None:
        """Raises `OSError`."""
        messages = [
            Message(f"make the table {name}", _NEW_TABLE, _MADE, _header(_table(name))),
            *(
                Message(f"make the chain {chain.name}", _NEW_CHAIN, _MADE, _header(_chain(name, chain)))
                for chain in chains
            ),
            *(
                Message(
                    f"make a rule of the chain {chain.name}",
                    _NEW_RULE,
                    _MADE | APPEND,
                    _header(_rule(name, chain, rule)),
                )
                for chain in chains
                for rule in chain.rules
            ),
        ]
        self._netlink = NetlinkSocket(NETFILTER)
        try:
            self._netlink.perform(
                Message("begin", _BATCH_BEGIN, 0, _batch()), *messages, Message("end", _BATCH_END, 0, _batch())
            )
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        self._netlink.close()


_MADE = ACKNOWLEDGE | CREATE


def _header(attributes: bytes) -> bytes:
    return struct.pack("=BBH", _FAMILY, 0, 0) + attributes


def _batch() -> bytes:
    return struct.pack(">BBH", socket.AF_UNSPEC, 0, _SUBSYSTEM)


def _table(name: str) -> bytes:
    return text(_TABLE_NAME, name) + _number(_TABLE_FLAGS, _OWNED)


def _chain(table: str, chain: Chain) -> bytes:
    priority = attribute(_HOOK_PRIORITY, struct.pack(">i", chain.priority))
    hook = nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, chain.place), priority)
    return text(_CHAIN_TABLE, table) + text(_CHAIN_NAME, chain.name) + hook + text(_CHAIN_TYPE, chain.kind)


def _rule(table: str, chain: Chain, rule: Rule) -> bytes:
    return text(_RULE_TABLE, table) + text(_RULE_CHAIN, chain.name) + nested(_RULE_EXPRESSIONS, rule)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_ELEMENT, text(_NAME, name), nested(_DATA, *attributes))


def _is(relation: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, relation), nested(3, attribute(_VALUE, value)))


def _masked(mask: bytes) -> bytes:
    return _expression(
        "bitwise",
        _number(1, _REGISTER),
        _number(2, _REGISTER),
        _number(3, len(mask)),
        nested(4, attribute(_VALUE, mask)),
        nested(5, attribute(_VALUE, bytes(len(mask)))),
    )


def _decide(code: int) -> bytes:
    verdict = nested(2, nested(_VERDICT, _number(_VERDICT_CODE, code)))
    return _expression("immediate", _number(1, _WHOLE_REGISTER), verdict)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, _number_bytes(value))


def _number_bytes(value: int) -> bytes:
    return struct.pack(">I", value)


def _padded(link: str) -> bytes:
    return link.encode().ljust(_NAME_BYTES, b"\0")
