"""Invoke, of a durable function: from a request on the wire to an execution, and to its end where somebody waits.

Source: API reference, Invoke; developer guide, "Invoking Lambda durable functions" and "Idempotency". A client that
leaves ends nothing: the execution goes on, and who asks again under its name finds it.
"""

from ondol.aws.invoke import InvocationType, InvokeParameters
from ondol.aws.payload import check_payload
from ondol.frontend.answers import UNHANDLED
from ondol.frontend.directory import Target
from ondol.frontend.durable_invocations import DurableInvocations, check_target
from ondol.http import Response
from ondol.model.errors import InvalidParameterValue
from ondol.model.ids import RequestId

ARN_HEADER = "X-Amz-Durable-Execution-Arn"


class DurableApi:
    def __init__(self, invocations: DurableInvocations) -> None:
        self._invocations = invocations

    async def serve(
        self,
        parameters: InvokeParameters,
        target: Target,
        payload: bytes,
        *,
        request_id: RequestId,
        trace: str | None,
        response: Response,
    ) -> None:
        """Answer. Raises `CallerError`, `PlatformError`."""
        if parameters.stream:
            raise InvalidParameterValue("Durable functions do not support response streaming.")
        waits = parameters.type is InvocationType.REQUEST_RESPONSE
        told = [("x-amzn-RequestId", str(request_id))]
        if parameters.type is InvocationType.DRY_RUN:
            check_target(target, synchronous=False)
            response.send(204, told)
            return
        arn = await self._invocations.start(
            target, check_payload(payload), name=parameters.durable_execution, synchronous=waits, trace=trace
        )
        told.append((ARN_HEADER, arn))
        if not waits:
            response.send(202, told)
            return
        failure, result = await self._invocations.result(arn)
        told += [("Content-Type", "application/json"), ("X-Amz-Executed-Version", target.version.version)]
        if failure is not None:
            told.append(("X-Amz-Function-Error", UNHANDLED))
        response.send(200, told, result if failure is None else failure.payload)
