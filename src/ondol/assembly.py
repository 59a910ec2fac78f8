"""The only composition root: which parts there are, what each needs, in which order they start and stop.

```
 driver ─▶ store ─▶ telemetry, counting, placement ─▶ worker ─▶ manager ─▶ control ─▶ triggers, durable
   ─▶ frontend ─▶ events
```
They stop the other way round: events begin nothing more, then the frontend drains.
"""

import asyncio
import contextlib
import gc
import hashlib
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import uvloop
from msgspec.structs import replace

from ondol import __version__
from ondol.aws.remote import Remote
from ondol.aws.runtime_names import accepted_runtimes
from ondol.aws.s3 import S3Packages
from ondol.aws.sandbox_network import plan_network, variables_now
from ondol.aws.service_ids import S3
from ondol.aws.session import Session, Sessions
from ondol.background import Background
from ondol.callers.credentials_file import OPERATOR_FILE
from ondol.callers.service import CallersService
from ondol.companion import Companion, check_installed
from ondol.config import Config, TlsFiles
from ondol.control.service import ControlService
from ondol.counting.service import CountingService
from ondol.durable.service import DurableService
from ondol.events.courier import AwsCourier
from ondol.events.service import EventsService
from ondol.folders.allowed import AllowedFolders
from ondol.frontend.attempts import Attempts
from ondol.frontend.code_links import CodeLinks
from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.durable_runner import DurableRunner
from ondol.frontend.invocations import Invocations
from ondol.frontend.own_invocations import OwnInvocations
from ondol.frontend.sandbox_door import SandboxDoor
from ondol.frontend.service import FrontendService
from ondol.frontend.targets import Targets
from ondol.http import Certificate, CertificateError, HttpCommons, Request, Response, load_certificate
from ondol.linux.capabilities import drop_all
from ondol.linux.clock import SystemClock
from ondol.linux.identifiers import new_id, new_request_id
from ondol.linux.process import open_as_many_files_as_allowed
from ondol.model.errors import InvariantError, Outcome, PlatformError
from ondol.model.function import FunctionVersion
from ondol.model.ids import CodeDigest, EnvironmentId, FrontendId, WorkerId
from ondol.model.network import AuthMode, NetworkMode, SandboxNetwork
from ondol.model.runtime import Runtime
from ondol.model.time import Clock
from ondol.placement.api import WorkerCapacity
from ondol.placement.policy import PlacementLimits
from ondol.placement.service import PlacementService
from ondol.pollers.service import PollersService
from ondol.runtimes.catalog import Catalog, RuntimeMissing, find
from ondol.runtimes.debugger import debugger_package
from ondol.runtimes.oci.function_images import FunctionImages
from ondol.runtimes.oci.kept import prepare
from ondol.runtimes.oci.runtime_images import RuntimeImages, check_images
from ondol.sandbox.driver import Driver
from ondol.sandbox.jail.driver import JailDriver
from ondol.store.blobs import DirectoryBlobs
from ondol.store.protocol import Queues, RevisionConflict, Store, StoreError
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues
from ondol.telemetry.service import TelemetryService
from ondol.triggers.service import TriggersService
from ondol.worker.service import WorkerService, WorkerSettings
from ondol.worker_manager.service import WorkerManagerService

DRAIN_S = 30.0
"""How long requests in flight have to end when ondol is asked to stop."""

LINK_SECRET = "secret/links"


def _tell(text: str) -> None:
    """Say something to whoever runs ondol."""
    print(f"ondol: {text}", file=sys.stderr, flush=True)


def _session(version: FunctionVersion, environment: EnvironmentId) -> Session:
    function = version.function
    return Session(function.account, function.region, version.role, function.name, environment)


class InstalledRuntimes:
    """What control asks of the catalog: can this installation run it, and if not, why."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def check(self, runtime: str, nearest: bool) -> str | None:
        try:
            self._catalog.resolve(runtime, nearest)
        except RuntimeMissing as error:
            return str(error)
        return None


class Platform:
    """All services of one process, wired."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        driver: Driver,
        catalog: Catalog,
        store: Store,
        queues: Queues,
        blobs: DirectoryBlobs,
        secret: str,
        network: SandboxNetwork,
    ) -> None:
        self._config = config
        self._catalog = catalog
        prepare(config.data_dir / "images")
        self._runtime_images = RuntimeImages(catalog.images, config.data_dir / "images", _tell)
        folders = AllowedFolders(config.code_folders)
        self._function_images = FunctionImages(config.data_dir / "images", folders, config.registries, _tell)
        self._driver = driver
        self._store = store
        self._blobs = blobs
        http = HttpCommons(clock)
        sessions = Sessions(hashlib.sha256(f"sessions {secret}".encode()).digest())
        self.telemetry = TelemetryService(config.data_dir / "logs", clock, config.logs)
        self.counting = CountingService(config.limits, clock)
        limits = PlacementLimits(config.worker.overcommit)
        self.placement = PlacementService(limits)
        settings = WorkerSettings(WorkerId(socket.gethostname()), config.worker.slots_ahead, phases=config.phases)
        self.worker = WorkerService(
            settings,
            driver=driver,
            resolve_runtime=self._resolve_runtime,
            package=blobs.path,
            logs=self.telemetry,
            counting=self.counting,
            clock=clock,
            http=http,
            new_id=new_id,
            sandbox_api=self._serve_sandbox,
            debugpy=self._debugger,
            credentials=lambda version, environment: sessions.credentials(_session(version, environment)),
            endpoints=lambda: variables_now(network, seen={S3} if self.triggers.buckets.anybody_told else set()),
            images=self._function_images,
            needed=self._needed,
        )
        self.manager = WorkerManagerService(
            config.keep_alive,
            clock=clock,
            counting=self.counting,
            placement=self.placement,
            workers=lambda _: self.worker,
            new_id=new_id,
        )
        self._remote = Remote(config.endpoints, config.credentials, clock)
        self.pollers = PollersService(store=store, remote=self._remote, clock=clock, new_id=new_request_id)
        self.control = ControlService(
            store=store,
            blobs=blobs,
            clock=clock,
            limits=config.limits,
            code_host=self.worker,
            concurrency=self.counting,
            retirer=self.manager,
            provisioner=self.manager,
            runtimes=InstalledRuntimes(catalog),
            package_source=S3Packages(config.endpoints, config.credentials),
            image_source=self._function_images,
            pollers=self.pollers,
            nearest_runtime=config.nearest_runtime,
            url_secret=secret,
            new_id=new_request_id,
            tell=_tell,
            folders=config.code_folders,
        )
        self.invocations = Invocations(
            FrontendId("frontend-1"),
            counting=self.counting,
            manager=self.manager,
            workers=lambda _: self.worker,
            clock=clock,
        )
        self.callers = CallersService(
            store=store,
            clock=clock,
            key=hashlib.sha256(f"callers {secret}".encode()).digest(),
            operator_file=config.data_dir / OPERATOR_FILE,
        )
        targets = Targets(self.control, random.random)
        self.triggers = TriggersService(
            store=store, control=self.control, clock=clock, chance=random.random, new_id=new_request_id
        )
        self.durable = DurableService(
            store=store,
            runner=DurableRunner(targets, self.invocations),
            clock=clock,
            schedule=config.durable,
            chance=random.random,
            new_id=new_request_id,
        )
        durable_invocations = DurableInvocations(self.durable)
        self._own_invocations = OwnInvocations(targets, self.invocations, durable_invocations, new_request_id)
        courier = AwsCourier(self._remote, config.endpoints, self.triggers, self.triggers.topics, new_request_id)
        self.events = EventsService(
            queues=queues,
            clock=clock,
            schedule=config.events,
            runner=Attempts(targets, self.invocations, durable_invocations),
            courier=courier,
            chance=random.random,
            new_id=new_request_id,
        )
        self.frontend = FrontendService(
            control=self.control,
            invocations=self.invocations,
            manager=self.manager,
            log_queries=self.telemetry,
            links=CodeLinks(secret, clock),
            endpoints=config.endpoints,
            sandbox_door=SandboxDoor(sessions, clock) if network.mode is not NetworkMode.NONE else None,
            status=self.status,
            http=http,
            clock=clock,
            new_id=new_request_id,
            targets=targets,
            events=self.events,
            triggers=self.triggers,
            callers=self.callers,
            verifies=config.auth is AuthMode.SIGV4,
            remote=self._remote,
            durable=self.durable,
            durable_invocations=durable_invocations,
        )

    async def open(self, certificate: Certificate | None) -> int:
        """Start everything, and speak TLS with this certificate; the answer is the port that is served."""
        await self.callers.open()
        await self.counting.open()
        await self.worker.open(self.manager)
        offer = self._config.worker
        await self.placement.register(
            WorkerCapacity(self.worker.id, offer.memory_mb, offer.processors, offer.environments)
        )
        await self.manager.open()
        await self.invocations.open()
        self.pollers.open(self._own_invocations, self.triggers.topics)
        await self.control.open()
        await self.triggers.open(self.events)
        await self.durable.open(self.events)
        port = await self.frontend.open(self._config.host, self._config.port, certificate)
        self.events.open()
        return port

    async def close(self, drain_s: float) -> None:
        """Let requests in flight end, then stop everything; nothing of ours remains."""
        await self.triggers.close()
        await asyncio.gather(self.events.pause(), self.durable.pause())
        await asyncio.gather(self.pollers.close(drain_s), self.frontend.drain(drain_s))
        await self.events.close(drain_s)
        await self.durable.close()
        self._remote.close()
        await self.control.close()
        await self.invocations.close()
        await self.manager.close()
        await self._runtime_images.close()
        await self._function_images.close()
        await self.worker.close()
        await self.counting.close()
        self.callers.close()
        await self.telemetry.close()
        await self._blobs.close()
        await self._store.close()
        await self._driver.close()

    async def _resolve_runtime(self, name: str, nearest: bool) -> Runtime:
        return await self._runtime_images.complete(self._catalog.resolve(name, nearest))

    async def _needed(self, digest: CodeDigest) -> bool:
        return await self.control.needs(digest)

    async def _debugger(self) -> CodeDigest:
        try:
            return await self._blobs.put(await asyncio.to_thread(debugger_package))
        except StoreError as error:
            raise PlatformError(f"the debugger could not be stored: {error}", Outcome.NOT_STARTED) from error

    def _serve_sandbox(self, environment: EnvironmentId, request: Request, response: Response) -> Awaitable[None]:
        return self.frontend.serve_from_sandbox(environment, request, response)

    def status(self) -> dict[str, object]:
        """What `ondol status` shows."""
        worker = self.worker.status()
        states = {environment.id: environment.state for environment in worker.environments}
        environments = [
            {
                "id": id,
                "function": version.function.name,
                "version": version.version,
                "state": states.get(id, state),
                "worker": host,
            }
            for id, version, state, host in self.manager.environments()
        ]
        row = {
            "id": worker.id,
            "slots": worker.slots,
            "environments": len(worker.environments),
            "memory_mb": self._config.worker.memory_mb,
        }
        return {
            "version": __version__,
            "workers": [row],
            "environments": environments,
            "events": self.events.status(),
            "durable_executions": self.durable.status(),
        }


def run(config: Config) -> int:
    """Serve until a signal asks to stop; the answer is the exit code.

    Raises `SandboxError`, `StoreError`, `CompanionError`, `CertificateError` and OSError.
    """
    certificate = None if config.tls is None else load_certificate(config.tls.certificate, config.tls.key)
    if config.companion is not None:
        check_installed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, certificate))


async def _serve(config: Config, certificate: Certificate | None) -> int:
    stop = _Stop(asyncio.get_running_loop())
    open_as_many_files_as_allowed()
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = SystemClock()
    references = check_images(config.runtimes, accepted_runtimes()) if config.runtimes else {}
    catalog = find(config.data_dir / "interpreters.json", references)
    driver = JailDriver(config.data_dir, config.network)
    await driver.open(catalog.of_this_machine)
    drop_all()
    async with _accompanied(config) as completed:
        return await _serve_platform(completed, stop, clock, catalog, driver, certificate=certificate)


@contextlib.asynccontextmanager
async def _accompanied(config: Config) -> AsyncIterator[Config]:
    """Run what is to run beside ondol; the configuration that names it."""
    if config.companion is None:
        yield config
        return
    companion = Companion(config.data_dir)
    try:
        endpoints = replace(config.endpoints, default=await companion.ready())
        yield replace(config, endpoints=endpoints)
    finally:
        companion.close()


async def _serve_platform(
    config: Config,
    stop: "_Stop",
    clock: Clock,
    catalog: Catalog,
    driver: JailDriver,
    *,
    certificate: Certificate | None,
) -> int:
    store = await SqliteStore.open(config.data_dir / "store.db")
    blobs = await DirectoryBlobs.open(config.data_dir / "blobs")
    network = plan_network(config.network, config.allow_hosts, config.endpoints)
    driver.relay(network.relayed)
    platform = Platform(
        config,
        clock=clock,
        driver=driver,
        catalog=catalog,
        store=store,
        queues=SqliteQueues(store, clock),
        blobs=blobs,
        secret=await _link_secret(store),
        network=network,
    )
    try:
        port = await platform.open(certificate)
    except OSError:
        await driver.close()
        raise
    driver.keep_to_itself(port)
    for shortfall in driver.capabilities.shortfalls:
        _tell(shortfall)
    # What is alive now stays alive: no later collection need look at it.
    gc.freeze()
    print(f"ondol ready on {_address(config, port)}", flush=True)
    with _reloading(config.tls, platform.frontend):
        await stop.asked()
    await platform.close(DRAIN_S)
    return stop.exit_code


def _address(config: Config, port: int) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{'http' if config.tls is None else 'https'}://{host}:{port}"


@contextlib.contextmanager
def _reloading(files: TlsFiles | None, frontend: FrontendService) -> Iterator[None]:
    """Read the certificate again at each SIGHUP; one that cannot be used changes nothing."""
    if files is None:
        yield
        return
    loop = asyncio.get_running_loop()
    reading = Background("reading the certificate again")

    async def reload() -> None:
        try:
            frontend.present(await asyncio.to_thread(load_certificate, files.certificate, files.key))
        except CertificateError as error:
            _tell(f"{error}; the certificate from before stays")
        else:
            _tell(f"{files.certificate} was read again")

    loop.add_signal_handler(signal.SIGHUP, lambda: reading.spawn(reload()))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        reading.cancel()


async def _link_secret(store: Store) -> str:
    """The key that signs download links: made once for each data directory."""
    entry = await store.get(LINK_SECRET)
    if entry is None:
        with contextlib.suppress(RevisionConflict):
            await store.put(LINK_SECRET, secrets.token_hex(32).encode(), expect=0)
        entry = await store.get(LINK_SECRET)
        assert entry is not None
    return entry.value.decode()


class _Stop:
    """When to stop: a first signal asks for it, a second one forces it, and a bug ends what it was met in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.exit_code = 0
        self._asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal)
        loop.set_exception_handler(self._exception)

    async def asked(self) -> None:
        await self._asked.wait()

    def _signal(self) -> None:
        if self._asked.is_set():
            os._exit(130)  # the spawner notices, and ends every sandbox
        self._asked.set()

    def _exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if isinstance(context.get("exception"), InvariantError):
            self.exit_code = 70
            self._asked.set()
