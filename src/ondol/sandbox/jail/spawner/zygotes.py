"""Zygotes: one interpreter per runtime and account, started inside the runtime's base root.

```
wanted ──▶ root built ──▶ forked, pivoted into the root, exec'ed ──▶ ready ──▶ forks slots
                                                     died ──▶ the next one wanted starts another
```

A zygote's view of /var/runtime shows our own code beside the bootstrap until it has imported it. A runtime whose
processes are not forked (`provided.*`, `nodejs`) has this process's interpreter: the zygote is then a fork that pivots
into the root and execs nothing, and every slot execs the function's own program.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH100, PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH208, PTH211

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ondol.linux import mounts, namespaces, process, seccomp
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.inside import zygote
from ondol.sandbox.jail.spawner import ARCHIVE_REFUSED, SHARED
from ondol.sandbox.jail.spawner.events import EventLoop
from ondol.sandbox.paths import LIBRARY_PATH

BOOTSTRAP = "/var/runtime/bootstrap.py"
_OWN_CODE = ("__init__.py", "linux", "sandbox/__init__.py", "sandbox/jail/__init__.py", "sandbox/jail/channel.py")
_INSIDE = "sandbox/jail/inside"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SLOW = f"{_PACKAGE}/sandbox/jail/spawner/slow.py"
_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "fd/2"}
_UNWRITABLE = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/sched_debug", "/proc/timer_list")
_SEALED = mounts.NO_SUID | mounts.NO_DEVICES
_SPARE_PROC = "/tmp"
"""Where a zygote has a /proc that sandboxes take away: in a user namespace, to mount one another must be seen."""

Wanted = Callable[["Zygote | None", str], None]
"""Called with a zygote that is ready, or with None and why there is none."""


Built = Callable[[str, bool], None]
"""Called with what was wrong, or an empty text; and whether that is a fault of what was to be unpacked."""


class Zygote:
    """One that runs, or is about to."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.ready = False
        self.wanted: list[Wanted] = []

    def fork_slot(self, plan: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        """Have the first process of a sandbox forked. Raises `OSError`."""
        channel.send(self.control, plan, descriptors)

    def reap(self) -> None:
        """A slot's first process has ended."""
        with contextlib.suppress(OSError):
            channel.send(self.control, {})


class Zygotes:
    """All of them, and the base roots that they live in."""

    def __init__(
        self,
        directory: str,
        scratch: str,
        runtimes: dict[str, dict[str, Any]],
        events: EventLoop,
        *,
        unpacker: int | None,
        roots: bool,
        watched: bool,
    ) -> None:
        self._directory = directory
        self._unpacker = unpacker
        self._roots = roots
        self._scratch = f"{scratch}/runtime"
        os.mkdir(self._scratch)
        self._runtimes = runtimes
        self._events = events
        self._zygotes: dict[tuple[str, str], Zygote] = {}
        self._built: set[str] = set()
        self._building: dict[str, list[Built]] = {}
        self._walls = {
            "filter": seccomp.deny_list().hex(),
            "unwritable": [path for path in _UNWRITABLE if os.path.exists(path)],
            "masked": [path for path in _MASKED if os.path.exists(path)],
            "spare_proc": None if roots else _SPARE_PROC,
            "watched": watched,
        }

    def add_image(self, digest: str) -> str:
        """The name under which a runtime can be wanted whose root is this fetched image."""
        name = f"image-{digest}"
        self._runtimes.setdefault(name, {"forks": False, "image": digest})
        return name

    def want(self, name: str, account: str, then: Wanted) -> None:
        """Call `then` when a zygote of this runtime and account is ready, now if it is."""
        if name not in self._runtimes:
            then(None, f"the runtime {name} was not named when the driver was opened")
            return
        found = self._zygotes.get((name, account))
        if found is None:
            self.build(name, lambda problem, _: self._want_built(name, account, problem, then))
        elif found.ready:
            then(found, "")
        else:
            found.wanted.append(then)

    def _want_built(self, name: str, account: str, problem: str, then: Wanted) -> None:
        if problem:
            then(None, problem)
            return
        key = (name, account)
        if key not in self._zygotes:
            self._zygotes[key] = self._start(key)
        found = self._zygotes[key]
        if found.ready:
            then(found, "")
        else:
            found.wanted.append(then)

    def forget_image(self, digest: str) -> str:
        """No zygote of this image is wanted any more; returns its directory."""
        name = self.add_image(digest)
        directory = os.path.dirname(self._root(name))
        for key in [key for key in self._zygotes if key[0] == name]:
            self._end(key, self._zygotes[key])
        self._built.discard(name)
        del self._runtimes[name]
        return directory

    def build(self, name: str, then: Built) -> None:
        """Have the root of this runtime; `then` hears what was wrong, or an empty text, and whether it was refused."""
        if name not in self._built and "image" in self._runtimes[name] and _is_whole(self._root(name)):
            self._built.add(name)
        if name in self._built:
            then("", False)
            return
        waiting = self._building.setdefault(name, [])
        waiting.append(then)
        if len(waiting) > 1:
            return

        def built(status: int, errors: str) -> None:
            if status == 0:
                self._built.add(name)
            problem = "" if status == 0 else errors or f"building the base root ended with status {status}"
            refused = os.waitstatus_to_exitcode(status) == ARCHIVE_REFUSED
            for callback in self._building.pop(name):
                callback(problem, refused)

        described = self._runtimes[name]
        user = str(self._unpacker or SHARED)
        if "image" in described:
            order = ["image", os.path.dirname(self._root(name)), user]
        else:
            order = ["root", described["json"], self._root(name), user]
        self._events.run_program([sys.executable, "-I", SLOW, *order], built)

    def _root(self, name: str) -> str:
        described = self._runtimes[name]
        if "image" in described:
            return f"{self._directory}/images/{described['image']}/root"
        return f"{self._directory}/roots/{name}-{described['version']}"

    def _start(self, key: tuple[str, str]) -> Zygote:
        ours, theirs = channel.pair()
        runtime = self._runtimes[key[0]]
        root = self._root(key[0])
        while True:
            pid = os.fork()
            if pid == 0:
                # The second process of a namespace is what every runtime is in its own: OpenSSL takes a process for
                # a fork of another only when their numbers differ.
                if os.getpid() > 2:
                    _become_zygote(root, self._scratch, runtime, theirs, roots=self._roots)
                os._exit(0)
            if pid > 2:
                break
        theirs.close()
        started = Zygote(ours)
        own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        channel.send(ours, self._walls, (own_namespace,))
        os.close(own_namespace)
        self._events.watch(ours.fileno(), lambda: self._heard(key, started))
        return started

    def _heard(self, key: tuple[str, str], zygote: Zygote) -> None:
        received = channel.receive(zygote.control)
        waiting, zygote.wanted = zygote.wanted, []
        if received is not None:
            zygote.ready = True
            for then in waiting:
                then(zygote, "")
            return
        self._end(key, zygote)
        for then in waiting:
            then(None, f"the zygote of {key[0]} ended before it was ready; its own words are on the error output")

    def _end(self, key: tuple[str, str], zygote: Zygote) -> None:
        """It ends when its socket is closed, if it has not ended already."""
        self._events.forget(zygote.control.fileno())
        zygote.control.close()
        del self._zygotes[key]


def _is_whole(root: str) -> bool:
    """An image's root is there, and what it was made of is gone."""
    return os.path.isdir(root) and not os.path.isdir(f"{os.path.dirname(root)}/layers")


def _become_zygote(
    root: str, scratch: str, runtime: dict[str, Any], control: socket.socket, *, roots: bool
) -> NoReturn:
    """In a fork of the spawner: see nothing but the base root, and become its interpreter."""
    try:
        EventLoop.leave()
        if not runtime["forks"]:
            process.overwrite_arguments("init")
        process.set_name("zygote")
        os.dup2(control.detach(), zygote.CONTROL)
        process.close_all_but(0, 1, 2, zygote.CONTROL)
        namespaces.unshare(namespaces.NEW_MOUNTS)
        mounts.make_private()
        mounts.bind(root, root, mounts.READ_ONLY | _SEALED)
        _make_devices(f"{root}/dev", roots)
        if not roots:
            mounts.mount("proc", f"{root}{_SPARE_PROC}", "proc", _SEALED | mounts.NO_EXECUTE)
        if not runtime["forks"]:
            _take_nothing_from_the_root()
            mounts.change_root(root)
            zygote.serve(socket.socket(fileno=zygote.CONTROL), rehearse=lambda connection: None)
        else:
            _lay_code(root, scratch)
            mounts.change_root(root)
            interpreter = f"/var/lang/bin/python{'.'.join(runtime['version'].split('.')[:2])}"
            os.execve(interpreter, [interpreter, BOOTSTRAP], {"LD_LIBRARY_PATH": LIBRARY_PATH})
    except OSError as error:
        print(f"a zygote could not be started in {root}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _take_nothing_from_the_root() -> None:
    """The root may be a stranger's: what still has power in it imports nothing and loads nothing from there."""
    # OpenSSL reads its configuration when it is first used, and that may name libraries to load.
    ssl.RAND_bytes(1)
    sys.meta_path.clear()
    sys.path.clear()


def _make_devices(directory: str, roots: bool) -> None:
    mounts.mount("tmpfs", directory, "tmpfs", mounts.NO_SUID | mounts.NO_EXECUTE, "size=64k,mode=755")
    os.umask(0)
    for name, minor in _DEVICES.items():
        if roots:
            os.mknod(f"{directory}/{name}", 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        else:
            os.close(os.open(f"{directory}/{name}", os.O_CREAT | os.O_CLOEXEC, 0o666))
            mounts.mount(f"/dev/{name}", f"{directory}/{name}", "", mounts.BIND)
    os.umask(0o022)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{directory}/{name}")
    flags = mounts.NO_SUID | mounts.NO_EXECUTE | mounts.READ_ONLY
    mounts.mount("", directory, "", mounts.REMOUNT | mounts.BIND | flags)


def _lay_code(root: str, scratch: str) -> None:
    """Show the bootstrap, and our code beside it, at /var/runtime."""
    mounts.mount("tmpfs", scratch, "tmpfs", _SEALED, "size=1m,mode=755")
    _copy(f"{root}{BOOTSTRAP}", f"{scratch}/bootstrap.py")
    _copy(f"{_PACKAGE}/{_INSIDE}/zygote.py", f"{scratch}/zygote.py")
    for name in (*_OWN_CODE, _INSIDE):
        source = f"{_PACKAGE}/{name}"
        files = [name] if name.endswith(".py") else [f"{name}/{file}" for file in os.listdir(source)]
        for file in files:
            if file.endswith(".py"):
                _copy(f"{_PACKAGE}/{file}", f"{scratch}/ondol/{file}")
    mounts.mount(scratch, f"{root}/var/runtime", "", mounts.BIND)


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as reader, open(target, "wb") as writer:
        writer.write(reader.read())
