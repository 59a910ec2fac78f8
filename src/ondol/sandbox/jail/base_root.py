"""The read-only root that every sandbox of one runtime sees: what is in it, and when it must be made again.

```
/var/lang      interpreter        /etc            names, resolver, certificates: minimal
/var/runtime   bootstrap          /usr (bin, lib) C library, the interpreter's libraries, a few programs
/var/task /opt /tmp /proc /dev    empty: what a sandbox mounts
```

Nothing else of the host is there. It knows nothing of sandboxes: who mounts it where is the driver's business.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ondol.linux import capabilities
from ondol.model.runtime import Runtime
from ondol.sandbox.errors import SandboxError
from ondol.sandbox.jail import base_node, base_python, base_system
from ondol.sandbox.paths import LIBRARY_PATH, PROGRAM_PATH

NOBODY = 65534
SELF_TEST_TIMEOUT_S = 30

STANDARD_DIRECTORIES = (
    "dev",
    "etc",
    "mnt",
    "opt/bin",
    "opt/extensions",
    "opt/lib",
    "opt/python",
    "proc",
    "root",
    "tmp",
    "usr/bin",
    "usr/lib",
    "var/lang/bin",
    "var/lang/lib",
    "var/runtime/lib",
    "var/task/lib",
)
"""Present though empty: a directory that is missing when the dynamic linker first looks is never looked at again."""


def build(runtime: Runtime, destination: Path, user: int | None = NOBODY) -> None:
    """Make the base root of `runtime` at `destination`, unless the one there was made from the same inputs.

    Synchronous and slow (seconds): run it with power in a process of its own. It is tested as `user`, or without one as
    whoever this is, without capabilities. The root is there whole or not at all.
    Raises `SandboxError`.
    """
    stamp_file = destination.with_name(destination.name + ".stamp")
    stamp = _stamp(runtime)
    if destination.is_dir() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return
    building = destination.with_name(f".{destination.name}.building")
    replaced = destination.with_name(f".{destination.name}.replaced")
    for leftover in (building, replaced):
        if leftover.exists():
            shutil.rmtree(leftover)
    stamp_file.unlink(missing_ok=True)
    try:
        _populate(runtime, building)
        self_test(building, runtime, user)
    except OSError as error:
        raise SandboxError(f"the base root of {runtime.name} could not be made: {error}") from error
    if destination.exists():
        destination.rename(replaced)
    building.rename(destination)
    stamp_file.write_text(stamp)
    if replaced.exists():
        shutil.rmtree(replaced)


def self_test(destination: Path, runtime: Runtime, user: int | None = NOBODY) -> None:
    """Run the root's own programs inside it without power: raises `SandboxError` saying what does not work."""
    give_up = capabilities.clear if user is None else partial(capabilities.become, user, user)
    run = partial(_run_inside, destination, runtime, give_up=give_up)
    if runtime.interpreter is None:
        run(["/bin/bash", "-c", "ls / | grep -q var"])
    elif _is_node(runtime):
        _test_node(runtime, run)
    else:
        _test_python(runtime, run)


def _test_node(runtime: Runtime, run: Callable[[list[str]], str]) -> None:
    found = run([base_node.PROGRAM, "-e", base_node.SELF_TEST]).strip()
    if found != runtime.version:
        raise SandboxError(f"{runtime.interpreter} is Node {runtime.version}, yet in its root {found} runs")


def _test_python(runtime: Runtime, run: Callable[[list[str]], str]) -> None:
    command = ["/var/lang/bin/python3", "-B", "-c", base_python.SELF_TEST]
    found = json.loads(run(command))
    if found["version"] != runtime.version:
        raise SandboxError(
            f"{runtime.interpreter} is Python {runtime.version}, yet in its root {found['version']} runs"
        )
    if found["prefix"] != "/var/lang":
        raise SandboxError(f"the interpreter of {runtime.name} takes {found['prefix']} for its home, not /var/lang")
    if found["missing"]:
        raise SandboxError(
            f"{runtime.interpreter} can't serve {runtime.name}: it cannot import {', '.join(found['missing'])}; "
            "install the libraries that these modules need and build the interpreter again"
        )


def _populate(runtime: Runtime, root: Path) -> None:
    root.mkdir(parents=True, mode=0o755)
    base_system.lay_top_level(root)
    for directory in STANDARD_DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)
    certificate_file = None
    libraries: dict[Path, Path] = {}
    if _is_node(runtime):
        for directory in base_node.STANDARD_DIRECTORIES:
            (root / directory).mkdir(parents=True)
        program = base_node.copy(runtime, root)
        libraries = base_system.libraries_of(program, program[0].parent.parent)
        base_node.copy_outside_sources(root, [*program, *(path for path in libraries if "libnode" in path.name)])
    elif runtime.interpreter is not None:
        home = base_python.locate(runtime)
        certificate_file = home.certificate_file
        binaries = base_python.copy(home, root)
        base_python.copy_libraries(home, runtime.libraries, root)
        libraries = base_system.libraries_of(binaries, home.prefix)
        (root / f"opt/python/lib/python{home.short_version}/site-packages").mkdir(parents=True)
    base_system.copy_programs(root)
    base_system.copy_libraries(root, libraries)
    base_system.write_configuration(root, certificate_file)
    if runtime.bootstrap_dir is not None:
        for source in _sources(Path(runtime.bootstrap_dir)):
            _lay(source, root / "var/runtime" / source.relative_to(runtime.bootstrap_dir))
    base_system.make_linker_cache(root)
    if runtime.interpreter is not None and not _is_node(runtime):
        _run_inside(root, runtime, ["/var/lang/bin/python3", "-I", "-c", base_python.PRECOMPILE])


def _lay(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)
    destination.chmod(0o644)


def _sources(directory: Path) -> list[Path]:
    """Of the directory that becomes /var/runtime, all but the mark that makes it a package of ondol here."""
    found = (path for suffix in ("py", "js") for path in directory.rglob(f"*.{suffix}"))
    return sorted(path for path in found if path != directory / "__init__.py")


def _is_node(runtime: Runtime) -> bool:
    return runtime.name.startswith("nodejs") and runtime.interpreter is not None


def _stamp(runtime: Runtime) -> str:
    """What the root is made from: our own files by content, the host's by size and time of change."""
    language = base_node if _is_node(runtime) else base_python
    own = [Path(__file__), *language.OWN_FILES, Path(base_system.__file__)]
    if runtime.bootstrap_dir is not None:
        own += _sources(Path(runtime.bootstrap_dir))
    hosts = base_system.identifying_files()
    if runtime.interpreter is not None:
        hosts += language.identifying_files(Path(runtime.interpreter))
    libraries = map(Path, runtime.libraries)
    hosts += [library / "__init__.py" if library.is_dir() else library for library in libraries]
    digest = hashlib.sha256(f"{runtime.name} {runtime.version} {runtime.interpreter}\n".encode())
    for path in own:
        digest.update(f"{path}\n".encode() + path.read_bytes())
    for path in hosts:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _run_inside(root: Path, runtime: Runtime, command: list[str], give_up: Callable[[], None] = lambda: None) -> str:
    """Output of a program of the root, run inside it with AWS's own linker path and nothing else of an environment.

    `give_up` is called there before.
    """
    environment = {"LD_LIBRARY_PATH": LIBRARY_PATH, "PATH": PROGRAM_PATH, "LC_ALL": "C.UTF-8"}
    try:
        ended = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SELF_TEST_TIMEOUT_S,
            preexec_fn=_entering(root, give_up),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(f"{command[0]} can't run in the base root of {runtime.name}: {error}") from error
    if ended.returncode != 0:
        text = ended.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise SandboxError(
            f"{command[0]} failed with {ended.returncode} in the base root of {runtime.name}: {text[-1]}"
        )
    return ended.stdout.decode()


def _entering(root: Path, give_up: Callable[[], None]) -> Callable[[], None]:
    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        give_up()

    return enter
