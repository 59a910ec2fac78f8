"""A host and an internet, played in network namespaces of their own: nothing here touches this machine's network.

```
 this thread: the host, HOST ──cable──▶ another process: the internet, where SERVICE and what is closed all answer
```
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from ondol.linux import namespaces
from ondol.linux.netlink import ACKNOWLEDGE, CREATE, NETFILTER, Message, NetlinkSocket, attribute, nested, text
from ondol.linux.route import LOOPBACK, End, Routes
from ondol.sandbox.jail.relay.resolver import name_servers

HOST = "20.0.0.2"
SERVICE = "20.9.9.9"
NAME = "service.played.test"
METADATA = "169.254.169.254"
PRIVATE = ("10.1.2.3", "172.16.1.2", "192.168.1.2", "100.64.0.9")
SILENT_NAME = "silent.played.test"
"""Nobody answers to it."""

LONG_NAME = "long.played.test"
"""Has too many addresses for a datagram."""

PORT = 8080
_LINK = 100


class Internet:
    """The process that plays it; every address of it answers at `PORT`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._heard() == "apart"
        self.pid = self._process.pid

    def open(self) -> None:
        assert self._ask("open") == "opened"

    def connect(self, address: str, port: int) -> str:
        """What became of it when the internet tries to connect to this address, by way of the host."""
        return self._ask(f"connect {address} {port}")

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, order: str) -> str:
        assert self._process.stdin is not None
        print(order, file=self._process.stdin, flush=True)
        return self._heard()

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def played() -> Iterator[Internet]:
    """This thread, and what it starts, is on a host of its own until the end."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(namespaces.NEW_NETWORK)
    try:
        with contextlib.ExitStack() as stack:
            namespaces.bring_up_loopback()
            internet = Internet()
            stack.callback(internet.close)
            routes = Routes()
            stack.callback(routes.close)
            routes.add_pair(End("wan", _LINK), End("eth0", _LINK), internet.pid)
            routes.add_address(HOST, _LINK)
            routes.add_route("0.0.0.0/0", _LINK)
            internet.open()
            stack.enter_context(_name_server(routes))
            yield internet
    finally:
        namespaces.enter(before, namespaces.NEW_NETWORK)
        os.close(before)


def tables() -> bytes:
    """What the kernel tells of the tables of nf_tables here: their names are in it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as asking:
        asking.send(bytes.fromhex("14000000010a0103 0100000000000000 02000000"))
        return asking.recv(65536)


def drop_forwarded(name: str) -> NetlinkSocket:
    """A firewall here, until it is closed, that drops what is forwarded, as container engines' do."""
    family = struct.pack("=BBH", socket.AF_INET, 0, 0)
    hook = nested(4, attribute(1, struct.pack(">I", 2)), attribute(2, struct.pack(">i", 0)))
    chain = text(1, name) + text(3, "forward") + hook + attribute(5, struct.pack(">I", 0)) + text(7, "filter")
    batch = struct.pack(">BBH", 0, 0, 10)
    firewall = NetlinkSocket(NETFILTER)
    firewall.perform(
        Message("begin", 16, 0, batch),
        Message(
            "make a table", 0xA00, CREATE | ACKNOWLEDGE, family + text(1, name) + attribute(2, struct.pack(">I", 2))
        ),
        Message("make a chain", 0xA03, CREATE | ACKNOWLEDGE, family + chain),
        Message("end", 17, 0, batch),
    )
    return firewall


@contextlib.contextmanager
def _name_server(routes: Routes) -> Iterator[None]:
    """Where this machine's configuration says there is one, which nothing may change here."""
    address = name_servers()[0]
    if not address.startswith("127."):
        routes.add_address(address, LOOPBACK)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server((address, 53)) as listener,
    ):
        datagrams.bind((address, 53))
        threads = [
            threading.Thread(target=serve, args=(each,)) for serve, each in ((_answer, datagrams), (_serve, listener))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for each in (datagrams, listener):
                with contextlib.suppress(OSError):  # a datagram socket is not connected; it wakes nevertheless
                    each.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _answer(datagrams: socket.socket) -> None:
    while True:
        question, asker = datagrams.recvfrom(512)
        if not question:
            return
        if _asked(question)[0] != SILENT_NAME:
            datagrams.sendto(_reply(question, whole=False), asker)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as reader:
            while size := int.from_bytes(reader.read(2), "big"):
                reply = _reply(reader.read(size), whole=True)
                connection.sendall(len(reply).to_bytes(2, "big") + reply)


def _reply(question: bytes, *, whole: bool) -> bytes:
    """An answer of RFC 1035: addresses of version 4 for the two names, nothing for others."""
    name, kind, end = _asked(question)
    count = {NAME: 1, LONG_NAME: 100}.get(name, 0) if kind == 1 else 0
    known = name in {NAME, LONG_NAME}
    cut = count > 1 and not whole
    flags = 0x8180 | (0x0200 if cut else 0) | (0 if known else 3)
    record = bytes.fromhex("c00c 0001 0001 0000003c 0004") + socket.inet_aton(SERVICE)
    answers = b"" if cut else record * count
    numbers = (1, 0 if cut else count, 0, 0)
    header = question[:2] + flags.to_bytes(2, "big") + b"".join(number.to_bytes(2, "big") for number in numbers)
    return header + question[12:end] + answers


def _asked(question: bytes) -> tuple[str, int, int]:
    labels = []
    at = 12
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels), int.from_bytes(question[at + 1 : at + 3], "big"), at + 5


def _play_internet() -> None:
    namespaces.unshare(namespaces.NEW_NETWORK)
    namespaces.bring_up_loopback()
    print("apart", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["open"]:
                _lay_internet()
                threading.Thread(target=_greet, args=(socket.create_server(("0.0.0.0", PORT)),), daemon=True).start()
                print("opened", flush=True)
            case ["connect", address, port]:
                try:
                    socket.create_connection((address, int(port)), 1).close()
                    print("connected", flush=True)
                except OSError as error:
                    print(type(error).__name__, flush=True)


def _lay_internet() -> None:
    routes = Routes()
    routes.bring_up(End("eth0", _LINK))
    for address in (SERVICE, METADATA, *PRIVATE):
        routes.add_address(address, _LINK)
    routes.add_route("0.0.0.0/0", _LINK)


def _greet(listener: socket.socket) -> None:
    """Say who came, as it is seen from here."""
    while True:
        connection, (address, _) = listener.accept()
        with connection:
            connection.sendall(f"hello {address}".encode())


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent.parent / "src"))
    _play_internet()
