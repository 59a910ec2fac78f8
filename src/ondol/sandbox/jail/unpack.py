"""Makes a tree of a customer's zip, whatever the zip holds: which entries are taken, and with how little power.

Only a confined process reads the archive (see `confinement`). What counts against the limits is what was written,
never what the archive says of itself.

Modes are AWS's as far as a function can tell: everything is readable by all, what anybody may execute all may, and
set-user-id, set-group-id and sticky bits are dropped. Symbolic links are kept as they are, and never followed.
"""

import encodings.cp437  # noqa: F401 (the codec of old archives' names: no module can be imported once confined)
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from ondol.sandbox.errors import UnpackRefused
from ondol.sandbox.jail.confinement import Budget, fill_confined
from ondol.sandbox.jail.entries import DIRECTORY, Tally, parts_of
from ondol.sandbox.limits import UnpackLimits

UNIX_SYSTEMS = frozenset({3, 19})
"""Systems (of the archive's writer) whose entries carry a Unix mode: Unix and macOS."""

ENCRYPTED = 0x1
UTF8_NAME = 0x800
EXTENDED_TIMESTAMP = 0x5455

DEPTH = 255
TARGET_BYTES = 4095
CHUNK_BYTES = 262_144

MEMORY_BYTES = 256 << 20
CPU_SECONDS = 60
WALL_SECONDS = 300


class Unpacker:
    """Writes the entries of one archive below a directory, counting what it writes."""

    def __init__(self, directory: int, limits: UnpackLimits) -> None:
        self._directory = directory
        self._tally = Tally(
            limits,
            f"Unzipped size must be smaller than {limits.bytes} bytes",
            f"the archive holds more than {limits.entries} files and directories",
        )

    def unpack(self, archive: IO[bytes]) -> None:
        """Write every entry; of two with one name the later stays. Raises `UnpackRefused`, or `OSError`."""
        try:
            with zipfile.ZipFile(archive) as opened:
                for entry in opened.infolist():
                    self._entry(opened, entry)
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError) as error:
            raise UnpackRefused(f"the archive is broken: {error}") from error

    def _entry(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        parts = _parts(entry)
        shown = "/".join(map(os.fsdecode, parts)) or "/"
        if entry.flag_bits & ENCRYPTED:
            raise UnpackRefused(f"'{shown}' is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnpackRefused(f"'{shown}' is compressed with method {entry.compress_type}, which is not supported")
        mode = entry.external_attr >> 16 if entry.create_system in UNIX_SYSTEMS else 0
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise UnpackRefused(f"'{shown}' is neither a file, a directory nor a symbolic link")
        try:
            if kind == stat.S_IFDIR or entry.orig_filename.endswith("/"):
                os.close(self._enter(parts))
            elif kind == stat.S_IFLNK:
                self._link(opened, entry, parts, shown)
            else:
                self._file(opened, entry, parts, 0o755 if mode & 0o111 else 0o644)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise UnpackRefused(f"'{shown}' stands in the way of another entry, or leads through a link") from error

    def _file(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, parts: list[bytes], mode: int) -> None:
        parent = self._enter(parts[:-1])
        try:
            written = self._create(parent, parts[-1])
        finally:
            os.close(parent)
        with os.fdopen(written, "wb", buffering=0) as file, opened.open(entry) as source:
            while chunk := source.read(CHUNK_BYTES):
                self._tally.written(len(chunk))
                file.write(chunk)
            os.fchmod(written, mode)
            os.utime(written, ns=(_modified_ns(entry),) * 2)

    def _create(self, parent: int, name: bytes) -> int:
        self._tally.entry()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            os.unlink(name, dir_fd=parent)
            return os.open(name, flags, 0o600, dir_fd=parent)

    def _link(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, parts: list[bytes], shown: str) -> None:
        with opened.open(entry) as source:
            target = source.read(TARGET_BYTES + 1)
        if not target or len(target) > TARGET_BYTES or b"\0" in target:
            raise UnpackRefused(f"'{shown}' is a symbolic link to nothing that a path can name")
        self._tally.written(len(target))
        self._tally.entry()
        parent = self._enter(parts[:-1])
        try:
            try:
                os.symlink(target, parts[-1], dir_fd=parent)
            except FileExistsError:
                os.unlink(parts[-1], dir_fd=parent)
                os.symlink(target, parts[-1], dir_fd=parent)
        finally:
            os.close(parent)

    def _enter(self, parts: list[bytes]) -> int:
        """A descriptor of the directory that `parts` name, made where it is missing; no link is followed."""
        current = os.open(b".", DIRECTORY, dir_fd=self._directory)
        for part in parts:
            try:
                try:
                    below = os.open(part, DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    self._tally.entry()
                    os.mkdir(part, 0o755, dir_fd=current)
                    below = os.open(part, DIRECTORY, dir_fd=current)
            finally:
                os.close(current)
            current = below
        return current


def _parts(entry: zipfile.ZipInfo) -> list[bytes]:
    """The path of an entry, component by component, as the bytes that the archive has. Raises `UnpackRefused`."""
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & UTF8_NAME else "cp437", "surrogateescape")
    shown = name[:200].decode(errors="backslashreplace")
    parts = parts_of(name, shown, whole="archive", depth=DEPTH)
    if not parts and not name.endswith(b"/"):
        raise UnpackRefused("an entry has no name")
    return parts


def _modified_ns(entry: zipfile.ZipInfo) -> int:
    """When the file was changed, to the second where the archive says so: compiled Python is valid by it."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == EXTENDED_TIMESTAMP and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            seconds: int = struct.unpack_from("<i", extra, 5)[0]
            return max(0, seconds) * 1_000_000_000
        extra = extra[4 + size :]
    year, month, day, hour, minute, second = entry.date_time
    days = _days_before(year, month) + day - 1
    return (days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000_000


def _days_before(year: int, month: int) -> int:
    """Days from the epoch to the first of a month; months that no calendar has do not hurt."""
    years, shifted = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * years + years // 4 - years // 100 + years // 400 + (153 * shifted + 2) // 5 - 719_468


def unpack_confined(archive: int, destination: Path, limits: UnpackLimits, user: int | None) -> None:
    """Unpack an open archive to `destination` through a confined process: see `confinement.fill_confined`."""

    def fill(directory: int) -> None:
        try:
            with os.fdopen(archive, "rb") as file:
                Unpacker(directory, limits).unpack(file)
        except MemoryError as error:
            raise UnpackRefused("the archive's directory is too large") from error

    budget = Budget(limits.bytes + CHUNK_BYTES, MEMORY_BYTES, CPU_SECONDS, WALL_SECONDS)
    fill_confined(destination, fill, (archive,), budget, user)
