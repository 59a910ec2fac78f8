"""Links, addresses and routes of a network namespace (rtnetlink(7)), IPv4."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from ondol.linux.netlink import ACKNOWLEDGE, CREATE, EXCLUSIVE, ROUTE, Message, NetlinkSocket, attribute, nested, text

LOOPBACK = 1
"""The number of `lo`, in every namespace."""

MAIN = 254
"""The table in which routes are unless another is named."""

_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 16, 17, 20, 24, 32
_UP, _NO_ARP = 0x1, 0x80
_MADE = ACKNOWLEDGE | CREATE | EXCLUSIVE
_LINK_ADDRESS, _LINK_NAME, _LINK_INFO, _LINK_NAMESPACE_OF = 1, 3, 18, 19
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_ADDRESS, _LOCAL = 1, 2
_DESTINATION, _OUT, _SOURCE, _TABLE = 1, 4, 7, 15
_UNICAST, _UNREACHABLE = 1, 7
_SCOPE_LINK, _SCOPE_UNIVERSE = 253, 0
_STATIC = 4
_RULE_IN, _RULE_PRIORITY, _RULE_TABLE, _RULE_LOOKUP = 3, 6, 15, 1

_ONE_FOR_ALL = bytes.fromhex("020000000001")
"""The hardware address of every end: between two that ask nobody for the other's, both must have the same."""


class End(NamedTuple):
    """One end of a veth pair; the number, in its namespace, is ours to choose."""

    name: str
    number: int


class Routes:
    """Orders to the namespace in which this was made. All raise `OSError`."""

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(ROUTE)

    def close(self) -> None:
        self._netlink.close()

    def add_pair(self, here: End, there: End, process: int) -> None:
        """Make a cable from this namespace to that of `process`, on which nobody asks for addresses; this end is up."""
        # The kernel refuses to make the other end up: at that moment nothing is plugged into it.
        peer = _link(there, _NO_ARP, text(_LINK_NAME, there.name), attribute(_LINK_ADDRESS, _ONE_FOR_ALL))
        peer += attribute(_LINK_NAMESPACE_OF, struct.pack("=I", process))
        info = nested(_LINK_INFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_PEER, peer)))
        body = _link(here, _UP | _NO_ARP, text(_LINK_NAME, here.name), attribute(_LINK_ADDRESS, _ONE_FOR_ALL), info)
        self._netlink.perform(Message(f"add the link {here.name}", _NEW_LINK, _MADE, body))

    def remove_link(self, name: str) -> None:
        body = _link(End(name, 0), 0, text(_LINK_NAME, name))
        self._netlink.perform(Message(f"remove the link {name}", _DELETE_LINK, ACKNOWLEDGE, body))

    def bring_up(self, link: End) -> None:
        self._netlink.perform(Message(f"bring {link.name} up", _NEW_LINK, ACKNOWLEDGE, _link(link, _UP)))

    def add_address(self, address: str, link: int, prefix: int = 32) -> None:
        packed = socket.inet_aton(address)
        body = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, link)
        body += attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)
        self._netlink.perform(Message(f"add the address {address}", _NEW_ADDRESS, _MADE, body))

    def add_route(self, network: str, link: int, table: int = MAIN) -> None:
        """What goes to `network` (`192.0.2.0/24`) leaves by this link."""
        self._add_route(network, _UNICAST, _SCOPE_LINK, table, attribute(_OUT, struct.pack("=I", link)))

    def close_network(self, network: str) -> None:
        """What goes to `network` goes nowhere, and its sender is told."""
        self._add_route(network, _UNREACHABLE, _SCOPE_UNIVERSE, MAIN, b"")

    def add_rule(self, priority: int, incoming: str, table: int) -> None:
        """What comes from the link of this name looks for its way in `table` first, in the order of priorities."""
        header = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, _RULE_LOOKUP, 0)
        body = header + text(_RULE_IN, incoming) + attribute(_RULE_PRIORITY, struct.pack("=I", priority))
        body += attribute(_RULE_TABLE, struct.pack("=I", table))
        self._netlink.perform(Message(f"add a rule for {incoming}", _NEW_RULE, _MADE, body))

    def _add_route(self, network: str, kind: int, scope: int, table: int, more: bytes) -> None:
        address, _, prefix = network.partition("/")
        header = struct.pack("=BBBBBBBBI", socket.AF_INET, int(prefix), 0, 0, 0, _STATIC, scope, kind, 0)
        body = header + attribute(_DESTINATION, socket.inet_aton(address)) + attribute(_TABLE, struct.pack("=I", table))
        self._netlink.perform(Message(f"add the route to {network}", _NEW_ROUTE, _MADE, body + more))


def _link(end: End, flags: int, *attributes: bytes) -> bytes:
    return struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, end.number, flags, flags) + b"".join(attributes)
