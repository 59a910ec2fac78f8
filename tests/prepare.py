"""Fetch what tests use beside ondol's own environment; `make test` runs it first.

It makes `.venvs/clients` (the AWS CLI, which pins botocore and so has an environment of its own), `.venvs/chalice`,
`.venvs/peers` (AWS's Python interface client, which the benchmarks run too), `.venvs/node` (AWS's Node interface client
and its SDK for JavaScript), `.venvs/registry` (Debian's registry of images) and `.venvs/third_party` (what people put
into functions), and sees to Debian's packages: root gets them installed, anybody else is told the one command that does
it. What is there already costs nothing.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"

REGISTRY = "usr/bin/docker-registry"

POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by what installs a service whether to start it (invoke-rc.d(8)); 101 is no."""

BUILD = ("autoconf", "automake", "cmake", "g++", "libtool", "make")
"""What builds AWS's interface clients where the registry has no binary of them for this machine."""


ROOM = 5 * 10**9
"""Bytes: the file systems of runtimes, once for each ondol that the tests start, until that one ends."""


def main() -> None:
    check_room()
    install(missing_packages())
    for client in ("clients", "chalice"):
        if not make_environment(client):
            sys.exit(f"pip could not install requirements/{client}.lock; what it said stands above.")
    if not make_environment("third_party", "--bare"):
        sys.exit("pip could not install requirements/third_party.lock; what it said stands above.")
    # The lock is whole: with its dependencies pip would ask for extras that the lock leaves out.
    make_built(lambda: make_environment("peers", "--no-deps"), "pip could not install requirements/peers.lock")
    make_built(make_node_packages, "npm could not install requirements/node/package-lock.json")
    make_registry()


def check_room() -> None:
    """Better said now than by dozens of tests."""
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if free < ROOM:
        sys.exit(
            f"The tests write up to {ROOM / 1e9:.0f} GB in {place}, and {free / 1e9:.1f} GB are free there. "
            "Make room, or name a directory on a larger disk: TMPDIR=... make test"
        )


def make_built(make: Callable[[], bool], failed: str) -> None:
    """What may have to be built: where that fails, once more with what building needs."""
    if not make():
        install(list(BUILD))
        if not make():
            sys.exit(f"{failed}; what it said stands above.")


def make_environment(name: str, *options: str) -> bool:
    """False when pip fails."""
    command = [sys.executable, REQUIREMENTS / "environment.py", name, *options]
    return subprocess.run(command, check=False).returncode == 0


def make_node_packages() -> bool:
    """False when npm fails."""
    return subprocess.run([sys.executable, REQUIREMENTS / "node_packages.py"], check=False).returncode == 0


def make_registry() -> None:
    """Unpack Debian's registry of images: installed, it would serve the network from then on."""
    directory = REQUIREMENTS.parent / ".venvs" / "registry"
    if (directory / REGISTRY).exists() or shutil.which("apt-get") is None:
        return
    with tempfile.TemporaryDirectory() as downloads:
        download = ["apt-get", "--quiet", "download", "docker-registry"]
        if subprocess.run(download, check=False, cwd=downloads).returncode != 0:
            if os.geteuid() != 0:
                sys.exit("The tests need a package's file. Type: sudo apt-get update")
            subprocess.run(["apt-get", "update", "--quiet"], check=True)
            subprocess.run(download, check=True, cwd=downloads)
        (package,) = Path(downloads).glob("*.deb")
        subprocess.run(["dpkg", "--extract", package, directory], check=True)


def missing_packages() -> list[str]:
    """Debian's names of what this machine lacks: a compiler, the C library to link with, programs of the
    sandbox, a message broker."""
    programs = {
        "gcc": "gcc",
        "curl": "curl",
        "mkfs.ext4": "e2fsprogs",
        "newuidmap": "uidmap",
        "npm": "npm",
        "rabbitmq-server": "rabbitmq-server",
    }
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [package for program, package in programs.items() if shutil.which(program, path=path) is None]
    if "gcc" in missing or not _has_static_library():
        missing.append("libc6-dev")
    return missing


def _has_static_library() -> bool:
    found = subprocess.run(["gcc", "-print-file-name=libc.a"], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip()).is_absolute()


def install(packages: list[str]) -> None:
    """As root; otherwise, or where there is no apt, say what to type and end with exit code 1."""
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"The tests need more programs. Type: sudo apt-get install --yes {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet"], check=True, env=environment)
    command = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages]
    with _starting_nothing():
        subprocess.run(command, check=True, env=environment)


@contextlib.contextmanager
def _starting_nothing() -> Iterator[None]:
    """Debian starts what it installs, a broker at every address of the machine, where no policy forbids it."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


if __name__ == "__main__":
    main()
