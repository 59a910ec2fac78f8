"""Which shards of a stream are read, and from where: pure.

A shard whose records came later than another's, because it was split off or merged from that, waits until that one is
done. What there was when the mapping began is read from its starting position, what came later from its beginning.

Source: developer guide, "Polling and stream starting positions". What becomes of a mapping whose stream is deleted and
made again is not published.
"""

from collections.abc import Collection, Sequence
from enum import Enum

import msgspec

from ondol.model.time import WallTime
from ondol.pollers.api import StreamSettings


class Shard(msgspec.Struct, frozen=True):
    id: str
    parents: tuple[str, ...] = ()
    ending_sequence: str | None = None
    """Set once no record comes any more."""


class Beginning(msgspec.Struct, frozen=True):
    """When a mapping began to read, and what there was then."""

    since: WallTime
    shards: tuple[str, ...]
    """Those that are read from the starting position."""

    past: tuple[str, ...] = ()
    """Those that had ended, and are of no interest."""

    created: WallTime | None = None
    """When the stream was made, if that is known."""


class PositionKind(Enum):
    """As `ShardIteratorType`."""

    LATEST = "LATEST"
    TRIM_HORIZON = "TRIM_HORIZON"
    AT_TIMESTAMP = "AT_TIMESTAMP"
    AFTER_SEQUENCE_NUMBER = "AFTER_SEQUENCE_NUMBER"


class Position(msgspec.Struct, frozen=True):
    kind: PositionKind
    since: WallTime | None = None
    sequence: str | None = None


def begin(shards: Sequence[Shard], settings: StreamSettings, now: WallTime) -> Beginning:
    if settings.starting_position == PositionKind.LATEST.value:
        past = tuple(shard.id for shard in shards if shard.ending_sequence is not None)
        return Beginning(now, tuple(shard.id for shard in shards if shard.id not in past), past)
    return Beginning(settings.starting_at or now, tuple(shard.id for shard in shards))


def is_another(beginning: Beginning, created: WallTime | None) -> bool:
    """Whether the stream has been made again since: its shards and numbers may be as before, its records are not."""
    return None not in (beginning.created, created) and beginning.created != created


def begin_again(now: WallTime, created: WallTime | None) -> Beginning:
    """All that is in a stream that was made after the mapping began has come since: it is read from its beginning."""
    return Beginning(now, (), created=created)


def readable(shards: Sequence[Shard], beginning: Beginning, finished: Collection[str]) -> list[str]:
    """The shards whose turn it is: not done themselves, and all that came before is."""
    listed = {shard.id for shard in shards}
    done = {*finished, *beginning.past}
    return [
        shard.id
        for shard in shards
        if shard.id not in done and all(parent in done or parent not in listed for parent in shard.parents)
    ]


def first_position(shard: str, beginning: Beginning, settings: StreamSettings, fresh: bool) -> Position:
    """Where a shard without a checkpoint is read from. `fresh`: the mapping begins now, and not after a restart.

    After one, the latest is what has come since the beginning: it may be there already.
    """
    if shard not in beginning.shards:
        return Position(PositionKind.TRIM_HORIZON)
    kind = PositionKind(settings.starting_position)
    if kind is PositionKind.TRIM_HORIZON or (kind is PositionKind.LATEST and fresh):
        return Position(kind)
    return Position(PositionKind.AT_TIMESTAMP, since=beginning.since)


def past_end(shard: Shard | None, sequence: str | None) -> bool:
    """Whether nothing follows after this record, by the listing."""
    if shard is None or shard.ending_sequence is None:
        return False
    return int(sequence or 0) >= int(shard.ending_sequence)
