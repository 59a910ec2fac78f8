"""All layers in memory, in the order in which they are listed, with what they take of an account's code storage."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator

import msgspec

from ondol.control.layers import LayerKey, LayerVersionRecord
from ondol.model.ids import AccountId, CodeDigest, Region


class StoredLayerVersion(msgspec.Struct, frozen=True):
    """A layer version as the store has it; without a record where it was deleted."""

    record: LayerVersionRecord | None
    revision: int


class LayerCatalog:
    def __init__(self) -> None:
        self._layers: dict[LayerKey, dict[int, StoredLayerVersion]] = {}
        self._names: dict[tuple[AccountId, Region], list[str]] = {}
        self._code_sizes: Counter[tuple[AccountId, Region]] = Counter()
        self._packages: Counter[CodeDigest] = Counter()

    def stored(self, key: LayerKey, number: int) -> StoredLayerVersion | None:
        """What the store has under this number, if only that it is taken."""
        return self._layers.get(key, {}).get(number)

    def get(self, key: LayerKey, number: int) -> LayerVersionRecord | None:
        """The version with this number, if it is there."""
        stored = self.stored(key, number)
        return None if stored is None else stored.record

    def put(self, key: LayerKey, number: int, stored: StoredLayerVersion) -> None:
        if key not in self._layers:
            self._layers[key] = {}
            insort(self._names.setdefault((key.account, key.region), []), key.name)
        self._count(key, self.get(key, number), -1)
        self._layers[key][number] = stored
        self._count(key, stored.record, +1)

    def taken(self, key: LayerKey) -> dict[int, StoredLayerVersion]:
        """By number, what the store has of a layer, deleted versions included."""
        return dict(self._layers.get(key, {}))

    def remove(self, key: LayerKey) -> None:
        """The layer, with all its numbers, is not in the store any more."""
        for number in self.taken(key):
            self._count(key, self.get(key, number), -1)
        if self._layers.pop(key, None) is not None:
            names = self._names[key.account, key.region]
            del names[bisect_left(names, key.name)]

    def __iter__(self) -> Iterator[LayerKey]:
        return iter(self._layers)

    def next_number(self, key: LayerKey) -> int:
        """The number after the highest that was ever published."""
        return max(self._layers.get(key, {}), default=0) + 1

    def versions(self, key: LayerKey) -> Iterator[tuple[int, LayerVersionRecord]]:
        """The versions that are there, the latest first."""
        layer = self._layers.get(key, {})
        for number in sorted(layer, reverse=True):
            record = layer[number].record
            if record is not None:
                yield number, record

    def listed(self, account: AccountId, region: Region, first: str) -> Iterator[LayerKey]:
        """The layers of one account in one region by name, beginning at `first`; some may have no version left."""
        names = self._names.get((account, region), [])
        for name in names[bisect_left(names, first) :]:
            yield LayerKey(account, region, name)

    def code_size(self, account: AccountId, region: Region) -> int:
        """Bytes of all layer versions of one account in one region."""
        return self._code_sizes[account, region]

    def packages(self) -> frozenset[CodeDigest]:
        """Every package that some layer version has."""
        return frozenset(self._packages)

    def _count(self, key: LayerKey, record: LayerVersionRecord | None, sign: int) -> None:
        if record is None:
            return
        self._code_sizes[key.account, key.region] += sign * record.code_size
        self._packages[record.code] += sign
        if not self._packages[record.code]:
            del self._packages[record.code]
