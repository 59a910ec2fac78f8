"""Which runtimes this machine has.

An interpreter is believed when it has been run and has said what it is: a name on the path may be anything. What it
said is kept beside its time of change, so that the next start runs nothing. How a runtime becomes a sandbox's root,
this does not know.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ondol.model.errors import OndolError
from ondol.model.runtime import Launch, Runtime
from ondol.runtimes.sdk import oldest_python, sdk

PROBE_TIMEOUT_S = 10
PYTHON_BOOTSTRAP = Path(__file__).parent / "python"
NODE_BOOTSTRAP = Path(__file__).parent / "node"
NODE_OPTIONS = ("--expose-gc", "--max-http-header-size=81920", "--max-heap-size={AWS_LAMBDA_FUNCTION_MEMORY_SIZE}")
"""As AWS starts Node, but for how it divides the memory: V8 does that by itself."""

PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/*/bin",
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.local/share/mise/installs/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/usr/local/n/versions/node/*/bin",
    "~/.nvm/versions/node/*/bin",
    "~/.fnm/node-versions/*/installation/bin",
    "~/.local/share/fnm/node-versions/*/installation/bin",
    "~/.volta/tools/image/node/*/bin",
    "~/.local/share/mise/installs/node/*/bin",
    "~/.asdf/installs/nodejs/*/bin",
)
"""Looked in beside the path. Version managers' own commands are scripts that may lead nowhere: they are passed over."""

PROVIDED = {"provided": "al1", "provided.al2": "al2", "provided.al2023": "al2023"}

_PYTHON_PROBE = """
import ctypes, json, os, sqlite3, ssl, sys, zlib
assert sys.implementation.name == "cpython" and not getattr(sys, "abiflags", "")
executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(json.dumps({"version": list(sys.version_info[:3]), "executable": executable}))
"""
_NODE_PROBE = """
const version = process.versions.node.split(".").map(Number);
console.log(JSON.stringify({ language: "nodejs", version, executable: process.execPath }));
"""


class RuntimeMissing(OndolError):
    """No runtime of this machine has that name; the text says which there are and how to add one."""


class Interpreter(msgspec.Struct, frozen=True):
    """What an interpreter has said of itself."""

    version: tuple[int, int, int]
    executable: str
    language: str = "python"

    @property
    def number(self) -> int:
        """What tells the language's runtimes from each other: the minor version of Python, the major one of Node."""
        return self.version[_LANGUAGES[self.language].numbered_by]


class _Language(msgspec.Struct, frozen=True):
    """How one language's interpreters are found and talked about."""

    name: str
    oldest: int
    newest: int
    numbered_by: int
    runtime: str
    """The runtime's name but for its number, as `format` takes it."""

    programs: tuple[str, ...]
    probe: tuple[str, ...]
    installers: tuple[str, ...]


_LANGUAGES = {
    "python": _Language(
        name="Python 3.{}",
        oldest=8,
        newest=14,
        numbered_by=1,
        runtime="python3.{}",
        programs=("python3", *(f"python3.{minor}" for minor in range(8, 15))),
        probe=("-I", "-S", "-c", _PYTHON_PROBE),
        installers=("pyenv install 3.{}", "uv python install 3.{}"),
    ),
    "nodejs": _Language(
        name="Node {}",
        oldest=16,
        newest=24,
        numbered_by=0,
        runtime="nodejs{}.x",
        programs=("node", "nodejs"),
        probe=("-e", _NODE_PROBE),
        installers=("nvm install {}", "fnm install {}"),
    ),
}


class _Known(msgspec.Struct, frozen=True):
    """What came of running one file, while it stays the same file. One that was no use is asked again each time."""

    changed_ns: int
    size: int
    interpreter: Interpreter


class Catalog(msgspec.Struct, frozen=True):
    """The runtimes of this machine, by AWS's names."""

    runtimes: Mapping[str, Runtime]
    images: Mapping[str, str] = {}
    """The references of those that are images: `oci.runtime_images` fetches these, and completes the runtimes."""

    @property
    def of_this_machine(self) -> list[Runtime]:
        """Those that are made of what the machine itself has."""
        return [runtime for name, runtime in self.runtimes.items() if name not in self.images]

    def resolve(self, name: str, nearest: bool) -> Runtime:
        """The runtime called `name`; with `nearest`, of its language the closest there is, of two the newer.

        Raises `RuntimeMissing`.
        """
        found = self.runtimes.get(name)
        if found is not None:
            return found
        kind = _kind(name)
        if kind is None:
            raise RuntimeMissing(f"ondol has no runtime {name}: it has {', '.join(sorted(self.runtimes))}.")
        key, wanted = kind
        kinds = [(_kind(other), runtime) for other, runtime in self.runtimes.items()]
        there = {kind[1]: runtime for kind, runtime in kinds if kind is not None and kind[0] == key}
        if nearest and there:
            return there[min(there, key=lambda number: (abs(number - wanted), -number))]
        versions = ", ".join(there[number].version for number in sorted(there)) or "none"
        language = _LANGUAGES[key]
        first, second = (f"`{installer.format(wanted)}`" for installer in language.installers)
        raise RuntimeMissing(
            f"{name} needs an interpreter of {language.name.format(wanted)}, and this machine has none "
            f"(found: {versions}); install it with the system's packages, {first} or {second}, and restart ondol."
        )


def find(cache: Path | None = None, images: Mapping[str, str] | None = None) -> Catalog:
    """Look for runtimes on this machine; `cache` is a file that remembers what each interpreter said.

    `images` are the runtimes that the configuration has an image for: they stand before the machine's own.
    Blocks: milliseconds when nothing has changed, else for as long as the slowest new interpreter takes to start.
    """
    remembered = _recall(cache)
    known = _examine(_candidates(), remembered)
    if cache is not None and known != remembered:
        _remember(cache, known)
    runtimes = {name: _provided(name, version) for name, version in PROVIDED.items()}
    best: dict[tuple[str, int], Interpreter] = {}
    for entry in known.values():
        found = entry.interpreter
        kind = (found.language, found.number)
        language = _LANGUAGES[found.language]
        if language.oldest <= found.number <= language.newest and (
            kind not in best or found.version > best[kind].version
        ):
            best[kind] = found
    for (key, number), interpreter in sorted(best.items()):
        runtime = _python(number, interpreter) if key == "python" else _node(number, interpreter)
        runtimes[runtime.name] = runtime
    for name in images or {}:
        runtimes[name] = Runtime(name, version="", launch=Launch.EXEC, command=())
    return Catalog(runtimes, images or {})


def _python(minor: int, interpreter: Interpreter) -> Runtime:
    return Runtime(
        name=f"python3.{minor}",
        version=".".join(map(str, interpreter.version)),
        launch=Launch.ZYGOTE,
        command=(f"/var/lang/bin/python3.{minor}", "/var/runtime/bootstrap.py"),
        interpreter=interpreter.executable,
        bootstrap_dir=str(PYTHON_BOOTSTRAP),
        libraries=sdk() if sdk() and minor >= oldest_python() else (),
    )


def _node(major: int, interpreter: Interpreter) -> Runtime:
    return Runtime(
        name=f"nodejs{major}.x",
        version=".".join(map(str, interpreter.version)),
        launch=Launch.EXEC,
        command=("/var/lang/bin/node", *NODE_OPTIONS, "/var/runtime/bootstrap.js"),
        interpreter=interpreter.executable,
        bootstrap_dir=str(NODE_BOOTSTRAP),
    )


def _provided(name: str, version: str) -> Runtime:
    return Runtime(name=name, version=version, launch=Launch.EXEC, command=())


def _kind(name: str) -> tuple[str, int] | None:
    """Language and number of a runtime's name; None for another's."""
    for key, language in _LANGUAGES.items():
        before, after = language.runtime.split("{}")
        number = name.removeprefix(before).removesuffix(after)
        if number.isascii() and number.isdigit() and name == language.runtime.format(number):
            return key, int(number)
    return None


def _candidates() -> dict[Path, _Language]:
    """Files that may be interpreters, the path's first, each once however many names lead to it."""
    directories = [Path(entry) for entry in os.get_exec_path() if Path(entry).is_absolute()]
    for place in PLACES:
        root, _, pattern = str(Path(place).expanduser()).partition("/*")
        directories += sorted(Path(root).glob("*" + pattern)) if pattern else [Path(root)]
    found: dict[Path, _Language] = {}
    for directory in dict.fromkeys(directories):
        for language in _LANGUAGES.values():
            paths = (directory / program for program in language.programs)
            found |= {path.resolve(): language for path in paths if _is_program(path)}
    return found


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _examine(candidates: Mapping[Path, _Language], remembered: Mapping[str, _Known]) -> dict[str, _Known]:
    known = {}
    unknown = {}
    for path in candidates:
        status = path.stat()
        entry = remembered.get(str(path))
        if entry is not None and (entry.changed_ns, entry.size) == (status.st_mtime_ns, status.st_size):
            known[str(path)] = entry
        else:
            unknown[path] = (status.st_mtime_ns, status.st_size)
    answers = _run_all({path: candidates[path] for path in unknown})
    return known | {str(path): _Known(*unknown[path], interpreter) for path, interpreter in answers.items()}


def _run_all(candidates: Mapping[Path, _Language]) -> dict[Path, Interpreter]:
    """What those answer that do within the time limit, all of them run at once."""
    answers = {}
    deadline = time.monotonic() + PROBE_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        running = {}
        for path, language in candidates.items():
            process = _start(path, language.probe)
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


def _start(path: Path, probe: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [path, *probe],
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
