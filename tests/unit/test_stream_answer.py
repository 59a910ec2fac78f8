"""What a client of InvokeWithResponseStream is sent, whichever way the invocation goes."""

import asyncio
from collections.abc import Callable

import pytest
from botocore.eventstream import EventStreamBuffer
from http_probe import Reply, post, serving

from ondol.aws.wire import LambdaWire
from ondol.frontend.answers import StreamAnswer
from ondol.http import Request, Response
from ondol.model.errors import Outcome, PlatformError, TooManyRequests
from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind, failure

GONE = PlatformError("the environment was stopped", Outcome.UNKNOWN)
FAILED = failure(FailureKind.EXITED, "Runtime.ExitError", "no more")
DETAILS = b'"ErrorDetails":"{\\"errorType\\":\\"Runtime.ExitError\\",\\"errorMessage\\":\\"no more\\"}"}'

Message = tuple[dict[str, str], bytes]


def answered(answer: Callable[[StreamAnswer], None]) -> tuple[Reply, list[Message]]:
    """The reply, and the messages of its body."""
    wire = LambdaWire()
    replies = []

    def handler(request: Request, response: Response) -> None:
        answer(StreamAnswer(wire, response, RequestId("id"), "7"))

    async def scenario() -> None:
        async with serving(handler) as running:
            replies.append(await running.ask(post(b"{}")))

    asyncio.run(scenario())
    [reply] = replies
    buffer = EventStreamBuffer()
    if reply.headers["content-type"] == "application/vnd.amazon.eventstream":
        buffer.add_data(reply.body)
    return reply, [(message.headers, message.payload) for message in buffer]


def written(answer: StreamAnswer) -> None:
    answer.write(b"one")
    answer.write(b"x" * 100_000)


def test_a_result_has_its_head_its_chunks_and_its_end() -> None:
    def answer(answer: StreamAnswer) -> None:
        written(answer)
        answer.finish(None, b"a log")

    reply, messages = answered(answer)
    assert (reply.status, reply.headers["x-amzn-requestid"], reply.headers["x-amz-executed-version"]) == (
        200,
        "id",
        "7",
    )
    assert [payload for _, payload in messages] == [b"one", b"x" * 100_000, b'{"LogResult":"YSBsb2c="}']


def test_a_failure_is_named_by_its_kind_once_something_was_written() -> None:
    def late(answer: StreamAnswer) -> None:
        written(answer)
        answer.finish(FAILED, b"")

    assert answered(late)[1][-1][1] == b'{"ErrorCode":"Runtime.ExitError",' + DETAILS
    assert answered(lambda answer: answer.finish(FAILED, b""))[1][-1][1] == b'{"ErrorCode":"Unhandled",' + DETAILS


def test_an_empty_result_has_no_chunk() -> None:
    def answer(answer: StreamAnswer) -> None:
        answer.write(b"")
        answer.finish(None, b"")

    assert [headers[":event-type"] for headers, _ in answered(answer)[1]] == ["InvokeComplete"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [(TooManyRequests("Rate Exceeded."), 429, "TooManyRequestsException"), (GONE, 520, "ServiceException")],
)
def test_what_is_refused_before_anything_was_written_is_an_answer_of_its_own(
    error: PlatformError | TooManyRequests, status: int, kind: str
) -> None:
    reply, _ = answered(lambda answer: answer.refuse(error))
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, kind)


def test_a_platform_that_fails_in_mid_stream_says_so_in_the_stream() -> None:
    def answer(answer: StreamAnswer) -> None:
        written(answer)
        answer.refuse(GONE)

    reply, messages = answered(answer)
    assert reply.status == 200
    assert messages[-1][0] == {
        ":message-type": "error",
        ":error-code": "ServiceException",
        ":error-message": "the environment was stopped",
    }
