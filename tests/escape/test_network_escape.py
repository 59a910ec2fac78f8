"""What hostile code reaches through the network."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
from prison import Prison

import networks
from networks import HOST, METADATA, NAME, PORT, PRIVATE, SERVICE, SILENT_NAME
from ondol.model.network import NetworkMode
from ondol.model.runtime import Runtime
from ondol.sandbox.jail.relay.refusals import BURST

pytestmark = pytest.mark.sandbox


def test_the_hosts_listeners_cannot_be_reached(prison: Prison) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        port = listener.getsockname()[1]
        abstract.bind(f"\0ondol-escape-{port}")
        abstract.listen()
        addresses = ["127.0.0.1", *_addresses()]
        found = prison.results(
            f"""
def connect(address):
    with socket.create_connection((address, {port}), timeout=2):
        pass
report(**{{address: refusal(connect, address) for address in {addresses!r}}})
with socket.socket(socket.AF_UNIX) as local:
    report(abstract=refusal(local.connect, "\\0ondol-escape-{port}"))
report(interfaces=socket.if_nameindex())
"""
        )
    assert found.pop("interfaces") == [[1, "lo"]]
    assert set(found.values()) <= {"ECONNREFUSED", "ENETUNREACH"}


def test_another_sandboxs_runtime_api_cannot_be_reached(prison: Prison) -> None:
    async def test() -> None:
        neighbour = await prison.hold("report(up=True)\nwait_for_go()")
        attacker = await prison.hold(
            """
connections = [socket.create_connection(("127.0.0.1", 9001)) for _ in range(3)]
report(up=True)
wait_for_go()
"""
        )
        await asyncio.gather(neighbour.said("up"), attacker.said("up"))
        # The one made ahead, those three, and the one that waits.
        await attacker.guard.until(lambda: len(attacker.guard.transports) == 5)
        await neighbour.guard.until(lambda: len(neighbour.guard.transports) == 2)
        for prisoner in (neighbour, attacker):
            await prisoner.sandbox.stop(0)
        assert len(neighbour.guard.transports) == 2

    prison.run(test())


def test_a_flood_of_connections_is_bounded(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
opened = []
for _ in range(100):
    connection = socket.create_connection(("127.0.0.1", 9001), timeout=5)
    opened.append(connection)
closed = 0
for connection in opened[-20:]:
    connection.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        if connection.recv(1):
            continue
    closed += 1
report(closed=closed)
"""
        )
        assert await prisoner.said("closed") == 20
        assert len(prisoner.guard.transports) <= 64
        await prisoner.sandbox.stop(0)

    prison.run(test())


def _addresses() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


# In each mode, on a host that the tests play, whose internet answers at every address


@pytest.fixture(scope="module", params=[pytest.param(mode, marks=pytest.mark.root) for mode in NetworkMode])
def placed(
    request: pytest.FixtureRequest, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NetworkMode, Prison]]:
    with networks.played():
        prison = Prison(tmp_path_factory.mktemp("placed"), runtime, request.param)
        yield request.param, prison
        prison.close()


CONNECT = """
def connect(address, port):
    socket.create_connection((address, port), timeout=0.5).close()

def reached(*addresses, port):
    found = {}
    for address in addresses:
        try:
            found[address] = errno.errorcode.get(refusal_number(address, port), "done")
        except TimeoutError:
            found[address] = "silence"
    return found

def refusal_number(address, port):
    try:
        connect(address, port)
    except TimeoutError:
        raise
    except OSError as error:
        return error.errno
    return 0
"""
CLOSED = {"ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "silence"}


def test_the_internet_is_there_in_one_mode_alone(placed: tuple[NetworkMode, Prison]) -> None:
    mode, prison = placed
    found = prison.results(
        f"""{CONNECT}
report(reached=reached({SERVICE!r}, port={PORT}))
try:
    report(name=socket.gethostbyname({NAME!r}))
except OSError as error:
    report(name=error.args[0])
report(interfaces=[name for _, name in socket.if_nameindex()])
"""
    )
    if mode is NetworkMode.NAT:
        assert found == {"reached": {SERVICE: "done"}, "name": SERVICE, "interfaces": ["lo", "eth0"]}
    else:
        assert found == {"reached": {SERVICE: "ENETUNREACH"}, "name": socket.EAI_AGAIN, "interfaces": ["lo"]}


def test_closed_networks_stay_closed(placed: tuple[NetworkMode, Prison]) -> None:
    _, prison = placed
    for address in (METADATA, *PRIVATE):
        socket.create_connection((address, PORT), 5).close()
    addresses = [METADATA, *PRIVATE, "127.0.0.2", "224.0.0.1", "255.255.255.255", "240.0.0.1"]
    reached = prison.results(f"{CONNECT}\nreport(reached=reached(*{addresses!r}, port={PORT}))")["reached"]
    assert set(reached.values()) <= CLOSED, reached


def test_the_host_is_not_reached_by_any_address(placed: tuple[NetworkMode, Prison]) -> None:
    _, prison = placed
    with (
        socket.create_server(("0.0.0.0", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server(("::", 0), family=socket.AF_INET6) as listener_ipv6,
    ):
        port = listener.getsockname()[1]
        datagrams.bind(("0.0.0.0", port))
        datagrams.setblocking(False)
        found = prison.results(
            f"""{CONNECT}
addresses = [{HOST!r}, "127.0.0.1", "0.0.0.0"]
with open("/proc/net/fib_trie") as file:
    own = [line.split()[1] for line in file if "|--" in line]
addresses += [address for address in own if not address.startswith("127.")]
report(reached=reached(*set(addresses), port={port}))
report(ipv6=reached("::1", "fe80::1", "2001:4860:4860::8888", "::ffff:{HOST}", port={listener_ipv6.getsockname()[1]}))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for address in [*addresses, "255.255.255.255", "224.0.0.1"]:
        with contextlib.suppress(OSError):
            datagrams.sendto(b"datagram", (address, {port}))
"""
        )
        assert set(found["reached"].values()) <= CLOSED, found
        assert set(found["ipv6"].values()) <= {*CLOSED, "EINVAL", "EADDRNOTAVAIL"}, found
        with pytest.raises(BlockingIOError):
            datagrams.recv(100)


def test_the_network_cannot_be_changed_from_inside(placed: tuple[NetworkMode, Prison]) -> None:
    _, prison = placed
    found = prison.results(
        """
report(raw=refusal(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
report(packets=refusal(socket.socket, 17, socket.SOCK_RAW, 0))
with socket.socket() as transparent:
    report(transparent=refusal(transparent.setsockopt, socket.SOL_IP, 19, 1))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spoofing:
    spoofing.setsockopt(socket.SOL_IP, 15, 1)
    spoofing.bind(("8.8.8.8", 0))
    report(spoofed=refusal(spoofing.sendto, b"x", ("9.9.9.9", 9)))
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as routes:
    for name, kind, body in (
        ("link", 16, struct.pack("=BBHiII", 0, 0, 0, 1, 0, 1)),
        ("address", 20, struct.pack("=BBBBIHH4s", 2, 32, 0, 0, 1, 8, 2, socket.inet_aton("8.8.8.8"))),
        ("route", 24, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 4, 0, 6, 0)),
    ):
        routes.send(struct.pack("=IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
        report(**{name: errno.errorcode[-struct.unpack_from("=i", routes.recv(4096), 16)[0]]})
report(forwarding=refusal(open, "/proc/sys/net/ipv4/ip_forward", "w"))
"""
    )
    assert found.pop("spoofed") in {"EINVAL", "ENETUNREACH"}
    assert set(found.values()) <= {"EPERM", "EAFNOSUPPORT", "EACCES", "EROFS"}, found


def test_sandboxes_do_not_reach_one_another(placed: tuple[NetworkMode, Prison]) -> None:
    mode, prison = placed

    async def test() -> None:
        neighbour = await prison.hold(
            """
listener = socket.create_server(("0.0.0.0", 7777))
with open("/proc/net/fib_trie") as file:
    own = [line.split()[1] for line in file if "|--" in line]
report(addresses=sorted({address for address in own if int(address.split(".")[0]) >= 240}))
wait_for_go()
"""
        )
        addresses = await neighbour.said("addresses")
        assert len(addresses) == (mode is NetworkMode.NAT)
        attacker = await prison.hold(f"{CONNECT}\nreport(reached=reached('127.0.0.1', *{addresses!r}, port=7777))")
        reached = await attacker.said("reached")
        assert set(reached.values()) <= CLOSED, reached
        for prisoner in (neighbour, attacker):
            await prisoner.sandbox.stop(0)

    prison.run(test())


def test_who_drowns_the_name_servers_in_questions_drowns_nobody_else(placed: tuple[NetworkMode, Prison]) -> None:
    mode, prison = placed
    if mode is not NetworkMode.NAT:
        return  # there is nobody to ask, as another test sees
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"".join(
        bytes([len(label)]) + label.encode() for label in SILENT_NAME.split(".")
    )
    question += b"\0\0\1\0\1"

    async def test() -> None:
        attacker = await prison.hold(
            f"""
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    for number in range(5000):
        asking.sendto(number.to_bytes(2, "big") + {question!r}[2:], ("127.0.0.1", 53))
report(asked=True)
wait_for_go()
"""
        )
        await attacker.said("asked")
        other = await prison.hold(f"report(name=socket.gethostbyname({NAME!r}))")
        assert await other.said("name") == SERVICE
        for prisoner in (attacker, other):
            await prisoner.sandbox.stop(0)

    prison.run(test())


def test_which_ports_the_host_listens_at_is_told_of_few(placed: tuple[NetworkMode, Prison]) -> None:
    mode, prison = placed
    stack = contextlib.ExitStack()
    listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2 * BURST)]
    ports = [listener.getsockname()[1] for listener in listeners]

    async def test() -> None:
        attacker = await prison.hold(
            f"""
for port in {ports!r} * 2:
    with socket.socket() as connection:
        connection.connect_ex(("127.0.0.1", port))
report(tried=True)
wait_for_go()
"""
        )
        await attacker.said("tried")
        guard = attacker.guard
        if mode is not NetworkMode.NONE:
            await guard.until(lambda: len(guard.told_of) >= BURST // 2)
        attacker.let_go()
        await attacker.ended()
        await attacker.sandbox.stop(0)
        assert len(guard.told_of) <= BURST + 5  # and what one second adds, a few times
        assert bool(guard.told_of) == (mode is not NetworkMode.NONE)

    with stack:
        prison.run(test())
