"""What hostile code reaches through the network."""

import asyncio
import socket

import pytest
from conftest import Prison

pytestmark = pytest.mark.root


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
