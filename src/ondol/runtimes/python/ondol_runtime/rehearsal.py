"""What a cold start does, done once in a prepared slot: what it makes a fork copy is copied before anybody waits.

A fork shares its zygote's memory until it touches it, and the first import, stream, record and event touch most of what
any function will. Nothing of the rehearsal is to be noticed afterwards.
"""

from __future__ import annotations

import logging
import os
import sys

from . import handler, values
from .client import Invocation, RuntimeApi
from .context import FunctionFacts, LambdaContext
from .output import Logs, open_standard_streams

STAGE = os.path.join(os.path.dirname(__file__), "stage")  # noqa: PTH118, PTH120
"""Holds the function that is played; it stands for /var/task."""

_VARIABLES = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_python",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_NAME": "rehearsal",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/rehearsal",
    "AWS_LAMBDA_LOG_STREAM_NAME": "rehearsal",
    "LAMBDA_TASK_ROOT": STAGE,
}
_HEADERS = {
    "lambda-runtime-aws-request-id": "00000000-0000-0000-0000-000000000000",
    "lambda-runtime-deadline-ms": "1",
    "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:000000000000:function:rehearsal",
}


def rehearse(pipes: tuple[int, int]) -> None:
    """Play a cold start up to the result, which nobody gets."""
    path, handlers = list(sys.path), list(logging.getLogger().handlers)
    os.environ.update(_VARIABLES)
    open_standard_streams()
    encoder = values.Json()
    logs = Logs(encoder)
    logs.install()
    RuntimeApi("127.0.0.1:9001", pipes)
    handler.extend_path()
    handler.forget_brought_modules(())
    function = handler.find("rehearsed.handler")
    exec(compile("def handler(event, context):\n    return event\n", "rehearsed", "exec"), {})
    invocation = Invocation(_HEADERS, b'{"key": ["value", 1, 1.5, null]}')
    context = LambdaContext(FunctionFacts(), invocation, None, None)
    event = values.event_of(invocation.body, "application/json")
    values.result_of(encoder, function(event, context))
    del sys.modules["rehearsed"]
    sys.path[:] = path
    sys.path_importer_cache.pop(STAGE, None)
    logging.getLogger().handlers[:] = handlers
    os.environ.clear()
