"""What of a stream is done, in the store: it survives whatever becomes of ondol.

```
 beginning/<account>/<region>/<mapping>            when it began, and with which shards
 checkpoint/<account>/<region>/<mapping>/<shard>   how far each shard is
```
Source of the promise: a record is never skipped (`docs/specification.md`).
"""

import msgspec

from ondol.pollers.api import Mapping
from ondol.pollers.lane import Window
from ondol.pollers.shards import Beginning
from ondol.store.protocol import Store


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    sequence: str | None = None
    finished: bool = False
    """The shard has ended and all of it is done."""

    window: Window | None = None


_encoder = msgspec.msgpack.Encoder()
_beginnings = msgspec.msgpack.Decoder(Beginning)
_checkpoints = msgspec.msgpack.Decoder(Checkpoint)


class Checkpoints:
    """Those of one mapping. All methods raise `StoreError`."""

    def __init__(self, store: Store, mapping: Mapping) -> None:
        self._store = store
        self._place = f"{mapping.account}/{mapping.region}/{mapping.id}"

    async def beginning(self) -> Beginning | None:
        entry = await self._store.get(f"beginning/{self._place}")
        return None if entry is None else _beginnings.decode(entry.value)

    async def begin(self, beginning: Beginning) -> None:
        await self._store.put(f"beginning/{self._place}", _encoder.encode(beginning))

    async def begin_again(self, beginning: Beginning) -> None:
        """Nothing is done any more. Whoever is killed in between finds the old beginning, and does it once more."""
        await self._forget_shards()
        await self.begin(beginning)

    async def all(self) -> dict[str, Checkpoint]:
        """By shard."""
        entries = await self._store.list(f"checkpoint/{self._place}/")
        return {key.rpartition("/")[2]: _checkpoints.decode(entry.value) for key, entry in entries}

    async def write(self, shard: str, checkpoint: Checkpoint) -> None:
        await self._store.put(f"checkpoint/{self._place}/{shard}", _encoder.encode(checkpoint))

    async def forget(self) -> None:
        await self._forget_shards()
        await self._store.delete(f"beginning/{self._place}")

    async def _forget_shards(self) -> None:
        for shard in await self.all():
            await self._store.delete(f"checkpoint/{self._place}/{shard}")
