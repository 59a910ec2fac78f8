"""Functions on Node, from CreateFunction to what is logged, with whichever Node this machine has."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from lambda_calls import error_of, invoke

from ondol.runtimes import catalog
from ondol_process import ROLE, create, package

NODES = sorted(name for name in catalog.find().runtimes if name.startswith("nodejs"))
pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages"),
]

NODE = NODES[-1] if NODES else ""
MAJOR = NODE.removeprefix("nodejs").removesuffix(".x")
Make = Callable[..., str]


@pytest.fixture
def make(client: Any, name: str) -> Make:
    """Makes the test's function; answers its name."""

    def made(files: str | Mapping[str, str | bytes], **settings: Any) -> str:
        whole = {"index.js": files} if isinstance(files, str) else files
        create(client, name, whole, **{"Runtime": NODE, "Handler": "index.handler", **settings})
        return name

    return made


@pytest.mark.parametrize(
    "files",
    [
        {"index.js": "exports.handler = async (event) => event;"},
        {"index.js": "exports.handler = (event, context, callback) => callback(null, event);"},
        {"index.js": "exports.handler = (event, context) => context.succeed(event);"},
        {"index.js": "exports.handler = (event) => Promise.resolve(event);"},
        {"index.cjs": "module.exports = { handler: async (event) => event };"},
        {"index.mjs": "export const handler = async (event) => event;"},
        {"index.js": "export const handler = async (event) => event;", "package.json": '{"type": "module"}'},
        {
            "index.mjs": "import { echo } from 'echo'; await import('./own.cjs'); export const handler = echo;",
            "own.cjs": "module.exports = 1;",
            "node_modules/echo/index.js": "exports.echo = async (event) => event;",
        },
    ],
    ids=["async", "callback", "succeed", "promise", "cjs", "mjs", "module package", "packages"],
)
def test_events_and_results_pass(client: Any, make: Make, files: Mapping[str, str]) -> None:
    if MAJOR >= "24" and "callback" in files.get("index.js", ""):
        pytest.skip("AWS's runtimes have no callbacks from Node 24 on")
    function = make(files)
    for event in ({"text": "온돌 ü"}, [1, 2.5, None], "x" * 200_000):
        told, result = invoke(client, function, event)
        assert result == event
        assert "FunctionError" not in told


def test_a_handler_in_a_directory_and_in_an_object(client: Any, make: Make) -> None:
    function = make({"src/api/app.js": "exports.v1 = { get: async () => 'got' };"}, Handler="src/api/app.v1.get")
    assert invoke(client, function)[1] == "got"


def test_one_environment_serves_call_after_call(client: Any, make: Make) -> None:
    function = make("let calls = 0; exports.handler = async () => ++calls;")
    assert [invoke(client, function)[1] for _ in range(3)] == [1, 2, 3]


def test_five_megabytes_pass_byte_for_byte(client: Any, make: Make) -> None:
    function = make("exports.handler = async (event) => event;", MemorySize=512, Timeout=20)
    payload = json.dumps({"ü": "x" * (5 << 20)}, ensure_ascii=False, separators=(",", ":")).encode()
    assert client.invoke(FunctionName=function, Payload=payload)["Payload"].read() == payload


def test_what_it_finds_around_it(client: Any, make: Make) -> None:
    code = """
const fs = require("fs");
const os = require("os");
exports.handler = async (event, context) => ({
  environment: process.env, cwd: process.cwd(), user: process.getuid(), home: os.homedir(), node: process.execPath,
  memory: context.memoryLimitInMB, arn: context.invokedFunctionArn, left: context.getRemainingTimeInMillis(),
  roots: fs.readdirSync("/").sort(), lang: fs.readdirSync("/var/lang/bin"),
  heap: require("v8").getHeapStatistics().heap_size_limit, lookup: os.hostname(),
});
"""
    function = make({"index.js": code}, MemorySize=256, Timeout=5, Environment={"Variables": {"OWN": "own"}})
    seen = invoke(client, function)[1]
    variables = seen["environment"]
    assert variables["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{NODE}"
    assert variables["NODE_PATH"] == (
        f"/opt/nodejs/node{MAJOR}/node_modules:/opt/nodejs/node_modules"
        ":/var/runtime/node_modules:/var/runtime:/var/task"
    )
    assert (variables["OWN"], variables["_HANDLER"], seen["cwd"]) == ("own", "index.handler", "/var/task")
    assert seen["node"] == "/var/lang/bin/node"
    assert seen["lang"] == ["node"]
    assert seen["memory"] == "256"
    assert seen["heap"] <= 300 << 20
    assert 0 < seen["left"] <= 5000
    assert seen["arn"].endswith(f":function:{function}")
    assert seen["user"] != 0
    assert seen["home"] == "/home/sbx_user1051"
    assert not {"home", "root-of-host", "sys"} & set(seen["roots"])


def test_its_tools_run_inside_the_walls(client: Any, make: Make) -> None:
    code = """
const { Worker } = require("worker_threads");
const { execFileSync } = require("child_process");
const crypto = require("crypto");
exports.handler = async () => {
  const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
  const answer = await new Promise((resolve) => worker.once("message", resolve));
  const compiled = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) instanceof WebAssembly.Module;
  const written = execFileSync("/bin/bash", ["-c", "echo child"]).toString().trim();
  require("fs").writeFileSync("/tmp/file", "x");
  return [answer, compiled, written, crypto.randomUUID().length];
};
"""
    assert invoke(client, make(code, MemorySize=512, Timeout=10))[1] == [42, True, "child", 36]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("exports.handler = async () => { throw new TypeError('no'); };", "TypeError", "no"),
        ("exports.handler = async () => { throw 'text'; };", "string", "text"),
        ("exports.handler = async () => { const a = {}; a.a = a; return a; };", "Error", "Unable to stringify"),
        ("require('not-there');", "Runtime.ImportModuleError", "Error: Cannot find module 'not-there'\nRequire stack:"),
        ("exports.other = 1;", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("exports.handler = ;", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ("throw new RangeError('at init');", "RangeError", "at init"),
        (
            "exports.handler = () => { Promise.reject(new Error('lost')); return new Promise(() => {}); };",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
        ("exports.handler = () => { setTimeout(() => { throw new Error('late'); }); };", "Error", "late"),
    ],
)
def test_errors_are_told_as_aws_tells_them(client: Any, make: Make, code: str, kind: str, message: str) -> None:
    function = make(code, Timeout=10)
    for _ in range(2):
        told, error = invoke(client, function)
        assert told["FunctionError"] == "Unhandled"
        assert list(error) == ["errorType", "errorMessage", "trace"]
        assert error["errorType"] == kind
        assert error["errorMessage"].startswith(message)


def test_a_stack_names_the_customers_file(client: Any, make: Make) -> None:
    error = invoke(client, make("exports.handler = async () => {\n  throw new Error('here');\n};"))[1]
    assert error["trace"][0] == "Error: here"
    assert re.fullmatch(r"    at .*\(/var/task/index\.js:2:9\)", error["trace"][1])


def test_leaving_the_process_is_told(client: Any, make: Make) -> None:
    error = invoke(client, make("exports.handler = async () => process.exit(4);"))[1]
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")


def test_one_that_takes_too_long_is_ended_and_the_next_call_works(client: Any, make: Make) -> None:
    function = make("exports.handler = async (event) => { while (event.spin); return 'done'; };", Timeout=1)
    assert invoke(client, function, {"spin": False})[1] == "done"
    error = invoke(client, function, {"spin": True})[1]
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert invoke(client, function, {"spin": False})[1] == "done"


def test_more_memory_than_it_has_ends_it(client: Any, make: Make) -> None:
    code = """
exports.handler = async (event) => {
  const kept = [];
  while (event.fill) kept.push(Buffer.alloc(1 << 20, 1));
  return kept.length;
};
"""
    function = make(code, MemorySize=128, Timeout=20)
    assert invoke(client, function, {})[1] == 0
    error = invoke(client, function, {"fill": True})[1]
    assert error["errorType"] == "Runtime.OutOfMemory"
    assert invoke(client, function, {})[1] == 0


def test_console_writes_aws_lines(client: Any, make: Make) -> None:
    function = make("exports.handler = async () => console.warn('careful %d', 5, { a: 1 });")
    told = invoke(client, function, LogType="Tail")[0]
    id = told["ResponseMetadata"]["RequestId"]
    lines = base64.b64decode(told["LogResult"]).decode().splitlines()
    written = [line.split("\t") for line in lines if "\t" in line and line[:2] == "20"]
    assert [fields[1:] for fields in written] == [[id, "WARN", "careful 5 { a: 1 }"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields[0]) for fields in written)


def test_console_writes_json_from_the_level_on(client: Any, make: Make) -> None:
    function = make(
        "exports.handler = async () => { console.debug('no'); console.log({ a: 1 }); console.error('x %s', 'y'); };",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
    )
    told = invoke(client, function, LogType="Tail")[0]
    id = told["ResponseMetadata"]["RequestId"]
    lines = [json.loads(line) for line in base64.b64decode(told["LogResult"]).decode().splitlines()]
    written = [entry for entry in lines if "message" in entry]
    assert [(e["level"], e["requestId"], e["message"]) for e in written] == [
        ("INFO", id, {"a": 1}),
        ("ERROR", id, "x y"),
    ]


def test_a_wrapper_starts_it(client: Any, make: Make) -> None:
    wrapper = '#!/bin/bash\nexport WRAPPED="$1 ${!#}"\nexec "$@"\n'
    function = make(
        {"index.js": "exports.handler = async () => process.env.WRAPPED;", "wrapper*": wrapper},
        Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}},
    )
    assert invoke(client, function)[1] == "/var/lang/bin/node /var/runtime/bootstrap.js"


def test_options_of_node_are_the_functions_to_choose(client: Any, make: Make) -> None:
    function = make(
        "exports.handler = async () => new Error('x').stack.length;",
        Environment={"Variables": {"NODE_OPTIONS": "--stack-trace-limit=0"}},
    )
    assert invoke(client, function)[1] == len("Error: x")


def test_packages_of_a_layer_are_found(client: Any, make: Make) -> None:
    content = package({"nodejs/node_modules/kept/index.js": "module.exports = 'from the layer';"})
    layer = client.publish_layer_version(LayerName="kept", Content={"ZipFile": content})
    function = make("exports.handler = async () => require('kept');", Layers=[layer["LayerVersionArn"]])
    assert invoke(client, function)[1] == "from the layer"


def test_a_stream_answers_a_plain_call_whole(client: Any, make: Make) -> None:
    function = make(
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => { "
        "stream.write('{\"a\":'); stream.end('1}'); });"
    )
    for _ in range(2):
        assert invoke(client, function)[1] == {"a": 1}


@pytest.mark.parametrize("wanted", ["nodejs18.x", "nodejs20.x", "nodejs22.x"])
def test_a_node_that_is_not_there_is_refused_with_what_to_do(client: Any, name: str, wanted: str) -> None:
    if wanted in NODES:
        pytest.skip("this machine has it")
    function = {"FunctionName": name, "Runtime": wanted, "Handler": "index.handler", "Role": ROLE}
    code = package({"index.js": "exports.handler = async () => 1;"})
    error = error_of(lambda: client.create_function(**function, Code={"ZipFile": code}))
    assert f"needs an interpreter of Node {wanted[6:8]}, and this machine has none" in error["Error"]["Message"]
