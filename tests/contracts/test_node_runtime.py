"""Our Node runtime client against a Runtime API, on every Node of this machine: what a function on AWS would see.

Texts and formats in quotes are those of AWS's own client.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fake_runtime_api import ARN, REQUEST_ID, TRACE, RuntimeProcess

from ondol.runtimes import catalog
from ondol.worker.turnaround import _result_of

NODES = {name: found for name, found in catalog.find().runtimes.items() if name.startswith("nodejs")}
pytestmark = pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages")


class Function(RuntimeProcess):
    """On one Node, of these files."""

    def __init__(
        self, directory: Path, node: str, files: Mapping[str, str], handler: str, variables: Mapping[str, str]
    ) -> None:
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content)
        super().__init__(NODES[node], "bootstrap.js", directory, handler, variables)


class Workshop:
    def __init__(self, directory: Path, node: str) -> None:
        self.node = node
        self._directory = directory
        self._made: list[Function] = []

    def function(self, code: str | Mapping[str, str], handler: str = "index.handler", **variables: str) -> Function:
        files = {"index.js": code} if isinstance(code, str) else code
        made = Function(self._directory, self.node, files, handler, variables)
        self._made.append(made)
        return made

    def close(self) -> None:
        for function in self._made:
            function.close()


@pytest.fixture(params=sorted(NODES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path, request.param)
    yield workshop
    workshop.close()


class TestHandlers:
    @pytest.mark.parametrize(
        ("files", "handler"),
        [
            ({"index.js": "exports.handler = async (e) => e;"}, "index.handler"),
            ({"index.js": "module.exports.a = { b: async (e) => e };"}, "index.a.b"),
            ({"src/deep/app.js": "exports.handler = async (e) => e;"}, "src/deep/app.handler"),
            ({"app.cjs": "exports.handler = async (e) => e;", "package.json": '{"type":"module"}'}, "app.handler"),
            ({"app.mjs": "export async function handler(e) { return e; }"}, "app.handler"),
            ({"app.mjs": "export default { handler: async (e) => e };"}, "app.default.handler"),
            ({"app.mjs": "await null; export const handler = async (e) => e;"}, "app.handler"),
            (
                {"a/app.js": "export const handler = async (e) => e;", "package.json": '{"type":"module"}'},
                "a/app.handler",
            ),
            (
                {
                    "m/app.js": "exports.handler = async (e) => e;",
                    "package.json": '{"type":"module"}',
                    "m/package.json": "{}",
                },
                "m/app.handler",
            ),
            (
                {
                    "index.js": "const e = import('./e.mjs'); exports.handler = async (x) => (await e).f(x);",
                    "e.mjs": "export const f = (x) => x;",
                },
                "index.handler",
            ),
            ({"node_modules/kept/index.js": "exports.handler = async (e) => e;"}, "kept.handler"),
        ],
    )
    def test_the_function_that_is_named_is_called(self, node: Workshop, files: Mapping[str, str], handler: str) -> None:
        assert node.function(files, handler).call({"a": 1}).json == {"a": 1}

    @pytest.mark.parametrize(
        ("files", "handler", "kind", "message"),
        [
            (
                {},
                "index.handler",
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'index'\nRequire stack:\n- /var/runtime/index.mjs",
            ),
            (
                {"index.js": "require('gone')"},
                "index.handler",
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'gone'\nRequire stack:\n- {root}/index.js\n- /var/runtime/index.mjs",
            ),
            (
                {"index.js": "exports.a = 1"},
                "index.handler",
                "Runtime.HandlerNotFound",
                "index.handler is undefined or not exported",
            ),
            ({"index.js": "exports.a = 1"}, "index.a", "Runtime.HandlerNotFound", "index.a is not a function"),
            (
                {"index.js": "let x = ;"},
                "index.handler",
                "Runtime.UserCodeSyntaxError",
                "SyntaxError: Unexpected token ';'",
            ),
            (
                {"index.mjs": "let x = ;"},
                "index.handler",
                "Runtime.UserCodeSyntaxError",
                "SyntaxError: Unexpected token ';'",
            ),
            ({}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
            (
                {},
                "../x/index.handler",
                "Runtime.MalformedHandlerName",
                "'../x/index.handler' is not a valid handler name. "
                "Use absolute paths when specifying root directories in handler names.",
            ),
            ({"index.js": "throw new TypeError('at init')"}, "index.handler", "TypeError", "at init"),
        ],
    )
    def test_a_handler_that_is_not_there(
        self, node: Workshop, files: Mapping[str, str], handler: str, kind: str, message: str
    ) -> None:
        function = node.function(files, handler)
        posted = function.posted()
        assert posted.path == "/2018-06-01/runtime/init/error"
        assert posted.headers["lambda-runtime-function-error-type"] == kind
        told = posted.json
        assert list(told) == ["errorType", "errorMessage", "trace"]
        assert (told["errorType"], told["errorMessage"]) == (kind, message.format(root=function.directory))
        status, output = function.ended()
        assert status == 129
        line, rest = output.split("\n")
        assert re.match(r"[\d:.TZ-]+\tundefined\tERROR\tUncaught Exception \t\{", line)
        assert rest == ""
        assert json.loads(line.split("\t")[-1])["errorType"] == kind


class TestResults:
    def test_turnarounds_are_spelled_as_the_platform_recognises_them(self, node: Workshop) -> None:
        function = node.function("exports.handler = async (event) => event;")
        for _ in range(3):
            posted = function.call({"text": "온돌"})
            assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/response"
            address = function.platform.address.encode()
            follows = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"
            piece = posted.head.replace(address, b"127.0.0.1:9001") + posted.body + follows
            assert _result_of(piece, REQUEST_ID) == '{"text":"온돌"}'.encode()

    @pytest.mark.parametrize(
        ("statement", "written"),
        [
            ("", b"null"),
            ("return null;", b"null"),
            ("return NaN;", b"null"),
            ("return 'text';", b'"text"'),
            ("return '\\u2028\\ud800';", '"\u2028\\ud800"'.encode()),
            ("return [1, undefined, () => 1];", b"[1,null,null]"),
            ("return new Date(0);", b'"1970-01-01T00:00:00.000Z"'),
            ("return { toJSON() { return 5; } };", b"5"),
            ("return new Map([[1, 2]]);", b"{}"),
            ("return Buffer.from('a');", b'{"type":"Buffer","data":[97]}'),
        ],
    )
    def test_results_become_json(self, node: Workshop, statement: str, written: bytes) -> None:
        assert node.function(f"exports.handler = async () => {{ {statement} }};").call().body == written

    @pytest.mark.parametrize(
        ("statement", "error"),
        [
            ("const a = {}; a.a = a; return a;", ("Error", "Unable to stringify response body")),
            ("return 1n;", ("Error", "Unable to stringify response body")),
            ("return () => 1;", ("TypeError", "Wrong arguments")),
        ],
    )
    def test_what_has_no_json_is_an_error(self, node: Workshop, statement: str, error: tuple[str, str]) -> None:
        function = node.function(f"exports.handler = async () => {{ {statement} }};")
        for _ in range(2):
            told = function.call().json
            assert (told["errorType"], told["errorMessage"]) == error

    def test_megabytes_pass(self, node: Workshop) -> None:
        function = node.function("exports.handler = async (event) => event;")
        text = "한a" * 1_000_000
        assert json.loads(function.call(text).body) == text
        assert function.call("small").body == b'"small"'

    def test_an_event_that_is_not_json(self, node: Workshop) -> None:
        function = node.function("exports.handler = async (event) => event;")
        function.platform.invoke(b"{oops")
        assert function.posted().json["errorType"] == "SyntaxError"
        assert function.call(1).body == b"1"

    def test_a_result_that_is_refused_is_said_and_the_next_works(self, node: Workshop) -> None:
        function = node.function("exports.handler = async (event) => event;")
        for answer in (b"", b"Connection: close\r\n"):
            function.platform.refuse_with = b"HTTP/1.1 413 Too Large\r\n" + answer + b"Content-Length: 2\r\n\r\n{}"
            function.call("large")
            assert function.call("small").body == b'"small"'
        lines = function.output().splitlines()
        assert len(lines) == 2
        for line in lines:
            assert re.fullmatch(
                r"\[ERROR\] \[\d{13}\] LAMBDA_RUNTIME Failed to post handler success response. "
                r"Http response code: 413\.",
                line,
            )

    def test_an_error_that_is_refused_is_said_too(self, node: Workshop) -> None:
        function = node.function("exports.handler = async () => { throw 1; };", AWS_LAMBDA_LOG_LEVEL="FATAL")
        function.platform.refuse_with = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"
        function.call()
        assert function.call().json["errorType"] == "number"
        said = function.output()
        assert said.endswith("LAMBDA_RUNTIME Failed to post handler failure response. Http response code: 403.\n")


LATE = "setTimeout(() => console.log('late'), 30);"


@pytest.mark.skipif(not any(int(name[6:8]) < 24 for name in NODES), reason="AWS's Node has no callbacks from 24 on")
class TestCallbacks:
    @pytest.mark.parametrize(
        ("code", "result", "late"),
        [
            ("(e, c, done) => done(null, 1)", 1, False),
            ("(e, c, done) => { " + LATE + " done(null, 1); }", 1, True),
            ("(e, c, done) => { c.callbackWaitsForEmptyEventLoop = false; " + LATE + " done(null, 1); }", 1, False),
            ("(e, c) => { " + LATE + " c.succeed(1); }", 1, False),
            ("(e, c) => { " + LATE + " c.done(null, 1); }", 1, False),
            ("(e, c, done) => { done(null, 1); done(null, 2); c.succeed(3); }", 1, False),
            ("async (e, c, done) => { done(null, 1); return 2; }", 1, False),
            ("(e, c, done) => { " + LATE + " }", None, True),
            ("(e) => 'dropped'", None, False),
        ],
    )
    def test_who_answers_and_what_is_waited_for(self, node: Workshop, code: str, result: object, late: bool) -> None:
        function = node.function(f"exports.handler = {code};")
        posted = function.call()
        assert posted.path.endswith("/response")
        assert posted.json == result
        assert ("late" in function.output()) is late

    @pytest.mark.parametrize(
        ("code", "kind", "message"),
        [
            ("(e, c, done) => done(new RangeError('no'))", "RangeError", "no"),
            ("(e, c, done) => done('text')", "string", "text"),
            ("(e, c) => c.fail(new Error('failed'))", "Error", "failed"),
            ("(e, c) => c.fail()", "string", "handled"),
            ("(e, c) => c.done({ a: 1 })", "object", "[object Object]"),
        ],
    )
    def test_errors_by_callback(self, node: Workshop, code: str, kind: str, message: str) -> None:
        function = node.function(f"exports.handler = {code};")
        for _ in range(2):
            posted = function.call()
            assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/error"
            assert (posted.json["errorType"], posted.json["errorMessage"]) == (kind, message)


class TestErrors:
    def test_what_the_caller_is_told(self, node: Workshop) -> None:
        code = """
class Odd extends Error { constructor(m) { super(m); this.name = "Odd"; this.code = 42; this.own = "x"; } }
const inner = () => { throw new Odd("it is\\nodd"); };
exports.handler = async () => inner();
"""
        function = node.function(code)
        posted = function.call()
        path = f"{function.directory}/index.js"
        assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/error"
        assert posted.headers["lambda-runtime-function-error-type"] == "Odd"
        told = posted.json
        assert (told["errorType"], told["errorMessage"]) == ("Odd", "it is\nodd")
        trace = told["trace"]
        assert isinstance(trace, list)
        assert trace[:3] == ["Odd: it is", "odd", f"    at inner ({path}:3:29)"]
        cause = json.loads(posted.headers["lambda-runtime-function-xray-error-cause"])
        assert path in cause["paths"]
        assert {"label": "inner", "path": path, "line": 3} in cause["exceptions"][0]["stack"]
        line = function.output().rstrip("\n")
        assert line.count("\n") == 0
        head, shown = line.split(" \t")
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{REQUEST_ID}\tERROR\tInvoke Error", head)
        logged = json.loads(shown)
        assert list(logged) == ["errorType", "errorMessage", "code", "name", "own", "stack"]
        assert (logged["code"], logged["own"]) == (42, "x")

    @pytest.mark.parametrize(
        ("thrown", "kind", "message"),
        [
            ("'text'", "string", "text"),
            ("5", "number", "5"),
            ("{ name: 'N', message: 'm', stack: 's' }", "N", "m"),
            ("{ a: 1 }", "object", "[object Object]"),
            ("null", "string", "handled"),
            (
                "Object.assign(new Error('x'), { stack: 5 })",
                "handled",
                "callback called with Error argument, but there was a problem while retrieving one or more of its "
                "message, name, and stack",
            ),
        ],
    )
    def test_whatever_is_thrown(self, node: Workshop, thrown: str, kind: str, message: str) -> None:
        told = node.function(f"exports.handler = async () => {{ throw {thrown}; }};").call().json
        assert (told["errorType"], told["errorMessage"]) == (kind, message)

    @pytest.mark.parametrize(
        ("code", "title", "kind", "message", "status"),
        [
            (
                "() => { setTimeout(() => { throw new Error('late'); }); return new Promise(() => {}); }",
                "Uncaught Exception",
                "Error",
                "late",
                129,
            ),
            (
                "() => { Promise.reject(new Error('lost')); return new Promise(() => {}); }",
                "Unhandled Promise Rejection",
                "Runtime.UnhandledPromiseRejection",
                "Error: lost",
                128,
            ),
        ],
    )
    def test_what_escapes_the_handler_ends_the_process(
        self, node: Workshop, code: str, title: str, kind: str, message: str, status: int
    ) -> None:
        function = node.function(f"exports.handler = {code};")
        posted = function.call()
        assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/error"
        assert (posted.json["errorType"], posted.json["errorMessage"]) == (kind, message)
        code_of_exit, output = function.ended()
        assert code_of_exit == status
        assert f"\t{REQUEST_ID}\tERROR\t{title} \t" in output

    def test_what_escapes_between_invocations_ends_the_process(self, node: Workshop) -> None:
        function = node.function("exports.handler = async () => { setTimeout(() => { throw new Error('x'); }, 50); };")
        assert function.call().path.endswith("/response")
        status, output = function.ended()
        assert status == 129
        assert "Uncaught Exception" in output
        assert function.platform.posted.empty()

    def test_a_rejection_that_loading_left_behind_is_an_init_that_failed(self, node: Workshop) -> None:
        function = node.function("Promise.reject(new Error('early')); exports.handler = async () => 1;")
        posted = function.posted()
        assert posted.path == "/2018-06-01/runtime/init/error"
        assert posted.json["errorType"] == "Runtime.UnhandledPromiseRejection"
        assert function.ended()[0] == 128

    def test_a_promise_that_nobody_settles(self, node: Workshop) -> None:
        function = node.function("exports.handler = async () => new Promise(() => {});")
        for _ in range(2):
            told = function.call().json
            assert told["errorType"] == "Runtime.NodeJsExit"
            assert "a Promise that was never settled" in str(told["errorMessage"])

    def test_leaving_the_process_answers_nothing(self, node: Workshop) -> None:
        function = node.function("exports.handler = async () => { console.log('last words'); process.exit(4); };")
        function.platform.invoke()
        status, output = function.ended()
        assert status == 4
        assert output.endswith("\tINFO\tlast words\n")
        assert function.platform.posted.empty()


class TestContext:
    def test_what_it_says(self, node: Workshop) -> None:
        code = """
exports.handler = async (event, context) => ({
  shown: context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
});
"""
        client = {"client": {"app_title": "t"}, "custom": {"k": "v"}}
        identity = {"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}
        function = node.function(code)
        told = function.call(
            {}, Lambda_Runtime_Client_Context=json.dumps(client), Lambda_Runtime_Cognito_Identity=json.dumps(identity)
        ).json
        assert told["shown"] == {
            "callbackWaitsForEmptyEventLoop": True,
            "functionVersion": "7",
            "functionName": "f",
            "memoryLimitInMB": "128",
            "logGroupName": "/aws/lambda/f",
            "logStreamName": "2024/01/02/[7]0123",
            "clientContext": client,
            "identity": identity,
            "invokedFunctionArn": ARN,
            "awsRequestId": REQUEST_ID,
        }
        assert told["trace"] == TRACE
        assert isinstance(told["left"], int)
        assert told["left"] > 1_000_000_000_000

    def test_a_client_context_that_is_no_json(self, node: Workshop) -> None:
        told = node.function("exports.handler = async () => 1;").call(Lambda_Runtime_Client_Context="{oops").json
        assert str(told["errorMessage"]).startswith("Cannot parse ClientContext as json: SyntaxError: ")

    def test_what_an_invocation_stores_is_not_found_by_the_next(self, node: Workshop) -> None:
        code = """
const { AsyncLocalStorage } = require("async_hooks");
const store = new AsyncLocalStorage();
exports.handler = async (event) => { const before = store.getStore(); store.enterWith(event); return before || null; };
"""
        function = node.function(code)
        assert [function.call({"n": number}).json for number in range(3)] == [None, None, None]


class TestConsole:
    CODE = """
console.log("at init");
exports.handler = async () => {
  for (const method of ["trace", "debug", "info", "log", "warn", "error"]) console[method]("%s\\nof", method, { a: 1 });
};
"""

    def test_text_lines(self, node: Workshop) -> None:
        function = node.function(self.CODE)
        function.call()
        lines = function.output().splitlines(keepends=False)
        fields = [line.split("\t") for line in "\r".join(lines).replace("\rof", " of").split("\r")]
        assert [f[1:] for f in fields] == [
            ["undefined", "INFO", "at init"],
            *[
                [REQUEST_ID, level, f"{method} of {{ a: 1 }}"]
                for method, level in (
                    ("trace", "TRACE"),
                    ("debug", "DEBUG"),
                    ("info", "INFO"),
                    ("log", "INFO"),
                    ("warn", "WARN"),
                    ("error", "ERROR"),
                )
            ],
        ]

    def test_a_level_hides_what_is_below(self, node: Workshop) -> None:
        function = node.function(self.CODE, AWS_LAMBDA_LOG_LEVEL="WARN")
        function.call()
        assert re.findall(r"\t(\w+)\t", function.output()) == ["WARN", "ERROR"]

    def test_json_objects(self, node: Workshop) -> None:
        code = """
exports.handler = async () => {
  console.info("plain");
  console.warn({ object: [1] });
  console.error("with", new TypeError("inside"));
  console.error(Object.assign(new RangeError("alone"), { code: "E" }));
  const loop = {}; loop.loop = loop;
  console.log(loop);
  throw new Error("thrown");
};
"""
        function = node.function(code, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
        function.call()
        entries = [json.loads(line) for line in function.output().splitlines()]
        assert {entry["requestId"] for entry in entries} == {REQUEST_ID}
        assert [entry["level"] for entry in entries] == ["INFO", "WARN", "ERROR", "ERROR", "INFO", "ERROR"]
        plain, structured, mixed, alone, loop, thrown = entries
        assert list(plain) == ["timestamp", "level", "requestId", "message"]
        assert plain["message"] == "plain"
        assert structured["message"] == {"object": [1]}
        assert (mixed["errorType"], mixed["errorMessage"]) == ("TypeError", "inside")
        assert mixed["message"].startswith("with TypeError: inside\n")
        assert alone["message"]["errorType"] == "RangeError"
        assert alone["message"]["code"] == "E"
        assert "[Circular *1]" in loop["message"]
        assert thrown["message"]["errorMessage"] == "thrown"


def streaming(body: str) -> str:
    return f"exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {{ {body} }});"


class TestStreaming:
    def test_what_is_written_is_sent_in_chunks(self, node: Workshop) -> None:
        function = node.function(streaming("stream.write('a'); stream.write({ b: event }); stream.end('c');"))
        for _ in range(3):
            posted = function.call(1)
            assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/response"
            assert posted.headers["lambda-runtime-function-response-mode"] == "streaming"
            assert posted.headers["content-type"] == "application/octet-stream"
            assert posted.body == b'a{"b":1}c'
            assert not posted.trailers

    def test_an_http_response_has_its_prelude(self, node: Workshop) -> None:
        posted = node.function(
            streaming(
                "const s = awslambda.HttpResponseStream.from(stream, { statusCode: 201 }); s.write('body'); s.end();"
            )
        ).call()
        assert posted.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        assert posted.body == b'{"statusCode":201}' + bytes(8) + b"body"

    def test_a_pipeline_of_megabytes(self, node: Workshop) -> None:
        body = (
            "const { pipeline } = require('stream/promises'); const { Readable } = require('stream');"
            "stream.setContentType('text/plain');"
            "function* pieces() { for (let i = 0; i < 64; i++) yield Buffer.alloc(65536, 97); }"
            "await pipeline(Readable.from(pieces()), stream);"
        )
        posted = node.function(streaming(body)).call()
        assert posted.headers["content-type"] == "text/plain"
        assert posted.body == b"a" * (64 * 65536)

    def test_an_error_in_mid_stream_is_told_in_trailers(self, node: Workshop) -> None:
        function = node.function(streaming("stream.write('half'); throw new TypeError('broken');"))
        for _ in range(2):
            posted = function.call()
            assert posted.body == b"half"
            assert posted.trailers["lambda-runtime-function-error-type"] == "TypeError"
            told = json.loads(base64.b64decode(posted.trailers["lambda-runtime-function-error-body"]))
            assert (told["errorType"], told["errorMessage"]) == ("TypeError", "broken")

    def test_an_error_before_the_first_byte_is_told_in_trailers_too(self, node: Workshop) -> None:
        function = node.function(streaming("throw new TypeError('early');"))
        for _ in range(2):
            posted = function.call()
            assert posted.body == b""
            told = json.loads(base64.b64decode(posted.trailers["lambda-runtime-function-error-body"]))
            assert told["errorMessage"] == "early"

    def test_what_escapes_in_mid_stream_ends_the_process(self, node: Workshop) -> None:
        function = node.function(
            streaming(
                "stream.write('half'); setTimeout(() => { throw new Error('out'); }); await new Promise(() => {});"
            )
        )
        posted = function.call()
        assert posted.trailers["lambda-runtime-function-error-type"] == "Error"
        assert function.ended()[0] == 129

    def test_a_stream_that_is_never_ended(self, node: Workshop) -> None:
        function = node.function(streaming("stream.write('half');"))
        for _ in range(2):
            posted = function.call()
            told = json.loads(base64.b64decode(posted.trailers["lambda-runtime-function-error-body"]))
            assert told["errorMessage"] == "Response stream is not finished."

    def test_the_next_is_asked_for_when_nothing_is_left(self, node: Workshop) -> None:
        function = node.function(streaming(LATE + " stream.end('x');"))
        assert function.call().body == b"x"
        assert function.call().body == b"x"
        assert function.output().count("late") >= 1

    def test_only_async_handlers_stream(self, node: Workshop) -> None:
        function = node.function(
            "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.write('x'); });"
        )
        posted = function.call()
        told = json.loads(base64.b64decode(posted.trailers["lambda-runtime-function-error-body"]))
        assert told["errorMessage"] == "Streaming does not support non-async handlers."
