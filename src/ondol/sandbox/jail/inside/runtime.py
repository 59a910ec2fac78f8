"""The second process of a sandbox: makes its walls while nobody waits, and becomes the customer's runtime when told.

It keeps its power until the function's code is attached, and no longer. What it inherits of ours ends here too:
descriptors, signal dispositions, the environment, the state of random generators.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH110, PTH112, PTH123

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ondol.linux import mounts, namespaces, process, refusals, seccomp
from ondol.linux.route import Routes
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.inside import accounts, cable, extensions, power

LOOPBACK = "127.0.0.1"
RUNTIME_API = (LOOPBACK, 9001)
NAMES = (LOOPBACK, 53)
"""Where a system that is told nothing asks for names (resolv.conf(5))."""

BACKLOG = 64
DESCRIPTORS = 1024
PROCESSES = 1024
HOSTNAME = "169-254-10-1"
BOOTSTRAPS = ("/var/task/bootstrap", "/opt/bootstrap")
MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
"""In braces within a command: an interpreter that cannot see its limit is told what the function has."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes, a shell's, of a file that cannot be run."""

DISK, MOUNTED, TREE = "disk", "mounted disk", "tree"
"""What a /tmp is made of: a device to mount, such a mount, or any other; of the first two another is handed back."""

Pipes = tuple[int, int]
"""The runtime's side of its connection to the Runtime API: the descriptors to read from, and to write to."""

Rehearse = Callable[[Pipes], None]

_SEALED = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXECUTE
TMP_ATTRIBUTES = mounts.ATTRIBUTE_NO_SUID | mounts.ATTRIBUTE_NO_DEVICES


def run(
    control: socket.socket,
    plan: dict[str, Any],
    descriptors: list[int],
    roster: int,
    *,
    rehearse: Rehearse,
    router: Routes | None,
) -> Pipes:
    """Wait for the start; returns the connection to the Runtime API, or becomes another program.

    The descriptors: where output goes, what /tmp is made of, and the entrances of the cgroup. In `roster` the first
    process reads whose ends to tell. `rehearse` is called if nobody waits; `router` is where this sandbox's cable
    leads, if it has one.
    """
    try:
        connection = _prepare(control, plan, descriptors, roster, rehearse=rehearse, router=router)
        received = channel.receive(control)
        if received is None:
            os._exit(0)
        start, trees = received
        for target, tree in zip(start["targets"], trees):  # noqa: B905 (`strict` came with 3.10)
            if target == "/tmp":
                mounts.detach("/tmp")
                _mount_tmp(start["tmp"], tree)
            else:
                mounts.attach(tree, target)
            os.close(tree)
        os.chdir("/var/task")
        if start["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (start["file_size"], start["file_size"]))
        gate = extensions.start(control, roster, lambda: _lock_down(plan))
        os.close(roster)
        _lock_down(plan)
    except OSError as error:
        channel.send(control, {"failed": str(error)})
        os._exit(1)
    control.close()
    # A change of user hides a process from its own children's eyes; this one has nothing to hide from them any more.
    process.set_dumpable(True)
    if gate is not None:
        extensions.wait(gate)
    if not start["fork"]:
        _execute(start["command"], start["directory"], start["environment"], start["shown"])
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    # What is alive is ours: the first collection need not look at it.
    gc.freeze()
    gc.enable()
    return connection


def _prepare(
    control: socket.socket,
    plan: dict[str, Any],
    descriptors: list[int],
    roster: int,
    *,
    rehearse: Rehearse,
    router: Routes | None,
) -> Pipes:
    """All that can be done before the function is known."""
    output, tmp, *entrances = descriptors
    for entrance in entrances:
        os.write(entrance, b"0")
    # After the move, so that the group is the root of what this process sees in /proc/self/cgroup.
    namespaces.unshare(namespaces.NEW_CGROUP)
    os.setsid()
    _raise_walls(plan, tmp, router)
    listener = _listen(RUNTIME_API)
    bound = [each.detach() for each in _bind(plan["bound"])]
    # A connection is there before the function is known, and needs no network.
    coming, outside_in = os.pipe2(os.O_CLOEXEC)
    outside_out, going = os.pipe2(os.O_CLOEXEC)
    connection = (coming, going)
    # Others forked from the same zygote must not draw the same numbers. (`random` sees to itself.)
    ssl.RAND_add(os.urandom(32), 32.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if not plan["awaited"]:
        rehearse(connection)
    first, second = process.open_process(os.getppid()), process.open_process(os.getpid())
    kept = [mounts.clone_tree("/tmp", TMP_ATTRIBUTES)] if plan["tmp"] != TREE else []
    shown = [_be_watched()] if plan["watched"] else []
    told = (listener.detach(), outside_out, outside_in, first, second, *kept, *shown, *bound)
    channel.send(control, {"prepared": True}, told)
    process.close_all_but(0, 1, 2, control.fileno(), *connection, roster)
    return connection


def _be_watched() -> int:
    """A descriptor of this sandbox's /proc, for the watch. What that misses is the first to go if memory runs out."""
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)


def _listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(BACKLOG)
    return listener


def _bind(bound: dict[str, Any]) -> list[socket.socket]:
    """What is served outside: see `ondol.sandbox.jail.relay.Bound`."""
    sockets = [_listen((LOOPBACK, port)) for port in bound["ports"]]
    if bound["resolver"]:
        asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asked.bind(NAMES)
        sockets += [_listen(NAMES), asked]
    if bound["refusals"]:
        sockets += refusals.watch()
    return sockets


def _raise_walls(plan: dict[str, Any], tmp: int, router: Routes | None) -> None:
    mounts.mount("proc", "/proc", "proc", _SEALED)
    if plan["spare_proc"] is not None:
        mounts.detach(plan["spare_proc"])
    if router is not None:
        cable.lay(router, plan["cable"])
    for path in plan["unwritable"]:
        mounts.bind(path, path, mounts.READ_ONLY | _SEALED)
    for path in plan["masked"]:
        mounts.mount("/dev/null", path, "", mounts.BIND)
    if plan["user"] is not None:
        accounts.enter(plan["user"])
    _mount_tmp(plan["tmp"], tmp)
    socket.sethostname(HOSTNAME)


def _mount_tmp(kind: str, descriptor: int) -> None:
    if kind == DISK:
        # Nobody misses this disk after a crash, so nothing waits for it to be written.
        flags = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_ATIME
        mounts.mount(f"/proc/self/fd/{descriptor}", "/tmp", "ext4", flags, "noinit_itable,nobarrier")
    else:
        mounts.attach(descriptor, "/tmp")


def _lock_down(plan: dict[str, Any]) -> None:
    power.leave_runtime(plan["user"])
    process.set_dumpable(False)
    process.set_no_new_privileges()
    if plan["watched"]:
        # Counted for each user in each user namespace: one of the two is its own.
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    seccomp.install(plan["filter"])


def _execute(command: list[str], directory: str | None, environment: dict[str, str], shown: str | None) -> NoReturn:
    """Become this program; `shown` is how an image's is told of if it cannot be launched."""
    # Dispositions that the interpreter has set for itself would outlive it.
    for changed in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(changed, signal.SIG_DFL)
    if shown is None:
        command = [part.replace(f"{{{MEMORY}}}", environment.get(MEMORY, "")) for part in command]
    try:
        if directory is not None:
            _enter(directory)
        program = _find(command, environment.get("PATH", ""))
        os.execve(program, command or [program], environment)
    except _Refused as refusal:
        text, code = str(refusal), NOT_FOUND
    except OSError as error:
        text = f"fork/exec {command[0] if command else program}: {os.strerror(error.errno or 0).lower()}"
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    os.write(2, (text if shown is None else f"IMAGE\tLaunch error: {text}{shown}").encode() + b"\n")
    os._exit(code)


class _Refused(Exception):
    """There is nothing to execute. Texts are AWS's."""


def _find(command: list[str], path: str) -> str:
    """The program's file. Raises `_Refused`."""
    if not command:
        found = [path for path in BOOTSTRAPS if os.path.exists(path)]
        if not found:
            raise _Refused(f"Couldn't find valid bootstrap(s): [{' '.join(BOOTSTRAPS)}]")
        return next((path for path in found if os.access(path, os.X_OK)), found[0])
    if "/" in command[0]:
        return command[0]
    program = _along_path(command[0], path)
    if program is None:
        raise _Refused(f'exec: "{command[0]}": executable file not found in $PATH')
    return program


def _enter(directory: str) -> None:
    """Raises `_Refused`."""
    if not directory.startswith("/"):
        raise _Refused(f"the working directory '{directory}' is invalid, it needs to be an absolute path")
    try:
        os.chdir(directory)
    except FileNotFoundError:
        raise _Refused(f"the working directory doesn't exist: {directory}") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise _Refused(f"the working directory {directory} cannot be entered: {reason}") from None


def _along_path(name: str, path: str) -> str | None:
    """The first such program, if there is one."""
    found = (f"{directory}/{name}" for directory in path.split(":") if directory)
    return next((program for program in found if os.access(program, os.X_OK) and not os.path.isdir(program)), None)
