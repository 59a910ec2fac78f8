"""Our Python bootstrap beside AWS's own interface client: whatever a function does, both tell the same of it.

Each case runs one function under both, in a process each, and compares all that is posted, all that is logged and how
the process ended, without the clients' own frames, times and addresses (`python_clients`). Where the two may
differ, the case stands in DIFFERENCES with its reason, and the test holds both sides to what is said there.
"""

from collections.abc import Callable, Mapping

import pytest
from interface_clients import Difference, Function, Invocation, Outcome
from interface_clients import compare as compare_clients
from python_clients import AWS, OURS
from python_functions import (
    BESIDE,
    CONTEXTS,
    EVENTS,
    EXCEPTIONS,
    HANDLERS,
    LIVES,
    LIVING,
    LOGGED,
    LOGGING,
    RAISING,
    RESULTS,
    RETURNING,
    TELLING,
)

pytestmark = pytest.mark.sandbox

UTF_8 = "AWS_Lambda_python3.12"
ASCII = "AWS_Lambda_python3.11"
"""From 3.12 on, AWS's client writes results in UTF-8 and asks for the next invocation in a thread."""


def _without_cause(outcome: Outcome) -> Outcome:
    cause = "lambda-runtime-function-xray-error-cause"
    answers = [
        answer._replace(headers={name: text for name, text in answer.headers.items() if name != cause})
        for answer in outcome.answers
    ]
    return outcome._replace(answers=answers)


NO_TRACES = Difference(
    "Only X-Ray reads the cause, and ondol keeps no traces: one of more than 8 KiB is not sent",
    lambda theirs, ours: ours == _without_cause(theirs),
)
GOES_ON = Difference(
    "A result too large ends AWS's process; ours serves on, and the next invocation needs no cold start",
    lambda theirs, ours: (
        (theirs.exit, ours.exit) == (1, None)
        and ours.answers == theirs.answers * 2
        and ours.events[:2] == theirs.events[:2]
        and "Http response code: 413." in theirs.events[0]
    ),
)
TOLD_ALL_THE_SAME = Difference(
    "AWS's client dies of sending an init error beyond Latin-1, and the caller learns nothing of it; ours tells it",
    lambda theirs, ours: (
        (theirs.answers, len(ours.answers)) == ([], 1)
        and ours.events == theirs.events[: len(ours.events)]
        and ours.exit == theirs.exit == 1
    ),
)
NEVER_AWAITED = Difference(
    "Python warns at the line of the client that lets go of the coroutine: it is another line, and at another moment",
    lambda theirs, ours: (
        (ours.answers, ours.exit) == (theirs.answers, theirs.exit)
        and [e for e in ours.events if "Runtime.MarshalError" in e] == [e for e in theirs.events if "MarshalError" in e]
        and all(any("RuntimeWarning: coroutine 'handler' was" in e for e in o.events) for o in (theirs, ours))
    ),
)
PARSER = Difference(
    "The platform lets in only JSON, in UTF-8: what is said of anything else is the JSON library's affair",
    lambda theirs, ours: ours.answers[1:] == theirs.answers[1:] and len(ours.answers) == 2,
)
CRASH = Difference(
    "AWS's client crashes without a content type, which the platform always sends",
    lambda theirs, ours: theirs.exit == -11 and len(ours.answers) == 2,
)
DIFFERENCES = {
    "Text-long message": NO_TRACES,
    "JSON-long message": NO_TRACES,
    f"{ASCII}-endless recursion": NO_TRACES,
    f"{UTF_8}-endless recursion": NO_TRACES,
    f"{ASCII}-too large": GOES_ON,
    f"{UTF_8}-too large": GOES_ON,
    "json in utf-8-unicode in a syntax error": TOLD_ALL_THE_SAME,
    "text-coroutine": NEVER_AWAITED,
    "json in utf-8-coroutine": NEVER_AWAITED,
    "no JSON": PARSER,
    "byte order mark": PARSER,
    "not a number": PARSER,
    "no type": CRASH,
}

Compare = Callable[[Function], None]


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """Fails unless both clients come to the same, or to what the case's difference says."""
    difference = DIFFERENCES.get(request.node.callspec.id)
    return lambda function: compare_clients(AWS, OURS, function, difference)


@pytest.mark.parametrize("name", EXCEPTIONS)
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_what_a_handler_raises(compare: Compare, name: str, log_format: str) -> None:
    code = {"app.py": RAISING % EXCEPTIONS[name]}
    compare(Function(code, invocations=[Invocation()] * 2, variables={"AWS_LAMBDA_LOG_FORMAT": log_format}))


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("execution", [ASCII, UTF_8])
def test_what_a_handler_returns(compare: Compare, name: str, execution: str) -> None:
    code = {"app.py": RETURNING % RESULTS[name]}
    compare(Function(code, invocations=[Invocation()] * 2, variables={"AWS_EXECUTION_ENV": execution}))


VARIABLES: dict[str, dict[str, str]] = {
    "text": {},
    "json in utf-8": {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_EXECUTION_ENV": UTF_8},
}


@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("variables", VARIABLES.values(), ids=list(VARIABLES))
def test_what_comes_of_a_handler(compare: Compare, name: str, variables: Mapping[str, str]) -> None:
    handler, code = HANDLERS[name]
    compare(Function({"app.py": code, **BESIDE}, handler, variables=variables))


LEVELS: dict[str, dict[str, str]] = {
    "text": {},
    "json from info": {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO", "AWS_EXECUTION_ENV": UTF_8},
}


@pytest.mark.parametrize("name", LOGGED)
@pytest.mark.parametrize("variables", LEVELS.values(), ids=list(LEVELS))
def test_what_is_logged(compare: Compare, name: str, variables: Mapping[str, str]) -> None:
    compare(Function({"app.py": LOGGING % LOGGED[name]}, variables=variables))


LEVEL_NAMES = ("TRACE", "trace", "DEBUG", "info", "WARN", "WARNING", "ERROR", "FATAL", "NOTSET", "NONE", "", "7")


@pytest.mark.parametrize("level", LEVEL_NAMES)
def test_the_level_that_a_function_is_configured_for(compare: Compare, level: str) -> None:
    compare(Function({"app.py": LOGGING % LOGGED["every level"]}, variables={"AWS_LAMBDA_LOG_LEVEL": level}))


@pytest.mark.parametrize("log_format", ["Text", "JSON", "json", "other", ""])
def test_the_format_that_a_function_is_configured_for(compare: Compare, log_format: str) -> None:
    variables = {"AWS_LAMBDA_LOG_FORMAT": log_format, "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
    compare(Function({"app.py": LOGGING % LOGGED["every level"]}, variables=variables))


@pytest.mark.parametrize("level", ["WARN", "ERROR"])
def test_a_level_that_holds_back_what_is_said_of_a_failed_init(compare: Compare, level: str) -> None:
    compare(Function({"app.py": "raise ValueError('early')"}, variables={"AWS_LAMBDA_LOG_LEVEL": level}))


@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("execution", [ASCII, UTF_8])
def test_the_context(compare: Compare, name: str, execution: str) -> None:
    invocations = [Invocation(headers=CONTEXTS[name]), Invocation()]
    compare(Function({"app.py": TELLING}, invocations=invocations, variables={"AWS_EXECUTION_ENV": execution}))


@pytest.mark.parametrize("name", EVENTS)
def test_what_a_handler_is_given(compare: Compare, name: str) -> None:
    code = "def handler(event, context):\n    return [type(event).__name__, repr(event)]"
    compare(Function({"app.py": code}, invocations=[EVENTS[name], Invocation()]))


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("execution", [ASCII, UTF_8])
def test_one_invocation_after_another(compare: Compare, name: str, execution: str) -> None:
    second = {"Lambda-Runtime-Aws-Request-Id": "00000000-1111-2222-3333-444444444444"}
    invocations = [Invocation(b"0"), Invocation(b"1", second), Invocation(b"2")]
    code = {"app.py": LIVING % LIVES[name]}
    compare(Function(code, invocations=invocations, variables={"AWS_EXECUTION_ENV": execution}))
