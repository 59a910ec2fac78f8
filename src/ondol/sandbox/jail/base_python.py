"""A host's Python made into /var/lang of a base root: which of its files, and compiled how.

Any layout will do (a distribution's, a version manager's, a relocatable build): the interpreter is asked where its
parts are. Left out is what no function uses: test suites, Tk and its programs, installed packages, static libraries.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ondol.model.runtime import Runtime
from ondol.sandbox.errors import SandboxError

LOCATE_TIMEOUT_S = 10

_LOCATE = """
import json, os, ssl, sys, sysconfig
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "prefix": os.path.realpath(sys.base_prefix),
    "short_version": "%d.%d" % sys.version_info[:2],
    "standard_library": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}),
    "extensions": [path for path in sys.path if path.endswith("lib-dynload")],
    "cache_tag": sys.implementation.cache_tag,
    "certificate_file": ssl.get_default_verify_paths().openssl_cafile,
}))
"""

PRECOMPILE = (Path(__file__).parent / "base_precompile.py").read_text()
"""Run by the root's own interpreter inside the root."""

SELF_TEST = """
import importlib, json, sys
wanted = ["ctypes", "hashlib", "json", "lzma", "socket", "sqlite3", "ssl", "zlib"]
if sys.version_info >= (3, 9):
    wanted.append("zoneinfo")
missing = []
for name in wanted:
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
version = "%d.%d.%d" % sys.version_info[:3]
print(json.dumps({"version": version, "prefix": sys.prefix, "missing": missing}))
"""

OWN_FILES = (Path(__file__), Path(__file__).parent / "base_precompile.py")

_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "idle_test",
        "idlelib",
        "site-packages",
        "sitecustomize.py",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    }
)
_LEFT_OUT_PREFIXES = ("config-", "_ctypes_test.", "_test", "_tkinter.", "_xxtestfuzz.", "xxlimited", "xxsubtype.")


class Home(msgspec.Struct, frozen=True):
    """Where the parts of one interpreter are on the host."""

    executable: Path
    prefix: Path
    short_version: str
    standard_library: Path
    extensions: tuple[Path, ...]
    cache_tag: str
    certificate_file: Path


def identifying_files(interpreter: Path) -> list[Path]:
    """Files that change whenever the interpreter is installed anew."""
    real = interpreter.resolve()
    return [real, *sorted((real.parent.parent / "lib").glob("libpython*.so*"))]


def locate(runtime: Runtime) -> Home:
    """Ask the interpreter where its parts are. Raises `SandboxError`."""
    command = [str(runtime.interpreter), "-I", "-S", "-c", _LOCATE]
    try:
        ended = subprocess.run(command, check=True, capture_output=True, timeout=LOCATE_TIMEOUT_S, env={}, cwd="/")
        return msgspec.json.decode(ended.stdout, type=Home, dec_hook=lambda kind, value: kind(value))
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise SandboxError(f"{runtime.interpreter} does not say where its parts are: {error}") from error


def copy(home: Home, root: Path) -> list[Path]:
    """Copy the interpreter to /var/lang of `root`. Answers the host's paths of the binaries it copied."""
    program = root / "var/lang/bin" / f"python{home.short_version}"
    shutil.copyfile(home.executable, program)
    program.chmod(0o755)
    for name in ("python3", "python"):
        program.with_name(name).symlink_to(program.name)
    library = root / "var/lang/lib" / f"python{home.short_version}"
    binaries = [home.executable, *_copy_tree(home, home.standard_library, library)]
    for extensions in home.extensions:
        if not extensions.is_relative_to(home.standard_library):
            binaries += _copy_tree(home, extensions, library / "lib-dynload")
    (library / "lib-dynload").mkdir(exist_ok=True)
    (library / "site-packages").mkdir()
    # The name under which Debian's interpreters look for what is installed.
    (library / "dist-packages").symlink_to("site-packages")
    return binaries


def copy_libraries(home: Home, sources: Sequence[str], root: Path) -> None:
    """Copy packages and modules of Python source to where the interpreter in `root` finds what is installed."""
    installed = root / "var/lang/lib" / f"python{home.short_version}" / "site-packages"
    for source in map(Path, sources):
        if source.is_dir():
            _copy_tree(home, source, installed / source.name)
        else:
            shutil.copy2(source, installed / source.name)
            (installed / source.name).chmod(0o644)


def _copy_tree(home: Home, source: Path, destination: Path) -> list[Path]:
    destination.mkdir(parents=True, exist_ok=True)
    binaries = []
    compiled = f".{home.cache_tag}.pyc"
    for entry in os.scandir(source):
        if entry.name in _LEFT_OUT or entry.name.startswith(_LEFT_OUT_PREFIXES):
            continue
        path = Path(entry.path)
        if entry.is_dir():
            binaries += _copy_tree(home, path, destination / entry.name)
        elif entry.is_file() and path.suffix not in (".a", ".pyc"):
            # The time of change is kept: it tells whether a compiled file belongs to its source.
            shutil.copy2(path, destination / entry.name)
            (destination / entry.name).chmod(0o755 if path.suffix == ".so" else 0o644)
            if path.suffix == ".so":
                binaries.append(path)
    cache = source / "__pycache__"
    if cache.is_dir():
        for path in cache.glob("*" + compiled):
            if (destination / (path.name[: -len(compiled)] + ".py")).exists():
                (destination / "__pycache__").mkdir(exist_ok=True)
                shutil.copyfile(path, destination / "__pycache__" / path.name)
    return binaries
