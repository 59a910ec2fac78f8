"""A process that fills one directory and can do nothing else: what hostile archives are unpacked by.

It has no privilege, no way out of the directory that it fills, and hard limits; its parent, which has the power, reads
nothing but a verdict of it. What it reads and how, this does not know.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from ondol.linux import capabilities, namespaces
from ondol.sandbox.errors import SandboxError, UnpackRefused

DESCRIPTORS = 64
"""That it may open beside those which are given to it."""

VERDICT_BYTES = 2000

Fill = Callable[[int], None]
"""Writes below the directory whose descriptor it is given. Raises `UnpackRefused`; whatever else is a failure."""


class Budget(NamedTuple):
    """What the process may use before it is ended."""

    file_bytes: int
    memory_bytes: int
    cpu_s: int
    wall_s: int


def fill_confined(destination: Path, fill: Fill, given: tuple[int, ...], budget: Budget, user: int | None) -> None:
    """Make `destination` through a process that is `user`, runs `fill`, and has no descriptors but `given`.

    Without a `user` that process keeps this one's, in namespaces where it is alone; this one follows it there, and can
    do little else afterwards. Call it with the power to change root and user; it blocks. The tree is there, and on
    disk, whole or not at all; if it is there already, nothing is done. Whatever `fill` needs is to be imported before:
    the process finds no module. Raises `UnpackRefused` for what `fill` refuses, else `SandboxError`.
    """
    if destination.exists():
        return
    staging = destination.with_name(f".{destination.name}.{os.getpid()}.unpacking")
    try:
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir(mode=0o700)
        if user is None:
            _seclude()
        else:
            os.chown(staging, user, user)
        directory = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _run(fill, directory, given, budget, user)
            os.fchmod(directory, 0o755)
            if ctypes.CDLL(None, use_errno=True).syncfs(directory) != 0:
                raise SandboxError(f"{destination} could not be written to disk: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(directory)
        staging.rename(destination)
        _sync_directory(destination.parent)
    except OSError as error:
        raise SandboxError(f"{destination} could not be unpacked: {error}") from error
    finally:
        if staging.exists():
            shutil.rmtree(staging)


def _seclude() -> None:
    """Whom the next child can signal, trace or connect to is itself."""
    namespaces.become_alone(0, 0)
    namespaces.unshare(namespaces.NEW_PID | namespaces.NEW_NETWORK | namespaces.NEW_IPC)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _run(fill: Fill, directory: int, given: tuple[int, ...], budget: Budget, user: int | None) -> None:
    verdict, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(fill, directory, writer, given, budget=budget, user=user)
    os.close(writer)
    try:
        text = _read_verdict(verdict, time.monotonic() + budget.wall_s)
    finally:
        os.close(verdict)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if text.startswith("unpacked"):
        return
    if text.startswith("refused "):
        raise UnpackRefused(text.removeprefix("refused "))
    if text:
        raise SandboxError(f"the archive could not be unpacked: {text}")
    reason = f"after {budget.wall_s} s" if status == signal.SIGKILL else f"with status {status}"
    raise UnpackRefused(f"unpacking took more time or memory than an honest archive needs: it was ended {reason}")


def _read_verdict(verdict: int, deadline: float) -> str:
    text = b""
    while len(text) < VERDICT_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([verdict], [], [], remaining)[0]:
            return ""
        received = os.read(verdict, VERDICT_BYTES)
        if not received:
            break
        text += received
    return text.decode(errors="replace")


def _child(
    fill: Fill, directory: int, writer: int, given: tuple[int, ...], *, budget: Budget, user: int | None
) -> NoReturn:
    """The confined process: it ends here, whatever happens."""
    verdict = "failed"
    try:
        _confine(directory, (*given, directory, writer), budget, user)
        fill(directory)
        verdict = "unpacked"
    except UnpackRefused as refusal:
        verdict = f"refused {refusal}"
    except MemoryError:
        verdict = "refused unpacking it takes more memory than an honest archive needs"
    except BaseException as error:  # noqa: BLE001 (whatever ends this process, its parent is told)
        verdict = f"failed: {error!r}"
    finally:
        os.write(writer, verdict.encode(errors="replace")[:VERDICT_BYTES])
        os._exit(0)


def _confine(directory: int, keep: tuple[int, ...], budget: Budget, user: int | None) -> None:
    """Give up, for good, all that filling a directory does not need: other files, descriptors, rights, resources."""
    below = 3
    for descriptor in sorted(fd for fd in keep if fd >= below):
        if descriptor > below:  # an empty range would close everything
            os.closerange(below, descriptor)
        below = descriptor + 1
    os.closerange(below, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.fchdir(directory)
    os.chroot(".")
    os.umask(0o022)
    descriptors = max(keep) + DESCRIPTORS
    for kind, most in (
        (resource.RLIMIT_AS, budget.memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, budget.cpu_s),
        (resource.RLIMIT_FSIZE, budget.file_bytes),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if user is None:
        capabilities.drop_bounding()
        capabilities.clear()
    else:
        capabilities.become(user, user)
    sys.setrecursionlimit(500)
