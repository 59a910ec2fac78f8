"""File layers that record what was synced, and what a disk may hold after its power failed.

A file has an identity, content, and writes that no sync has covered; a directory has names. After a power loss, what
was synced is there; of what was not, any part may be: each unsynced write wholly, partly or not at all.
"""

import random
import threading
from pathlib import Path

import apsw

from ondol.store.files import NewFile, SystemFiles


class RecordedFile:
    """The content of one file as far as it is durable, and the operations since."""

    def __init__(self) -> None:
        self.durable = b""
        self.unsynced: list[tuple[int, bytes] | int] = []
        """Writes (offset, data) and truncations (size), in their order."""

    def write(self, offset: int, data: bytes) -> None:
        self.unsynced.append((offset, bytes(data)))

    def truncate(self, size: int) -> None:
        self.unsynced.append(size)

    def sync(self) -> None:
        content = bytearray(self.durable)
        for operation in self.unsynced:
            _apply(content, operation)
        self.durable = bytes(content)
        self.unsynced.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        content = bytearray(self.durable)
        for operation in self.unsynced:
            if isinstance(operation, tuple) and chance.random() < 0.3:
                offset, data = operation
                _apply(content, (offset, data[: chance.randrange(len(data) + 1)]))
            elif chance.random() < 0.5:
                _apply(content, operation)
        return bytes(content)


def _apply(content: bytearray, operation: tuple[int, bytes] | int) -> None:
    if isinstance(operation, int):
        del content[operation:]
        return
    offset, data = operation
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class RecordingVfs(apsw.VFS):
    """SQLite's file layer on the system's, with a record of it."""

    NAME = "recording"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: dict[str, RecordedFile] = {}
        super().__init__(self.NAME, "")

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _RecordingVfsFile(self, path, name, flags)

    def xDelete(self, path, sync_directory) -> None:
        super().xDelete(path, sync_directory)
        with self.lock:
            self.files.pop(path, None)

    def leave_after_power_loss(self, directory: Path, chance: random.Random) -> None:
        """Write into `directory` what the disk may hold if the power fails at this moment."""
        with self.lock:
            contents = {
                Path(path).name: file.after_power_loss(chance)
                for path, file in self.files.items()
                if file.durable or chance.random() < 0.5
            }
        for name, content in contents.items():
            (directory / name).write_bytes(content)


class _RecordingVfsFile(apsw.VFSFile):
    def __init__(self, vfs: RecordingVfs, path: str | None, name, flags) -> None:
        super().__init__("", name, flags)
        self._lock = vfs.lock
        with vfs.lock:
            self._record = RecordedFile() if path is None else vfs.files.setdefault(path, RecordedFile())

    def xWrite(self, data, offset) -> None:
        with self._lock:
            super().xWrite(data, offset)
            self._record.write(offset, data)

    def xTruncate(self, size) -> None:
        with self._lock:
            super().xTruncate(size)
            self._record.truncate(size)

    def xSync(self, flags) -> None:
        super().xSync(flags)
        with self._lock:
            self._record.sync()


class RecordingFiles(SystemFiles):
    """`Files` on the system's, with a record of contents and of directories."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._names: dict[Path, dict[str, RecordedFile]] = {}
        self._durable_names: dict[Path, dict[str, RecordedFile]] = {}

    def make_directory(self, path: Path) -> None:
        super().make_directory(path)
        with self.lock:
            self._names.setdefault(path, {})

    def create(self, path: Path) -> NewFile:
        record = RecordedFile()
        file = super().create(path)
        with self.lock:
            self._names[path.parent][path.name] = record
        return _RecordingFile(self.lock, record, file)

    def rename(self, source: Path, target: Path) -> None:
        with self.lock:
            super().rename(source, target)
            self._names[target.parent][target.name] = self._names[source.parent].pop(source.name)

    def remove(self, path: Path) -> None:
        with self.lock:
            super().remove(path)
            del self._names[path.parent][path.name]

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        with self.lock:
            self._durable_names[path] = dict(self._names.get(path, {}))

    def leave_after_power_loss(self, root: Path, directory: Path, chance: random.Random) -> None:
        """Make in `directory` what the disk may hold of `root`: of names that changed, the old or the new."""
        with self.lock:
            for path, now in self._names.items():
                if path not in self._durable_names and path.parent not in self._durable_names:
                    # The directory's own name was never synced.
                    continue
                before = self._durable_names.get(path, {})
                copy = directory / path.relative_to(root)
                copy.mkdir(exist_ok=True)
                for name in before.keys() | now.keys():
                    record = chance.choice([before.get(name), now.get(name)])
                    if record is not None:
                        (copy / name).write_bytes(record.after_power_loss(chance))


class _RecordingFile:
    def __init__(self, lock: threading.Lock, record: RecordedFile, file: NewFile) -> None:
        self._lock = lock
        self._record = record
        self._file = file
        self._size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        with self._lock:
            self._record.write(self._size, data)
            self._size += len(data)

    def sync(self) -> None:
        self._file.sync()
        with self._lock:
            self._record.sync()

    def close(self) -> None:
        self._file.close()
