"""Our Node bootstrap and AWS's client, `aws-lambda-ric` as it is published, and what of their texts is their own.

Both write their log to standard output, in which a record of several lines is one event by its carriage returns.
"""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

from interface_clients import ROOT, Answer, Client

from ondol.runtimes.catalog import NODE_BOOTSTRAP

CLIENT = ROOT / ".venvs" / "node" / "node_modules" / "aws-lambda-ric"
NODE = shutil.which("node") or "node"

OWN_FILES = (str(NODE_BOOTSTRAP), str(CLIENT), str(CLIENT.resolve()), "/var/runtime/")
"""Where the files are that are a client's own. Ours says of itself what AWS's managed runtimes say."""

_GREETING = re.compile(rb"\AExecuting '.*' in function directory '.*'\n")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_MODULE = re.compile(rf"(?:file://)?(?:{'|'.join(map(re.escape, OWN_FILES))})[^\s'\")]*")
_STAMP = re.compile(r"\[\d{13}\]")
_PROCESS = re.compile(r"\(node:\d+\)")
_CAUSE = "lambda-runtime-function-xray-error-cause"
_KIND = "lambda-runtime-function-error-type"
_ERROR_BODY = "lambda-runtime-function-error-body"


def _events(written: bytes, task: str) -> Iterator[str]:
    said = _GREETING.sub(b"", written).decode().removesuffix("\n")
    return (_strip_line(line, task) for line in said.split("\n") if line)


def _strip_line(line: str, task: str) -> str:
    """An event in which every stack is stripped: that of a JSON line or object, and one written as text."""
    head, tab, said = line.rpartition("\t")
    for text, before in ((line, ""), (said, head + tab)):
        try:
            return _strip(before, task) + json.dumps(_strip_value(json.loads(text), task))
        except ValueError:
            continue
    return "\n".join(_strip_stack(line.split("\r"), task))


def _strip_value(value: Any, task: str) -> Any:
    if isinstance(value, str):
        return "\n".join(_strip_stack(value.split("\n"), task))
    if isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            return _strip_stack(value, task)
        return [_strip_value(item, task) for item in value]
    if isinstance(value, dict):
        return {name: _strip_value(member, task) for name, member in value.items()}
    return value


def _strip_stack(lines: list[str], task: str) -> list[str]:
    """Lines without the client's own frames, and without those of Node that led into them."""
    kept = []
    after_own = False
    for line in lines:
        is_frame = line.lstrip().startswith("at ")
        is_own = is_frame and any(mark in line for mark in OWN_FILES)
        if is_own or (is_frame and after_own and "node:" in line):
            after_own = True
            continue
        after_own = False
        kept.append(_strip(line, task))
    return kept


def _strip(text: str, task: str) -> str:
    text = _STAMP.sub("[<ms>]", _TIME.sub("<time>", text.replace(task, "/var/task")))
    text = _PROCESS.sub("(node)", text)
    return _MODULE.sub("<client>", text)


def _strip_answer(answer: Answer, task: str) -> Answer:
    """An answer in which errors are stripped as texts are.

    Of an invocation's error AWS's client tells the type in the body alone; of a failed init it tells no cause.
    """
    trailers = dict(answer.trailers)
    if _ERROR_BODY in trailers:
        trailers[_ERROR_BODY] = _strip_error(base64.b64decode(trailers[_ERROR_BODY]), task)
    if answer.path.endswith("/response"):
        return answer._replace(trailers=trailers)
    headers = dict(answer.headers)
    if answer.path.endswith("/init/error"):
        headers.pop(_CAUSE, None)
    else:
        headers.pop(_KIND, None)
        if _CAUSE in headers:
            headers[_CAUSE] = _strip_cause(headers[_CAUSE], task)
    return Answer(answer.path, headers, _strip_error(answer.body, task).encode())


def _strip_error(body: bytes, task: str) -> str:
    return json.dumps(_strip_value(json.loads(body), task))


def _strip_cause(header: str, task: str) -> str:
    """A cause with the function's own frames alone: where others are, AWS's client takes apart at the wrong colon."""
    cause: dict[str, Any] = json.loads(header.replace(task, "/var/task"))
    for exception in cause["exceptions"]:
        exception["stack"] = [frame for frame in exception["stack"] if frame["path"] != "file" and frame["line"]]
        exception["stack"] = [frame for frame in exception["stack"] if frame["path"].startswith("/var/task")]
    cause["paths"] = [path for path in cause["paths"] if path.startswith("/var/task")]
    return json.dumps(_strip_value(cause, task))


OURS = Client(
    lambda handler: (NODE, str(NODE_BOOTSTRAP / "bootstrap.js")),
    {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x"},
    _events,
    _strip_answer,
)
AWS = OURS._replace(command=lambda handler: (NODE, str(CLIENT / "bin" / "index.mjs"), handler))
