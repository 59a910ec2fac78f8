"""The way from sandboxes to the internet: this process's own network namespace is the router between them and the host.

```
 sandbox: eth0 240.x.y.z ──cable──▶ router (the spawner's namespace) ──cable──▶ host ──▶ its own way out
                                     what is closed has no route                 translates addresses
```

The router knows no filter: a packet that comes from a sandbox finds the way up, and for networks that are closed none;
that to another sandbox is in a table in which only what comes from above is looked up. Of the host there is one
interface, one route, one table of nf_tables, and forwarding, if it was not on. Interface, route and table go when
this process does, however it ends; forwarding is turned off again at its end, or that of the next one after a kill.

Addresses are of 240.0.0.0/4, which nobody uses: no network that the host knows can be among them. They are given to
sandboxes by the number of their users, so each waits long before another sandbox has it.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH108, PTH110, PTH116, PTH123

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from ondol.linux import namespaces, nftables
from ondol.linux.route import LOOPBACK, End, Routes

CLOSED = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
"""All of IANA's special-purpose registry, multicast, and the address at which Azure's hosts speak to their guests."""

BLOCK_BITS = 15
"""Addresses of one data directory: 2 to the power of this."""

BLOCKS = 1 << 28 >> BLOCK_BITS

_DOWN = 100
"""The table of routes to sandboxes."""

_FIRST = struct.unpack(">I", socket.inet_aton("240.0.0.0"))[0]
_UP, _UP_NUMBER = "up", 100
_FIRST_NUMBER, _HOST_NUMBER = 1000, 1_000_000
"""Of links, chosen by us and far from those that the kernel chooses."""

_SYSCTL = "/proc/sys/net"
_SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv4/icmp_ratelimit": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


class NoRouter(Exception):
    """What this machine lacks for one: ends the sentence "... needs"."""


class Router:
    """Made in the host's network namespace; this process is in the router's ever after."""

    def __init__(self, owner: str, block: int) -> None:
        """For the ondol of this name; `block` is the number of its addresses. Raises `NoRouter`."""
        block %= BLOCKS
        name = f"ondol-{zlib.crc32(owner.encode()):08x}"  # an interface has 15 characters for it
        self._base = _FIRST + (block << BLOCK_BITS)
        network = f"{_address(self._base)}/{32 - BLOCK_BITS}"
        with _needing("nf_tables in the kernel, with nft_masq, nft_ct and nft_fib_ipv4"):
            self.shortfalls = [
                f"The firewall of this host drops what it forwards ({chain}): functions reach the internet only if "
                f"a rule of it lets pass what comes in and what goes out by the interface {name}."
                for chain in nftables.chains_that_drop(nftables.FORWARD)
            ]
            self._table = nftables.OwnedTable(name, _host_rules(name, network))
        with _needing("power over the network and a writable /proc/sys/net"):
            host = Routes()
            with contextlib.suppress(OSError):
                host.remove_link(name)  # of one that was killed just now
            self._forwarding = Forwarding()
            namespaces.unshare(namespaces.NEW_NETWORK)
            namespaces.bring_up_loopback()
            for setting, value in _SETTINGS.items():
                if os.path.exists(f"{_SYSCTL}/{setting}"):
                    _write(f"{_SYSCTL}/{setting}", value)
        with _needing("virtual ethernet in the kernel (veth)"):
            host.add_pair(End(name, _HOST_NUMBER + block), End(_UP, _UP_NUMBER), os.getpid())
        with _needing("policy routing in the kernel"):
            host.add_route(network, _HOST_NUMBER + block)
            self._lay_routes()
        with _needing("leave to forward packets (net.ipv4.ip_forward)"):
            self._forwarding.turn_on()
        host.close()

    def plan(self, number: int) -> dict[str, Any]:
        """How the sandbox of this number, from 1 on, is to join: see `ondol.sandbox.jail.inside.cable`."""
        return {"address": _address(self._base + number), "link": _FIRST_NUMBER + number, "table": _DOWN}

    def close(self) -> None:
        """Leave the host as it was."""
        self._table.close()
        self._forwarding.close()

    def _lay_routes(self) -> None:
        _write(f"{_SYSCTL}/ipv4/conf/{_UP}/rp_filter", "0")  # a closed network's routers may say what they cannot reach
        routes = Routes()
        routes.bring_up(End(_UP, _UP_NUMBER))
        # Whom a sandbox hears from that something is closed.
        routes.add_address(_address(self._base), LOOPBACK)
        routes.add_rule(10, _UP, _DOWN)
        # What the router says itself; and its check that a packet comes from where its sender is.
        routes.add_rule(11, "lo", _DOWN)
        for network in CLOSED:
            routes.close_network(network)
        routes.add_route("0.0.0.0/0", _UP_NUMBER)
        routes.close()


class Forwarding:
    """The host's readiness to forward packets: on while any ondol needs it, and then as it was. All raise `OSError`."""

    def __init__(self) -> None:
        """In the host's network namespace, to which this then belongs."""
        self._switch = os.open(f"{_SYSCTL}/ipv4/ip_forward", os.O_RDWR | os.O_CLOEXEC)
        # As long-lived as the switch: until the machine, or this namespace, ends.
        self._note = f"/run/ondol-forwarding-{os.stat('/proc/self/ns/net').st_ino}"
        self._shared = -1

    def turn_on(self) -> None:
        self._shared = os.open(self._note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._shared, fcntl.LOCK_SH)
        if os.pread(self._switch, 1, 0) == b"0":
            # Written down first, for whoever comes after a kill.
            os.pwrite(self._shared, b"turn it off\n", 0)
            os.pwrite(self._switch, b"1", 0)

    def close(self) -> None:
        try:
            fcntl.flock(self._shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another ondol needs it still
        if os.pread(self._shared, 1, 0):
            os.pwrite(self._switch, b"0", 0)
        os.unlink(self._note)


def _host_rules(link: str, network: str) -> tuple[nftables.Chain, ...]:
    return (
        nftables.Chain(
            "closed",
            "filter",
            nftables.PREROUTING,
            nftables.BEFORE_TRANSLATION,
            # Also where the host would have passed it on to something that listens behind one of its own addresses.
            (nftables.comes_from(link) + nftables.is_not_for_one_other_host() + nftables.drop(),),
        ),
        nftables.Chain(
            "answers",
            "filter",
            nftables.FORWARD,
            nftables.FILTER,
            (
                nftables.goes_to(link) + nftables.belongs_to_a_known_connection() + nftables.accept(),
                nftables.goes_to(link) + nftables.drop(),
            ),
        ),
        nftables.Chain(
            "source",
            "nat",
            nftables.POSTROUTING,
            nftables.SOURCE_TRANSLATION,
            (nftables.has_source_in(network) + nftables.goes_elsewhere_than(link) + nftables.translate_source(),),
        ),
    )


@contextlib.contextmanager
def _needing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPERM:
            what = "root's power over the host's network"
        raise NoRouter(f"{what}: {error}") from error


def _address(number: int) -> str:
    return socket.inet_ntoa(struct.pack(">I", number))


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
