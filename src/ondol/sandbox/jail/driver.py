"""The door to jails: starts the spawner, and asks it for what needs power.

The platform process needs no capability of its own once `open` has returned: call
`ondol.linux.capabilities.drop_all` then.
"""

import asyncio
import fcntl
import os
import socket
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ondol.linux import cgroups
from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.network import NetworkMode, Relayed
from ondol.model.runtime import Launch, Runtime
from ondol.sandbox.driver import Capabilities, Sandbox, SlotSpec
from ondol.sandbox.errors import DirectoryInUse, SandboxError, UnpackRefused
from ondol.sandbox.jail import channel, power, spawner_process
from ondol.sandbox.jail.gauge import GroupGauge, ProcessGauge
from ondol.sandbox.jail.link import Link
from ondol.sandbox.jail.relay.handle import RelayHandle
from ondol.sandbox.jail.sandbox import JailSandbox
from ondol.sandbox.jail.spawner import NOWHERE, ROOTS, SCRATCH, USERS
from ondol.sandbox.jail.spawner_process import SpawnerProcess
from ondol.sandbox.limits import UnpackLimits

FIRST_USER = 1_900_000_000
"""Above what distributions and container runtimes hand out. Each data directory has a block of `USERS` of its own."""

USER_BLOCKS = 3000
LOCK_WAIT_S = 2.0
LOCK_RETRY_S = 0.02
_DIRECTORIES = ("code", "images", "roots", "tmp", SCRATCH)


class JailDriver:
    """See `ondol.sandbox.driver.Driver`. Needs a data directory of its own; what it can do as whom, `power` says."""

    def __init__(self, data_dir: Path, mode: NetworkMode = NetworkMode.RELAY) -> None:
        self._directory = data_dir
        self._mode = mode
        self._relay = RelayHandle(mode, self._refused)
        self._own_ports: set[int] = set()
        self._lock = -1
        self._link: Link | None = None
        self._spawner: SpawnerProcess | None = None
        self._as_root = power.is_roots()
        self._groups: cgroups.Cgroups | None = None
        self._place = NOWHERE
        self._capabilities: Capabilities | None = None
        self._sandboxes: dict[SandboxId, JailSandbox] = {}

    @property
    def capabilities(self) -> Capabilities:
        if self._capabilities is None:
            raise SandboxError("what the jail driver can do is known once it is open")
        return self._capabilities

    @property
    def spawner_pid(self) -> int | None:
        """The process to look for in `ps`; every sandbox is below it."""
        return None if self._spawner is None else self._spawner.pid

    async def open(self, runtimes: Sequence[Runtime]) -> None:
        for name in _DIRECTORIES:
            (self._directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._lock_directory()
        try:
            await self._open(runtimes)
        except BaseException:
            await self.close()
            raise

    def relay(self, relayed: Sequence[Relayed]) -> None:
        """Have the sandboxes that are made from now on reach these."""
        self._relay.lead(tuple(relayed))

    def keep_to_itself(self, port: int) -> None:
        """A port of the host that no function is told of: ondol's own."""
        self._own_ports.add(port)

    async def create(self, spec: SlotSpec) -> Sandbox:
        link = self._opened()
        bound = self._relay.bound
        order = {
            "do": "create",
            "name": spec.sandbox,
            "runtime": spec.runtime.name,
            "account": spec.account,
            "bound": msgspec.to_builtins(bound),
            "awaited": spec.awaited,
        }
        if spec.runtime.image is not None:
            order["image"] = spec.runtime.image.digest
        try:
            answer, descriptors = await link.ask(order)
        except asyncio.CancelledError:
            link.tell({"do": "stop", "name": spec.sandbox, "grace_s": 0, "extensions_s": 0})
            raise
        if "problem" in answer:
            raise SandboxError(answer["problem"])
        listener, reading, writing, output, *shared = descriptors
        others = shared if self._groups is not None else shared[1:]
        gauge = ProcessGauge(shared[0]) if self._groups is None else GroupGauge(self._groups, spec.sandbox)
        self._relay.open(spec.sandbox, tuple(others), bound)
        channel.close_all(others)
        created = JailSandbox(
            spec.sandbox,
            spec.runtime,
            link,
            gauge,
            listener=listener,
            pipes=(reading, writing),
            output=output,
            begun=self._relay.begin,
            forget=self._forget,
        )
        self._sandboxes[spec.sandbox] = created
        return created

    async def unpack(self, archive: Path, digest: CodeDigest, limits: UnpackLimits) -> None:
        link = self._opened()
        if (self._directory / "code" / digest).is_dir():
            return
        try:
            opened = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SandboxError(f"the archive {archive} can't be read: {error}") from error
        try:
            order = {"do": "unpack", "digest": digest, "bytes": limits.bytes, "entries": limits.entries}
            answer, _ = await link.ask(order, (opened,))
        finally:
            os.close(opened)
        _require_unpacked(answer)

    async def trees(self) -> frozenset[CodeDigest]:
        return frozenset(
            CodeDigest(entry.name) for entry in (self._directory / "code").iterdir() if not entry.name.startswith(".")
        )

    async def discard(self, digest: CodeDigest) -> None:
        link = self._opened()
        if not (self._directory / "code" / digest).is_dir():
            return
        answer, _ = await link.ask({"do": "discard", "digest": digest})
        if "problem" in answer:
            raise SandboxError(answer["problem"])

    async def unpack_image(self, digest: CodeDigest) -> None:
        answer, _ = await self._opened().ask({"do": "unpack_image", "digest": digest})
        _require_unpacked(answer)

    async def discard_image(self, digest: CodeDigest) -> None:
        answer, _ = await self._opened().ask({"do": "discard_image", "digest": digest})
        if "problem" in answer:
            raise SandboxError(answer["problem"])

    async def close(self) -> None:
        if self._link is not None:
            await asyncio.gather(*(sandbox.stop(0) for sandbox in list(self._sandboxes.values())))
            self._link.close()
            self._link = None
        if self._spawner is not None:
            await self._spawner.ended()
            self._spawner = None
        await self._relay.end()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _open(self, runtimes: Sequence[Runtime]) -> None:
        status = self._directory.stat()
        owner = f"ondol-{status.st_dev:x}-{status.st_ino:x}"
        self._groups = groups = self._find_groups(owner)
        described = {
            runtime.name: {
                "version": runtime.version,
                "forks": runtime.launch is Launch.ZYGOTE,
                "json": msgspec.json.encode(runtime).decode(),
            }
            for runtime in runtimes
        }
        self._relay.start()
        end = self._start_spawner(owner)
        try:
            channel.send(end, {"runtimes": described, "network": self._mode})
            ready = await spawner_process.first_message(end)
        except OSError as error:
            end.close()
            raise SandboxError(f"the spawner could not start: {error}") from error
        if "problem" in ready:
            end.close()
            raise SandboxError(ready["problem"])
        if ready["refusals"]:
            self._relay.watch_refusals()
        self._link = Link(end, self._heard, self._lost)
        self._capabilities = Capabilities(
            driver="jail",
            memory_limit=groups is None or groups.memory_limit,
            cpu_limit=groups is not None and groups.cpu_limit,
            process_limit=groups is None or groups.process_limit,
            tmp_limit=ready["tmp_limit"],
            freeze=groups is None or groups.freezer,
            network_isolated=True,
            own_uid=ready["own_uid"],
            shortfalls=tuple(ready["shortfalls"]),
        )

    def _opened(self) -> Link:
        if self._link is None:
            raise SandboxError("the jail driver is not open")
        return self._link

    def _find_groups(self, owner: str) -> cgroups.Cgroups | None:
        """Control groups, empty; None where this user has none. Raises `SandboxError`."""
        groups: cgroups.Cgroups | None = None
        try:
            if self._as_root:
                groups, self._place = cgroups.probe(owner), ROOTS
            elif (own := cgroups.delegated(owner)) is not None:
                groups, self._place = own, own.point
            if groups is not None:
                groups.sweep()
                groups.claim()
        except OSError as error:
            raise SandboxError(f"what an earlier run left behind can't be removed: {error}") from error
        return groups

    async def _lock_directory(self) -> None:
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = asyncio.get_running_loop().time() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                # A spawner whose platform has just been killed holds it until it has cleaned up.
                if asyncio.get_running_loop().time() > deadline:
                    os.close(self._lock)
                    self._lock = -1
                    raise DirectoryInUse(f"the data directory {self._directory} is in use by another ondol") from error
                await asyncio.sleep(LOCK_RETRY_S)
            else:
                return

    def _start_spawner(self, owner: str) -> socket.socket:
        ours, theirs = channel.pair()
        passed = (theirs.fileno(), self._lock)
        first_user = FIRST_USER + USERS * (zlib.crc32(owner.encode()) % USER_BLOCKS)
        arguments = [str(self._directory.resolve()), owner, *map(str, passed), self._place]
        try:
            if self._as_root:
                self._spawner = spawner_process.start_as_root(arguments, first_user, passed)
            else:
                self._spawner = spawner_process.start_as_user(arguments, first_user, passed)
        except OSError as error:
            ours.close()
            raise SandboxError(f"the spawner could not be started: {error}") from error
        except SandboxError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _heard(self, message: dict[str, Any], descriptors: list[int]) -> None:
        sandbox = self._sandboxes.get(SandboxId(message["sandbox"]))
        if sandbox is not None:
            sandbox.heard(message, descriptors)
        else:
            channel.close_all(descriptors)

    def _refused(self, name: SandboxId, port: int, host: str | None) -> None:
        sandbox = self._sandboxes.get(name)
        if sandbox is None:
            return
        if host is None:
            sandbox.tell(
                "no name is known in the sandbox: for functions to reach the internet start ondol with --network nat"
            )
        elif port not in self._own_ports:
            sandbox.tell(
                f"nothing listens at 127.0.0.1:{port} in the sandbox, but the host does: start ondol with "
                f"--allow-host {host}:{port} and connect to host.ondol.internal:{port}"
            )

    def _lost(self) -> None:
        for sandbox in self._sandboxes.values():
            sandbox.spawner_lost()

    def _forget(self, name: SandboxId) -> None:
        self._sandboxes.pop(name, None)
        self._relay.close(name)


def _require_unpacked(answer: dict[str, Any]) -> None:
    if answer.get("refused"):
        raise UnpackRefused(answer["problem"])
    if "problem" in answer:
        raise SandboxError(answer["problem"])
