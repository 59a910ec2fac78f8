"""Simulated sandboxes in virtual time, and the connection they speak over."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import virtual_loop

from lone_guest import LoneGuest
from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Launch, Runtime
from ondol.sandbox import memory_transport
from ondol.sandbox.driver import Exit, SlotSpec, StartSpec
from ondol.sandbox.limits import UnpackLimits
from ondol.sandbox.simulated import SimulatedDriver, SimulatedSandbox
from ondol.sandbox.simulated_process import Answer, Die, Phase

HOUR = 3600.0
RUNTIME = Runtime(name="python3.12", version="3.12.1", launch=Launch.ZYGOTE, command=())
CODE = CodeDigest("c")
SPEC = StartSpec(code=CODE, layers=(), environment={}, memory_mb=128, cpu_share=1.0, tmp_mb=512)


class Steady:
    """Init takes 2 s, every invocation 10 s."""

    def init(self) -> Phase:
        return Phase(duration_s=2.0, memory_bytes=7)

    def invoke(self, request_id: str, event: bytes) -> Phase:
        if event == b"die":
            return Phase(Die(Exit(code=4)), duration_s=1.0, output=b"last words")
        return Phase(Answer(b"result of " + event), duration_s=10.0, cpu_time_ns=5)


class Watcher(LoneGuest, asyncio.Protocol):
    """A guest and its Runtime API: notes when what happened."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.seen: list[tuple[float, str]] = []
        self.happened = asyncio.Event()
        self.transport: asyncio.Transport

    def note(self, what: str) -> None:
        self.seen.append((round(self.loop.time(), 6), what))
        self.happened.set()

    async def next_thing(self) -> tuple[float, str]:
        while not self.seen:
            self.happened.clear()
            await self.happened.wait()
        return self.seen.pop(0)

    def connected(self) -> asyncio.Protocol:
        return self

    def output(self, data: bytes) -> None:
        self.note(f"output {data.decode()}")

    def exited(self, exit: Exit) -> None:
        self.note(f"exit {exit.code} {exit.signal}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST"):
            posted, _, data = data.partition(b"GET ")
            self.note(posted.rpartition(b"\r\n")[2].decode())
            self.transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        if data:
            self.note("next")

    def give(self, event: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r\r\nContent-Length: {len(event)}\r\n\r\n"
        self.transport.write(head.encode() + event)


def scenario(act: Callable[[SimulatedSandbox, Watcher], Awaitable[None]]) -> None:
    async def main() -> None:
        driver = SimulatedDriver(lambda spec: Steady(), create_s=0.5, start_s=0.25)
        await driver.unpack(Path("unseen.zip"), CODE, UnpackLimits())
        sandbox = await driver.create(SlotSpec(sandbox=SandboxId("s"), runtime=RUNTIME, account="1"))
        watcher = Watcher()
        sandbox.attach(watcher)
        await sandbox.start(SPEC)
        await act(sandbox, watcher)

    virtual_loop.run(main())


class TestTime:
    def test_phases_take_exactly_their_time(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            assert await watcher.next_thing() == (2.75, "next")
            watcher.give(b"x")
            assert await watcher.next_thing() == (12.75, "result of x")
            assert await watcher.next_thing() == (12.75, "next")
            assert (sandbox.stats().memory_peak_bytes, sandbox.stats().cpu_time_ns) == (7, 5)

        scenario(act)

    def test_a_year_of_invocations_takes_no_time(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            for _ in range(365 * 24):
                watcher.give(b"x")
                await watcher.next_thing()
                await watcher.next_thing()
                await asyncio.sleep(HOUR - 10.0)
            assert round(watcher.loop.time() - 2.75) == 365 * 24 * HOUR

        scenario(act)

    def test_frozen_time_does_not_count(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            watcher.give(b"x")
            await asyncio.sleep(4.0)
            sandbox.freeze()
            await asyncio.sleep(HOUR)
            assert not watcher.seen
            sandbox.thaw()
            assert await watcher.next_thing() == (2.75 + 10.0 + HOUR, "result of x")

        scenario(act)

    def test_an_invocation_given_to_a_frozen_sandbox_begins_with_the_thaw(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            sandbox.freeze()
            watcher.give(b"x")
            await asyncio.sleep(HOUR)
            sandbox.thaw()
            assert await watcher.next_thing() == (2.75 + HOUR + 10.0, "result of x")

        scenario(act)


class TestEnding:
    def test_output_comes_before_the_exit(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            watcher.give(b"die")
            assert await watcher.next_thing() == (3.75, "output last words")
            assert await watcher.next_thing() == (3.75, "exit 4 None")

        scenario(act)

    def test_a_stop_in_the_middle_leaves_no_timer_behind(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            watcher.give(b"x")
            await asyncio.sleep(1.0)
            await sandbox.stop(grace_s=0.5)
            assert await watcher.next_thing() == (3.75, "exit None 15")
            await asyncio.sleep(HOUR)
            assert not watcher.seen

        scenario(act)

    def test_a_platform_that_closes_the_connection_is_asked_again(self) -> None:
        async def act(sandbox: SimulatedSandbox, watcher: Watcher) -> None:
            await watcher.next_thing()
            watcher.transport.close()
            assert await watcher.next_thing() == (2.75, "next")

        scenario(act)


class End(asyncio.Protocol):
    """Notes all that its transport tells it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return True

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append("lost" if error is None else "reset")


def connection(act: Callable[[End, End], Awaitable[None]]) -> None:
    async def main() -> None:
        client, server = End(), End()
        memory_transport.connect(asyncio.get_running_loop(), client, server)
        await act(client, server)

    virtual_loop.run(main())


async def settle() -> None:
    await asyncio.sleep(0.001)


class TestConnection:
    def test_bytes_arrive_in_order_both_ways_and_never_within_the_write(self) -> None:
        async def act(client: End, server: End) -> None:
            client.transport.write(b"a")
            client.transport.writelines([b"b", b"c"])
            server.transport.write(b"z")
            assert server.received == b""
            await settle()
            assert (server.received, client.received) == (b"abc", b"z")

        connection(act)

    def test_a_reader_that_pauses_holds_the_writer_back(self) -> None:
        async def act(client: End, server: End) -> None:
            server.transport.pause_reading()
            client.transport.write(b"x" * 100_000)
            await settle()
            assert (client.told, client.transport.get_write_buffer_size()) == (["pause"], 100_000)
            server.transport.resume_reading()
            await settle()
            assert client.told == ["pause", "resume"]
            assert len(server.received) == 100_000

        connection(act)

    def test_what_was_written_before_a_close_still_arrives(self) -> None:
        async def act(client: End, server: End) -> None:
            client.transport.write(b"farewell")
            client.transport.close()
            await settle()
            assert (server.received, server.told, client.told) == (b"farewell", ["eof"], ["lost"])

        connection(act)

    def test_half_a_connection_may_end(self) -> None:
        async def act(client: End, server: End) -> None:
            client.transport.write_eof()
            await settle()
            server.transport.write(b"answer")
            await settle()
            assert (server.told, client.received) == (["eof"], b"answer")

        connection(act)

    def test_an_abort_loses_what_was_under_way(self) -> None:
        async def act(client: End, server: End) -> None:
            client.transport.write(b"lost")
            client.transport.abort()
            await settle()
            assert (server.received, server.told, client.told) == (b"", ["reset"], ["lost"])

        connection(act)
