"""The life of a runtime process: initialise once, then invocation after invocation.

What the customer's code raises becomes an error answer when it is an `Exception`; anything else (`SystemExit`,
`KeyboardInterrupt`) ends the process, and the platform reports how.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

from . import debugger, faults, handler, values
from .client import Invocation, RuntimeApi
from .context import FunctionFacts, LambdaContext
from .output import Logs, open_standard_streams


def run(preloaded: tuple[str, ...], pipes: tuple[int, int] | None) -> NoReturn:
    """Serve the function of `os.environ`; `preloaded` names the modules that may be there only to save time."""
    open_standard_streams()
    encoder = values.Json()
    logs = Logs(encoder)
    logs.install()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"], pipes)
    report = None
    try:
        debugger.wait()
        handler.extend_path()
        handler.forget_brought_modules(preloaded)
        function = handler.find(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001 (the customer's module raises what it likes)
        report = faults.report_of(error)
    if report is not None:
        logs.init_error(report)
        api.fail_init(encoder.dumps(report).encode(), faults.header_text(report["errorType"]))
        sys.exit(1)
    try:
        _serve(api, function, encoder, logs)
    except ConnectionError:
        # The platform is gone, and with it everybody who could be told: the log is the customer's.
        sys.exit(1)


def _serve(api: RuntimeApi, function: handler.Handler, encoder: values.Json, logs: Logs) -> NoReturn:
    facts = FunctionFacts()
    current = logs.current
    context: LambdaContext | None
    invocation = api.next()
    while True:
        request_id = invocation.request_id
        current.request_id = request_id
        current.tenant_id = invocation.tenant_id
        if invocation.trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        failure = None
        try:
            context = _context_of(facts, invocation)
            event = values.event_of(invocation.body, invocation.content_type)
            result, content_type = values.result_of(encoder, function(event, context))
        except Exception as error:  # noqa: BLE001 (the customer's code raises what it likes)
            failure = faults.cause_of(error), faults.report_of(error, request_id)
        # What the handler was given and gave must not stay in memory until the next invocation is over.
        event = context = None
        del invocation
        if failure is None:
            # Text that UTF-8 cannot carry ends the process, as it does on AWS.
            body = result if isinstance(result, bytes) else result.encode()
            del result
            invocation = api.respond(request_id, body, content_type)
        else:
            cause, report = failure
            logs.error(report)
            invocation = api.fail(request_id, encoder.dumps(report).encode(), cause)


def _context_of(facts: FunctionFacts, invocation: Invocation) -> LambdaContext:
    return LambdaContext(
        facts,
        invocation,
        _header_json(invocation.client_context, "Client Context"),
        _header_json(invocation.cognito_identity, "Cognito Identity"),
    )


def _header_json(text: str | None, name: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as error:
        message = f"Unable to parse {name} JSON: {error}"
        raise faults.Fault("Runtime.LambdaContextUnmarshalError", message) from error
