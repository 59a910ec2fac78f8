"""`ondol debug`: a debugger attached to an environment stops its code, its time, and nobody else's."""

import concurrent.futures
import contextlib
import http.client
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from dap_client import DapClient
from inspector_client import InspectorClient, targets
from ondol.cli.client import Client
from ondol.runtimes import catalog
from ondol_process import ONDOL, OndolProcess, create, package

PYTHON = """
import os
started = "at init"
def h(event, context):
    if event == "spin":
        while True:
            pass
    answer = [event, os.environ.get("ONDOL_DEBUGGER"), context.memory_limit_in_mb]
    return answer
"""
IN_INIT, IN_HANDLER = 3, 9
NODE = """
const started = 'at init';
exports.h = async (event) => {
  if (event === 'spin') for (;;) ;
  return [event, process.env.ONDOL_DEBUGGER ?? null, process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE];
};
"""
IN_NODE_INIT, IN_NODE_HANDLER = 2, 5
NODES = sorted(name for name in catalog.find().runtimes if name.startswith("nodejs"))
needs_node = pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages")
NEXT_S = 60
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/lambda/aws4_request, Signature=0"}


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """Its init may take half a second, so that what a debugger stops for longer is past its time."""
    settings = {"PHASES_INIT_S": "0.5", "KEEP_ALIVE_IDLE_S": "0.2"}
    with OndolProcess(tmp_path_factory.mktemp("debugging") / "data", settings) as process:
        create(process.client(), "pass-time", "import time\ndef h(event, context): time.sleep(event)", Timeout=60)
        yield process


class Session:
    """`POST /_ondol/debug` on a thread of its own: what it tells is taken one by one."""

    def __init__(self, process: OndolProcess, function: str, port: int | None = 0) -> None:
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._connection = socket.create_connection(address_of(process), NEXT_S)
        body = json.dumps({"function": function, "port": port}).encode()
        head = f"POST /_ondol/debug HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNED['Authorization']}\r\n"
        self._connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        threading.Thread(target=self._read, daemon=True).start()
        self.first = self._events.get(timeout=NEXT_S)
        self.port: int = self.first.get("port", 0)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"{"):  # the others are the head, and the lengths of chunks
                    self._events.put(json.loads(line))

    def hang_up(self) -> None:
        """As Ctrl-C does."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def next(self) -> str:
        event: str = self._events.get(timeout=NEXT_S)["event"]
        return event

    def ending(self) -> dict[str, Any]:
        """What is told last, whatever comes before."""
        while (event := self._events.get(timeout=NEXT_S))["event"] != "ended":
            continue
        return event


def address_of(process: OndolProcess) -> tuple[str, int]:
    host, _, port = process.endpoint.removeprefix("http://").partition(":")
    return host, int(port)


def post(process: OndolProcess, body: bytes, headers: dict[str, str]) -> int:
    """The status with which a request to debug is refused."""
    connection = http.client.HTTPConnection(*address_of(process), timeout=NEXT_S)
    try:
        connection.request("POST", "/_ondol/debug", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def answer_of(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), NEXT_S) as connection:
        connection.sendall(sent)
        try:
            return connection.recv(1024)
        except ConnectionResetError:
            return b""


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), NEXT_S).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def elsewhere() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


Begin = Callable[..., Session]


@pytest.fixture
def debug() -> Iterator[Begin]:
    """Begins sessions that end with the test."""
    begun: list[Session] = []

    def begin(process: OndolProcess, function: str, port: int | None = 0) -> Session:
        begun.append(Session(process, function, port))
        return begun[-1]

    yield begin
    for session in begun:
        session.hang_up()


def environments(process: OndolProcess, function: str) -> list[str]:
    found = Client(process.endpoint).status()["environments"]
    return [environment["state"] for environment in found if environment["function"] == function]


def test_python_stops_beyond_its_timeout_and_goes_on(
    debugging: OndolProcess, debug: Begin, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, PYTHON, Timeout=1)
    session = debug(debugging, name)
    assert session.first == {"event": "listening", "protocol": "dap", "port": session.port}
    # Nobody has attached, and the function works as ever.
    assert invoke(client, name, "before")[1] == ["before", None, "128"]
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [IN_INIT, IN_HANDLER]})
        assert session.next() == "attached"
        function, line, thread = debugger.stopped_in()
        assert (function, line) == ("<module>", IN_INIT)
        invoke(client, "pass-time", 2)  # beyond the limits of init and invocation
        debugger.go_on(thread)
        assert session.next() == "ready"

        stopped = elsewhere.submit(invoke, client, name, "stopped")
        function, line, thread = debugger.stopped_in()
        assert (function, line) == ("h", IN_HANDLER)
        assert invoke(client, name, "meanwhile")[1] == ["meanwhile", None, "128"]
        invoke(client, "pass-time", 1.5)
        assert not stopped.done()
        debugger.go_on(thread)
        told, result = stopped.result(NEXT_S)
        assert result == ["stopped", None, "128"]
        assert "FunctionError" not in told


@needs_node
def test_node_stops_beyond_its_timeout_and_goes_on(
    debugging: OndolProcess, debug: Begin, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, {"m.js": NODE}, Runtime=NODES[-1], Timeout=1, MemorySize=512)
    session = debug(debugging, name)
    assert session.first == {"event": "listening", "protocol": "inspector", "port": session.port}
    assert invoke(client, name, "before")[1] == ["before", None, "512"]
    with InspectorClient(session.port) as debugger:
        debugger.attach({"/var/task/m.js": [IN_NODE_INIT, IN_NODE_HANDLER]})
        assert session.next() == "attached"
        assert debugger.stopped_in() == IN_NODE_INIT
        invoke(client, "pass-time", 2)
        debugger.ask("Debugger.resume")
        assert session.next() == "ready"

        stopped = elsewhere.submit(invoke, client, name, "stopped")
        assert debugger.stopped_in() == IN_NODE_HANDLER
        assert invoke(client, name, "meanwhile")[1] == ["meanwhile", None, "512"]
        invoke(client, "pass-time", 1.5)
        assert not stopped.done()
        debugger.ask("Debugger.resume")
        told, result = stopped.result(NEXT_S)
        assert result == ["stopped", None, "512"]
        assert "FunctionError" not in told


def test_a_debugger_that_goes_lets_the_code_go_on_in_time(
    debugging: OndolProcess, debug: Begin, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, PYTHON, Timeout=1)
    session = debug(debugging, name)
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [IN_HANDLER]})
        assert [session.next(), session.next()] == ["attached", "ready"]
        stopped = elsewhere.submit(invoke, client, name, "stopped")
        assert debugger.stopped_in()[:2] == ("h", IN_HANDLER)
    assert stopped.result(NEXT_S)[1] == ["stopped", None, "128"]
    assert session.next() == "detached"
    invoke(client, "pass-time", 0.5)  # longer than an environment idles here, and than it takes to be frozen
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [IN_HANDLER]})
        assert session.next() == "attached"
        again = elsewhere.submit(invoke, client, name, "again")
        _, line, thread = debugger.stopped_in()
        assert line == IN_HANDLER
        debugger.go_on(thread)
        assert again.result(NEXT_S)[1] == ["again", None, "128"]
    assert session.next() == "detached"
    told, result = invoke(client, name, "spin")
    assert (told["FunctionError"], result["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert session.ending() == {"event": "ended", "reason": "it ended by itself", "replaced": False}
    assert refused(session.port)


def test_whoever_hangs_up_takes_the_environment_along(
    debugging: OndolProcess, debug: Begin, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, PYTHON, Timeout=5)

    def nothing_is_left(session: Session) -> None:
        while environments(debugging, name):
            continue
        assert refused(session.port)

    # Before anybody has attached.
    session = debug(debugging, name)
    assert environments(debugging, name) == ["init"]
    session.hang_up()
    nothing_is_left(session)
    # While it idles.
    session = debug(debugging, name)
    with DapClient(session.port) as debugger:
        debugger.attach({})
        assert [session.next(), session.next()] == ["attached", "ready"]
        session.hang_up()
        nothing_is_left(session)
    # While its code is stopped: that ends as if there had been no debugger.
    session = debug(debugging, name)
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [IN_HANDLER]})
        assert [session.next(), session.next()] == ["attached", "ready"]
        stopped = elsewhere.submit(invoke, client, name, "stopped")
        debugger.stopped_in()
        session.hang_up()
        assert stopped.result(NEXT_S)[1] == ["stopped", None, "128"]
        nothing_is_left(session)


def test_newer_code_ends_it(debugging: OndolProcess, debug: Begin, name: str) -> None:
    client = debugging.client()
    create(client, name, PYTHON)
    port = 0
    for attach in (False, True):
        session = debug(debugging, name, port)
        port = session.port
        with contextlib.ExitStack() as stack:
            if attach:
                stack.enter_context(DapClient(port)).attach({})
                assert [session.next(), session.next()] == ["attached", "ready"]
            client.update_function_code(FunctionName=name, ZipFile=package({"m.py": f"{PYTHON}# {attach}"}))
            assert session.ending() == {"event": "ended", "reason": "its version was replaced", "replaced": True}
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    assert debug(debugging, name, port).port == port  # who was told of the end can have the port again


def test_an_error_at_init_is_told(debugging: OndolProcess, debug: Begin, name: str) -> None:
    create(debugging.client(), name, "1 / 0")
    session = debug(debugging, name)
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [1]})
        _, _, thread = debugger.stopped_in()
        debugger.go_on(thread)
        assert json.loads(session.ending()["reason"])["errorType"] == "ZeroDivisionError"


def test_what_cannot_be_debugged_is_said(debugging: OndolProcess, debug: Begin, name: str) -> None:
    client = debugging.client()
    create(client, name, {"bootstrap*": "#!/bin/sh\n"}, Runtime="provided.al2023")
    told = debug(debugging, name).first
    assert told["event"] == "ended"
    assert told["reason"].startswith(
        "a debugger can be attached to functions in Python and Node.js that run on an inte"
    )
    create(client, python := f"{name[:50]}-py", PYTHON)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert debug(debugging, python, port).first["reason"].startswith(f"port {port} cannot be listened at: ")
    for body, status in ((b"{}", 400), (b'{"function": "nobody-made-this"}', 404), (b'{"function": "a b"}', 400)):
        assert post(debugging, body, SIGNED) == status


def test_pages_and_strangers_get_nowhere(debugging: OndolProcess, debug: Begin, name: str) -> None:
    client = debugging.client()
    asked = json.dumps({"function": name}).encode()
    assert post(debugging, asked, {}) == 403
    assert post(debugging, asked, {**SIGNED, "Origin": "http://evil.example"}) == 403
    arn = create(client, name, PYTHON)["FunctionArn"]
    another = {"Authorization": SIGNED["Authorization"].replace("Credential=t", "Credential=111111111111")}
    assert post(debugging, json.dumps({"function": arn}).encode(), another) == 403
    session = debug(debugging, name)
    # A page's request, whose body is a message of the protocol.
    message = json.dumps({"seq": 1, "type": "request", "command": "initialize", "arguments": {}}).encode()
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(message)
    assert answer_of(session.port, head + message) == b""
    assert environments(debugging, name) == ["init"]
    session.hang_up()


@needs_node
def test_pages_and_strangers_get_nowhere_in_node(debugging: OndolProcess, debug: Begin, name: str) -> None:
    create(debugging.client(), name, {"m.js": NODE}, Runtime=NODES[-1])
    session = debug(debugging, name)
    assert targets(session.port)[0]["type"] == "node"
    assert targets(session.port, Origin="devtools://devtools")
    for headers in (
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Host": "evil.example"},
    ):
        with pytest.raises((http.client.HTTPException, OSError)):
            targets(session.port, **headers)
    session.hang_up()


def test_code_in_a_sandbox_cannot_ask_for_it(debugging: OndolProcess, debug: Begin, name: str) -> None:
    code = """
import json, os, urllib.request
import boto3, botocore.awsrequest, botocore.auth
def h(event, context):
    url = os.environ["AWS_ENDPOINT_URL"] + "/_ondol/debug"
    body = json.dumps({"function": context.function_name})
    request = botocore.awsrequest.AWSRequest("POST", url, data=body)
    credentials = boto3.Session().get_credentials()
    botocore.auth.SigV4Auth(credentials, "lambda", os.environ["AWS_REGION"]).add_auth(request)
    try:
        urllib.request.urlopen(urllib.request.Request(url, body.encode(), dict(request.headers)))
    except urllib.error.HTTPError as error:
        return error.code
"""
    create(debugging.client(), name, code, MemorySize=1769, Timeout=30)
    assert invoke(debugging.client(), name)[1] == 403


def test_stopping_ondol_waits_for_no_debugger(
    tmp_path: Path, debug: Begin, elsewhere: concurrent.futures.ThreadPoolExecutor
) -> None:
    with OndolProcess(tmp_path / "data") as process:
        client = process.client()
        create(client, "f", PYTHON, Timeout=5)
        session = debug(process, "f")
        with DapClient(session.port) as debugger:
            debugger.attach({"/var/task/m.py": [IN_HANDLER]})
            assert [session.next(), session.next()] == ["attached", "ready"]
            stopped = elsewhere.submit(invoke, client, "f", "stopped")
            debugger.stopped_in()
            assert process.stop() == 0
            assert stopped.result(NEXT_S)[1] == ["stopped", None, "128"]
            assert session.ending()["reason"] == "ondol is being stopped"
        assert process.complaints() == ""


def test_the_command_prints_what_an_editor_needs_and_runs_an_event(
    debugging: OndolProcess, name: str, tmp_path: Path
) -> None:
    create(debugging.client(), name, f"{PYTHON}\nprint('a line')", Timeout=1)
    command = [ONDOL, "debug", name, "--endpoint", debugging.endpoint, "--path", tmp_path, "--port", "0"]
    command += ["--payload", '"sent"']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        text = ""
        while not text.endswith("\n}\n"):
            text += (line := process.stdout.readline())
            assert line, process.stderr.read()
        port = json.loads(text)["connect"]["port"]
        assert json.loads(text) == {
            "name": f"ondol: {name}",
            "request": "attach",
            "type": "debugpy",
            "connect": {"host": "127.0.0.1", "port": port},
            "pathMappings": [{"localRoot": str(tmp_path), "remoteRoot": "/var/task"}],
        }
        with DapClient(port) as debugger:
            debugger.attach({"/var/task/m.py": [IN_HANDLER]})
            _, _, thread = debugger.stopped_in()
            debugger.go_on(thread)
            result, said = process.communicate(timeout=NEXT_S)
    assert json.loads(result) == ["sent", None, "128"]
    assert f"Attach a debugger to 127.0.0.1:{port}." in said
    assert "REPORT RequestId: " in said
    assert process.returncode == 0
    unknown = [ONDOL, "debug", "nobody-made-this", "--endpoint", debugging.endpoint]
    done = subprocess.run(unknown, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.startswith("There is no function nobody-made-this.")) == (1, True)
