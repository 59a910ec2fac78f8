"""The `ondol` command against a real HTTP server that plays ondol's answers."""

import base64
import errno
import io
import json
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ondol.cli import logs as logs_command
from ondol.cli.main import main


class FakeOndol(ThreadingHTTPServer):
    """Functions that settle after two questions, and what they logged."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.functions: dict[str, dict[str, Any]] = {}
        self.code: dict[str, bytes] = {}
        self.settles = 0
        self.fails_with: str | None = None
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.events: list[dict[str, Any]] = []
        self.polls = 0
        self.on_poll: dict[int, list[dict[str, Any]]] = {}
        self.result: tuple[bytes, dict[str, str]] = (b'{"ok": true}', {})
        self.raw: tuple[int, str, bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: FakeOndol
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        if self.server.raw is not None:
            status, kind, content = self.server.raw
            self._send(status, content, {"Content-Type": kind})
            return
        if url.path == "/_ondol/status":
            self._send(200, STATUS)
            return
        if self.headers.get("X-Amz-Target") == "Logs_20140328.FilterLogEvents":
            self._logs(json.loads(body))
            return
        if b"GetCallerIdentity" in body:
            key = self.headers["authorization"].partition("Credential=")[2].partition("/")[0]
            self._send(200, f"<Account>{key if key.isdigit() else '0' * 12}</Account>".encode())
            return
        match = re.fullmatch(r"/2015-03-31/functions(?:/([^/]*)(?:/(\w+))?)?", url.path)
        assert match, url.path
        name = unquote(match[1] or "")
        operation = f"{self.command} {match[2] or ''}".strip()
        if operation == "GET" and not name:
            self._list(parse_qs(url.query))
        elif operation == "POST":
            self._create(json.loads(body))
        elif name not in self.server.functions:
            missing = {"Type": "User", "Message": f"Function not found: arn:aws:lambda:::function:{name}"}
            self._send(404, missing, {"x-amzn-ErrorType": "ResourceNotFoundException"})
        else:
            self._one(operation, name, body)

    def _one(self, operation: str, name: str, body: bytes) -> None:
        function = self.server.functions[name]
        if operation == "GET configuration":
            self._settle(function)
            self._send(200, function)
        elif operation == "PUT code":
            self.server.code[name] = base64.b64decode(json.loads(body)["ZipFile"])
            function["LastUpdateStatus"] = "InProgress"
            self.server.settles = 2
            self._send(200, function)
        elif operation == "PUT configuration":
            assert function["LastUpdateStatus"] == "Successful"
            function.update(json.loads(body), LastUpdateStatus="InProgress")
            self.server.settles = 2
            self._send(200, function)
        elif operation == "DELETE":
            del self.server.functions[name]
            self._send(204, b"")
        elif operation == "POST invocations":
            content, headers = self.server.result
            echoed = content.replace(b"EVENT", body)
            self._send(200, echoed, {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": "id-1", **headers})

    def _settle(self, function: dict[str, Any]) -> None:
        self.server.settles -= 1
        if self.server.settles > 0:
            return
        if self.server.fails_with:
            function.update(State="Failed", StateReason=self.server.fails_with)
        else:
            function.update(State="Active", LastUpdateStatus="Successful")

    def _create(self, members: dict[str, Any]) -> None:
        name = members["FunctionName"]
        self.server.code[name] = base64.b64decode(members.pop("Code")["ZipFile"])
        if "bad" in name:
            said = {"Type": "User", "message": "Unzipped size must be smaller than 262144000 bytes"}
            self._send(400, said, {"x-amzn-ErrorType": "InvalidParameterValueException"})
            return
        self.server.functions[name] = {"MemorySize": 128, "Timeout": 3, **members, "State": "Pending"}
        self.server.settles = 2
        self._send(201, self.server.functions[name])

    def _list(self, query: dict[str, list[str]]) -> None:
        names = sorted(self.server.functions)
        first = int(query.get("Marker", ["0"])[0])
        page: dict[str, Any] = {"Functions": [self.server.functions[name] for name in names[first : first + 2]]}
        if first + 2 < len(names):
            page["NextMarker"] = str(first + 2)
        self._send(200, page)

    def _logs(self, asked: dict[str, Any]) -> None:
        self.server.polls += 1
        self.server.events += self.server.on_poll.get(self.server.polls, [])
        if not self.server.events or asked["logGroupName"] != "/aws/lambda/greet":
            self._send(
                400, {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}
            )
            return
        events = [event for event in self.server.events if event["timestamp"] >= asked["startTime"]]
        first = int(asked.get("nextToken", "0"))
        page: dict[str, Any] = {"events": events[first : first + 2], "searchedLogStreams": []}
        if first + 2 < len(events):
            page["nextToken"] = str(first + 2)
        self._send(200, page)

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


STATUS = {
    "version": "0.1.0",
    "workers": [{"id": "w1", "slots": {"python3.11": 8}, "environments": 3, "memory_mb": 2048}],
    "functions": 2,
    "environments": [
        {"id": "e1", "function": "greet", "version": "$LATEST", "state": "idle", "worker": "w1"},
        {"id": "e2", "function": "greet", "version": "$LATEST", "state": "idle", "worker": "w1"},
        {"id": "e3", "function": "count", "version": "3", "state": "running", "worker": "w1", "unheard-of": 1},
        "something else",
    ],
}


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Terminal:
    """Runs commands as a person would."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        self._monkeypatch.setattr(sys, "argv", ["ondol", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Done(int(ended.value.code or 0), out, err)


@pytest.fixture
def ondol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeOndol]:
    server = FakeOndol()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("ONDOL_ENDPOINT", server.endpoint)
    monkeypatch.setenv("ONDOL_DATA_DIR", str(tmp_path / "no-data"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal(capsys, monkeypatch)


@pytest.fixture
def greet(tmp_path: Path) -> Path:
    directory = tmp_path / "greet"
    directory.mkdir()
    (directory / "app.py").write_text("def handler(event, context):\n    return event\n")
    return directory


def files_of(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_nothing_listening_is_one_sentence_with_a_way_out(terminal: Terminal) -> None:
    done = terminal("list", "--endpoint", "http://127.0.0.1:9")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Nothing answers at http://127.0.0.1:9. Start ondol with: ondol up (or name another address with --endpoint or "
        "ONDOL_ENDPOINT)\n"
    )


def test_a_machine_that_is_not_there_is_named(terminal: Terminal) -> None:
    done = terminal("list", "--endpoint", "http://nowhere.invalid:4566")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("There is no machine nowhere.invalid (")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--endpoint", "here"], "no address"),
        (["list", "--endpoint", "http://127.0.0.1:port"], "no address"),
        (["list", "--endpoint", "http://127.0.0.1:99999"], "no address"),
        (["invoke"], "NAME"),
    ],
)
def test_misuse_ends_with_2(terminal: Terminal, arguments: list[str], words: str) -> None:
    done = terminal(*arguments)
    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize("raw", [(200, "text/html", b"<h1>Hi</h1>"), (404, "text/plain", b"no"), (200, "a/b", b"[1]")])
def test_another_server_is_recognised(terminal: Terminal, ondol: FakeOndol, raw: tuple[int, str, bytes]) -> None:
    ondol.raw = raw
    done = terminal("list")
    assert done.code == 1
    assert f"What answers at {ondol.endpoint} is no ondol" in done.err


def test_region_and_account_are_those_of_the_aws_variables(
    terminal: Terminal, ondol: FakeOndol, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal("list")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "111122223333")
    terminal("list")
    scopes = [headers["authorization"].partition("Credential=")[2].split("/") for _, _, headers in ondol.requests]
    assert [(scope[0], scope[2], scope[3]) for scope in scopes] == [
        ("000000000000", "us-east-1", "lambda"),
        ("111122223333", "eu-west-1", "lambda"),
    ]


def test_deploy_creates_waits_and_says_what_it_guessed(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    (greet / "__pycache__").mkdir()
    (greet / "__pycache__" / "app.pyc").write_bytes(b"x")
    (greet / "run.sh").write_text("#!/bin/sh\n")
    (greet / "run.sh").chmod(0o700)
    done = terminal("deploy", str(greet), "--memory", "256", "--env", "STAGE=test", "--env", "EQUAL=a=b")
    assert done.code == 0, done.err
    function = ondol.functions["greet"]
    assert function["Handler"] == "app.handler"
    assert re.fullmatch(r"python3\.\d+", function["Runtime"])
    assert function["MemorySize"] == 256
    assert function["Environment"] == {"Variables": {"STAGE": "test", "EQUAL": "a=b"}}
    assert function["State"] == "Active"
    assert "because app.py has `handler`" in done.err
    assert set(files_of(ondol.code["greet"])) == {"app.py", "run.sh"}
    with zipfile.ZipFile(io.BytesIO(ondol.code["greet"])) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert modes == {"app.py": 0o644, "run.sh": 0o755}


def test_deploy_updates_and_keeps_what_is_not_given(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    terminal("deploy", str(greet), "--timeout", "9", "--env", "ONE=1", "--runtime", "python3.12")
    first = ondol.code["greet"]
    assert terminal("deploy", str(greet)).code == 0
    assert ondol.code["greet"] == first
    (greet / "app.py").write_text("def handler(event, context):\n    return 2\n")
    done = terminal("deploy", str(greet), "--memory", "512", "--env", "TWO=2")
    assert done.code == 0, done.err
    assert "Updated greet" in done.err
    function = ondol.functions["greet"]
    assert files_of(ondol.code["greet"])["app.py"].endswith(b"return 2\n")
    assert (function["Timeout"], function["MemorySize"], function["Runtime"]) == (9, 512, "python3.12")
    assert function["Environment"]["Variables"] == {"ONE": "1", "TWO": "2"}


def test_deploy_sends_a_zip_as_it_is(terminal: Terminal, ondol: FakeOndol, tmp_path: Path) -> None:
    package = tmp_path / "my function.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\n")
    assert terminal("deploy", str(package)).code == 0
    assert ondol.code["my-function"] == package.read_bytes()
    function = ondol.functions["my-function"]
    assert (function["Runtime"], function["Handler"]) == ("provided.al2023", "bootstrap")


@pytest.mark.parametrize("setting", ["PIP_USER", "PIP_REQUIRE_VIRTUALENV"])
def test_deploy_installs_the_requirements_whatever_pip_is_set_to(
    terminal: Terminal, ondol: FakeOndol, greet: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "1")
    (greet / "requirements.txt").write_text("")
    done = terminal("deploy", str(greet), "--runtime", f"python3.{sys.version_info[1]}")
    assert done.code == 0, done.err


def test_deploy_installs_the_requirements(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    wheel = greet / "greetings-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greetings.py", "WORD = 'hello'\n")
        archive.writestr("greetings-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
        archive.writestr(
            "greetings-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("greetings-1.0.dist-info/RECORD", "")
    (greet / "requirements.txt").write_text(f"./{wheel.name}\n")
    version = f"python3.{sys.version_info[1]}"
    done = terminal("deploy", str(greet), "--runtime", version)
    assert done.code == 0, done.err
    assert files_of(ondol.code["greet"])["greetings.py"] == b"WORD = 'hello'\n"
    (greet / "requirements.txt").write_text("./not-there.whl\n")
    done = terminal("deploy", str(greet), "--runtime", version)
    assert done.code == 1
    assert "pip could not install requirements.txt" in done.err
    assert "not-there" in done.err
    assert "-m pip install --target " in done.err  # what is tried by hand must not land in the interpreter


def test_deploy_names_what_cannot_be_read(
    terminal: Terminal, ondol: FakeOndol, greet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = greet.parent / "greet.zip"
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.write(greet / "app.py", "app.py")
    content = bytearray(damaged.read_bytes())
    content[content.index(b"def handler")] ^= 1
    damaged.write_bytes(content)
    done = terminal("deploy", str(damaged))
    assert done.code == 2 and f"app.py in {damaged} cannot be read: Bad CRC-32" in done.err

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read whatever it likes
    done = terminal("deploy", str(greet))
    assert (done.code, done.err) == (1, f"{greet / 'app.py'} cannot be read: Permission denied.\n")


def test_deploy_of_a_templates_directory_names_the_template(
    terminal: Terminal, ondol: FakeOndol, tmp_path: Path
) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    done = terminal("deploy", str(tmp_path))
    assert done.code == 2 and "name its file, template.yaml, instead" in done.err


def test_deploy_says_that_modules_of_node_are_missing(terminal: Terminal, ondol: FakeOndol, tmp_path: Path) -> None:
    (tmp_path / "index.mjs").write_text("export const handler = async () => 1;\n")
    (tmp_path / "package.json").write_text('{"dependencies": {"express": "5"}}')
    deploy = ("deploy", str(tmp_path), "--name", "nodes", "--runtime", "nodejs20.x")
    done = terminal(*deploy)
    assert done.code == 0 and "there is no node_modules. Unless a layer has them: npm install" in done.err
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "express.js").write_text("")
    assert "node_modules" not in terminal(*deploy).err


def test_deploy_takes_the_nearest_runtime_only_with_leave(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    (greet / "requirements.txt").write_text("")
    done = terminal("deploy", str(greet), "--runtime", "python3.99", "--handler", "app.handler")
    assert done.code == 1
    assert "--nearest-runtime" in done.err
    done = terminal("deploy", str(greet), "--runtime", "python3.99", "--handler", "app.handler", "--nearest-runtime")
    assert done.code == 0, done.err
    assert "took the nearest" in done.err
    assert ondol.functions["greet"]["Runtime"] in done.err


def test_deploy_says_why_a_function_cannot_run(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    ondol.fails_with = "This machine has no python3.9."
    done = terminal("deploy", str(greet))
    assert (done.code, done.err.splitlines()[-1]) == (1, "greet cannot run: This machine has no python3.9.")
    ondol.fails_with = None
    assert terminal("deploy", str(greet)).code == 0


def test_deploy_shows_the_refusal_of_the_api(terminal: Terminal, ondol: FakeOndol, greet: Path) -> None:
    done = terminal("deploy", str(greet), "--name", "bad")
    assert done.code == 1
    assert done.err.endswith("Unzipped size must be smaller than 262144000 bytes (InvalidParameterValueException)\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--env", "novalue"], "KEY=VALUE"), (["--runtime", "java21"], "Give --handler"), ([], "--runtime and --handler")],
)
def test_deploy_names_what_it_lacks(
    terminal: Terminal, ondol: FakeOndol, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "fn").mkdir()
    (tmp_path / "fn" / "notes.txt").write_text("no code")
    done = terminal("deploy", str(tmp_path / "fn"), *arguments)
    assert done.code == 2
    assert words in done.err


def test_invoke_prints_the_result_and_the_log(terminal: Terminal, ondol: FakeOndol, tmp_path: Path) -> None:
    ondol.functions["greet"] = {"FunctionName": "greet"}
    ondol.result = (b'{"got":EVENT}', {"X-Amz-Log-Result": base64.b64encode("START é\nEND\n".encode()).decode()})
    assert terminal("invoke", "greet", '{"a":1}') == (0, '{"got":{"a":1}}\n', "")
    assert terminal("invoke", "greet", "-", stdin=b"[2]").out == '{"got":[2]}\n'
    (tmp_path / "event.json").write_text('"from a file"')
    assert terminal("invoke", "greet", f"@{tmp_path}/event.json").out == '{"got":"from a file"}\n'
    done = terminal("invoke", "greet", "1", "--tail", "--qualifier", "live")
    assert (done.out, done.err) == ('{"got":1}\n', "START é\nEND\n")
    assert ondol.requests[-1][1].endswith("/invocations?Qualifier=live")
    terminal("invoke", "greet", "1", "--tenant-id", "blue")
    assert ondol.requests[-1][2]["x-amz-tenant-id"] == "blue"
    members = json.loads(terminal("invoke", "greet", "3", "--json").out)
    assert members["payload"] == {"got": 3}
    assert members["functionError"] is None


def test_invoke_async_prints_the_request_id_and_waits_for_nothing(terminal: Terminal, ondol: FakeOndol) -> None:
    ondol.functions["greet"] = {"FunctionName": "greet"}
    ondol.result = (b"", {"x-amzn-RequestId": "some-id"})
    assert terminal("invoke", "greet", "1", "--async") == (0, "some-id\n", "")
    assert json.loads(terminal("invoke", "greet", "1", "--async", "--json").out) == {"requestId": "some-id"}
    refused = terminal("invoke", "greet", "1", "--async", "--tail")
    assert refused.code == 2 and "ondol logs greet" in refused.err


def test_a_failed_function_ends_with_1(terminal: Terminal, ondol: FakeOndol) -> None:
    ondol.functions["greet"] = {"FunctionName": "greet"}
    ondol.result = (b'{"errorType":"KeyError"}', {"X-Amz-Function-Error": "Unhandled"})
    done = terminal("invoke", "greet")
    assert (done.code, done.out) == (1, '{"errorType":"KeyError"}\n')
    assert done.err == "greet failed (Unhandled). Its log: ondol logs greet\n"


@pytest.mark.parametrize("command", [["invoke", "nobody"], ["logs", "nobody"], ["delete", "nobody", "--yes"]])
def test_an_unknown_function_is_said(terminal: Terminal, ondol: FakeOndol, command: list[str]) -> None:
    assert terminal(*command) == (1, "", "There is no function nobody. See those there are with: ondol list\n")


def event(number: int, at_ms: int, message: str) -> dict[str, Any]:
    return {"eventId": f"{number:056d}", "timestamp": at_ms, "message": message, "logStreamName": "s"}


def test_logs_print_every_page(terminal: Terminal, ondol: FakeOndol) -> None:
    ondol.functions["greet"] = {"LoggingConfig": {"LogGroup": "/aws/lambda/greet"}}
    moment = 4_000_000_000_000
    ondol.events = [event(number, moment + number, f"line {number}\n") for number in range(5)]
    done = terminal("logs", "greet")
    assert done.out.splitlines() == [f"2096-10-02T07:06:40.00{number}Z line {number}" for number in range(5)]
    assert json.loads(terminal("logs", "greet", "--json").out.splitlines()[0])["message"] == "line 0\n"
    assert terminal("logs", "greet", "--since", "yesterday").code == 2


def test_logs_of_a_function_that_was_silent(terminal: Terminal, ondol: FakeOndol) -> None:
    ondol.functions["greet"] = {}
    assert terminal("logs", "greet") == (0, "", "greet has not logged anything yet.\n")


def test_following_shows_late_lines_once_and_ends_quietly(
    terminal: Terminal, ondol: FakeOndol, monkeypatch: pytest.MonkeyPatch
) -> None:
    ondol.functions["greet"] = {}
    moment = 4_000_000_000_000
    ondol.on_poll = {
        2: [event(1, moment + 100, "first\n"), event(2, moment + 200, "second\n")],
        4: [event(3, moment + 150, "late, from another stream\n")],
        8: [event(4, moment + 5000, "last\n")],
    }

    def pause(_: float) -> None:
        if any(shown["message"] == "last\n" for shown in ondol.events):
            raise KeyboardInterrupt

    monkeypatch.setattr(logs_command.time, "sleep", pause)
    done = terminal("logs", "greet", "--follow")
    assert done.code == 0
    assert [line.partition("Z ")[2] for line in done.out.splitlines()] == [
        "first",
        "second",
        "late, from another stream",
        "last",
    ]
    assert done.err == "greet has not logged anything yet.\n"


def test_list(terminal: Terminal, ondol: FakeOndol) -> None:
    assert "ondol deploy" in terminal("list").err
    for name in ("zeta", "alpha", "mid"):
        ondol.functions[name] = {"FunctionName": name, "Runtime": "python3.11", "Handler": "app.handler", "Timeout": 3}
    lines = terminal("list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "alpha", "mid", "zeta"]
    assert [function["FunctionName"] for function in json.loads(terminal("list", "--json").out)] == [
        "alpha",
        "mid",
        "zeta",
    ]


def test_delete_asks_unless_told_not_to(terminal: Terminal, ondol: FakeOndol) -> None:
    ondol.functions["greet"] = {}
    done = terminal("delete", "greet")
    assert done.code == 2
    assert "--yes" in done.err
    assert "greet" in ondol.functions
    assert terminal("delete", "greet", "--yes").code == 0
    assert ondol.functions == {}


def test_status_shows_what_it_understands(terminal: Terminal, ondol: FakeOndol) -> None:
    out = terminal("status").out
    assert "2 functions, 3 environments (2 idle, 1 running)" in out
    assert "python3.11: 8" in out
    assert ["greet", "$LATEST", "idle", "w1", "2"] in [line.split() for line in out.splitlines()]
    assert json.loads(terminal("status", "--json").out) == STATUS
    ondol.raw = (200, "application/json", b'{"workers": 3}')
    assert terminal("status").code == 0


def test_up_refuses_a_wrong_configuration(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "ondol.toml").write_text("prot = 1")
    done = terminal("up", "--config", str(tmp_path / "ondol.toml"))
    assert done.code == 2
    assert "prot" in done.err
    assert done.err.count("\n") == 1


def test_help_comes_at_once_and_without_what_is_slow_to_import() -> None:
    program = (
        "import sys\n"
        "sys.argv = ['ondol', '--help']\n"
        "from ondol.cli.main import main\n"
        "try: main()\n"
        "finally: print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for command in ("up", "deploy", "invoke", "logs", "list", "delete", "status", "doctor"):
        assert re.search(rf"│ {command} ", done.stdout), command
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"botocore", "uvloop", "asyncio.events", "msgspec", "ondol.assembly", "ondol.config"}


def test_doctor_says_what_is_enforced_here(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONDOL_DATA_DIR", str(tmp_path / "data"))
    done = terminal("doctor", "--json")
    report = json.loads(done.out)
    assert report["machine"]["memory_mb"] > 0
    assert f"python3.{sys.version_info[1]}" in report["runtimes"]
    assert report["data_dir"]["path"] == str(tmp_path / "data")
    assert not list(tmp_path.iterdir())
    assert done.code == (0 if report["usable"] else 1)
    if report["usable"]:
        assert report["sandboxes"]["driver"] == "jail"
    else:
        assert report["advice"][0].startswith("Functions cannot run here: ")
    text = terminal("doctor").out
    for sentence in report["advice"]:
        assert sentence.partition(":")[0] in text
