"""One execution environment: performs what its machine commands, on its sandbox, its runtime and its log."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ondol.aws.tracing import trace_header
from ondol.background import Background
from ondol.http import ClientGone, Fields, HttpCommons, Response
from ondol.model.errors import Outcome, PlatformError
from ondol.model.function import FunctionVersion
from ondol.model.ids import EnvironmentId, RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.limits import STREAMED, Phases
from ondol.model.time import MILLISECOND, SECOND, Clock, Instant, WallTime
from ondol.sandbox.driver import Exit, Sandbox, StartSpec
from ondol.sandbox.errors import SandboxError
from ondol.worker.allowance import Allowance
from ondol.worker.api import (
    EnvironmentBusy,
    InitFailed,
    InvocationHead,
    PayloadSink,
    PayloadSource,
    Started,
    StartRequest,
)
from ondol.worker.commands import (
    Answer,
    Close,
    Command,
    Deliver,
    Finish,
    Freeze,
    InitFailure,
    Ready,
    Respond,
    StartExtensions,
    StartRuntime,
    Stop,
    TellInvoke,
    TellShutdown,
    Thaw,
    Throttle,
    Wake,
)
from ondol.worker.environment_log import EnvironmentLog
from ondol.worker.extensions_api import ExtensionsApi
from ondol.worker.failures import End, entrypoint_refusal, too_large
from ondol.worker.log_lines import Report
from ondol.worker.machine import Attempt, EnvironmentMachine, RuntimeMisbehaved, State, UnknownRequest
from ondol.worker.runtime_api import Api, RuntimeApi, RuntimeErrorReport
from ondol.worker.turnaround import RuntimeConnection
from ondol.worker.variables import extension_variables

TimerKey = tuple[EnvironmentId, bool]
"""Whose timer it is: of an environment's first shell, or of the one in which its init is run again."""


class EnvironmentShell:
    """Between one sandbox and those who invoke the function in it."""

    def __init__(
        self,
        request: StartRequest,
        sandbox: Sandbox,
        *,
        log: EnvironmentLog,
        phases: Phases,
        clock: Clock,
        http: HttpCommons,
        wake: Callable[[TimerKey, Instant], None],
        stopped: Callable[["EnvironmentShell"], None],
        api: Api | None = None,
        attempt: Attempt = Attempt.FIRST,
    ) -> None:
        self.id: EnvironmentId = request.environment
        self.version: FunctionVersion = request.version
        self.stream = log.stream
        self._cause: RequestId = request.cause
        self._sandbox = sandbox
        self._log = log
        self._clock = clock
        self._wake = wake
        self._stopped = stopped
        self._attempt = attempt
        self.timer_key: TimerKey = (request.environment, attempt is Attempt.AGAIN)
        self._machine = EnvironmentMachine(request.version, request.cause, phases, clock.now(), attempt)
        self._extensions = ExtensionsApi(self)
        self._api = RuntimeApi(self, http, self._extensions, api)
        self._variables: Mapping[str, str] = {}
        self._next: Response | None = None
        self._head: InvocationHead | None = None
        self._trace = ""
        """What extensions are told of the same invocation as the runtime."""

        self._source: PayloadSource | None = None
        self._sink: PayloadSink | None = None
        self._answered = False
        self.unwanted = False
        """It was told to stop, whether or not there was anything to stop."""

        self.replaced = False
        """Its init has failed, and is run again by another in its name."""

        self._allowance: Allowance | None = None
        """Of the result that streams."""

        self._first_output = b""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._init: asyncio.Future[Started | InitFailed] = loop.create_future()
        self._stopping: asyncio.Task[None] | None = None
        self._hastening = Background("ending a sandbox sooner")
        self._sending = Background("sending a payload to a runtime")

    # For the worker

    async def initialize(self, spec: StartSpec) -> Started | InitFailed:
        """Start the runtime, and wait until it asks for its first invocation or fails to. Raises `SandboxError`."""
        if self._attempt is not Attempt.AGAIN:
            self._log.init_start()
        self._variables = spec.environment
        self._sandbox.attach(self)
        try:
            await self._sandbox.start(spec)
        except SandboxError:
            self._init.cancel()
            self.stop()
            raise
        self._perform(self._machine.began())
        try:
            return await self._init
        finally:
            self._variables = {}

    def invoke(self, head: InvocationHead, source: PayloadSource, sink: PayloadSink) -> None:
        """As `PayloadDoor.invoke`."""
        commands = self._machine.invoked(head, self._clock.now())
        if commands is None:
            sink.failed(EnvironmentBusy(f"environment {self.id} cannot take an invocation"))
            return
        self._sink = sink
        self._source = source
        self._answered = False
        self._perform(commands)

    def timer_due(self) -> None:
        self._perform(self._machine.timer_due(self._clock.now()))

    def stop(self) -> None:
        """Begin to end it; `stopped` is called when nothing of it remains."""
        self.unwanted = True
        self._perform(self._machine.stop_asked(self._clock.now()))

    def suspend_time(self) -> None:
        """As the machine's."""
        self._perform(self._machine.suspend_time())

    def resume_time(self) -> None:
        """As the machine's."""
        self._perform(self._machine.resume_time(self._clock.now()))

    @property
    def state(self) -> str:
        return self._machine.state.value

    @property
    def running(self) -> InvocationHead | None:
        """The invocation that runs here now."""
        return self._head if self._machine.request is not None else None

    # From the sandbox (Guest)

    def connected(self) -> asyncio.Protocol:
        return RuntimeConnection(self._api.server, self)

    def output(self, data: bytes) -> None:
        self._first_output = self._first_output or data
        self._log.output(data)

    def told(self, text: str) -> None:
        self._log.tell(text)

    def exited(self, exit: Exit) -> None:
        refusal = entrypoint_refusal(exit.code, self._first_output, self.version.image is not None)
        end = End(exit.code, exit.signal, exit.out_of_memory, refusal)
        self._perform(self._machine.exited(end, self._clock.now()))

    def extensions_found(self, names: Sequence[str]) -> None:
        self._perform(self._machine.extensions_found(names, self._clock.now()))

    def extension_refused(self, name: str, reason: str) -> None:
        self._perform(self._machine.extension_refused(name, reason, self._clock.now()))

    def extension_exited(self, name: str, exit: Exit) -> None:
        end = End(exit.code, exit.signal, exit.out_of_memory)
        self._perform(self._machine.extension_exited(name, end, self._clock.now()))

    # From extensions

    def extension_registers(self, name: str, events: Sequence[str], id: str) -> None:
        self._perform(self._machine.extension_registers(name, events, id))

    def extension_asks(self, id: str) -> None:
        self._perform(self._machine.extension_asks(id, self._clock.now()))

    def extension_init_failed(self, id: str, error_type: str) -> None:
        self._machine.extension_init_failed(id, error_type)

    def extension_exit_failed(self, id: str, error_type: str) -> None:
        self._machine.extension_exit_failed(id, error_type)

    # From the runtime

    def next_asked(self, response: Response) -> None:
        if self._next is not None and not self._next.ended:
            raise RuntimeMisbehaved("next was asked for already, on another connection")
        commands = self._machine.next_asked(self._clock.now())
        self._next = response
        self._perform(commands)

    @property
    def awaited(self) -> str | None:
        """The invocation whose result is awaited, and has not begun."""
        return self._machine.awaited

    def result_begins(self, request: str) -> None:
        if request != self._machine.request:
            raise UnknownRequest("a result is allowed for the invocation that runs now only")
        if request != self._machine.awaited:
            raise RuntimeMisbehaved("a result is allowed once")

    def result_piece(self, piece: bytes) -> None:
        assert self._sink is not None
        self._sink.write(piece)

    def result_whole(self, request: str, size: int) -> None:
        self._perform(self._machine.responded(request, size, self._clock.now()))

    @property
    def streams(self) -> bool:
        """The client of the invocation takes its result piece by piece."""
        return self._head is not None and self._head.stream

    @property
    def is_streaming(self) -> bool:
        """A result has begun that way, and is not complete."""
        return self._machine.state is State.STREAMING

    def stream_begins(self, request: str, content_type: str) -> None:
        self._machine.stream_began(request)
        assert self._sink is not None
        self._sink.begin_stream(content_type)
        self._allowance = Allowance(STREAMED, self._clock.now())

    async def stream_piece(self, request: str, piece: bytes) -> None:
        if not self._machine.streams(request) or self._allowance is None:
            return  # it is answered already: this is dropped
        share = self._allowance.take(len(piece), self._clock.now())
        if share.wait_ns:
            await asyncio.sleep(share.wait_ns / SECOND)
        sink = self._sink
        if not self._machine.streams(request) or sink is None:
            return
        sink.write(piece[: share.size])
        if share.size < len(piece):
            failed = too_large(STREAMED.total_bytes)
            self._perform(self._machine.stream_ended(request, failed, self._clock.now()))
        else:
            await sink.drain()

    def stream_ends(self, request: str, report: RuntimeErrorReport | None) -> None:
        if self._machine.streams(request):
            failed = report.failure() if report is not None else None
            self._perform(self._machine.stream_ended(request, failed, self._clock.now()))

    def stream_breaks(self, request: str) -> None:
        self._machine.stream_cut(request)

    def invocation_failed(self, request: str, report: RuntimeErrorReport) -> None:
        commands = self._machine.errored(request, report.error_type, report.payload, self._clock.now())
        self._perform(commands)

    def init_failed(self, report: RuntimeErrorReport) -> None:
        self._perform(self._machine.init_errored(report.error_type, report.payload, self._clock.now()))

    # Commands

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Deliver():
                    self._deliver(command)
                case Answer():
                    self._respond(command.head, command.failure)
                    self._close(command)
                case Finish():
                    self._finish(command.reusable)
                case Wake(at):
                    self._wake(self.timer_key, at)
                case Freeze():
                    self._sandbox.freeze()
                case Thaw():
                    self._sandbox.thaw()
                case Throttle():
                    self._sandbox.throttle()
                case Ready(init_ns):
                    self._log_extensions()
                    self._init.set_result(Started(init_ns))
                case InitFailure(failure, init_ns, final):
                    self._fail_init(failure, init_ns, final)
                case Stop(grace_ns, extensions_ns):
                    self._stop(grace_ns / SECOND, extensions_ns / SECOND)
                case _:
                    self._attend(command)

    def _attend(self, command: Command) -> None:
        """What is asked where there are extensions."""
        match command:
            case Respond(head, failure):
                self._respond(head, failure)
            case Close():
                self._close(command)
            case TellInvoke(extensions, head, remaining_ns):
                self._extensions.tell_invoke(extensions, head, self._trace, self._deadline(remaining_ns))
            case TellShutdown(extensions, reason, remaining_ns):
                self._extensions.tell_shutdown(extensions, reason, self._deadline(remaining_ns))
            case StartExtensions():
                self._sandbox.start_extensions(extension_variables(self._variables))
            case StartRuntime():
                self._sandbox.start_runtime()

    def _deliver(self, command: Deliver) -> None:
        head = self._head = command.head
        if command.thaw:
            self._sandbox.thaw()
        assert self._next is not None
        assert self._source is not None
        source, self._source = self._source, None
        fields = _next_fields(head, self.version, self._clock.wall(), command.remaining_ns // MILLISECOND)
        if self._machine.extensions is not None:
            self._trace = dict(fields)["Lambda-Runtime-Trace-Id"]
        payload = source.first
        if len(payload) == head.payload_bytes:
            self._next.send(200, fields, payload)
        else:
            self._next.start(200, fields, length=head.payload_bytes)
            self._next.write(payload)
            self._sending.spawn(self._send_rest(self._next, head, source, len(payload)))
        # Whatever the runtime now writes is read later: its first line is still this one.
        self._log.start(head.request_id, head.want_tail)

    async def _send_rest(self, response: Response, head: InvocationHead, source: PayloadSource, sent: int) -> None:
        while sent < head.payload_bytes and self._machine.request == head.request_id:
            try:
                await response.drain()
            except ClientGone:
                return  # how the runtime ended is told elsewhere
            piece = await source.read()
            if not piece:
                self.stop()  # half an event is no event
                return
            response.write(piece)
            sent += len(piece)
        if sent == head.payload_bytes:
            response.end()
        else:
            response.abort()

    def _deadline(self, remaining_ns: int) -> WallTime:
        return WallTime(self._clock.wall() + remaining_ns // MILLISECOND)

    def _respond(self, head: InvocationHead, failure: FunctionFailure | None) -> None:
        """Answer the client; who wants the tail of the log waits until that is complete."""
        if head.want_tail:
            return
        self._answered = True
        assert self._sink is not None
        self._sink.finish(failure, b"")

    def _close(self, over: Answer | Close) -> None:
        """Report an invocation; whose client waits for that is answered."""
        self._sandbox.drain_output()
        peak = self._sandbox.memory_peak_bytes()
        tail = self._log.end(Report(over.head.request_id, over.duration_ns, over.init_ns, peak, over.failure))
        if not self._answered:
            self._answered = True
            assert self._sink is not None
            self._sink.finish(over.failure, tail)

    def _finish(self, reusable: bool) -> None:
        sink, self._sink = self._sink, None
        assert sink is not None
        if self._answered:
            sink.over(reusable)
        else:
            sink.failed(PlatformError("the environment was stopped", Outcome.UNKNOWN))

    def _fail_init(self, failure: FunctionFailure, init_ns: int, final: bool) -> None:
        self._sandbox.drain_output()
        self._log_extensions()
        self._log.init_failed(init_ns, self._attempt.phase, failure)
        self.replaced = not final
        tail = b""
        if final and self._attempt is not Attempt.AHEAD:
            self._log.start_of_failed(self._cause)
            peak = self._sandbox.memory_peak_bytes()
            tail = self._log.end(Report(self._cause, init_ns, None, peak, failure, of_init=True))
        self._init.set_result(InitFailed(msgspec.structs.replace(failure, log_tail=tail)))

    def _log_extensions(self) -> None:
        if self._machine.extensions is not None:
            self._sandbox.drain_output()
            self._log.extensions(self._machine.extensions)

    def _stop(self, grace_s: float, extensions_s: float) -> None:
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._end_sandbox(grace_s, extensions_s))
        else:
            self._hastening.spawn(self._sandbox.stop(0.0))

    async def _end_sandbox(self, grace_s: float, extensions_s: float) -> None:
        if not self._init.done():
            self._init.set_exception(PlatformError("the environment was stopped during its init", Outcome.NOT_STARTED))
        await self._sandbox.stop(grace_s, extensions_s)
        self._log.close()
        self._stopped(self)


def _next_fields(head: InvocationHead, version: FunctionVersion, now_ms: int, remaining_ms: int) -> Fields:
    fields = [
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Aws-Request-Id", head.request_id),
        ("Lambda-Runtime-Deadline-Ms", str(now_ms + remaining_ms)),
        ("Lambda-Runtime-Invoked-Function-Arn", head.invoked_arn),
        ("Lambda-Runtime-Trace-Id", trace_header(head.trace, version.traced, head.request_id, now_ms // 1000)),
    ]
    if head.client_context is not None:
        fields.append(("Lambda-Runtime-Client-Context", head.client_context))
    if version.tenant is not None:
        fields.append(("Lambda-Runtime-Aws-Tenant-Id", version.tenant))
    return fields
