"""Blobs in a directory: `<root>/<first two digits>/<digest>`, and `<root>/partial/` for what is being written.

It decides the order in which content, name and directory reach the disk, so that a blob is there whole or not at all,
whatever is killed or loses power. File operations happen in threads. It must not know what a blob is for.
"""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ondol.model.ids import CodeDigest
from ondol.store.files import Files, NewFile, SystemFiles
from ondol.store.protocol import StoreError

_Result = TypeVar("_Result")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FAN_OUT = tuple(f"{number:02x}" for number in range(256))

_GATHERED = 1_048_576
"""Pieces are gathered to this size before they go to a thread."""


class DirectoryBlobs:
    """`Blobs` on the local file system. One process uses a root at a time."""

    def __init__(self, root: Path, files: Files) -> None:
        self._root = root
        self._partial = root / "partial"
        self._files = files
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="blobs")
        self._drafts = 0
        self._naming = threading.Lock()
        """Held to give a blob its name and to take it away, so that what is put again is not removed as old."""

    @classmethod
    async def open(cls, root: Path, files: Files | None = None) -> "DirectoryBlobs":
        """Make the directories, and remove what an earlier process left half written. Raises `StoreError`."""
        blobs = cls(root, files or SystemFiles())
        await blobs._run(blobs._prepare)
        return blobs

    async def close(self) -> None:
        """Wait for the operations under way."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    async def put(self, content: bytes | AsyncIterable[bytes]) -> CodeDigest:
        self._drafts += 1
        draft = _Draft(self._files, self._partial / str(self._drafts))
        try:
            await self._run(draft.create)
            if isinstance(content, bytes):
                await self._run(draft.write, content)
            else:
                await self._write_pieces(draft, content)
            digest = CodeDigest(draft.sha.hexdigest())
            await self._run(self._keep, draft, digest)
        finally:
            # Shielded: a put that is cancelled leaves nothing behind either.
            await asyncio.shield(self._run(draft.discard))
        return digest

    async def path(self, digest: CodeDigest) -> Path | None:
        path = self._path(digest)
        return path if path is not None and await self._run(path.exists) else None

    async def verify(self, digest: CodeDigest) -> bool:
        path = self._path(digest)
        return path is not None and await self._run(self._digest_of, path) == digest

    async def collect(self, in_use: Callable[[], frozenset[CodeDigest]], grace_s: float) -> int:
        old = await self._run(self._older_than, grace_s)
        # Asked only now: what has come into use since the directories were read is in it.
        needed = in_use()
        return await self._run(self._remove, [digest for digest in old if digest not in needed], grace_s)

    def _path(self, digest: CodeDigest) -> Path | None:
        return self._root / digest[:2] / digest if _DIGEST.fullmatch(digest) else None

    async def _write_pieces(self, draft: "_Draft", content: AsyncIterable[bytes]) -> None:
        gathered = bytearray()
        async for piece in content:
            gathered += piece
            if len(gathered) >= _GATHERED:
                await self._run(draft.write, bytes(gathered))
                gathered.clear()
        if gathered:
            await self._run(draft.write, bytes(gathered))

    async def _run(self, operation: Callable[..., _Result], *arguments: object) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, operation, *arguments)
        except OSError as error:
            raise StoreError(f"blobs in {self._root}: {error}") from error
        except RuntimeError as error:
            # What a thread pool says that was shut down.
            raise StoreError("the blobs are closed") from error

    # ---- in a thread

    def _prepare(self) -> None:
        files = self._files
        for name in ("", "partial", *_FAN_OUT):
            files.make_directory(self._root / name)
        for name in files.names(self._partial):
            files.remove(self._partial / name)
        # Also what was there before: an earlier process may have made it and died before it synced.
        files.sync_directory(self._root)
        files.sync_directory(self._root.parent)

    def _keep(self, draft: "_Draft", digest: CodeDigest) -> None:
        """First the content, then the name, then the directory that holds the name."""
        directory = self._root / digest[:2]
        draft.sync()
        with self._naming:
            draft.rename(directory / digest)
        self._files.sync_directory(directory)

    def _digest_of(self, path: Path) -> str | None:
        sha = hashlib.sha256()
        try:
            for piece in self._files.pieces(path):
                sha.update(piece)
        except FileNotFoundError:
            return None
        return sha.hexdigest()

    def _older_than(self, grace_s: float) -> list[CodeDigest]:
        names = [name for part in _FAN_OUT for name in self._files.names(self._root / part)]
        return [CodeDigest(name) for name in names if self._files.age_s(self._root / name[:2] / name) > grace_s]

    def _remove(self, digests: list[CodeDigest], grace_s: float) -> int:
        removed = 0
        for digest in digests:
            path = self._root / digest[:2] / digest
            with self._naming:
                if self._files.age_s(path) > grace_s:
                    self._files.remove(path)
                    removed += 1
        return removed


class _Draft:
    """A blob that is being written. Used by one thread at a time."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._file: NewFile | None = None
        self._named = False
        self.sha = hashlib.sha256()

    def create(self) -> None:
        self._file = self._files.create(self._path)

    def write(self, data: bytes) -> None:
        self.sha.update(data)
        self._open_file().write(data)

    def sync(self) -> None:
        self._open_file().sync()

    def rename(self, target: Path) -> None:
        self._files.rename(self._path, target)
        self._named = True

    def discard(self) -> None:
        """Close; remove what was not named."""
        if self._file is not None:
            self._file.close()
            if not self._named:
                self._files.remove(self._path)

    def _open_file(self) -> NewFile:
        assert self._file is not None, "create comes first"
        return self._file
