"""What a base root takes from the host's system: programs, shared libraries, certificates, locales, a minimal /etc.

The programs are those of AWS's minimal image. Everything keeps the path that it has on the host, so that paths burnt
into binaries stay true; only what lies under the interpreter's own prefix moves to /var/lang/lib.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from ondol.sandbox.errors import SandboxError

HOST_PROGRAM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
PROGRAMS = (
    *("bash", "sed", "grep", "curl", "ldconfig"),
    *("[", "arch", "b2sum", "base32", "base64", "basename", "cat", "chgrp", "chmod", "chown", "cksum", "comm", "cp"),
    *("csplit", "cut", "date", "dd", "df", "dir", "dirname", "du", "echo", "env", "expand", "expr", "factor", "false"),
    *("fmt", "fold", "head", "id", "install", "join", "link", "ln", "logname", "ls", "md5sum", "mkdir", "mkfifo"),
    *("mktemp", "mv", "nice", "nl", "nohup", "nproc", "numfmt", "od", "paste", "pathchk", "pr", "printenv", "printf"),
    *("ptx", "pwd", "readlink", "realpath", "rm", "rmdir", "seq", "sha1sum", "sha224sum", "sha256sum", "sha384sum"),
    *("sha512sum", "shred", "shuf", "sleep", "sort", "split", "stat", "stdbuf", "stty", "sum", "sync", "tac", "tail"),
    *("tee", "test", "timeout", "touch", "tr", "true", "truncate", "tsort", "tty", "uname", "unexpand", "uniq"),
    *("unlink", "users", "vdir", "wc", "who", "whoami", "yes"),
)
LIBRARIES = (
    *("libdl.so.2", "libexpat.so.1", "libgcc_s.so.1", "libm.so.6", "libnss_dns.so.2", "libnss_files.so.2"),
    *("libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6", "libutil.so.1", "libz.so.1"),
)
"""Loaded by name, not by need: by the C library itself, and by extension modules in customers' packages."""

CERTIFICATE_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
CERTIFICATES = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
CERTIFICATE_NAMES = (
    "etc/pki/tls/cert.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/cert.pem",
    "etc/ssl/certs/ca-bundle.crt",
    "etc/ssl/certs/ca-certificates.crt",
    "usr/lib/ssl/cert.pem",
)

CONFIGURATION = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
    "sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n",
    "group": "root:x:0:\nnobody:x:65534:\nsbx_user1051:x:990:\n",
    "hosts": "127.0.0.1 localhost localhost.localdomain host.ondol.internal\n::1 localhost localhost.localdomain\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
    "services: files\nprotocols: files\nnetworks: files\n",
    "resolv.conf": "nameserver 127.0.0.1\n",
    "localtime": "",
}
COPIED_CONFIGURATION = ("os-release", "protocols", "services")

_RESOLVED = re.compile(rb"^\t(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x", re.MULTILINE)


def identifying_files() -> list[Path]:
    """Files that change whenever the host's C library, its OpenSSL or its certificates do."""
    found = [_program("bash"), _program("curl"), _certificates()]
    found += [path for name, path in _linker_cache().items() if name in ("libc.so.6", "libcrypto.so.3")]
    return [path for path in found if path is not None]


def lay_top_level(root: Path) -> None:
    """Make /bin, /lib and their like what they are on the host: links into /usr, or directories."""
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        host = Path("/", name)
        if host.is_symlink():
            target = str(host.readlink()).lstrip("/")
            (root / target).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)
        elif host.is_dir():
            (root / name).mkdir()


def copy_programs(root: Path) -> None:
    """Copy the programs that the host has, with the libraries they need. Raises `SandboxError` without a shell."""
    programs = [path for name in PROGRAMS if (path := _program(name)) is not None]
    if not any(path.name == "bash" for path in programs):
        raise SandboxError("the host has no bash, which a sandbox needs: install it")
    for program in programs:
        _copy_with_links(program, root)
    (root / "bin/sh").symlink_to("bash")
    copy_libraries(root, libraries_of([path.resolve() for path in programs], prefix=None))
    by_name = _linker_cache()
    copy_libraries(root, {by_name[name]: by_name[name] for name in LIBRARIES if name in by_name})


def libraries_of(binaries: Iterable[Path], prefix: Path | None) -> dict[Path, Path]:
    """Every shared library that these binaries load, and where in a root it belongs.

    A library under `prefix`, an interpreter's own directory, belongs in /var/lang/lib.
    """
    command = ["ldd", *map(str, binaries)]
    ended = subprocess.run(command, check=False, capture_output=True, env={"PATH": HOST_PROGRAM_PATH, "LC_ALL": "C"})
    own = prefix if prefix is not None and prefix != Path("/usr") else None
    found = {}
    for match in _RESOLVED.finditer(ended.stdout):
        path = Path(os.fsdecode(match["path"]))
        moves = own is not None and path.resolve().is_relative_to(own)
        found[path] = Path("/var/lang/lib", path.name) if moves else path
    if not found:
        raise SandboxError(f"ldd names no library of {command[1]}: {ended.stderr.decode(errors='replace').strip()}")
    return found


def copy_libraries(root: Path, libraries: Mapping[Path, Path]) -> None:
    """Copy libraries to their places in `root`; a link is copied as the file it leads to."""
    for source, place in libraries.items():
        destination = root / place.relative_to("/")
        if not destination.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, destination)
            destination.chmod(0o755)


def make_linker_cache(root: Path) -> None:
    """Let the dynamic linker find every library of the root whatever LD_LIBRARY_PATH a function sets."""
    directories = {path.parent for path in root.rglob("*.so*") if "lib-dynload" not in path.parts}
    listed = sorted(f"/{directory.relative_to(root)}" for directory in directories)
    (root / "etc/ld.so.conf").write_text("".join(f"{directory}\n" for directory in ["/var/lang/lib", *listed]))
    ldconfig = _program("ldconfig")
    if ldconfig is not None:
        subprocess.run([ldconfig, "-r", root], check=True, capture_output=True)


def write_configuration(root: Path, certificate_file: Path | None) -> None:
    """Write /etc, and what it leads to: certificates (also at `certificate_file`), time zones, locales."""
    for name, text in CONFIGURATION.items():
        (root / "etc" / name).write_text(text)
    for name in COPIED_CONFIGURATION:
        if Path("/etc", name).exists():
            shutil.copyfile(Path("/etc", name), root / "etc" / name)
    _copy_certificates(root, certificate_file)
    _copy_zones(root)
    _copy_locales(root)


def _copy_certificates(root: Path, certificate_file: Path | None) -> None:
    bundle = _certificates()
    if bundle is None:
        return
    (root / CERTIFICATES).parent.mkdir(parents=True)
    shutil.copyfile(bundle, root / CERTIFICATES)
    names = [root / name for name in CERTIFICATE_NAMES]
    if certificate_file is not None:
        names.append(root / certificate_file.relative_to("/"))
    for name in dict.fromkeys(names):
        if not os.path.lexists(name):
            name.parent.mkdir(parents=True, exist_ok=True)
            name.symlink_to("/" + CERTIFICATES)


def _copy_zones(root: Path) -> None:
    zones = Path("/usr/share/zoneinfo")
    if zones.is_dir():
        ignored = shutil.ignore_patterns("posix", "right", "localtime", "posixrules")
        shutil.copytree(zones, root / "usr/share/zoneinfo", symlinks=True, ignore=ignored)
        (root / "etc/localtime").unlink()
        (root / "etc/localtime").symlink_to("../usr/share/zoneinfo/UTC")


def _copy_locales(root: Path) -> None:
    """A function's LANG is en_US.UTF-8; where the host has not got it, the C locale's UTF-8 goes by that name too."""
    host, locales = Path("/usr/lib/locale"), root / "usr/lib/locale"
    locales.mkdir(parents=True, exist_ok=True)
    for name in ("C.utf8", "en_US.utf8"):
        if (host / name).is_dir():
            shutil.copytree(host / name, locales / name)
    if not (locales / "en_US.utf8").exists() and (locales / "C.utf8").exists():
        (locales / "en_US.utf8").symlink_to("C.utf8")


def _copy_with_links(program: Path, root: Path) -> None:
    """Copy a program; one that is a link is laid as a link, with what it leads to."""
    destination = root / program.relative_to("/")
    if os.path.lexists(destination):
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    if program.is_symlink():
        target = Path(os.path.normpath(program.parent / program.readlink()))
        destination.symlink_to(program.readlink())
        _copy_with_links(target, root)
    else:
        shutil.copyfile(program, destination)
        destination.chmod(0o755)


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=HOST_PROGRAM_PATH)
    return None if found is None else Path(found)


def _certificates() -> Path | None:
    return next((Path(name) for name in CERTIFICATE_BUNDLES if Path(name).exists()), None)


def _linker_cache() -> dict[str, Path]:
    """The libraries of this machine's own kind, by name, from the host's linker cache."""
    ldconfig = _program("ldconfig")
    if ldconfig is None:
        return {}
    listing = subprocess.run([ldconfig, "-p"], check=True, capture_output=True, text=True).stdout
    found: dict[str, Path] = {}
    kinds = {"x86_64": "x86-64", "aarch64": "AArch64"}
    for line in listing.splitlines():
        name, _, rest = line.strip().partition(" (")
        kind, _, path = rest.partition(") => ")
        if kinds.get(os.uname().machine, "") in kind and path:
            found.setdefault(name, Path(path))
    return found
