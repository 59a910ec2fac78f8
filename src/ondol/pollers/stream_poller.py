"""One mapping of a stream at work: a reader for each shard whose turn it is, and for those that follow them."""

import asyncio
import logging

from msgspec.structs import replace

from ondol.aws.remote import RemoteError, RemoteUnavailable
from ondol.background import Background
from ondol.pollers.checkpoints import Checkpoint
from ondol.pollers.policy import last_result
from ondol.pollers.shard_reader import ShardReader, StreamParts
from ondol.pollers.shards import Beginning, Shard, begin, begin_again, first_position, is_another, past_end, readable
from ondol.store.protocol import StoreError
from ondol.waiting import happens

_LIST_S = 5.0
"""How often it is looked whether there are other shards."""

_RETRY_S = 1.0

_log = logging.getLogger(__name__)


class StreamPoller:
    def __init__(self, parts: StreamParts) -> None:
        self._parts = parts
        self._shards: dict[str, Shard] = {}
        self._finished: set[str] = set()
        self._readers: dict[str, ShardReader] = {}
        self._look = asyncio.Event()
        self._stopping = asyncio.Event()
        self._background = Background(f"polling for the mapping {parts.mapping.id}")
        self._complained = False

    @property
    def last_result(self) -> str | None:
        return last_result(self._parts.last_result, self._parts.problem)

    async def start(self) -> None:
        """As `Pollers.start`: once this returns, every shard that there is has its place to be read from."""
        while not await self._tried(fresh=True):
            await happens(self._stopping, _RETRY_S)
        self._background.spawn(self._run())

    async def stop(self) -> None:
        """As `Pollers.stop`."""
        self._stopping.set()
        self._background.cancel()
        await self._background.finished()
        await asyncio.gather(*(reader.stop() for reader in self._readers.values()))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await happens(self._look, _LIST_S)
            self._look.clear()
            if not self._stopping.is_set() and not await self._tried(fresh=False):
                await happens(self._stopping, _RETRY_S)
                self._look.set()

    async def _tried(self, fresh: bool) -> bool:
        try:
            await self._look_for_shards(fresh)
        except (RemoteError, RemoteUnavailable, StoreError) as error:
            if not self._complained:
                _log.warning("the mapping %s cannot read its stream: %s", self._parts.mapping.id, error)
            self._complained = True
            self._parts.problem = str(error)
            return False
        self._complained = False
        self._parts.problem = None
        return True

    async def _look_for_shards(self, fresh: bool) -> None:
        """Begin to read the shards whose turn it is."""
        parts = self._parts
        # In this order: of a stream that is made again in between too much is read, and not too little.
        created = await parts.stream.created()
        shards = await parts.stream.shards()
        self._shards = {shard.id: shard for shard in shards}
        beginning = await parts.checkpoints.beginning()
        begins_now = beginning is None and fresh
        if beginning is None:
            beginning = replace(begin(shards, parts.settings, parts.clock.wall()), created=created)
            await parts.checkpoints.begin(beginning)
        elif is_another(beginning, created):
            beginning = begin_again(parts.clock.wall(), created)
            await self._leave(beginning)
        checkpoints = await parts.checkpoints.all()
        self._finished |= {shard for shard, checkpoint in checkpoints.items() if checkpoint.finished}
        for shard in readable(shards, beginning, self._finished):
            if shard not in self._readers:
                await self._begin(shard, beginning, checkpoints.get(shard, Checkpoint()), begins_now)

    async def _leave(self, beginning: Beginning) -> None:
        """The stream that was read is no more, and there is another one of its name."""
        _log.warning("the mapping %s reads its stream from the beginning: it was made again", self._parts.mapping.id)
        await asyncio.gather(*(reader.stop() for reader in self._readers.values()))
        await self._parts.checkpoints.begin_again(beginning)
        self._readers.clear()
        self._finished.clear()

    async def _begin(self, shard: str, beginning: Beginning, checkpoint: Checkpoint, fresh: bool) -> None:
        first = first_position(shard, beginning, self._parts.settings, fresh)
        reader = ShardReader(
            self._parts,
            shard,
            checkpoint=checkpoint,
            first=first,
            has_ended=self._has_ended,
            on_finished=self._reader_finished,
            on_lost=self._look.set,
        )
        await reader.open()
        if not self._stopping.is_set():
            self._readers[shard] = reader
            reader.start()

    def _has_ended(self, shard: str, sequence: str | None) -> bool:
        return past_end(self._shards.get(shard), sequence)

    def _reader_finished(self, shard: str) -> None:
        self._finished.add(shard)
        del self._readers[shard]
        self._look.set()
