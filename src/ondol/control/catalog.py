"""All functions in memory, in the order in which they are listed, with the totals that quotas are held against."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator

import msgspec

from ondol.control.provisioned import claim
from ondol.control.records import FunctionRecord, VersionRecord, decode_version
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, CodeDigest, Region


class Stored(msgspec.Struct, frozen=True):
    """A function as the store has it. Versions stay encoded until somebody looks at one."""

    record: FunctionRecord
    revision: int
    packed: dict[str, bytes]

    def version(self, number: str) -> VersionRecord:
        return decode_version(self.packed[number])


class Usage(msgspec.Struct):
    """What one account has in one region."""

    names: list[str] = []
    """Sorted."""

    code_size: int = 0
    claimed_concurrency: int = 0
    """Reserved, or provisioned for functions that have reserved nothing."""


class Catalog:
    def __init__(self) -> None:
        self._functions: dict[FunctionKey, Stored] = {}
        self._usage: dict[tuple[AccountId, Region], Usage] = {}
        self._packages: Counter[CodeDigest] = Counter()
        self._urls: dict[str, FunctionKey] = {}

    def get(self, key: FunctionKey) -> Stored | None:
        return self._functions.get(key)

    def put(self, key: FunctionKey, stored: Stored) -> None:
        usage = self._usage.setdefault((key.account, key.region), Usage())
        before = self._functions.get(key)
        if before is None:
            insort(usage.names, key.name)
        else:
            self._count(usage, before.record, -1)
        self._functions[key] = stored
        self._count(usage, stored.record, +1)
        self._keep_urls(key, before, stored)

    def remove(self, key: FunctionKey) -> None:
        before = self._functions.pop(key, None)
        if before is not None:
            usage = self._usage[key.account, key.region]
            del usage.names[bisect_left(usage.names, key.name)]
            self._count(usage, before.record, -1)
            self._keep_urls(key, before, None)

    def url_owner(self, id: str) -> FunctionKey | None:
        """Whose function URL has this id."""
        return self._urls.get(id)

    def usage(self, account: AccountId, region: Region) -> Usage:
        return self._usage.get((account, region)) or Usage()

    def listed(self, account: AccountId, region: Region, first: str) -> Iterator[tuple[FunctionKey, Stored]]:
        """The functions of one account in one region by name, beginning at `first`."""
        names = self.usage(account, region).names
        for name in names[bisect_left(names, first) :]:
            key = FunctionKey(account, region, name)
            yield key, self._functions[key]

    def __iter__(self) -> Iterator[tuple[FunctionKey, Stored]]:
        return iter(self._functions.items())

    def packages(self) -> frozenset[CodeDigest]:
        """Every package or image that some version needs."""
        return frozenset(self._packages)

    def _keep_urls(self, key: FunctionKey, before: Stored | None, after: Stored | None) -> None:
        for url in before.record.urls.values() if before is not None else ():
            del self._urls[url.id]
        for url in after.record.urls.values() if after is not None else ():
            self._urls[url.id] = key

    def _count(self, usage: Usage, record: FunctionRecord, sign: int) -> None:
        usage.code_size += sign * (
            record.settings.code_size + sum(version.code_size for version in record.versions.values())
        )
        usage.claimed_concurrency += sign * claim(record)
        for digest in _packages_of(record):
            needed = self._packages[digest] + sign
            if needed:
                self._packages[digest] = needed
            else:
                del self._packages[digest]


def _packages_of(record: FunctionRecord) -> set[CodeDigest]:
    digests = {digest for version in record.versions.values() for digest in (version.code, *version.layers)}
    digests.update((record.settings.code, *record.settings.layer_packages()))
    if record.running is not None:
        running = record.running.settings
        digests.update((running.code, *running.layer_packages()))
    return digests
