"""The functions that both interface clients run: what they raise, return and log, how they are found and called.

Each table names its cases; the text after it is the function into which a case is put.
"""

import json

from interface_clients import Invocation

EXCEPTIONS = {
    "own class": "raise Odd('it is odd')",
    "no message": "raise Odd",
    "several arguments": "raise ValueError('a', 2, None)",
    "key": "{}['missing']",
    "zero division": "1 / 0",
    "unicode": "raise ValueError('온돌 ü 😀')",
    "unicode class": "raise type('Fehlerä', (Exception,), {})('x')",
    "lines": "raise ValueError('first\\nsecond\\n  indented\\n')",
    "carriage return": "raise ValueError('first\\rsecond')",
    "tabs and quotes": "raise ValueError('a\\tb\"c\\\\d\\x00\\x7f')",
    "line separators": "raise ValueError('a\\u2028b\\u2029c\\x85d')",
    "surrogate": "raise ValueError('\\ud800')",
    "long message": "raise ValueError('x' * 100_000)",
    "caused": "try:\n        1 / 0\n    except ZeroDivisionError as error:\n        raise Odd('caused') from error",
    "in context": "try:\n        1 / 0\n    except ZeroDivisionError:\n        raise Odd('meanwhile')",
    "deep": "deeper(30)",
    "group": "raise ExceptionGroup('several', [ValueError('one'), Odd('two')])",
    "base group": "raise BaseExceptionGroup('several', [KeyboardInterrupt()])",
    "with notes": "error = Odd('noted')\n    error.add_note('a note')\n    raise error",
    "str raises": "raise Unspeakable",
    "str is no text": "raise type('Numb', (Exception,), {'__str__': lambda self: 5})",
    "in a library": "json.loads('{oops')",
    "file": "open('/not/there')",
    "unicode error": "b'\\xff'.decode()",
    "evaluated": "eval('1 / 0')",
    "syntax": "eval('1 +')",
    "assertion": "assert False, 'so it is'",
    "timeout": "raise TimeoutError",
    "connection": "raise ConnectionResetError(104, 'by peer')",
    "import": "import not_there",
    "import by hand": "raise ImportError('no such thing')",
    "in a generator": "next(failing())",
    "stop iteration": "raise StopIteration('over')",
    "wrong arguments": "inner(1, 2, 3)",
    "base": "raise BaseException('the base')",
    "interrupt": "raise KeyboardInterrupt",
    "generator exit": "raise GeneratorExit",
    "own base": "raise Final('over')",
    "exit": "sys.exit()",
    "exit 0": "sys.exit(0)",
    "exit 1": "sys.exit(1)",
    "exit 300": "sys.exit(300)",
    "exit with text": "sys.exit('a reason')",
    "exit with none": "sys.exit(None)",
    "exit with a list": "sys.exit([1, 'ü'])",
    "own exit": "raise Leaving(4)",
    "quit": "raise SystemExit",
    "os._exit": "print('last words'); os._exit(5)",
    "abort": "print('last words'); os.abort()",
    "killed": "print('last words'); os.kill(os.getpid(), 9)",
    "terminated": "print('last words'); os.kill(os.getpid(), 15)",
    "atexit": "atexit.register(print, 'at exit'); sys.exit(2)",
    "exit with a thread left": "threading.Thread(target=time.sleep, args=(0.1,)).start(); sys.exit(3)",
}

RAISING = """
import atexit, json, os, sys, threading, time
class Odd(Exception):
    pass
class Final(BaseException):
    pass
class Leaving(SystemExit):
    pass
class Unspeakable(Exception):
    def __str__(self):
        raise ValueError('not to be said')
def inner():
    raise Odd('inner')
def deeper(depth):
    deeper(depth - 1) if depth else inner()
def failing():
    raise Odd('generated')
    yield
def handler(event, context):
    print('before')
    %s
"""

RESULTS = {
    "nothing": "None",
    "true": "True",
    "text": "'text'",
    "unicode": "'온돌 ü 😀'",
    "control characters": "''.join(map(chr, range(0x20))) + chr(0x7f) + chr(0x85)",
    "line separators": "'a\\u2028b\\u2029c'",
    "quotes and slashes": "'\"\\\\/'",
    "surrogate": "'\\ud800'",
    "surrogate pair": "'\\ud83d\\ude00'",
    "unicode keys": "{'ü': {'온돌': 1}}",
    "floats": "[0.1, -0.0, 1e100, 1e-7, 5.0, 123456789.123456789]",
    "integers": "[0, -1, 2**64, 10**100]",
    "too large an integer": "10**5000",
    "nan": "float('nan')",
    "infinities": "{'a': float('inf'), 'b': -float('inf')}",
    "nan as a key": "{float('nan'): 1, float('inf'): 2}",
    "decimal": "decimal.Decimal('1.10')",
    "decimals": "[decimal.Decimal(t) for t in ('1E+2', '-0', 'NaN', '-NaN', 'sNaN', 'Infinity', '-Infinity')]",
    "decimal as a key": "{decimal.Decimal('1.5'): 1}",
    "fraction": "fractions.Fraction(1, 2)",
    "complex": "1j",
    "tuple": "(1, (2, ()))",
    "named tuple": "Point(1, [Point(2, 3)])",
    "named tuple as a key": "{Point(1, 2): 3}",
    "dictionary with _asdict": "Odd({'a': 1})",
    "object with _asdict": "Listed()",
    "class with _asdict": "Point",
    "enums": "[Color.RED, Shade.DARK]",
    "plain enum": "Plain.ONE",
    "enum keys": "{Color.RED: 1, Shade.DARK: 2}",
    "number keys": "{1: 'a', None: 'b', True: 'c', 1.5: 'd'}",
    "bytes keys": "{b'k': 1}",
    "tuple keys": "{(1, 2): 3}",
    "object keys": "{object: 3}",
    "same keys": "{1: 'a', '1': 'b'}",
    "ordered": "collections.OrderedDict(b=1, a=2)",
    "defaults": "collections.defaultdict(list, a=[1])",
    "mapping": "types.MappingProxyType({'a': 1})",
    "user's dictionary": "collections.UserDict(a=1)",
    "subclasses": "[Text('t'), Number(5), Real(1.5), Items([1]), Odd(a=1)]",
    "bytes": "b'\\xff\\x00'",
    "no bytes": "b''",
    "bytearray": "bytearray(b'abc')",
    "memoryview": "memoryview(b'abc')",
    "bytes within": "{'a': b'text'}",
    "bytes within that are no text": "{'a': b'\\xff'}",
    "set": "{1}",
    "sets within": "{'a': [frozenset()]}",
    "object": "object()",
    "function": "handler",
    "class": "object",
    "module": "collections",
    "exception": "ValueError('x')",
    "not implemented": "NotImplemented",
    "generator": "(i for i in range(3))",
    "range": "range(3)",
    "iterator": "iter([1])",
    "array": "array.array('i', [1])",
    "deque": "collections.deque([1])",
    "dictionary's views": "[{}.keys(), {}.values()]",
    "datetime": "datetime.datetime(2024, 1, 2)",
    "date": "datetime.date(2024, 1, 2)",
    "duration": "datetime.timedelta(1)",
    "uuid": "uuid.UUID(int=5)",
    "path": "pathlib.Path('/tmp')",
    "dataclass": "Data(1)",
    "coroutine": "Coroutine()",
    "circular list": "loop",
    "circular dictionary": "ring",
    "circular through a named tuple": "knot",
    "too deep": "deep(100_000)",
    "deep": "deep(200)",
    "for_json": "Own()",
    "shared": "[shared, shared, {'a': shared}]",
    "empty": "[{}, [], '', ()]",
    "nearly too large": "'x' * (6291556 - 2)",
    "too large": "'x' * (6291556 - 1)",
    "megabytes of unicode": "'온' * 1_000_000",
    "event": "event",
}

RETURNING = """
import array, collections, dataclasses, datetime, decimal, enum, fractions, pathlib, types, uuid
Point = collections.namedtuple("Point", "x y")
Color = enum.IntEnum("Color", "RED")
class Shade(str, enum.Enum):
    DARK = "dark"
Plain = enum.Enum("Plain", "ONE")
class Text(str): pass
class Number(int):
    def __repr__(self): return "number"
class Real(float):
    def __repr__(self): return "real"
class Items(list): pass
class Odd(dict):
    def _asdict(self): return {"as": "dict"}
class Listed:
    def _asdict(self): return {"as": "dict"}
class Own:
    def for_json(self): return "own"
class Coroutine:
    def __await__(self): yield
@dataclasses.dataclass
class Data:
    x: int
loop = []
loop.append(loop)
ring = {}
ring["ring"] = ring
knot = []
knot.append(Point(knot, 1))
shared = {"s": Point(1, 2)}
def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value
def handler(event, context):
    return %s
"""

HANDLERS = {
    "attribute missing": ("app.nope", ""),
    "attribute that raises": ("app.nope", "def __getattr__(name):\n    raise AttributeError('not ' + name)"),
    "attribute made when asked": ("app.nope", "def __getattr__(name):\n    return lambda event, context: name"),
    "module missing": ("no.handler", ""),
    "module's module missing": ("app.handler", "import not_there"),
    "name missing in a module": ("app.handler", "from json import not_there"),
    "import refused by hand": ("app.handler", "raise ImportError('no such thing')"),
    "no dot": ("app", ""),
    "only a dot": (".", ""),
    "dot at the end": ("app.", "def handler(event, context): pass"),
    "dot at the front": (".handler", ""),
    "built-in module": ("sys.exit", ""),
    "built-in module's module": ("sys.x.exit", ""),
    "standard library": ("json.dumps", ""),
    "within a class": ("app.Shop.handler", "class Shop:\n    def handler(event, context): pass"),
    "no callable": ("app.handler", "handler = 5"),
    "none": ("app.handler", "handler = None"),
    "a class": ("app.handler", "class handler(dict):\n    def __init__(self, event, context): pass"),
    "a lambda": ("app.handler", "handler = lambda event, context: 'λ'"),
    "a callable object": ("app.handler", "class C:\n    def __call__(self, *given): return len(given)\nhandler = C()"),
    "one argument": ("app.handler", "def handler(event): pass"),
    "three arguments": ("app.handler", "def handler(event, context, more): pass"),
    "coroutine": ("app.handler", "async def handler(event, context): return 1"),
    "directories by slashes": ("one/two/deep.handler", ""),
    "directories by dots": ("one.two.deep.handler", ""),
    "package": ("package.handler", ""),
    "directory missing": ("one/none/deep.handler", ""),
    "slash at the front": ("/app.handler", "def handler(event, context): return 1"),
    "relative import": ("one.two.relative.handler", ""),
    "syntax error": ("app.handler", "x = 1\ndef handler(:\n"),
    "syntax error within": ("app.handler", "import broken"),
    "indentation": ("app.handler", "def handler(event, context):\nreturn 1"),
    "tabs": ("app.handler", "if 1:\n\tx = 1\n        y = 2"),
    "null byte": ("app.handler", "x = '\0'"),
    "text not closed": ("app.handler", "x = 'abc"),
    "unicode in a syntax error": ("app.handler", "def 온돌(:"),
    "exception": ("app.handler", "print('so far')\nraise ValueError('early')"),
    "exception of many lines": ("app.handler", "raise ValueError('a\\nb')"),
    "exception within": ("app.handler", "import failing"),
    "own exception": ("app.handler", "class Odd(Exception): pass\nraise Odd"),
    "recursion": ("app.handler", "def f(): f()\nf()"),
    "exit": ("app.handler", "import sys\nprint('so far')\nsys.exit()"),
    "exit 3": ("app.handler", "import sys\nsys.exit(3)"),
    "exit with text": ("app.handler", "import sys\nsys.exit('a reason')"),
    "os._exit": ("app.handler", "import os\nos._exit(4)"),
    "interrupt": ("app.handler", "raise KeyboardInterrupt"),
    "own base": ("app.handler", "class Final(BaseException): pass\nraise Final('over')"),
    "str raises": ("app.handler", "class Odd(Exception):\n    def __str__(self): raise ValueError('no')\nraise Odd"),
    "surrogate": ("app.handler", "raise ValueError('\\ud800')"),
    "logged before": ("app.handler", "import logging\nlogging.error('soon')\nraise ValueError('early')"),
    "handlers of the log gone": (
        "app.handler",
        "import logging\nlogging.getLogger().handlers.clear()\nraise ValueError('early')",
    ),
    "thread left": (
        "app.handler",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(0.1,)).start()\nraise ValueError('early')",
    ),
}

BESIDE = {
    "one/two/deep.py": "def handler(event, context): return [__name__, __file__.split('/')[-3:]]",
    "one/two/relative.py": "from . import deep\nfrom .deep import handler",
    "package/__init__.py": "from .inner import handler",
    "package/inner.py": "def handler(event, context): raise ValueError(__name__)",
    "broken.py": "def f():\n    return (1,\n",
    "failing.py": "def g():\n    raise RuntimeError('within')\ng()",
}

LOGGED = {
    "print": "print('one'); print('two', 'three', sep='\\n'); print()",
    "print in pieces": "print('a', end=' '); print('b')",
    "stderr": "print('told', file=sys.stderr); sys.stderr.write('more\\n')",
    "both streams": "for i in range(5): print(i); print(-i, file=sys.stderr)",
    "writelines": "sys.stdout.writelines(['a\\n', 'b\\n'])",
    "bytes": "sys.stdout.buffer.write('ü\\n'.encode()); sys.stdout.buffer.flush()",
    "the descriptor": "os.write(1, b'raw\\n')",
    "a child": "subprocess.run(['/bin/echo', 'from a child'])",
    "unicode": "print('온돌 ü 😀'); logger.error('온돌 ü 😀')",
    "surrogate": "print('\\ud800')",
    "surrogate on stderr": "print('\\ud800', file=sys.stderr)",
    "surrogate in a record": "logger.error('\\ud800')",
    "carriage return": "print('a\\rb'); logger.error('a\\rb')",
    "every level": "for level in range(0, 70, 5): logger.log(level, 'at %d', level)",
    "every name": "logger.debug('d'); logger.info('i'); logger.warning('w'); logger.error('e'); logger.critical('c')",
    "root": "logging.debug('d'); logging.info('i'); logging.warning('w'); logging.error('e'); logging.critical('c')",
    "own level": "logging.addLevelName(35, 'NOTICE'); logger.log(35, 'noticed')",
    "level of a logger": "logger.setLevel('DEBUG'); logger.debug('d'); logging.debug('root')",
    "level of the root": "logging.getLogger().setLevel('INFO'); logger.info('i'); logger.debug('d')",
    "lines": "logger.error('first\\nsecond\\n\\n  indented\\n')",
    "empty": "logger.error('')",
    "arguments": "logger.error('%s and %d', 'one', 2); logger.error('%(a)s', {'a': 1})",
    "wrong arguments": "logger.error('%d', 'text')",
    "too many arguments": "logger.error('none', 1)",
    "dictionary": "logger.error({'a': 1, 'b': {'c': [1, None, 'ü']}})",
    "dictionary of odd things": "logger.error({'d': datetime.date(2024, 1, 2), 's': {1}, 'n': float('nan')})",
    "dictionary with odd keys": "logger.error({(1, 2): 3})",
    "list": "logger.error([1, 'a'])",
    "object": "logger.error(datetime.date(2024, 1, 2))",
    "none": "logger.error(None)",
    "exception": "try:\n        1 / 0\n    except ZeroDivisionError:\n        logger.exception('failed')",
    "exception given": "logger.error('failed', exc_info=ValueError('given'))",
    "exception of many lines": (
        "try:\n        raise ValueError('a\\nb')\n    except ValueError:\n        logger.exception('c\\nd')"
    ),
    "caused exception": (
        "try:\n        try:\n            1 / 0\n        except ZeroDivisionError as error:\n"
        "            raise ValueError('caused') from error\n    except ValueError:\n        logger.exception('failed')"
    ),
    "no exception": "logger.error('nothing', exc_info=True)",
    "exception that cannot be said": (
        "try:\n        raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})\n"
        "    except Exception:\n        logger.exception('failed')"
    ),
    "stack": "logger.error('here', stack_info=True)",
    "extra": "logger.error('more', extra={'item': 5, 'list': [1], 'text': 'ü', 'nothing': None})",
    "odd extra": "logger.error('more', extra={'when': datetime.date(2024, 1, 2), 'set': {1}, 'nan': float('nan')})",
    "extra with the record's names": (
        "logger.error('m', extra={'level': 1, 'timestamp': 2, 'requestId': 3, 'tenantId': 4})"
    ),
    "extra with the error's names": "logger.error('m', extra={'errorType': 1, 'stackTrace': 2, 'location': 3})",
    "extra with forbidden names": "logger.error('m', extra={'message': 1})",
    "own request id": "logger.error('m', extra={'aws_request_id': 'mine'})",
    "task": "asyncio.run(tell())",
    "warning": "warnings.warn('beware')",
    "captured warning": "logging.captureWarnings(True); warnings.warn_explicit('beware', UserWarning, 'f.py', 1)",
    "child logger": "logging.getLogger('shop.cart').error('nested')",
    "no propagation": "logger.propagate = False; logger.error('not told')",
    "basicConfig": "logging.basicConfig(level='INFO', format='%(message)s'); logger.info('as ever')",
    "basicConfig by force": "logging.basicConfig(level='INFO', format='%(message)s', force=True); logger.info('mine')",
    "another handler": "logging.getLogger().addHandler(logging.StreamHandler()); logger.log(35, 'twice')",
    "another handler's time": (
        "h = logging.StreamHandler(sys.stdout)\n"
        "    h.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%Y-%m-%dT%H:%M:%SZ'))\n"
        "    logging.getLogger().handlers.insert(0, h); logger.error('twice')"
    ),
    "another format": (
        "own = logging.Formatter('%(levelname)s %(aws_request_id)s %(message)s')\n"
        "    logging.getLogger().handlers[0].setFormatter(own)\n"
        "    logger.error('mine')"
    ),
    "disabled": "logging.disable(logging.ERROR); logger.error('e'); logger.critical('c')",
    "thread": "t = threading.Thread(target=logger.error, args=('from a thread',)); t.start(); t.join()",
    "exception in a thread": "t = threading.Thread(target=lambda: 1 / 0, name='mine'); t.start(); t.join()",
    "print in a thread": "t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()",
    "context": (
        "context.log('one'); context.log('two\\n'); context.log({'a': 1}); context.log('a\\nb'); context.log('ü')"
    ),
    "context without handlers": (
        "logging.getLogger().handlers.clear(); context.log('one\\n'); logger.error('last resort')"
    ),
    "root's handler": (
        "h, = logging.getLogger().handlers\n"
        "    print(h.level, h.formatter.datefmt, logging.getLogger().level, len(h.filters))\n"
        "    print(logging.Formatter.converter)"
    ),
    "streams": ("for s in (sys.stdout, sys.stderr): print(s.encoding, s.errors, s.isatty(), s.fileno())"),
    "traceback": "try:\n        1 / 0\n    except ZeroDivisionError:\n        traceback.print_exc()",
}

LOGGING = """
import asyncio, datetime, logging, os, subprocess, sys, threading, traceback, warnings
logger = logging.getLogger("shop")
async def tell():
    logger.error("in a task")
def handler(event, context):
    %s
"""

CONTEXTS: dict[str, dict[str, str | None]] = {
    "usual": {},
    "client": {
        "Lambda-Runtime-Client-Context": '{"custom": {"k": "v"}, "env": {"e": 1}, "client": {"app_title": "t"}}'
    },
    "client in unicode": {"Lambda-Runtime-Client-Context": '{"custom": {"k": "온돌"}}'},
    "client of little": {"Lambda-Runtime-Client-Context": "{}"},
    "client of more": {"Lambda-Runtime-Client-Context": '{"other": 1, "client": {"other": 2}}'},
    "client's trace": {
        "Lambda-Runtime-Client-Context": '{"custom": 1, "w3c": {"traceparent": "a", "tracestate": 5, "x": "y"}}'
    },
    "client's odd trace": {"Lambda-Runtime-Client-Context": '{"w3c": [1]}'},
    "client null": {"Lambda-Runtime-Client-Context": "null"},
    "client no object": {"Lambda-Runtime-Client-Context": "[1]"},
    "client's client no object": {"Lambda-Runtime-Client-Context": '{"client": 5}'},
    "client empty": {"Lambda-Runtime-Client-Context": ""},
    "client no JSON": {"Lambda-Runtime-Client-Context": "{oops"},
    "identity": {"Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "me", "cognitoIdentityPoolId": "pool"}'},
    "identity of little": {"Lambda-Runtime-Cognito-Identity": '{"other": 1}'},
    "identity null": {"Lambda-Runtime-Cognito-Identity": "null"},
    "identity no object": {"Lambda-Runtime-Cognito-Identity": "[]"},
    "identity no JSON": {"Lambda-Runtime-Cognito-Identity": "me"},
    "tenant": {"Lambda-Runtime-Aws-Tenant-Id": "blue"},
    "no trace": {"Lambda-Runtime-Trace-Id": None},
    "no function": {"Lambda-Runtime-Invoked-Function-Arn": None},
    "time is over": {"Lambda-Runtime-Deadline-Ms": "1000"},
}

TELLING = """
import logging, os, time
def handler(event, context):
    logging.error("now")
    first = context.get_remaining_time_in_millis()
    time.sleep(0.05)
    second = context.get_remaining_time_in_millis()
    falls = first == 0 or 50 <= first - second < 2000
    client = context.client_context
    own = {name: getattr(client, name, "none") for name in ("custom", "env")}
    app = {name: getattr(client.client, name) for name in client.client.__slots__} if client and client.client else None
    told = {name: value for name, value in vars(context).items() if name not in ("client_context", "identity")}
    methods = sorted(name for name in dir(context) if name[:1] != "_")
    identity = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    kinds = [type(thing).__name__ for thing in (context, context.identity, client, first)]
    return [falls, own, app, told, list(vars(context)), methods, identity, trace, kinds, repr(context), context.w3c()]
"""

EVENTS: dict[str, Invocation] = {
    "object": Invocation(b'{"a": [1, 2.5, null, true, "\\u00fc"]}'),
    "unicode": Invocation('"온돌 ü"'.encode()),
    "spaces": Invocation(b' \n{"a" :1 }\n'),
    "surrogates": Invocation(b'["\\ud83d\\ude00", "\\ud800"]'),
    "large integer": Invocation(b"123456789012345678901234567890"),
    "precise": Invocation(b"[0.1234567890123456789, 1e400, -0.0, 1E5]"),
    "same keys": Invocation(b'{"a": 1, "a": 2}'),
    "nested": Invocation(b"[" * 500 + b"]" * 500),
    "megabytes": Invocation(json.dumps(["온" * 1000] * 500).encode()),
    "bytes": Invocation(b"\xff\x00", {"Content-Type": "application/octet-stream"}),
    "no type": Invocation(b"{}", {"Content-Type": None}),
    "type with a parameter": Invocation(b"{}", {"Content-Type": "application/json; charset=utf-8"}),
    "no JSON": Invocation(b"{oops"),
    "nothing": Invocation(b""),
    "no UTF-8": Invocation(b'"\xff"'),
    "byte order mark": Invocation(b'\xef\xbb\xbf"a"'),
    "not a number": Invocation(b"NaN"),
    "too large an integer": Invocation(b"1" * 5000),
}

LIVES = {
    "globals stay": "seen.append(event); return seen",
    "the environment stays": "os.environ['SEEN'] = os.environ.get('SEEN', '') + 'x'; return os.environ['SEEN']",
    "a thread goes on": (
        "if event == 0: threading.Thread(target=work, daemon=True).start()\n"
        "    else: go.set(); done.wait()\n    return seen"
    ),
    "a thread logs in the next invocation": (
        "if event == 0: threading.Thread(target=work, daemon=True).start(); return\n    go.set(); done.wait()"
    ),
    "an error and then none": "if event == 0: raise ValueError('once')\n    return event",
    "directory changed": "os.chdir('/') if event == 0 else None\n    raise ValueError(os.getcwd())",
    "streams replaced": "sys.stdout = io.StringIO(); print('lost'); logging.error('lost too'); return event",
    "stdout closed": "sys.stdout.close() if event == 1 else print('told'); return event",
    "modules": "return [__name__, os.path.basename(__file__), sys.modules['__main__'].__name__]",
    "signal": "signal.signal(signal.SIGALRM, lambda *_: seen.append('rung')); signal.raise_signal(14); return seen",
    "child process": "return subprocess.run(['/bin/echo', 'ü'], capture_output=True, text=True).stdout",
    "fork": (
        "child = os.fork()\n    if child == 0: print('in the child'); os._exit(0)\n    os.waitpid(child, 0); return 1"
    ),
    "recursion limit": "return sys.getrecursionlimit()",
    "endless recursion": "return handler(event, context)",
}

LIVING = """
import io, logging, os, signal, subprocess, sys, threading
seen = []
go, done = threading.Event(), threading.Event()
def work():
    go.wait()
    seen.append("worked")
    logging.error("worked")
    done.set()
def handler(event, context):
    %s
"""
