"""`POST /_ondol/debug`: an environment with a door for debuggers, for as long as the request lasts.

The body is `{"function": NAME OR ARN, "port": PORT}`, the answer a line of JSON for each thing that happens:

```
{"event": "listening", "protocol": "dap" or "inspector", "port": 5678}
{"event": "attached"}   {"event": "ready"}   {"event": "detached"}
{"event": "ended", "reason": "...", "replaced": false}                  the last one; `replaced`: by newer code
```

The client ends it by hanging up.
"""

import asyncio

import msgspec

from ondol.aws.identity import Caller
from ondol.aws.invoke import OPERATION
from ondol.aws.routes import Match
from ondol.aws.wire import LambdaWire
from ondol.frontend.payloads import read_body
from ondol.frontend.targets import Targets
from ondol.http import Request, Response
from ondol.model.errors import AccessDenied, InvalidParameterValue
from ondol.model.foreign_json import UNREADABLE
from ondol.model.ids import FrontendId, RequestId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.worker_manager.api import SessionEnd, StartFailure, WorkerManager

PATH = "/_ondol/debug"
_LARGEST_REQUEST = 4096


class _Asked(msgspec.Struct, frozen=True):
    function: str
    port: int | None = None


class Debugging:
    """Serves the operation; `close` ends all sessions."""

    def __init__(self, frontend: FrontendId, wire: LambdaWire, targets: Targets, manager: WorkerManager) -> None:
        self._frontend = frontend
        self._wire = wire
        self._targets = targets
        self._manager = manager
        self._sessions: set[_Session] = set()

    async def serve(self, caller: Caller, request_id: RequestId, request: Request, response: Response) -> None:
        """Answer until the environment or the client is gone. Raises `CallerError` before it has begun to."""
        asked = await _read(request)
        match = Match(OPERATION, {"FunctionName": asked.function})
        parameters = self._wire.parse_invoke(match, {}, caller)
        if parameters.function.account != caller.account:
            raise AccessDenied("Functions of another account cannot be debugged.")
        target = await self._targets.find(parameters.function, parameters.qualifier, caller)
        response.start(200, (("Content-Type", "application/x-ndjson"), ("x-amzn-RequestId", request_id)))
        session = _Session(response)
        self._sessions.add(session)
        request.when_client_gone(session.leave)
        environment = await self._manager.debug(self._frontend, target.version, asked.port, session)
        await session.over.wait()
        self._sessions.discard(session)
        await self._manager.debugged(environment)
        response.end()

    def close(self) -> None:
        for session in self._sessions:
            session.ended(SessionEnd("ondol is being stopped"))
            session.leave()


class _Session:
    """One answer, written as things happen."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.over = asyncio.Event()
        self.gone = False

    def leave(self) -> None:
        """The client wants no more of it."""
        self.gone = True
        self.over.set()

    def listening(self, protocol: str, port: int) -> None:
        self._say({"event": "listening", "protocol": protocol, "port": port})

    def attached(self) -> None:
        self._say({"event": "attached"})

    def detached(self) -> None:
        self._say({"event": "detached"})

    def ready(self) -> None:
        self._say({"event": "ready"})

    def ended(self, reason: StartFailure | SessionEnd) -> None:
        replaced = isinstance(reason, SessionEnd) and reason.replaced
        self._say({"event": "ended", "reason": _in_words(reason), "replaced": replaced})
        self.over.set()

    def _say(self, event: dict[str, object]) -> None:
        if not self.over.is_set():
            self._response.write(msgspec.json.encode(event) + b"\n")


async def _read(request: Request) -> _Asked:
    try:
        asked = msgspec.json.decode(await read_body(request, _LARGEST_REQUEST), type=_Asked)
    except UNREADABLE as error:
        raise InvalidParameterValue(f"The request is not understood: {error}.") from error
    if asked.port is not None and not 0 <= asked.port < 1 << 16:
        raise InvalidParameterValue(f"{asked.port} is no port.")
    return asked


def _in_words(reason: StartFailure | SessionEnd) -> str:
    if isinstance(reason, FunctionFailure):
        return reason.payload.decode(errors="replace")
    return reason.value if isinstance(reason, ThrottleReason) else reason.reason
