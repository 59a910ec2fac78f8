"""A request that ends in a bug: its client does not repeat it by itself, and the log has what happened."""

import asyncio
import json

import pytest
from http_probe import Reply, post, serving

from ondol.aws.wire import LambdaWire, LogsWire
from ondol.frontend.refusals import Refusals
from ondol.http import Request, Response
from ondol.model.errors import InvariantError, ResourceNotFound
from ondol.model.ids import RequestId


def told(error: Exception, *, service: str = "lambda", begun: bool = False, errors: int = 0) -> Reply:
    refusals = Refusals(LambdaWire(), LogsWire())
    replies = []

    async def answering(response: Response) -> None:
        if begun:
            response.start(200, ())
        raise error

    def handler(request: Request, response: Response) -> object:
        return refusals.guard(answering(response), RequestId("the-id"), request, response, service=service)

    async def scenario() -> None:
        async with serving(handler, errors=errors) as running:
            replies.append(await running.ask(post(b"{}")))

    asyncio.run(scenario())
    return replies[0]


@pytest.mark.parametrize("bug", [ValueError("secret"), InvariantError("secret")], ids=["python", "invariant"])
def test_a_bug_is_told_in_lambdas_form_and_logged_under_its_id(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reply = told(bug)
    assert (reply.status, reply.headers["x-amzn-requestid"]) == (520, "the-id")
    assert reply.headers["x-amzn-errortype"] == "ServiceException"
    assert "secret" not in json.loads(reply.body)["Message"]
    assert "the-id" in caplog.text and "secret" in caplog.text


def test_a_bug_is_told_to_clients_of_other_services_in_theirs(caplog: pytest.LogCaptureFixture) -> None:
    reply = told(ValueError("secret"), service="s3")
    assert reply.status == 500 and b"<Code>InternalFailure</Code>" in reply.body and b"secret" not in reply.body
    assert "secret" in caplog.text


def test_what_a_caller_did_wrong_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert told(ResourceNotFound("none")).status == 404
    assert caplog.text == ""


def test_an_answer_that_has_begun_is_broken_off() -> None:
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        told(ValueError("secret"), begun=True, errors=1)
