"""Our Node bootstrap beside AWS's own interface client: whatever a function does, both tell the same of it.

Functions run under both, and all that is posted, all that is logged and how the process ended is compared, without the
clients' own frames, times and addresses (`node_clients`). Cases that leave a process as they found it share one. Where
the two may differ, the case stands in DIFFERENCES with its reason, and the test holds both sides to what is said there.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from interface_clients import Difference, Function, Invocation, Outcome, compare, expect_same, run_both
from node_clients import AWS, OURS
from node_functions import (
    ALONE,
    CONTEXTS,
    ENDING,
    ENDS,
    EVENTS,
    HANDLERS,
    LIVES,
    LIVING,
    LOGGED,
    MARK,
    RESULTS,
    STREAMING,
    STREAMS,
    TELLING,
    THROWN,
    holding,
)

pytestmark = pytest.mark.sandbox


def without_cause(outcome: Outcome) -> Outcome:
    cause = "lambda-runtime-function-xray-error-cause"
    answers = [
        answer._replace(headers={name: text for name, text in answer.headers.items() if name != cause})
        for answer in outcome.answers
    ]
    return outcome._replace(answers=answers)


NO_TRACES = Difference(
    "Only X-Ray reads the cause, and ondol keeps no traces: one of more than 8 KiB is not sent",
    lambda theirs, ours: ours == without_cause(theirs),
)
HEARD = Difference(
    "AWS's client ends the process at once; ours waits for the platform's answer, and other listeners are heard",
    lambda theirs, ours: (
        (ours.answers, ours.exit) == (theirs.answers, theirs.exit)
        and ours.events[:-1] == theirs.events
        and ours.events[-1].endswith("mine x")
    ),
)
NEVER_SETTLED = Difference(
    "AWS's managed runtimes name the error; their client as it is published answers null",
    lambda theirs, ours: (
        all(answer.path.endswith("/response") and answer.body == b"null" for answer in theirs.answers)
        and all(json.loads(answer.body)["errorType"] == "Runtime.NodeJsExit" for answer in ours.answers)
        and len(ours.answers) == len(theirs.answers)
    ),
)
STUMBLES = Difference(
    "AWS's client means to say what ours says, but has no such name",
    lambda theirs, ours: (
        json.loads(theirs.answers[0].body)["errorMessage"] == "MalformedStreamingHandler is not defined"
        and json.loads(ours.answers[0].body)["errorMessage"] == "Only response streaming is supported."
        and (len(ours.answers), ours.exit) == (1, theirs.exit)
    ),
)
FORGOTTEN = Difference(
    "What an invocation enters into an AsyncLocalStorage AWS's client leaves for the next to find",
    lambda theirs, ours: (
        [answer.body for answer in theirs.answers] == [b"[null]", b"[0]", b"[1]"]
        and [answer.body for answer in ours.answers] == [b"[null]"] * 3
    ),
)
DIFFERENCES = {
    "Text-long message": NO_TRACES,
    "JSON-long message": NO_TRACES,
    "own uncaught listener": HEARD,
    "promise never settled": NEVER_SETTLED,
    "streaming of another kind": STUMBLES,
    "async storage": FORGOTTEN,
}

FORMATS = ("Text", "JSON")


@pytest.fixture
def difference(request: pytest.FixtureRequest) -> Difference | None:
    return DIFFERENCES.get(request.node.callspec.id)


@cache
def held(table: str, log_format: str) -> dict[str, tuple[Outcome, Outcome]]:
    """What came under both of each case of a table, all of them in one process."""
    cases = TABLES[table]
    invocations = [Invocation(json.dumps(name).encode()) for name in cases]
    function = Function(
        {"app.js": holding(cases)}, invocations=invocations, variables={"AWS_LAMBDA_LOG_FORMAT": log_format}
    )
    theirs, ours = run_both(AWS, OURS, function)
    assert theirs.exit is ours.exit is None
    return {name: (a, b) for name, a, b in zip(cases, parts(theirs), parts(ours), strict=True)}


def parts(outcome: Outcome) -> Iterator[Outcome]:
    """The outcome case by case."""
    begins = [place for place, event in enumerate(outcome.events) if event.startswith(MARK)]
    for answer, begin, end in zip(outcome.answers, begins, [*begins[1:], len(outcome.events)], strict=True):
        yield Outcome([answer], outcome.events[begin:end], None)


TABLES: Mapping[str, Mapping[str, str]] = {
    "thrown": {name: f"console.log('before'); {body}" for name, body in THROWN.items()},
    "returned": {name: f"return ({value})" for name, value in RESULTS.items()},
    "logged": LOGGED,
}


@pytest.mark.parametrize("name", THROWN)
@pytest.mark.parametrize("log_format", FORMATS)
def test_what_a_handler_throws(name: str, log_format: str, difference: Difference | None) -> None:
    expect_same(*held("thrown", log_format)[name], difference)


@pytest.mark.parametrize("name", RESULTS)
def test_what_a_handler_returns(name: str, difference: Difference | None) -> None:
    expect_same(*held("returned", "Text")[name], difference)


@pytest.mark.parametrize("name", LOGGED)
@pytest.mark.parametrize("log_format", FORMATS)
def test_what_is_logged(name: str, log_format: str, difference: Difference | None) -> None:
    expect_same(*held("logged", log_format)[name], difference)


@pytest.mark.parametrize("name", ENDS)
def test_how_a_handler_ends(name: str, difference: Difference | None) -> None:
    compare(AWS, OURS, Function({"app.js": ENDING % ENDS[name]}, invocations=[Invocation()] * 2), difference)


@pytest.mark.parametrize("name", HANDLERS)
def test_what_comes_of_a_handler(name: str, difference: Difference | None) -> None:
    handler, files = HANDLERS[name]
    compare(AWS, OURS, Function(files, handler), difference)


@pytest.mark.parametrize("name", ["thrown", "module missing", "syntax error", "thrown text"])
def test_a_failed_init_in_json(name: str, difference: Difference | None) -> None:
    handler, files = HANDLERS[name]
    compare(AWS, OURS, Function(files, handler, variables={"AWS_LAMBDA_LOG_FORMAT": "JSON"}), difference)


@pytest.mark.parametrize("name", ALONE)
def test_what_is_logged_otherwise(name: str, difference: Difference | None) -> None:
    compare(
        AWS, OURS, Function({"app.js": holding({"{}": ALONE[name]})}, invocations=[Invocation(b'"{}"')]), difference
    )


LEVEL_NAMES = ("TRACE", "trace", "DEBUG", "info", "WARN", "WARNING", "ERROR", "FATAL", "NONE", "", "7")


@pytest.mark.parametrize("level", LEVEL_NAMES)
def test_the_level_that_a_function_is_configured_for(level: str, difference: Difference | None) -> None:
    cases = {"all": f"{LOGGED['every method']}; {LOGGED['fatal']}; throw new Error('failed')"}
    variables = {"AWS_LAMBDA_LOG_LEVEL": level}
    compare(
        AWS,
        OURS,
        Function({"app.js": holding(cases)}, invocations=[Invocation(b'"all"')], variables=variables),
        difference,
    )


@pytest.mark.parametrize("log_format", ["json", "other", ""])
def test_the_format_that_a_function_is_configured_for(log_format: str, difference: Difference | None) -> None:
    cases = {"all": LOGGED["every method"]}
    variables = {"AWS_LAMBDA_LOG_FORMAT": log_format}
    compare(
        AWS,
        OURS,
        Function({"app.js": holding(cases)}, invocations=[Invocation(b'"all"')], variables=variables),
        difference,
    )


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_context(log_format: str, difference: Difference | None) -> None:
    invocations = [Invocation(headers=headers) for headers in CONTEXTS.values()]
    variables = {"AWS_LAMBDA_LOG_FORMAT": log_format}
    compare(AWS, OURS, Function({"app.js": TELLING}, invocations=invocations, variables=variables), difference)


def test_what_a_handler_is_given() -> None:
    code = "exports.handler = async (event) => [typeof event, event];"
    compare(AWS, OURS, Function({"app.js": code}, invocations=[*EVENTS.values()]), None)


@pytest.mark.parametrize("name", LIVES)
def test_one_invocation_after_another(name: str, difference: Difference | None) -> None:
    second = {"Lambda-Runtime-Aws-Request-Id": "00000000-1111-2222-3333-444444444444"}
    invocations = [Invocation(b"0"), Invocation(b"1", second), Invocation(b"2")]
    compare(AWS, OURS, Function({"app.js": LIVING % LIVES[name]}, invocations=invocations), difference)


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_handler_streams(name: str, difference: Difference | None) -> None:
    compare(AWS, OURS, Function({"app.js": STREAMING % STREAMS[name]}, invocations=[Invocation()] * 2), difference)
