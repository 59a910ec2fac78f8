"""Our Python runtime client against a Runtime API, on every Python of this machine: what a function on AWS would see.

Texts and formats in quotes are those of AWS's own client.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pytest
from fake_runtime_api import ARN, PATIENCE_S, REQUEST_ID, TRACE, RuntimeProcess, next_answer

from ondol.runtimes import catalog

PYTHONS = {name: found for name, found in catalog.find().runtimes.items() if name.startswith("python")}
NEWEST = max(PYTHONS, key=lambda name: int(name.removeprefix("python3.")))


class Function(RuntimeProcess):
    """On one Python, of this code."""

    def __init__(self, directory: Path, python: str, code: str, handler: str, variables: Mapping[str, str]) -> None:
        (directory / "app.py").write_text(code)
        own = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **variables}
        super().__init__(PYTHONS[python], "bootstrap.py", directory, handler, own)


class Workshop:
    def __init__(self, directory: Path, python: str) -> None:
        self.python = python
        self._directory = directory
        self._made: list[Function] = []

    def function(self, code: str, handler: str = "app.handler", **variables: str) -> Function:
        made = Function(self._directory, self.python, code, handler, variables)
        self._made.append(made)
        return made

    def close(self) -> None:
        for function in self._made:
            function.close()


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path, NEWEST)
    yield workshop
    workshop.close()


@pytest.fixture(params=sorted(PYTHONS))
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path, request.param)
    yield workshop
    workshop.close()


class TestResults:
    def test_events_and_results_pass_on_every_python(self, each: Workshop) -> None:
        function = each.function("def handler(event, context):\n    return event")
        event = {"text": "온돌", "list": [1, 2.5, None, True], "nested": {"a": {}}}
        for _ in range(3):
            posted = function.call(event)
            assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/response"
            assert posted.json == event
            assert posted.headers["content-type"] == "application/json"

    def test_text_is_written_as_that_runtime_of_aws_writes_it(self, each: Workshop) -> None:
        posted = each.function("def handler(event, context):\n    return '한 é'").call()
        modern = int(each.python.removeprefix("python3.")) >= 12
        assert posted.body == ('"한 é"'.encode() if modern else b'"\\ud55c \\u00e9"')

    @pytest.mark.parametrize(
        ("expression", "written"),
        [
            ("None", b"null"),
            ("float('nan')", b"NaN"),
            ("[float('inf'), -float('inf')]", b"[Infinity, -Infinity]"),
            ("decimal.Decimal('1.10')", b"1.10"),
            ("{'a': [decimal.Decimal('1E+2'), decimal.Decimal('NaN')]}", b'{"a": [1E+2, NaN]}'),
            ("Point(1, [Point(2, 3)])", b'{"x": 1, "y": [{"x": 2, "y": 3}]}'),
            ("(1, (2,))", b"[1, [2]]"),
            ("{1: 'a', None: 'b', True: 'c', 1.5: 'd'}", b'{"1": "c", "null": "b", "1.5": "d"}'),
            ("{'b': b'bytes', b'k': decimal.Decimal(1)}", b'{"b": "bytes", "k": 1}'),
            ("Color.RED", b"1"),
        ],
    )
    def test_values_beyond_json_are_written_as_aws_writes_them(
        self, newest: Workshop, expression: str, written: bytes
    ) -> None:
        code = f"""
import collections, decimal, enum
Point = collections.namedtuple("Point", "x y")
Color = enum.IntEnum("Color", "RED")
def handler(event, context):
    return {expression}
"""
        assert newest.function(code).call().body == written

    def test_bytes_pass_as_they_are(self, newest: Workshop) -> None:
        posted = newest.function("def handler(event, context):\n    return b'\\xff\\x00'").call()
        assert (posted.body, posted.headers["content-type"]) == (b"\xff\x00", "application/unknown")

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("object()", "Object of type object is not JSON serializable"),
            ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
            ("loop", "Circular reference detected"),
        ],
    )
    def test_what_cannot_be_written_is_an_error_of_the_runtime(
        self, newest: Workshop, expression: str, message: str
    ) -> None:
        code = f"loop = []\nloop.append(loop)\ndef handler(event, context):\n    return {expression}"
        function = newest.function(code)
        for _ in range(2):
            assert function.call().json == {
                "errorMessage": f"Unable to marshal response: {message}",
                "errorType": "Runtime.MarshalError",
                "requestId": REQUEST_ID,
                "stackTrace": [],
            }

    def test_events_and_results_of_megabytes(self, newest: Workshop) -> None:
        function = newest.function("def handler(event, context):\n    return event[::-1]")
        text = "ab" * 2_500_000
        assert json.loads(function.call(text).body) == text[::-1]
        assert function.call("xy").json == "yx"

    def test_an_event_that_is_not_json(self, newest: Workshop) -> None:
        function = newest.function("def handler(event, context):\n    return event")
        function.platform.invoke(b"{oops")
        report = function.platform.posted.get(timeout=PATIENCE_S).json
        assert report["errorType"] == "Runtime.UnmarshalError"
        assert str(report["errorMessage"]).startswith("Unable to unmarshal input: Expecting property name")


class TestErrors:
    CODE = """
class Odd(Exception):
    pass
def inner():
    raise Odd("it is\\nodd")
def handler(event, context):
    inner()
"""

    def test_what_the_caller_is_told(self, each: Workshop) -> None:
        function = each.function(self.CODE)
        posted = function.call()
        path = f"{function.directory}/app.py"
        assert posted.path == f"/2018-06-01/runtime/invocation/{REQUEST_ID}/error"
        assert posted.json == {
            "errorMessage": "it is\nodd",
            "errorType": "Odd",
            "requestId": REQUEST_ID,
            "stackTrace": [
                f'  File "{path}", line 7, in handler\n    inner()\n',
                f'  File "{path}", line 5, in inner\n    raise Odd("it is\\nodd")\n',
            ],
        }
        cause = json.loads(posted.headers["lambda-runtime-function-xray-error-cause"])
        assert cause["paths"] == [path]
        assert cause["exceptions"][0]["stack"][0] == {"label": "handler", "path": path, "line": 7}

    def test_what_the_log_holds_is_one_event(self, newest: Workshop) -> None:
        function = newest.function(self.CODE)
        function.call()
        line, rest = function.output().split("\n")
        assert rest == ""
        shown = line.replace("\u00a0", " ").split("\r")
        assert shown[:3] == ["[ERROR] Odd: it is", "odd", "Traceback (most recent call last):"]
        assert shown[3] == f'  File "{function.directory}/app.py", line 7, in handler'
        assert shown[4] == "    inner()"

    def test_a_json_log_holds_one_object(self, newest: Workshop) -> None:
        function = newest.function(self.CODE, AWS_LAMBDA_LOG_FORMAT="JSON")
        function.call()
        entry = json.loads(function.output())
        assert entry["level"] == "ERROR"
        assert entry["errorType"] == "Odd"
        assert entry["requestId"] == REQUEST_ID
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["timestamp"])

    def test_a_stack_too_deep_for_a_header_is_still_told_in_the_body(self, newest: Workshop) -> None:
        posted = newest.function("def handler(event, context):\n    return handler(event, context)").call()
        assert posted.json["errorType"] == "RecursionError"
        assert "lambda-runtime-function-xray-error-cause" not in posted.headers

    @pytest.mark.parametrize(
        ("statement", "status"), [("sys.exit()", 0), ("sys.exit(4)", 4), ("os._exit(5)", 5), ("os.abort()", -6)]
    )
    def test_leaving_the_process_answers_nothing(self, newest: Workshop, statement: str, status: int) -> None:
        function = newest.function(
            f"import os, sys\ndef handler(event, context):\n    print('last words')\n    {statement}"
        )
        function.platform.invoke()
        code, output = function.ended()
        assert (code, output) == (status, "last words\n")
        assert function.platform.posted.empty()


class TestInit:
    @pytest.mark.parametrize(
        ("code", "handler", "kind", "message"),
        [
            ("", "app.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'app'"),
            ("", "no.nope", "Runtime.ImportModuleError", "Unable to import module 'no': No module named 'no'"),
            (
                "import not_there",
                "app.handler",
                "Runtime.ImportModuleError",
                "Unable to import module 'app': No module named 'not_there'",
            ),
            (
                "",
                "app",
                "Runtime.MalformedHandlerName",
                "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
            ),
            ("", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ],
    )
    def test_a_handler_that_is_not_there(
        self, newest: Workshop, code: str, handler: str, kind: str, message: str
    ) -> None:
        function = newest.function(code, handler)
        posted = function.platform.posted.get(timeout=PATIENCE_S)
        assert posted.path == "/2018-06-01/runtime/init/error"
        assert posted.headers["lambda-runtime-function-error-type"] == kind
        assert posted.json == {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": []}
        status, output = function.ended()
        warning, error, rest = output.split("\n")
        assert "\t\tLAMBDA_WARNING: Unhandled exception." in warning
        assert (status, error, rest) == (1, f"[ERROR] {kind}: {message}\rTraceback (most recent call last):", "")

    def test_a_syntax_error_names_its_place(self, each: Workshop) -> None:
        function = each.function("x = 1\ndef handler(:\n")
        report = function.platform.posted.get(timeout=PATIENCE_S).json
        assert report["errorType"] == "Runtime.UserCodeSyntaxError"
        assert report["errorMessage"] == "Syntax error in module 'app': invalid syntax (app.py, line 2)"
        assert report["stackTrace"] == [f'  File "{function.directory}/app.py" Line 2\n    def handler(:\n']

    def test_an_exception_during_import_has_the_whole_import_on_its_stack(self, each: Workshop) -> None:
        function = each.function("raise ValueError('early')")
        report = function.platform.posted.get(timeout=PATIENCE_S).json
        assert (report["errorType"], report["errorMessage"], report["requestId"]) == ("ValueError", "early", "")
        stack = report["stackTrace"]
        assert isinstance(stack, list)
        assert "importlib/__init__.py" in stack[0]
        assert (
            stack[-1] == f"  File \"{function.directory}/app.py\", line 1, in <module>\n    raise ValueError('early')\n"
        )
        assert function.ended()[0] == 1

    def test_leaving_the_process_during_import(self, newest: Workshop) -> None:
        assert newest.function("import sys\nsys.exit(9)").ended() == (9, "")

    @pytest.mark.parametrize("handler", ["a/b.handler", "a.b.handler"])
    def test_handlers_in_directories(self, newest: Workshop, tmp_path: Path, handler: str) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/b.py").write_text("def handler(event, context):\n    return 'found'")
        assert newest.function("", handler).call().body == b'"found"'

    @pytest.mark.parametrize("module", ["bootstrap", "zygote", "loop", "client", "uuid", "queue"])
    def test_modules_of_the_customer_come_first(self, each: Workshop, tmp_path: Path, module: str) -> None:
        (tmp_path / f"{module}.py").write_text("def handler(event, context):\n    return 'mine'")
        assert each.function("", f"{module}.handler").call().body == b'"mine"'

    def test_main_is_an_empty_module(self, newest: Workshop) -> None:
        code = "import __main__\ndef handler(event, context):\n    return [n for n in vars(__main__) if n[:2] != '__']"
        assert newest.function(code).call().body == b"[]"

    def test_where_modules_come_from(self, newest: Workshop) -> None:
        code = "import os, sys\ndef handler(event, context):\n    return [sys.path[:3], os.environ['PYTHONPATH']]"
        function = newest.function(code)
        path, inherited = json.loads(function.call().body)
        packages = f"/opt/python/lib/{NEWEST}/site-packages"
        assert path == [str(function.directory), packages, "/opt/python"]
        assert inherited == "/var/runtime"


class TestContext:
    def test_what_it_tells(self, each: Workshop) -> None:
        code = """
import os
def handler(event, context):
    names = ("function_name function_version invoked_function_arn memory_limit_in_mb aws_request_id log_group_name "
             "log_stream_name tenant_id client_context").split()
    told = {name: getattr(context, name) for name in names}
    told["identity"] = context.identity.cognito_identity_id
    told["left"] = context.get_remaining_time_in_millis()
    told["trace"] = os.environ.get("_X_AMZN_TRACE_ID")
    return told
"""
        told = each.function(code).call().json
        left = told.pop("left")
        assert isinstance(left, int) and left > 1_000_000
        assert told == {
            "function_name": "f",
            "function_version": "7",
            "invoked_function_arn": ARN,
            "memory_limit_in_mb": "128",
            "aws_request_id": REQUEST_ID,
            "log_group_name": "/aws/lambda/f",
            "log_stream_name": "2024/01/02/[7]0123",
            "tenant_id": None,
            "client_context": None,
            "identity": None,
            "trace": TRACE,
        }

    def test_what_a_client_sends_along(self, newest: Workshop) -> None:
        code = """
def handler(event, context):
    sent = context.client_context
    client = sent.client
    return [sent.custom, sent.env, client.app_title, client.installation_id, context.identity.cognito_identity_id]
"""
        client = json.dumps({"custom": {"k": "é"}, "env": {"e": 1}, "client": {"app_title": "t"}}, ensure_ascii=False)
        headers = {
            "Lambda_Runtime_Client_Context": client,
            "Lambda_Runtime_Cognito_Identity": json.dumps({"cognitoIdentityId": "me"}),
        }
        assert newest.function(code).call(**headers).json == [{"k": "é"}, {"e": 1}, "t", None, "me"]

    def test_time_that_is_over_is_none(self, newest: Workshop) -> None:
        function = newest.function("def handler(event, context):\n    return context.get_remaining_time_in_millis()")
        assert function.call(Lambda_Runtime_Deadline_Ms="1000").body == b"0"

    def test_an_invocation_without_a_trace_has_none(self, newest: Workshop) -> None:
        code = "import os\ndef handler(event, context):\n    return os.environ.get('_X_AMZN_TRACE_ID')"
        function = newest.function(code)
        assert function.call(Lambda_Runtime_Trace_Id="Root=1-a").body == b'"Root=1-a"'


class TestLogs:
    CODE = """
import logging
def handler(event, context):
    logger = logging.getLogger("shop")
    logger.info("not shown unless asked for")
    logger.warning("low %s", "stock", extra={"item": 5})
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
"""

    def test_text_records(self, newest: Workshop) -> None:
        function = newest.function(self.CODE)
        function.call()
        warning, error, rest = function.output().split("\n")
        assert rest == ""
        stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(rf"\[WARNING\]\t{stamp}\t{REQUEST_ID}\tlow stock", warning)
        assert re.match(
            rf"\[ERROR\]\t{stamp}\t{REQUEST_ID}\tfailed\rTraceback \(most recent call last\):\r  File", error
        )
        assert error.endswith("\rZeroDivisionError: division by zero")

    def test_json_records_and_levels(self, newest: Workshop) -> None:
        function = newest.function(self.CODE, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
        function.call()
        info, warning, error = (json.loads(line) for line in function.output().splitlines())
        assert (info["level"], info["message"], info["logger"]) == ("INFO", "not shown unless asked for", "shop")
        assert (warning["level"], warning["message"], warning["item"]) == ("WARNING", "low stock", 5)
        assert warning["requestId"] == REQUEST_ID
        assert "errorType" not in warning
        assert (error["errorType"], error["errorMessage"]) == ("ZeroDivisionError", "division by zero")
        assert error["location"].endswith("app.py:handler:10")

    def test_nothing_that_was_written_waits_in_a_buffer(self, each: Workshop) -> None:
        code = """
import os, sys
def handler(event, context):
    sys.stdout.write("unfinished")
    print(" é", end="", file=sys.stderr)
    os.kill(os.getpid(), 9)
"""
        function = each.function(code)
        function.platform.invoke()
        assert function.ended() == (-9, "unfinished é")


class TestConnection:
    def test_a_refused_result_is_logged_and_the_runtime_goes_on(self, newest: Workshop) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        function = newest.function(
            "def handler(event, context):\n    return event",
            AWS_LAMBDA_RUNTIME_API=f"127.0.0.1:{listener.getsockname()[1]}",
        )
        first, _ = listener.accept()
        with first, first.makefile("rb") as received:
            _skip_request(received)
            first.sendall(next_answer({}, b"1"))
            _skip_request(received)
            first.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        second, _ = listener.accept()
        with second, second.makefile("rb") as received:
            assert _skip_request(received).startswith("GET")
            second.sendall(next_answer({}, b"2"))
            assert "/response" in _skip_request(received)
        listener.close()
        assert "LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413." in function.ended()[1]


def _skip_request(received: BinaryIO) -> str:
    line = received.readline().decode()
    length = 0
    while field := received.readline().decode().strip():
        if field.lower().startswith("content-length: "):
            length = int(field.partition(": ")[2])
    received.read(length)
    return line
