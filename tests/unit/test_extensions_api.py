"""The Extensions API over a connection: what is asked, what is answered, and in which words."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable

import pytest
import virtual_loop
from test_environment_machine import head, version
from test_streamed_results import LoopClock

from ondol.http import HttpCommons, HttpLimits, Server
from ondol.model.function import FunctionVersion
from ondol.model.time import WallTime
from ondol.sandbox import memory_transport
from ondol.worker.commands import ShutdownReason
from ondol.worker.extensions import ExtensionRefused
from ondol.worker.extensions_api import ExtensionsApi

API = "/2020-01-01/extension"


class Environment:
    """Takes everything, and notes it; refuses what is called `bad`."""

    def __init__(self) -> None:
        self.version: FunctionVersion = version()
        self.told: list[tuple[object, ...]] = []

    def extension_registers(self, name: str, events: list[str], id: str) -> None:
        if name == "bad":
            raise ExtensionRefused("Extension.RegistrationClosed", "Extension registration closed already")
        self.told.append((name, *events))
        self.id = id

    def extension_asks(self, id: str) -> None:
        if id != self.id:
            raise ExtensionRefused("Extension.UnknownExtensionIdentifier", f"Unknown extension {id}")
        self.told.append(("asks",))

    def extension_init_failed(self, id: str, error_type: str) -> None:
        self.told.append(("init", id, error_type))

    def extension_exit_failed(self, id: str, error_type: str) -> None:
        self.told.append(("exit", id, error_type))


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.more.set()

    def send(self, method: str, path: str, body: str = "", **fields: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:9001", f"Content-Length: {len(body.encode())}"]
        lines += [f"Lambda-Extension-{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.transport.write("\r\n".join([*lines, "", body]).encode())

    async def answer(self) -> tuple[int, dict[str, str], object]:
        """The next one: its status, its fields, and what its body says."""
        async with asyncio.timeout(60):
            while not (match := re.match(rb"(?s)(.*?)\r\n\r\n", self.received)):
                self.more.clear()
                await self.more.wait()
        status, *lines = match[1].decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        end = match.end() + int(fields["Content-Length"])
        body, self.received = self.received[match.end() : end], self.received[end:]
        return int(status.split()[1]), fields, json.loads(body)

    async def ask(self, *request: str, **fields: str) -> tuple[int, dict[str, str], object]:
        self.send(*request, **fields)
        return await self.answer()


Test = Callable[[Client, Environment, ExtensionsApi], Awaitable[None]]


def run(test: Test) -> None:
    async def main() -> None:
        environment, client = Environment(), Client()
        api = ExtensionsApi(environment)
        server = Server(api.serve, HttpLimits(), HttpCommons(LoopClock()))
        memory_transport.connect(asyncio.get_running_loop(), client, server.protocol())
        await test(client, environment, api)

    virtual_loop.run(main())


def test_who_registers_learns_its_identifier_and_whose_extension_it_is() -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        status, fields, told = await client.ask("POST", f"{API}/register", '{"events": ["INVOKE"]}', Name="한국.sh")
        assert (status, fields["Lambda-Extension-Identifier"]) == (200, environment.id)
        assert told == {"functionName": "f", "functionVersion": "$LATEST", "handler": "m.h"}
        assert environment.told == [("한국.sh", "INVOKE")]
        feature = {"Name": "x", "Accept_Feature": "other, accountId"}
        _, _, told = await client.ask("POST", f"{API}/register", "{}", **feature)
        assert isinstance(told, dict) and told["accountId"] == "000000000000"

    run(test)


@pytest.mark.parametrize(
    ("body", "fields", "error_type"),
    [
        ("{}", {}, "Extension.InvalidExtensionName"),
        ("{}", {"Name": "x" * 256}, "Extension.InvalidExtensionName"),
        ("", {"Name": "x"}, "InvalidRequestFormat"),
        ("[1]", {"Name": "x"}, "InvalidRequestFormat"),
        ('{"events": [7]}', {"Name": "x"}, "InvalidRequestFormat"),
        ('{"a": ' + "[" * 1200, {"Name": "x"}, "InvalidRequestFormat"),
        ("{}", {"Name": "bad"}, "Extension.RegistrationClosed"),
    ],
)
def test_what_is_no_registration_is_refused(body: str, fields: dict[str, str], error_type: str) -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        status, _, told = await client.ask("POST", f"{API}/register", body, **fields)
        assert isinstance(told, dict)
        assert (status, told["errorType"]) == (403, error_type)
        assert told["errorMessage"]
        assert environment.told == []

    run(test)


def test_events_come_to_who_waits_as_they_come_on_aws() -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        await client.ask("POST", f"{API}/register", "{}", Name="x")
        client.send("GET", f"{API}/event/next", Identifier=environment.id.upper())
        await asyncio.sleep(0.001)
        api.tell_invoke([environment.id], head(), "Root=1-2-3;Sampled=1", WallTime(1234))
        status, fields, event = await client.answer()
        assert (status, fields["Content-Type"]) == (200, "application/json")
        assert fields["Lambda-Extension-Identifier"] == environment.id
        assert len(fields["Lambda-Extension-Event-Identifier"]) == 36
        assert event == {
            "eventType": "INVOKE",
            "deadlineMs": 1234,
            "requestId": "one",
            "invokedFunctionArn": "arn",
            "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3;Sampled=1"},
        }
        client.send("GET", f"{API}/event/next", Identifier=environment.id)
        await asyncio.sleep(0.001)
        api.tell_shutdown([environment.id], ShutdownReason.SPINDOWN, WallTime(5678))
        _, _, event = await client.answer()
        assert event == {"eventType": "SHUTDOWN", "deadlineMs": 5678, "shutdownReason": "spindown"}

    run(test)


@pytest.mark.parametrize(
    ("path", "identifier", "error_type"),
    [
        ("event/next", None, "Extension.MissingExtensionIdentifier"),
        ("event/next", "x", "Extension.InvalidExtensionIdentifier"),
        ("event/next", "00000000-0000-4000-8000-000000000000", "Extension.UnknownExtensionIdentifier"),
        ("init/error", None, "Extension.MissingExtensionIdentifier"),
        ("exit/error", "00000000-0000-4000-8000-000000000000", "Extension.MissingHeader"),
    ],
)
def test_who_does_not_say_who_it_is_is_refused(path: str, identifier: str | None, error_type: str) -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        await client.ask("POST", f"{API}/register", "{}", Name="x")
        fields = {} if identifier is None else {"Identifier": identifier}
        method = "GET" if path == "event/next" else "POST"
        status, _, told = await client.ask(method, f"{API}/{path}", **fields)
        assert isinstance(told, dict)
        assert (status, told["errorType"]) == (403, error_type)

    run(test)


def test_a_refused_request_for_an_event_leaves_the_one_that_waits() -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        await client.ask("POST", f"{API}/register", "{}", Name="x")
        waits = environment.id
        client.send("GET", f"{API}/event/next", Identifier=waits)
        await asyncio.sleep(0.001)
        other = Client()
        server = Server(api.serve, HttpLimits(), HttpCommons(LoopClock()))
        memory_transport.connect(asyncio.get_running_loop(), other, server.protocol())
        environment.id = ""
        status, _, _ = await other.ask("GET", f"{API}/event/next", Identifier=waits)
        assert status == 403
        api.tell_shutdown([waits], ShutdownReason.FAILURE, WallTime(1))
        assert (await client.answer())[0] == 200

    run(test)


@pytest.mark.parametrize("kind", ["init", "exit"])
def test_errors_are_taken_with_their_type(kind: str) -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        id = "00000000-0000-4000-8000-000000000000"
        fields = {"Identifier": id, "Function_Error_Type": "E" * 2000}
        status, _, told = await client.ask("POST", f"{API}/{kind}/error", '{"errorMessage": "x"}', **fields)
        assert (status, told) == (202, {"status": "OK"})
        assert environment.told == [(kind, id, "E" * 1024)], "what goes into the log has a limit"

    run(test)


@pytest.mark.parametrize(
    ("path", "error_type"),
    [("/2020-08-15/logs", "Logs.NotSupported"), ("/2022-07-01/telemetry", "Telemetry.NotSupported")],
)
def test_what_is_not_there_says_so_without_failing(path: str, error_type: str) -> None:
    async def test(client: Client, environment: Environment, api: ExtensionsApi) -> None:
        status, _, told = await client.ask("PUT", path, "{}")
        assert isinstance(told, dict)
        assert (status, told["errorType"]) == (202, error_type)
        assert (await client.ask("GET", path))[0] == 404
        assert (await client.ask("GET", f"{API}/register"))[0] == 404

    run(test)
