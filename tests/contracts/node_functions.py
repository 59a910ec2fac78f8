"""The functions that both Node clients run: what they throw, return, log and stream, how they are found and called.

Each table names its cases; the text after it is the function into which a case is put.
"""

import json
from collections.abc import Mapping

from interface_clients import Invocation

THROWN = {
    "own class": "throw new Odd('it is odd')",
    "no message": "throw new Error()",
    "own name": "const e = new Error('x'); e.name = 'Strange'; throw e",
    "own properties": "throw Object.assign(new Error('x'), { code: 'E_ODD', status: 5, nested: { a: [1] } })",
    "circular property": "const e = new Error('x'); e.self = e; throw e",
    "unspeakable property": "const e = new Error('x'); e.big = 1n; throw e",
    "type error": "null.x",
    "reference error": "nowhere()",
    "range error": "[].length = -1",
    "syntax error": "eval('1 +')",
    "JSON": "JSON.parse('{oops')",
    "assertion": "require('assert').strictEqual(1, 2)",
    "system error": "require('fs').readFileSync('/not/there')",
    "abort": "AbortSignal.abort().throwIfAborted()",
    "caused": "throw new Error('outer', { cause: new Odd('inner') })",
    "aggregate": "throw new AggregateError([new Error('one'), new Odd('two')], 'several')",
    "aggregate of promises": "await Promise.any([Promise.reject(new Error('one'))])",
    "unicode": "throw new Error('온돌 ü 😀')",
    "unicode class": "throw new (class Fehlerä extends Error {})('x')",
    "lines": "throw new Error('first\\nsecond\\n  indented\\n')",
    "carriage return": "throw new Error('first\\rsecond')",
    "tabs and quotes": "throw new Error('a\\tb\"c\\\\d\\x00')",
    "delete character": "throw new Error('a\\x7fb')",
    "long message": "throw new Error('x'.repeat(100000))",
    "deep": "deeper(30)",
    "endless recursion": "(function f() { f() })()",
    "text": "throw 'a text'",
    "empty text": "throw ''",
    "number": "throw 5",
    "zero": "throw 0",
    "boolean": "throw false",
    "symbol": "throw Symbol('s')",
    "big integer": "throw 5n",
    "null": "throw null",
    "undefined": "throw undefined",
    "object": "throw { a: 1 }",
    "object like an error": "throw { name: 'N', message: 'm', stack: 'N: m\\n    at f (/x.js:1:2)' }",
    "object without a prototype": "throw Object.create(null)",
    "array": "throw [1, 'a']",
    "function": "throw function named() {}",
    "no stack": "const e = new Error('x'); delete e.stack; e.stack = undefined; throw e",
    "stack is no text": "const e = new Error('x'); e.stack = 5; throw e",
    "message is no text": "const e = new Error('x'); e.message = { a: 1 }; throw e",
    "name is no text": "const e = new Error('x'); e.name = 5; throw e",
    "getter that throws": "throw { get name() { throw new Error('no') } }",
    "error of another realm": "throw require('vm').runInNewContext(\"new Error('elsewhere')\")",
    "in a library": "new URL('::')",
    "in a callback of a library": "[1].map(() => { throw new Odd('mapped') })",
    "after a wait": "await later(); throw new Odd('late')",
    "in a nested call after a wait": "await (async function nested() { await later(); throw new Odd('late') })()",
    "in a callback": "await new Promise((_, reject) => setTimeout(() => reject(new Odd('timed')), 5))",
    "import": "require('./not-there')",
    "import of a module": "await import('not-there')",
}

HELD = """
class Odd extends Error {}
const later = () => new Promise((resolve) => setTimeout(resolve, 2));
function inner() { throw new Odd('inner'); }
function deeper(depth) { if (depth) deeper(depth - 1); else inner(); }
"""
"""What the cases of the tables that one function holds may use."""


def holding(cases: Mapping[str, str]) -> str:
    """A function of all these cases, each a body: the event names the one to run, whose log begins with a mark."""
    bodies = ",\n".join(f"{json.dumps(name)}: async (event, context) => {{ {body}; }}" for name, body in cases.items())
    handler = f"process.stdout.write(`{MARK}${{event}}\\n`); return cases[event](event, context);"
    return f"{HELD}const cases = {{\n{bodies}\n}};\nexports.handler = async (event, context) => {{ {handler} }};\n"


MARK = "case: "

ENDS = {
    "thrown at once": "exports.handler = () => { throw new TypeError('at once'); };",
    "rejected": "exports.handler = () => Promise.reject(new TypeError('rejected'));",
    "rejected with nothing": "exports.handler = () => Promise.reject();",
    "thenable": "exports.handler = () => ({ then(ok) { ok('then'); } });",
    "thenable that throws": "exports.handler = () => ({ then() { throw new Error('in then'); } });",
    "thrown in a timer": (
        "exports.handler = async () => { setTimeout(() => { throw new TypeError('timed'); }, 2); await wait(200); };"
    ),
    "thrown text in a timer": (
        "exports.handler = async () => { setTimeout(() => { throw 'text'; }, 2); await wait(200); };"
    ),
    "rejection that nobody handles": (
        "exports.handler = async () => { Promise.reject(new TypeError('alone')); await wait(200); };"
    ),
    "rejection of a text that nobody handles": (
        "exports.handler = async () => { Promise.reject('a text'); await wait(200); };"
    ),
    "rejection of nothing that nobody handles": (
        "exports.handler = async () => { Promise.reject(); await wait(200); };"
    ),
    "error event that nobody handles": (
        "exports.handler = async () => { new (require('events'))().emit('error', new Error('emitted')); };"
    ),
    "process.exit": "exports.handler = async () => { console.log('last words'); process.exit(); };",
    "process.exit with a code": "exports.handler = async () => { process.exit(7); };",
    "exit code set": "exports.handler = async () => { process.exitCode = 3; return 1; };",
    "aborted": "exports.handler = async () => { process.kill(process.pid, 'SIGABRT'); await wait(200); };",
    "killed": "exports.handler = async () => { process.kill(process.pid, 'SIGKILL'); await wait(200); };",
    "terminated": "exports.handler = async () => { process.kill(process.pid, 'SIGTERM'); await wait(200); };",
    "exit listener": (
        "process.on('exit', (code) => console.log('leaving', code)); exports.handler = async () => process.exit(2);"
    ),
    "own uncaught listener": (
        "process.on('uncaughtException', (e) => console.log('mine', e.message));"
        "exports.handler = async () => { setTimeout(() => { throw new Error('x'); }, 2); await wait(200); return 1; };"
    ),
    "listeners removed": (
        "process.removeAllListeners('uncaughtException');"
        "exports.handler = async () => { setTimeout(() => { throw new Error('x'); }, 2); await wait(200); };"
    ),
    "a result too large": "let calls = 0; exports.handler = async () => (calls++ ? calls : 'x'.repeat(6291556 - 1));",
    "promise never settled": "exports.handler = async () => new Promise(() => {});",
    "thrown in a timer of the load": (
        "setTimeout(() => { throw new Error('late'); }, 400); exports.handler = async () => wait(5000);"
    ),
}

ENDING = "const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));\n%s"

RESULTS = {
    "undefined": "undefined",
    "null": "null",
    "true": "true",
    "text": "'text'",
    "unicode": "'온돌 ü 😀'",
    "control characters": "'\\u0000\\u001f\\u007f\\u0085\\u2028'",
    "quotes and slashes": "'\"\\\\/'",
    "lone surrogate": "'\\ud800'",
    "numbers": "[0, -0, 0.1, 1e100, 1e-7, 123456789.123456789, 2 ** 53]",
    "nan": "NaN",
    "infinities": "{ a: Infinity, b: -Infinity }",
    "big integer": "1n",
    "big integer within": "{ a: [1n] }",
    "symbol": "Symbol('s')",
    "symbol within": "{ a: Symbol('s'), [Symbol('k')]: 1, b: 2 }",
    "function": "() => 1",
    "function within": "[() => 1, { a() {} }]",
    "class": "class A {}",
    "instance": "new (class A { constructor() { this.a = 1; this.f = () => 1; } })()",
    "toJSON": "{ toJSON: () => 'own' }",
    "toJSON that throws": "{ toJSON() { throw new Error('no'); } }",
    "toJSON of nothing": "{ toJSON() {} }",
    "date": "new Date(0)",
    "invalid date": "new Date(NaN)",
    "map and set": "[new Map([[1, 2]]), new Set([1])]",
    "regular expression": "/a/g",
    "error": "new Error('returned')",
    "buffer": "Buffer.from('abc')",
    "typed arrays": "[new Uint8Array([1, 2]), new Float64Array([0.5]), new ArrayBuffer(2)]",
    "sparse array": "[1, , 3]",
    "undefined within": "{ a: undefined, b: [undefined] }",
    "circular": "(() => { const a = {}; a.a = a; return a; })()",
    "circular array": "(() => { const a = []; a.push(a); return a; })()",
    "deep": "(() => { let a = []; for (let i = 0; i < 1000; i++) a = [a]; return a; })()",
    "too deep": "(() => { let a = []; for (let i = 0; i < 100000; i++) a = [a]; return a; })()",
    "no prototype": "Object.assign(Object.create(null), { a: 1 })",
    "number keys": "{ 1: 'a', b: 2, 0: 'c' }",
    "proxy": "new Proxy({ a: 1 }, {})",
    "getter": "{ get a() { return 1; } }",
    "getter that throws": "{ get a() { throw new Error('no'); } }",
    "boxed": "[new String('s'), new Number(1), new Boolean(false)]",
    "promise": "Promise.resolve('resolved')",
    "promises within": "[Promise.resolve(1)]",
    "generator": "(function* () { yield 1; })()",
    "stream": "require('stream').Readable.from(['a']).readableLength",
    "nearly too large": "'x'.repeat(6291556 - 2)",
    "megabytes of unicode": "'온'.repeat(1000000)",
    "event": "event",
}

HANDLERS: dict[str, tuple[str, dict[str, str]]] = {
    "export missing": ("app.nope", {"app.js": ""}),
    "no function": ("app.handler", {"app.js": "exports.handler = 5;"}),
    "null": ("app.handler", {"app.js": "exports.handler = null;"}),
    "module missing": ("no.handler", {}),
    "module's module missing": ("app.handler", {"app.js": "require('not-there');"}),
    "module's file missing": ("app.handler", {"app.js": "require('./not/there');"}),
    "error with the code of a missing module": (
        "app.handler",
        {"app.js": "throw Object.assign(new Error('mine'), { code: 'MODULE_NOT_FOUND' });"},
    ),
    "ES module's module missing": ("app.handler", {"app.mjs": "import 'not-there';"}),
    "ES module's export missing": ("app.handler", {"app.mjs": "import { nope } from 'fs';"}),
    "no dot": ("app", {"app.js": ""}),
    "only a dot": (".", {"app.js": ""}),
    "dot at the end": ("app.", {"app.js": "exports.handler = async () => 1;"}),
    "dot at the front": (".handler", {}),
    "two dots": ("../app.handler", {}),
    "nested": ("app.v1.get", {"app.js": "exports.v1 = { get: async () => 'got' };"}),
    "nested in nothing": ("app.v1.get", {"app.js": "exports.v2 = {};"}),
    "class": ("app.handler", {"app.js": "exports.handler = class A { constructor() { this.a = 1; } };"}),
    "class method": ("app.shop.sell", {"app.js": "exports.shop = new (class { sell() { return 1; } })();"}),
    "this": (
        "app.handler",
        {"app.js": "exports.handler = function () { return Promise.resolve(typeof this + this?.constructor?.name); };"},
    ),
    "no arguments": ("app.handler", {"app.js": "exports.handler = async function () { return arguments.length; };"}),
    "generator": ("app.handler", {"app.js": "exports.handler = function* () { yield 1; };"}),
    "async generator": ("app.handler", {"app.js": "exports.handler = async function* () { yield 1; };"}),
    "directories": ("one/two/deep.handler", {"one/two/deep.js": "exports.handler = async () => 'deep';"}),
    "directory missing": ("one/none/deep.handler", {}),
    "slash at the front": ("/app.handler", {"app.js": "exports.handler = async () => 1;"}),
    "a directory with an index": ("app.handler", {"app/index.js": "exports.handler = async () => 1;"}),
    "a package": ("kept.handler", {"node_modules/kept/index.js": "exports.handler = async () => 'kept';"}),
    "a file without an ending": ("app.handler", {"app": "exports.handler = async () => 1;"}),
    "CommonJS by ending": ("app.handler", {"app.cjs": "exports.handler = async () => 1;"}),
    "ES module by ending": (
        "app.handler",
        {"app.mjs": "export const handler = async () => import.meta.url.slice(-7);"},
    ),
    "ES module by package": (
        "app.handler",
        {"app.js": "export const handler = async () => 1;", "package.json": '{"type": "module"}'},
    ),
    "package that is no JSON": (
        "app.handler",
        {"app.js": "exports.handler = async () => 1;", "package.json": "{oops"},
    ),
    "both endings": (
        "app.handler",
        {"app.js": "exports.handler = async () => 'js';", "app.mjs": "export const handler = async () => 'mjs';"},
    ),
    "default export": ("app.handler", {"app.mjs": "export default { handler: async () => 1 };"}),
    "default export named": ("app.default", {"app.mjs": "export default async () => 1;"}),
    "wait at the top": ("app.handler", {"app.mjs": "await null; export const handler = async () => 1;"}),
    "thrown at the top": ("app.handler", {"app.mjs": "await null; throw new TypeError('early');"}),
    "syntax error": ("app.handler", {"app.js": "let x = ;"}),
    "syntax error of an ES module": ("app.handler", {"app.mjs": "let x = ;"}),
    "syntax error within": ("app.handler", {"app.js": "require('./broken');", "broken.js": "function (("}),
    "ES syntax in CommonJS": ("app.handler", {"app.js": "import fs from 'fs'; export const handler = async () => 1;"}),
    "require in an ES module": ("app.handler", {"app.mjs": "require('fs');"}),
    "thrown": ("app.handler", {"app.js": "console.log('so far'); throw new TypeError('early');"}),
    "thrown text": ("app.handler", {"app.js": "throw 'early';"}),
    "thrown nothing": ("app.handler", {"app.js": "throw undefined;"}),
    "thrown within": (
        "app.handler",
        {"app.js": "require('./failing');", "failing.js": "(function inner() { throw new RangeError('within'); })();"},
    ),
    "unicode": ("app.handler", {"app.js": "throw new Error('온돌');"}),
    "recursion": ("app.handler", {"app.js": "(function f() { f(); })();"}),
    "exit": ("app.handler", {"app.js": "console.log('so far'); process.exit();"}),
    "exit 3": ("app.handler", {"app.js": "process.exit(3);"}),
    "callback": ("app.handler", {"app.js": "exports.handler = (event, context, callback) => callback(null, event);"}),
    "answers through module.exports": ("app.handler", {"app.js": "module.exports = { handler: async () => 1 };"}),
    "streaming of another kind": (
        "app.handler",
        {
            "app.js": "exports.handler = async () => 1;"
            "exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';"
        },
    ),
}

LOGGED = {
    "log": "console.log('one'); console.log('two', 'three'); console.log()",
    "formatted": "console.log('%s and %d and %o', 'one', 2, { a: 1 }); console.log('100%', 5)",
    "every method": (
        "for (const m of ['trace', 'debug', 'info', 'log', 'warn', 'error']) console[m](`at ${m}`, { a: 1 })"
    ),
    "fatal": "console.fatal('at fatal')",
    "objects": "console.log({ a: 1, b: { c: [1, null, 'ü'] } }, [1, 'a'])",
    "one object": "console.log({ a: 1, b: { c: [1, null, 'ü'] } })",
    "array": "console.log([1, { a: 'b' }])",
    "map": "console.log(new Map([[1, 2]]))",
    "lines": "console.log('first\\nsecond\\n\\n  indented\\n')",
    "carriage return": "console.log('a\\rb')",
    "unicode": "console.log('온돌 ü 😀')",
    "lone surrogate": "console.log('\\ud800')",
    "nothings": "console.log(null); console.log(undefined); console.log(''); console.log(0); console.log(false)",
    "big integer": "console.log(1n); console.log({ a: 1n })",
    "symbol": "console.log(Symbol('s'))",
    "function": "console.log(function named() {})",
    "circular": "const a = { n: 1 }; a.self = a; console.log(a); console.log('c', a)",
    "error": "console.error(new TypeError('told'))",
    "error with a text": "console.error('failed:', new TypeError('told'))",
    "error first": "console.error(new TypeError('told'), 'after', { a: 1 })",
    "two errors": "console.error('both', new TypeError('one'), new RangeError('two'))",
    "error with properties": "console.error(Object.assign(new Error('told'), { code: 'E', nested: { a: 1 } }))",
    "error with a cause": "console.error(new Error('told', { cause: new TypeError('why') }))",
    "error within": "console.log({ problem: new TypeError('told') })",
    "error without a stack": "const e = new Error('told'); e.stack = undefined; console.error(e)",
    "own error class": "console.error(new (class Odd extends Error {})('told'))",
    "error without a constructor": "console.error(Object.assign(new Error('told'), { constructor: undefined }))",
    "toJSON": "console.log({ toJSON: () => 'own' }); console.log({ toJSON() { throw new Error('no'); } })",
    "the record's names": "console.log({ level: 'mine', timestamp: 1, requestId: 2, message: 'm' })",
    "stdout": "process.stdout.write('raw\\n'); process.stdout.write('in '); process.stdout.write('pieces\\n')",
    "stderr": "process.stderr.write('raw\\n')",
    "descriptor": "require('fs').writeSync(1, 'raw\\n')",
    "child": "require('child_process').execFileSync('/bin/echo', ['from a child'], { stdio: 'inherit' })",
    "table": "console.table([{ a: 1 }])",
    "dir": "console.dir({ a: 1 })",
    "assert": "console.assert(false, 'asserted'); console.assert(true, 'not said')",
    "methods taken": "const { log } = console; log('taken'); [1].forEach(console.log)",
    "request id": "console.log(globalThis[Symbol.for('aws.lambda.runtime.requestId')])",
    "names": "console.log(console.log.name, console.log === console.info, console.log.length)",
}

ALONE = {
    "method replaced": (
        "console.log = (text) => process.stdout.write(`mine ${text}\\n`); console.log('x'); console.info('y')"
    ),
    "group": "console.group('g'); console.log('within'); console.groupEnd(); console.log('without')",
    "warning": "process.emitWarning('beware'); await later()",
    "own console": "new console.Console(process.stdout).log('own')",
    "count": "console.count('c'); console.count('c')",
    "time": "console.time('t'); console.timeLog === undefined",
}
"""As those, but they change what the next would log."""

CONTEXTS: dict[str, dict[str, str | None]] = {
    "usual": {},
    "client": {"Lambda-Runtime-Client-Context": '{"custom": {"k": "v"}, "env": {"e": 1}, "client": {"t": "x"}}'},
    "client in unicode": {"Lambda-Runtime-Client-Context": '{"custom": {"k": "온돌"}}'},
    "client null": {"Lambda-Runtime-Client-Context": "null"},
    "client no object": {"Lambda-Runtime-Client-Context": "[1]"},
    "client no JSON": {"Lambda-Runtime-Client-Context": "{oops"},
    "identity": {"Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "me", "cognitoIdentityPoolId": "pool"}'},
    "identity no JSON": {"Lambda-Runtime-Cognito-Identity": "oops"},
    "no trace": {"Lambda-Runtime-Trace-Id": None},
    "another trace": {"Lambda-Runtime-Trace-Id": "Root=1"},
    "tenant": {"Lambda-Runtime-Aws-Tenant-Id": "blue"},
    "past deadline": {"Lambda-Runtime-Deadline-Ms": "1"},
    "another function": {"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:1:function:g:$LATEST"},
}

TELLING = """
exports.handler = async (event, context) => {
  console.log('now');
  const first = context.getRemainingTimeInMillis();
  await new Promise((resolve) => setTimeout(resolve, 30));
  const fallen = first - context.getRemainingTimeInMillis();
  context.own = 1;
  const kinds = Object.fromEntries(Object.entries(context).map(([name, value]) => [name, typeof value]));
  const shown = { ...context, trace: process.env._X_AMZN_TRACE_ID };
  const plain = Object.getPrototypeOf(context) === Object.prototype;
  return [Object.keys(context), kinds, shown, fallen >= 29 && fallen < 2000, plain];
};
"""

EVENTS: dict[str, Invocation] = {
    "object": Invocation(b'{"a": [1, 2.5, null, true, "\\u00fc"]}'),
    "unicode": Invocation('"온돌 ü"'.encode()),
    "spaces": Invocation(b' \n{"a" :1 }\n'),
    "surrogates": Invocation(b'["\\ud83d\\ude00", "\\ud800"]'),
    "large integer": Invocation(b"123456789012345678901234567890"),
    "precise": Invocation(b"[0.1234567890123456789, 1e400, -0.0, 1E5]"),
    "same keys": Invocation(b'{"a": 1, "a": 2, "__proto__": 3}'),
    "nested": Invocation(b"[" * 500 + b"]" * 500),
    "megabytes": Invocation(b'["' + "온".encode() * 1_000_000 + b'"]'),
    "no JSON": Invocation(b"{oops"),
    "nothing": Invocation(b""),
}

LIVES = {
    "globals stay": "exports.handler = async (event) => { seen.push(event); return seen; };",
    "an error and then none": (
        "exports.handler = async (event) => { if (event === 0) throw new Error('once'); return event; };"
    ),
    "callback": "exports.handler = (event, context, callback) => { callback(null, event); };",
    "callback later": "exports.handler = (event, context, callback) => { setTimeout(callback, 5, null, event); };",
    "callback with an error": "exports.handler = (event, context, callback) => callback(new TypeError('called back'));",
    "callback with a text": "exports.handler = (event, context, callback) => callback('a text');",
    "callback with nothing": "exports.handler = (event, context, callback) => callback();",
    "callback with what is no JSON": "exports.handler = (event, context, callback) => callback(null, 1n);",
    "callback twice": "exports.handler = (event, context, callback) => { callback(null, 1); callback(null, 2); };",
    "callback and throw": (
        "exports.handler = (event, context, callback) => { callback(null, 1); throw new Error('x'); };"
    ),
    "callback and promise": "exports.handler = async (event, context, callback) => { callback(null, 1); return 2; };",
    "callback waits for what is left": (
        "exports.handler = (event, context, callback) => {"
        " callback(null, seen); setTimeout(() => seen.push(event), 20); };"
    ),
    "callback does not wait": (
        "exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false;"
        " setTimeout(() => seen.push(event), 5000); callback(null, seen); };"
    ),
    "chosen too late": (
        "exports.handler = (event, context, callback) => { setTimeout(() => seen.push(event), 20);"
        " callback(null, seen); context.callbackWaitsForEmptyEventLoop = false; };"
    ),
    "callback never called": "exports.handler = (event, context, callback) => {};",
    "callback never called, but a timer runs": (
        "exports.handler = (event, context, callback) => { setTimeout(() => console.log('rung'), 5); };"
    ),
    "nothing returned": "exports.handler = () => {};",
    "value returned": "exports.handler = () => 'not a promise';",
    "done": "exports.handler = (event, context) => context.done(null, event);",
    "done with an error": "exports.handler = (event, context) => context.done(new TypeError('done'));",
    "succeed": "exports.handler = (event, context) => context.succeed(event);",
    "succeed with what is no JSON": "exports.handler = (event, context) => context.succeed(1n);",
    "fail": "exports.handler = (event, context) => context.fail(new TypeError('failed'));",
    "fail with nothing": "exports.handler = (event, context) => context.fail();",
    "fail after success": (
        "exports.handler = (event, context) => { context.succeed(1); context.fail(new Error('x')); };"
    ),
    "promise never settled, from no async function": "exports.handler = () => new Promise(() => {});",
    "a timer goes on in the next": (
        "exports.handler = async (event) => { if (event === 0) setTimeout(() => seen.push('rung'), 150);"
        " else await new Promise((resolve) => setTimeout(resolve, 300)); return seen; };"
    ),
    "an interval goes on": ("exports.handler = async (event) => { setInterval(() => {}, 1000); return event; };"),
    "a timer logs in the next": (
        "exports.handler = async (event) => { if (event === 0) setTimeout(() => console.log('late'), 150);"
        " else await new Promise((resolve) => setTimeout(resolve, 300)); };"
    ),
    "the environment stays": ("exports.handler = async () => (process.env.SEEN = (process.env.SEEN || '') + 'x');"),
    "modules": "exports.handler = async () => [__filename.slice(-7), require.main === module, module.children.length];",
    "global names": (
        "exports.handler = async () => [Object.keys(globalThis.awslambda).sort(), typeof awslambda.streamifyResponse];"
    ),
    "listeners": (
        "exports.handler = async () => ['uncaughtException', 'unhandledRejection', 'beforeExit', 'SIGTERM', 'exit']"
        ".map((name) => process.listenerCount(name));"
    ),
    "async storage": (
        "const { AsyncLocalStorage } = require('async_hooks'); const storage = new AsyncLocalStorage();"
        "exports.handler = async (event) => {"
        " const found = storage.getStore(); storage.enterWith(event); return [found]; };"
    ),
    "streaming, but not async": (
        "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.end('a'); });"
    ),
    "directory changed": (
        "exports.handler = async (event) => { if (event === 0) process.chdir('/'); return process.cwd(); };"
    ),
    "stack": ("exports.handler = async function named() { return frame(new Error('x')); };"),
    "stack of an arrow function": ("const handler = async () => frame(new Error('x')); exports.handler = handler;"),
}

LIVING = """const seen = [];
const frame = (error) => error.stack.replaceAll(__dirname, '').split('\\n')[1];
%s"""

STREAMS = {
    "one piece": "stream.write('a'); stream.end()",
    "at the end": "stream.end('a')",
    "nothing": "stream.end()",
    "pieces": "for (const piece of ['온', 'b', Buffer.from([0, 255])]) stream.write(piece); stream.end('d')",
    "objects": "stream.write({ a: 1 }); stream.end()",
    "type": "stream.setContentType('text/plain'); stream.end('a')",
    "type too late": "stream.write('a'); stream.setContentType('text/plain'); stream.end()",
    "prelude": (
        "const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });"
        " http.write('body'); http.end()"
    ),
    "prelude alone": "awslambda.HttpResponseStream.from(stream, { statusCode: 204 }).end()",
    "pipeline": (
        "const { Readable, promises } = require('stream'); await promises.pipeline(Readable.from(['a', 'b']), stream)"
    ),
    "value returned": "stream.end('a'); return 5",
    "thrown before": "throw new TypeError('before')",
    "thrown in mid-stream": "stream.write('a'); throw new TypeError('in mid-stream')",
    "thrown text in mid-stream": "stream.write('a'); throw 'a text'",
    "thrown after": "stream.end('a'); throw new TypeError('after')",
    "prelude and an end": "awslambda.HttpResponseStream.from(stream, { statusCode: 201 }).end('body')",
    "prelude and nothing": "const http = awslambda.HttpResponseStream.from(stream, {}); http.write(''); http.end()",
    "thrown after a wait": "await new Promise((r) => setTimeout(r, 5)); throw new TypeError('later')",
    "rejected with a text": "return Promise.reject('a text')",
    "thrown after an end and a wait": (
        "stream.end('a'); await new Promise((r) => setTimeout(r, 5)); throw new TypeError('later')"
    ),
    "large": "stream.write('x'.repeat(1000000)); stream.end()",
    "written": "console.log(stream.write('a'), stream.writable, stream.writableEnded); stream.end()",
}

STREAMING = """
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  %s;
});
"""
