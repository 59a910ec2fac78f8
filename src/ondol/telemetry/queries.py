"""CloudWatch Logs' operations over the catalogue and the segments. Synchronous: runs on a thread, never on the loop.

Members are named as in the service model (2014-03-28); texts of errors are AWS's. `ingestionTime` is the event's own
time, because lines are stamped when they are taken in.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest
from typing import Any

from ondol.model.errors import InvalidParameter, ResourceNotFound
from ondol.model.ids import AccountId, Region
from ondol.telemetry.catalogue import Catalogue, Group, Stream
from ondol.telemetry.merging import Cursor, Placed, merge
from ondol.telemetry.pattern import compile_pattern
from ondol.telemetry.segments import BLOCK, Line, Segment, position_of, read_backward, read_forward
from ondol.telemetry.tokens import page_token, position_token, read_page, read_position

_PAGE = 50
_EVENTS = 10_000
_RESPONSE_BYTES = 1 << 20
_EVENT_OVERHEAD = 26
"""Bytes that CloudWatch counts for an event beside its message."""

_SEARCHED = 100_000
"""Lines that one FilterLogEvents looks at; then it answers what it has and a token, as AWS does."""

_BLOCKS = 16 << 20
"""Bytes of blocks that a search over many streams holds at once."""

_PAUSE_EVERY = 128
"""Lines: a search then lets go of the interpreter for a moment, or the event loop would wait for it up to 5 ms."""

_FOREVER = 1 << 62

Parameters = Mapping[str, Any]


class Queries:
    def __init__(self, catalogue: Catalogue, account: AccountId, region: Region) -> None:
        self._catalogue = catalogue
        self._account = account
        self._region = region

    def describe_log_groups(self, parameters: Parameters) -> dict[str, Any]:
        prefix, pattern = parameters.get("logGroupNamePrefix"), parameters.get("logGroupNamePattern")
        if prefix and pattern:
            raise InvalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        after = _after("groups", parameters, str)
        chosen = parameters.get("logGroupIdentifiers")
        names = None if chosen is None else {_name_of_identifier(identifier) for identifier in chosen}
        standard = parameters.get("logGroupClass", "STANDARD") == "STANDARD"
        found = [
            group
            for group in self._catalogue.groups(self._account, self._region)
            if standard
            and group.name.startswith(prefix or "")
            and (pattern or "") in group.name
            and (names is None or group.name in names)
            and (after is None or group.name > after)
        ]
        page = found[: _limit(parameters, _PAGE)]
        answer: dict[str, Any] = {"logGroups": [self._group_members(group, bool(pattern)) for group in page]}
        if len(found) > len(page):
            answer["nextToken"] = page_token("groups", page[-1].name)
        return answer

    def describe_log_streams(self, parameters: Parameters) -> dict[str, Any]:
        group = self._group(parameters)
        by_time = parameters.get("orderBy") == "LastEventTime"
        descending = bool(parameters.get("descending"))
        prefix = parameters.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        kind = f"streams {group.name} {by_time} {descending}"
        after = _after(kind, parameters, tuple[int, str])

        def key(stream: Stream) -> tuple[int, str]:
            return (stream.last if by_time else 0, stream.name)

        found = [stream for stream in self._catalogue.streams(group) if stream.name.startswith(prefix)]
        if after is not None:
            found = [stream for stream in found if (key(stream) < after if descending else key(stream) > after)]
        limit = _limit(parameters, _PAGE)
        page = nlargest(limit, found, key) if descending else nsmallest(limit, found, key)
        answer: dict[str, Any] = {"logStreams": [self._stream_members(group, stream) for stream in page]}
        if len(found) > len(page):
            answer["nextToken"] = page_token(kind, key(page[-1]))
        return answer

    def get_log_events(self, parameters: Parameters) -> dict[str, Any]:
        group = self._group(parameters)
        segments = self._stream(group, parameters["logStreamName"]).segments
        begin = _time(parameters, "startTime", 0)
        end = _time(parameters, "endTime", _FOREVER)
        forward, position = bool(parameters.get("startFromHead")), None
        if parameters.get("nextToken") is not None:
            forward, position = read_position(parameters["nextToken"])
        if forward:
            start = position_of(segments, begin) if begin else segments[0].base
            position = max(start, position or 0)
            lines = read_forward(segments, position)
        else:
            stop = position_of(segments, end) if end < _FOREVER else segments[-1].end
            position = stop if position is None else min(stop, position)
            lines = read_backward(segments, position)
        page = list(_taken((line for line in _within(lines, begin, end)), _limit(parameters, _EVENTS)))
        if not forward:
            page.reverse()
        return {
            "events": [_event_members(line) for line in page],
            "nextForwardToken": position_token(True, page[-1].end if page else position),
            "nextBackwardToken": position_token(False, page[0].position if page else position),
        }

    def filter_log_events(self, parameters: Parameters) -> dict[str, Any]:
        group = self._group(parameters)
        matches = compile_pattern(parameters.get("filterPattern") or "")
        begin = _time(parameters, "startTime", 0)
        end = _time(parameters, "endTime", _FOREVER - 1) + 1
        streams = self._chosen(group, parameters)
        forward, after = parameters.get("startFromHead", True), None
        if parameters.get("nextToken") is not None:
            forward, after = read_page(f"events {group.name}", parameters["nextToken"], tuple[bool, Placed])
        cursors = _cursors(streams, begin, end, forward, after)
        search = _Search(matches, _limit(parameters, _EVENTS))
        found = search.run(_beyond(merge(cursors, forward), forward, after))
        answer: dict[str, Any] = {
            "events": [
                {"logStreamName": placed.stream, **_event_members(line), "eventId": _event_id(placed)}
                for placed, line in found
            ],
            "searchedLogStreams": [],
        }
        if search.stopped_at is not None:
            answer["nextToken"] = page_token(f"events {group.name}", (forward, search.stopped_at))
        return answer

    def _group(self, parameters: Parameters) -> Group:
        given = [parameters[member] for member in ("logGroupName", "logGroupIdentifier") if member in parameters]
        if len(given) != 1:
            raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.")
        name = _name_of_identifier(given[0])
        group = self._catalogue.group(self._account, self._region, name)
        if group is None:
            raise ResourceNotFound("The specified log group does not exist.")
        return group

    def _stream(self, group: Group, name: str) -> Stream:
        stream = self._catalogue.stream(group, name)
        if stream is None:
            raise ResourceNotFound("The specified log stream does not exist.")
        return stream

    def _chosen(self, group: Group, parameters: Parameters) -> list[Stream]:
        names, prefix = parameters.get("logStreamNames"), parameters.get("logStreamNamePrefix")
        if names and prefix:
            raise InvalidParameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        if names:
            return [self._stream(group, name) for name in dict.fromkeys(names)]
        return [stream for stream in self._catalogue.streams(group) if stream.name.startswith(prefix or "")]

    def _arn(self, group: Group) -> str:
        return f"arn:aws:logs:{self._region}:{self._account}:log-group:{group.name}"

    def _group_members(self, group: Group, brief: bool) -> dict[str, Any]:
        """`brief`: the three members that AWS answers to a search by pattern."""
        members: dict[str, Any] = {
            "logGroupName": group.name,
            "creationTime": group.created,
            "arn": f"{self._arn(group)}:*",
        }
        if not brief:
            members |= {
                "metricFilterCount": 0,
                "storedBytes": self._catalogue.size(group),
                "logGroupClass": "STANDARD",
                "logGroupArn": self._arn(group),
            }
        return members

    def _stream_members(self, group: Group, stream: Stream) -> dict[str, Any]:
        return {
            "logStreamName": stream.name,
            "creationTime": stream.first,
            "firstEventTimestamp": stream.first,
            "lastEventTimestamp": stream.last,
            "lastIngestionTime": stream.last,
            "arn": f"{self._arn(group)}:log-stream:{stream.name}",
            "storedBytes": 0,  # of a stream AWS reports zero, since 2019
        }


OPERATIONS: Mapping[str, Callable[[Queries, Parameters], dict[str, Any]]] = {
    "DescribeLogGroups": Queries.describe_log_groups,
    "DescribeLogStreams": Queries.describe_log_streams,
    "GetLogEvents": Queries.get_log_events,
    "FilterLogEvents": Queries.filter_log_events,
}


class _Search:
    """One page of FilterLogEvents."""

    def __init__(self, matches: Callable[[str], bool], limit: int) -> None:
        self._matches = matches
        self._limit = limit
        self.stopped_at: Placed | None = None
        """The last line looked at, if there is more behind it."""

    def run(self, lines: Iterator[tuple[Placed, Line]]) -> list[tuple[Placed, Line]]:
        found: list[tuple[Placed, Line]] = []
        size = 0
        last: Placed | None = None
        for searched, (placed, line) in enumerate(lines, 1):
            if searched % _PAUSE_EVERY == 0:
                time.sleep(1e-5)
            matching = self._matches(line.message)
            size += len(line.message.encode()) + _EVENT_OVERHEAD if matching else 0
            full = len(found) == self._limit or searched > _SEARCHED or (size > _RESPONSE_BYTES and found)
            if full:
                self.stopped_at = last
                break
            if matching:
                found.append((placed, line))
            last = placed
        return found


def _cursors(streams: Sequence[Stream], begin: int, end: int, forward: bool, after: Placed | None) -> Iterator[Cursor]:
    """What is to be merged: the lines of each stream from where the page begins to where the range ends."""
    if after is not None:
        begin, end = (max(begin, after.time), end) if forward else (begin, min(end, after.time + 1))
    inside = [stream for stream in streams if stream.last >= begin and stream.first < end]
    block = max(4096, min(BLOCK, _BLOCKS // max(len(inside), 1)))
    for stream in inside:
        bound = max(stream.first, begin) if forward else min(stream.last, end)
        yield Cursor(bound, stream.name, _range(stream.segments, begin, end, forward, block))


def _range(segments: Sequence[Segment], begin: int, end: int, forward: bool, block: int) -> Iterator[Line]:
    """Lines with `begin` <= time < `end`. Nothing is read before the first is asked for."""
    if forward:
        lines = read_forward(segments, position_of(segments, begin), block)
    else:
        lines = read_backward(segments, position_of(segments, end), block)
    yield from _within(lines, begin, end)


def _within(lines: Iterator[Line], begin: int, end: int) -> Iterator[Line]:
    for line in lines:
        if not begin <= line.time < end:
            return
        yield line


def _beyond(lines: Iterator[tuple[Placed, Line]], forward: bool, after: Placed | None) -> Iterator[tuple[Placed, Line]]:
    """Leave out what the page before has shown."""
    for placed, line in lines:
        if after is None or (placed > after if forward else placed < after):
            yield placed, line


def _taken(lines: Iterator[Line], limit: int) -> Iterator[Line]:
    """At most `limit` lines, and no more than fit in a response."""
    size = 0
    for number, line in enumerate(lines):
        size += len(line.message.encode()) + _EVENT_OVERHEAD
        if number == limit or (size > _RESPONSE_BYTES and number):
            return
        yield line


def _event_members(line: Line) -> dict[str, Any]:
    return {"timestamp": line.time, "message": line.message, "ingestionTime": line.time}


def _event_id(placed: Placed) -> str:
    """56 digits, as on AWS: the same for the same line whoever asks, and ascending in time."""
    stream = int.from_bytes(hashlib.blake2b(placed.stream.encode(errors="replace"), digest_size=8).digest(), "big")
    return f"{placed.time:014d}{stream:020d}{placed.position:022d}"


def _name_of_identifier(identifier: str) -> str:
    """A group's name from its name or ARN (with or without `:*`)."""
    if not identifier.startswith("arn:"):
        return identifier
    return identifier.partition(":log-group:")[2].removesuffix(":*")


def _after(kind: str, parameters: Parameters, key_type: Any) -> Any:
    token = parameters.get("nextToken")
    return None if token is None else read_page(kind, token, key_type)


def _limit(parameters: Parameters, most: int) -> int:
    limit = parameters.get("limit", most)
    if not isinstance(limit, int) or not 1 <= limit <= most:
        raise InvalidParameter(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value between 1 and {most}"
        )
    return limit


def _time(parameters: Parameters, member: str, default: int) -> int:
    """Milliseconds of a range's end. A negative one (unparsed dates of some clients) is refused as on AWS."""
    moment = parameters.get(member, default)
    if not isinstance(moment, int) or moment < 0:
        raise InvalidParameter(
            f"1 validation error detected: Value '{moment}' at '{member}' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0"
        )
    return moment
