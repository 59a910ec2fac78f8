"""Which runtimes this machine has.

An interpreter is believed when it has been run and has said what it is: a name on the path may be anything. What it
said is kept beside its time of change, so that the next start runs nothing. How a runtime becomes a sandbox's root,
this does not know.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ondol.model.errors import OndolError
from ondol.model.runtime import Launch, Runtime

OLDEST_MINOR = 8
NEWEST_MINOR = 14
PROBE_TIMEOUT_S = 10
PYTHON_BOOTSTRAP = Path(__file__).parent / "python"

PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/*/bin",
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.local/share/mise/installs/python/*/bin",
    "~/.asdf/installs/python/*/bin",
)
"""Looked in beside the path. Version managers' own commands are scripts that may lead nowhere: they are passed over."""

PROVIDED = {"provided": "al1", "provided.al2": "al2", "provided.al2023": "al2023"}

_PROBE = """
import ctypes, json, os, sqlite3, ssl, sys, zlib
assert sys.implementation.name == "cpython" and not getattr(sys, "abiflags", "")
executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(json.dumps({"version": list(sys.version_info[:3]), "executable": executable}))
"""


class RuntimeMissing(OndolError):
    """No runtime of this machine has that name; the text says which there are and how to add one."""


class Interpreter(msgspec.Struct, frozen=True):
    """What an interpreter has said of itself."""

    version: tuple[int, int, int]
    executable: str


class _Known(msgspec.Struct, frozen=True):
    """What came of running one file, while it stays the same file. One that was no use is asked again each time."""

    changed_ns: int
    size: int
    interpreter: Interpreter


class Catalog(msgspec.Struct, frozen=True):
    """The runtimes of this machine, by AWS's names."""

    runtimes: Mapping[str, Runtime]

    def resolve(self, name: str, nearest: bool) -> Runtime:
        """The runtime called `name`; with `nearest`, of Python the closest there is, of two the newer.

        Raises `RuntimeMissing`.
        """
        found = self.runtimes.get(name)
        if found is not None:
            return found
        wanted = _minor(name)
        pythons = {minor: runtime for key, runtime in self.runtimes.items() if (minor := _minor(key)) is not None}
        if wanted is None:
            raise RuntimeMissing(f"ondol has no runtime {name}: it has {', '.join(sorted(self.runtimes))}.")
        if nearest and pythons:
            return pythons[min(pythons, key=lambda minor: (abs(minor - wanted), -minor))]
        versions = ", ".join(pythons[minor].version for minor in sorted(pythons)) or "none"
        raise RuntimeMissing(
            f"{name} needs an interpreter of Python 3.{wanted}, and this machine has none (found: {versions}); "
            f"install it with the system's packages, `pyenv install 3.{wanted}` or "
            f"`uv python install 3.{wanted}`, and restart ondol."
        )


def find(cache: Path | None = None) -> Catalog:
    """Look for runtimes on this machine; `cache` is a file that remembers what each interpreter said.

    Blocks: milliseconds when nothing has changed, else for as long as the slowest new interpreter takes to start.
    """
    remembered = _recall(cache)
    known = _examine(_candidates(), remembered)
    if cache is not None and known != remembered:
        _remember(cache, known)
    runtimes = {name: _provided(name, version) for name, version in PROVIDED.items()}
    best: dict[int, Interpreter] = {}
    for entry in known.values():
        minor = entry.interpreter.version[1]
        if OLDEST_MINOR <= minor <= NEWEST_MINOR and (
            minor not in best or entry.interpreter.version > best[minor].version
        ):
            best[minor] = entry.interpreter
    for minor, interpreter in sorted(best.items()):
        runtimes[f"python3.{minor}"] = _python(minor, interpreter)
    return Catalog(runtimes)


def _python(minor: int, interpreter: Interpreter) -> Runtime:
    return Runtime(
        name=f"python3.{minor}",
        version=".".join(map(str, interpreter.version)),
        launch=Launch.ZYGOTE,
        command=(f"/var/lang/bin/python3.{minor}", "/var/runtime/bootstrap.py"),
        interpreter=interpreter.executable,
        bootstrap_dir=str(PYTHON_BOOTSTRAP),
    )


def _provided(name: str, version: str) -> Runtime:
    return Runtime(name=name, version=version, launch=Launch.EXEC, command=())


def _minor(name: str) -> int | None:
    language, _, minor = name.partition("3.")
    return int(minor) if language == "python" and minor.isascii() and minor.isdigit() else None


def _candidates() -> list[Path]:
    """Files that may be interpreters, the path's first, each once however many names lead to it."""
    directories = [Path(entry) for entry in os.get_exec_path() if Path(entry).is_absolute()]
    for place in PLACES:
        root, _, pattern = str(Path(place).expanduser()).partition("/*")
        directories += sorted(Path(root).glob("*" + pattern)) if pattern else [Path(root)]
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST_MINOR, NEWEST_MINOR + 1))]
    found = (directory / name for directory in dict.fromkeys(directories) for name in names)
    return list(dict.fromkeys(path.resolve() for path in found if _is_program(path)))


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _examine(candidates: Iterable[Path], remembered: Mapping[str, _Known]) -> dict[str, _Known]:
    known = {}
    unknown = {}
    for path in candidates:
        status = path.stat()
        entry = remembered.get(str(path))
        if entry is not None and (entry.changed_ns, entry.size) == (status.st_mtime_ns, status.st_size):
            known[str(path)] = entry
        else:
            unknown[path] = (status.st_mtime_ns, status.st_size)
    answers = _run_all(unknown)
    return known | {str(path): _Known(*unknown[path], interpreter) for path, interpreter in answers.items()}


def _run_all(candidates: Iterable[Path]) -> dict[Path, Interpreter]:
    """What those answer that do within the time limit, all of them run at once."""
    answers = {}
    deadline = time.monotonic() + PROBE_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        running = {}
        for path in candidates:
            process = _start(path)
            if process is not None and process.stdout is not None:
                running[path] = process
                selector.register(process.stdout, selectors.EVENT_READ, path)
        while selector.get_map() and (remaining := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(remaining):
                selector.unregister(key.fileobj)
                # An interpreter that works says it all in one write, shorter than a pipe holds.
                answer = _answer(os.read(key.fd, 65536))
                if answer is not None:
                    answers[key.data] = answer
        for process in running.values():
            process.kill()
            process.communicate()
    return answers


def _start(path: Path) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [path, "-I", "-S", "-c", _PROBE],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _answer(text: bytes) -> Interpreter | None:
    try:
        return msgspec.json.decode(text, type=Interpreter)
    except msgspec.DecodeError:
        return None


def _recall(cache: Path | None) -> dict[str, _Known]:
    if cache is None:
        return {}
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(cache: Path, known: Mapping[str, _Known]) -> None:
    written = cache.with_name(f".{cache.name}.{os.getpid()}")
    written.write_bytes(msgspec.json.encode(known))
    written.replace(cache)
