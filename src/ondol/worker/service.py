"""The worker's shell: slots become environments here, invocations reach them, and what ends is cleared away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ondol.background import Background
from ondol.control.api import PrepareError
from ondol.counting.api import Counting
from ondol.http import HttpCommons, Request, Response
from ondol.model.credentials import SessionCredentials
from ondol.model.errors import OndolError, Outcome, PlatformError
from ondol.model.function import FunctionImage, FunctionVersion
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, WorkerId
from ondol.model.limits import FULL_PROCESSOR_MB, Phases
from ondol.model.runtime import Runtime, StartOf
from ondol.model.time import MILLISECOND, SECOND, Clock, Instant
from ondol.model.timers import TimerWheel
from ondol.runtimes.oci.errors import ImageError
from ondol.sandbox.driver import Driver, Sandbox, StartSpec
from ondol.sandbox.errors import SandboxError, UnpackRefused
from ondol.sandbox.limits import UnpackLimits
from ondol.telemetry.api import LogSink, LogStream
from ondol.worker.api import (
    PROVISIONED,
    DebugObserver,
    EnvironmentBusy,
    EnvironmentStatus,
    GrantDead,
    InitFailed,
    InvocationHead,
    PayloadSink,
    PayloadSource,
    Started,
    StartRequest,
    WorkerObserver,
    WorkerStatus,
)
from ondol.worker.debugger import DebuggerDoor, DebugProtocol, debuggable, require_protocol
from ondol.worker.environment import EnvironmentShell, TimerKey
from ondol.worker.environment_log import EnvironmentLog
from ondol.worker.images import NO_IMAGES, ImageFetcher, Images, nothing_needed, reason_code
from ondol.worker.log_lines import platform_lines, runtime_version
from ondol.worker.machine import Attempt
from ondol.worker.slots import SlotKey, Slots
from ondol.worker.variables import function_variables, needs_fresh_interpreter

TICK = 5 * MILLISECOND
HEARTBEAT_S = 5.0
COLLECT_EVERY_S = 900.0


_log = logging.getLogger(__name__)

SandboxApi = Callable[[EnvironmentId, Request, Response], Awaitable[None] | None]
"""Serves a request of AWS's API that comes out of this environment's sandbox."""

Credentials = Callable[[FunctionVersion, EnvironmentId], SessionCredentials]
"""What the code of this environment signs its requests with."""


DebuggerPackage = Callable[[], Awaitable[CodeDigest]]
"""The package, in the store, that brings a debugger for Python into a sandbox. Raises `PlatformError`."""


async def no_debugger() -> CodeDigest:
    raise PlatformError("this worker has no debugger for Python", Outcome.NOT_STARTED)


class WorkerSettings(msgspec.Struct, frozen=True):
    id: WorkerId
    slots_ahead: int = 8
    slots_at_once: int = 4
    """Slots of one kind that are prepared at the same time."""

    phases: Phases = Phases()


class WorkerService:
    """Serves `Worker` on one host, with one driver."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        driver: Driver,
        resolve_runtime: Callable[[str, bool], Awaitable[Runtime]],
        package: Callable[[CodeDigest], Awaitable[Path | None]],
        logs: LogSink,
        counting: Counting,
        clock: Clock,
        http: HttpCommons,
        new_id: Callable[[], str],
        sandbox_api: SandboxApi | None = None,
        credentials: Credentials | None = None,
        debugpy: DebuggerPackage = no_debugger,
        endpoints: Callable[[], Mapping[str, str]] = dict,
        images: ImageFetcher = NO_IMAGES,
        needed: Callable[[CodeDigest], Awaitable[bool]] = nothing_needed,
    ) -> None:
        self._settings = settings
        self._driver = driver
        self._resolve_runtime = resolve_runtime
        self._package = package
        self._logs = logs
        self._counting = counting
        self._clock = clock
        self._slots = Slots(driver, settings.slots_ahead, settings.slots_at_once, new_id)
        self._images = Images(images, driver=driver, slots=self._slots, needed=needed, clock=clock)
        self._sandbox_api = sandbox_api
        self._credentials = credentials
        self._endpoints = endpoints
        self._environments: dict[EnvironmentId, EnvironmentShell] = {}
        self._doors: dict[EnvironmentId, DebuggerDoor] = {}
        self._debugpy = debugpy
        self._unpacked: set[CodeDigest] = set()
        self._dead_grants: set[int] = set()
        self._unpacking: dict[CodeDigest, asyncio.Task[None]] = {}
        self._wheel: TimerWheel[TimerKey] = TimerWheel(TICK)
        self._observer: WorkerObserver | None = None
        self._http = http
        self._background = Background("the worker's timers, heartbeat or collection")
        self._ends = Background("telling an environment's end")
        self._nobody_left: asyncio.Event | None = None

    @property
    def id(self) -> WorkerId:
        return self._settings.id

    async def open(self, observer: WorkerObserver) -> None:
        self._observer = observer
        for work in (self._tick_for_ever(), self._beat_for_ever(), self._collect_for_ever()):
            self._background.spawn(work)

    async def close(self) -> None:
        """Stop every environment and slot."""
        await self._slots.close()
        self._nobody_left = asyncio.Event()
        for environment in list(self._environments.values()):
            environment.stop()
        if self._environments:
            await self._nobody_left.wait()
        self._background.cancel()

    # Control calls

    async def prepare(
        self,
        account: AccountId,
        runtime: str,
        nearest_runtime: bool,
        code: CodeDigest,
        layers: Sequence[CodeDigest] = (),
        *,
        image: FunctionImage | None = None,
    ) -> None:
        try:
            if image is not None:
                found = (await self._images.launch(image, code)).runtime
            else:
                found = await self._resolve_runtime(runtime, nearest_runtime)
                await self._unpack_all((code, *layers))
            await self._slots.expect(SlotKey(found, account))
        except UnpackRefused as error:
            code_of_it = "InvalidZipFileException" if image is None else "InvalidImage"
            raise PrepareError(code_of_it, str(error)) from error
        except ImageError as error:
            raise PrepareError(reason_code(error), f"The image cannot be had: {error}.") from error
        except (SandboxError, OndolError) as error:
            raise PrepareError("InternalError", str(error)) from error

    async def start(self, request: StartRequest) -> Started | InitFailed:
        return await self._start(request)

    async def debug(self, request: StartRequest, port: int | None, observer: DebugObserver) -> Started | InitFailed:
        version = request.version
        door = DebuggerDoor(require_protocol((await self._start_of(version)).runtime), observer)
        started: Started | InitFailed | None = None
        try:
            if door.protocol is DebugProtocol.DAP:
                version = replace(version, layers=(await self._debugpy(), *version.layers))
            await door.open(port)
            started = await self._start(replace(request, version=version), door)
            return started
        except OSError as error:
            raise PlatformError(f"port {port} cannot be listened at: {error.strerror}", Outcome.NOT_STARTED) from error
        finally:
            if not isinstance(started, Started):
                door.close()

    async def shut_out(self, environment: EnvironmentId) -> None:
        door = self._doors.get(environment)
        if door is not None:
            door.close()

    async def _start(self, request: StartRequest, door: DebuggerDoor | None = None) -> Started | InitFailed:
        version = request.version
        try:
            start = await self._start_of(version)
            if version.image is None:
                await self._unpack_all((version.code, *version.layers))
            key = SlotKey(start.runtime, version.function.account)
            sandbox = await self._slots.take(key)
            if door is not None and door.unwanted:
                await sandbox.stop(0)
                raise PlatformError("nobody waits for its debugger any more", Outcome.NOT_STARTED)
            log = self._log(request, start.runtime)
            ahead = request.initialization == PROVISIONED
            attempt = Attempt.ONLY if door is not None else Attempt.AHEAD if ahead else Attempt.FIRST
            environment = self._environment(request, sandbox, log, attempt)
            spec = self._start_spec(request, environment, start)
            if door is not None:
                self._doors[environment.id] = door
                door.lead_to(environment, sandbox)
                spec = debuggable(spec)
            started = await environment.initialize(spec)
            if door is not None:
                door.initialized()
            elif isinstance(started, InitFailed) and not ahead:
                sandbox = await self._take_another(key, environment)
                started = await self._environment(request, sandbox, log, Attempt.AGAIN).initialize(spec)
            return started
        except (SandboxError, UnpackRefused, ImageError) as error:
            raise PlatformError(f"no environment could be started: {error}", Outcome.NOT_STARTED) from error

    async def stop(self, environment: EnvironmentId) -> None:
        shell = self._environments.get(environment)
        if shell is not None:
            shell.stop()
        elif self._observer is not None:
            await self._observer.ended(environment)

    def status(self) -> WorkerStatus:
        environments = [
            EnvironmentStatus(shell.id, shell.version.function.name, shell.version.version, shell.state)
            for shell in self._environments.values()
        ]
        return WorkerStatus(self.id, self._slots.counts(), environments)

    # The payload door

    def invoke(self, head: InvocationHead, source: PayloadSource, sink: PayloadSink) -> None:
        environment = self._environments.get(head.environment)
        if head.grant in self._dead_grants:
            sink.failed(GrantDead(f"grant {head.grant} is dead"))
        elif environment is None:
            sink.failed(EnvironmentBusy(f"environment {head.environment} is not here"))
        else:
            environment.invoke(head, source, sink)

    # Inside

    async def _start_of(self, version: FunctionVersion) -> StartOf:
        """Raises what keeps its runtime, or its image, from being here."""
        if version.image is not None:
            return await self._images.launch(version.image, version.code)
        return StartOf(await self._resolve_runtime(version.runtime, version.nearest_runtime))

    async def _unpack_all(self, packages: Sequence[CodeDigest]) -> None:
        """Have the code and the layers at hand, each unpacked once, whichever functions use it."""
        missing = [package for package in packages if package not in self._unpacked]
        if missing:
            await asyncio.gather(*(self._unpack(package) for package in missing))

    async def _unpack(self, digest: CodeDigest) -> None:
        """Whoever needs the same package at the same time waits for the same unpacking."""
        unpacking = self._unpacking.get(digest)
        if unpacking is None:
            unpacking = self._unpacking[digest] = asyncio.create_task(self._unpack_now(digest))
            unpacking.add_done_callback(lambda _: self._unpacking.pop(digest))
        # Who gives up waiting does not end it for the others.
        await asyncio.shield(unpacking)

    async def _unpack_now(self, digest: CodeDigest) -> None:
        package = await self._package(digest)
        if package is None:
            raise PlatformError(f"the package {digest} is missing from the store", Outcome.NOT_STARTED)
        await self._driver.unpack(package, digest, UnpackLimits())
        self._unpacked.add(digest)

    async def _take_another(self, key: SlotKey, failed: EnvironmentShell) -> Sandbox:
        """A slot in which the same environment's init is run again; without one, the environment has ended."""
        try:
            sandbox = await self._slots.take(key)
            if failed.unwanted:
                await sandbox.stop(0.0)
                raise PlatformError("the environment was stopped during its init", Outcome.NOT_STARTED)
        except (OndolError, asyncio.CancelledError):
            self._gone(failed)
            raise
        return sandbox

    def _log(self, request: StartRequest, runtime: Runtime) -> EnvironmentLog:
        version = request.version
        stream = LogStream(
            version.function.account, version.function.region, version.logs.group, self._stream_name(request)
        )
        release = runtime_version(version.runtime, runtime.version)
        lines = platform_lines(version, release, request.initialization)
        return EnvironmentLog(stream, self._logs, lines, self._clock)

    def _environment(
        self, request: StartRequest, sandbox: Sandbox, log: EnvironmentLog, attempt: Attempt
    ) -> EnvironmentShell:
        environment = EnvironmentShell(
            request,
            sandbox,
            log=log,
            phases=self._settings.phases,
            clock=self._clock,
            http=self._http,
            wake=self._wheel.set,
            stopped=self._stopped,
            api=partial(self._sandbox_api, request.environment) if self._sandbox_api is not None else None,
            attempt=attempt,
        )
        self._environments[environment.id] = environment
        return environment

    def _stream_name(self, request: StartRequest) -> str:
        day = datetime.fromtimestamp(self._clock.wall() / 1000, UTC)
        return f"{day:%Y/%m/%d}/[{request.version.version}]{request.environment}"

    def _start_spec(self, request: StartRequest, environment: EnvironmentShell, start: StartOf) -> StartSpec:
        version = request.version
        access = self._credentials(version, environment.id) if self._credentials is not None else None
        return StartSpec(
            code=version.code if version.image is None else None,
            layers=version.layers,
            environment=function_variables(
                version,
                environment.stream,
                request.initialization,
                access=access,
                image=start.runtime.image,
                program=start.program,
                endpoints=self._endpoints(),
            ),
            memory_mb=version.memory_mb,
            cpu_share=version.memory_mb / FULL_PROCESSOR_MB,
            tmp_mb=version.tmp_mb,
            program=start.program,
            fresh_interpreter=needs_fresh_interpreter(version),
        )

    def _stopped(self, environment: EnvironmentShell) -> None:
        if not environment.replaced:
            self._gone(environment)

    def _gone(self, environment: EnvironmentShell) -> None:
        del self._environments[environment.id]
        door = self._doors.pop(environment.id, None)
        if door is not None:
            door.close()
        if self._observer is not None:
            self._ends.spawn(self._tell_end(self._observer, environment.id))
        if self._nobody_left is not None and not self._environments:
            self._nobody_left.set()

    async def _tell_end(self, observer: WorkerObserver, environment: EnvironmentId) -> None:
        await observer.ended(environment)

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK / SECOND)
            for key in self._wheel.advance(Instant(self._clock.now())):
                environment = self._environments.get(key[0])
                if environment is not None and environment.timer_key == key:
                    environment.timer_due()

    async def collect(self) -> None:
        """Discard the trees whose package is gone from the store and that no environment runs; and images likewise."""
        for tree in await self._driver.trees():
            if tree not in self._in_use() and await self._package(tree) is None:
                self._unpacked.discard(tree)
                await self._driver.discard(tree)
        await self._images.collect(self._in_use())

    def _in_use(self) -> set[CodeDigest]:
        """The packages and images that environments run."""
        versions = (environment.version for environment in self._environments.values())
        return {digest for version in versions for digest in (version.code, *version.layers)}

    async def _collect_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            try:
                await self.collect()
            except SandboxError:
                _log.exception("trees and images that nobody needs could not be removed")

    async def _beat_for_ever(self) -> None:
        """Renew the permits of what runs here; end what can no longer be renewed."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            running: dict[int, int] = {}
            for environment in self._environments.values():
                if (head := environment.running) is not None:
                    running[head.grant] = running.get(head.grant, 0) + 1
            self._dead_grants |= await self._counting.running(self.id, running)
            for environment in list(self._environments.values()):
                if (head := environment.running) is not None and head.grant in self._dead_grants:
                    environment.stop()
