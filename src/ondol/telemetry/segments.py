"""Segments: the files of a stream, read and appended. Knows lines and positions, not groups or retention.

A segment holds JSON lines `[time, message]`, times never going back. Positions count bytes from the start of the
*stream*, so that they stay what they are when its oldest segment goes. A line that cannot be read (the torn end of a
segment whose writer was killed) is skipped.

Files are opened for each block and closed at once: a search over thousands of streams holds no descriptors.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import msgspec

from ondol.model.time import WallTime
from ondol.telemetry.api import LogEvent

BLOCK = 1 << 16
_PROBE = 1 << 12
_AT_ONCE = 256
"""Pieces that one system call writes: to join them all at once would hold up the event loop where much has waited."""

_decoder = msgspec.json.Decoder(LogEvent)

encode_into: Callable[[tuple[WallTime, str], bytearray, int], None] = msgspec.json.Encoder().encode_into
"""Put a line of a segment, all but its newline, into a buffer: at this offset, or with -1 at the end of it.

Raises `UnicodeEncodeError`.
"""


class Segment(msgspec.Struct, frozen=True, gc=False):
    path: str
    base: int
    """Position of its first byte in the stream."""

    first: WallTime
    last: WallTime
    size: int

    @property
    def end(self) -> int:
        return self.base + self.size


class Line(msgspec.Struct, frozen=True, gc=False):
    position: int
    end: int
    time: WallTime
    message: str


def line_of(time: WallTime, message: str) -> bytes:
    """A piece that is one line."""
    line = bytearray()
    encode_into((time, message), line, 0)
    return bytes(line) + b"\n"


def time_of(piece: bytes) -> WallTime:
    """When the first of these lines was written."""
    return WallTime(int(piece[1 : piece.index(b",")]))


def lines_in(piece: bytes) -> int:
    return piece.count(b"\n")


def append(segment: Segment, pieces: Sequence[bytes]) -> Segment:
    """Write lines at the segment's end, each piece those of one moment; the answer is the segment as it is then.

    The file's modification time is set to that of its last line, so that nobody has to open it to learn that. What
    would be older than what the segment has is given the time of that. Raises `OSError`, and then nothing was added.
    """
    if time_of(pieces[0]) < segment.last:
        pieces = [piece if time_of(piece) >= segment.last else _at(segment.last, piece) for piece in pieces]
    size = segment.size
    descriptor = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            for start in range(0, len(pieces), _AT_ONCE):
                data = b"".join(pieces[start : start + _AT_ONCE])
                _write_all(descriptor, data)
                size += len(data)
        except OSError:
            os.ftruncate(descriptor, segment.size)
            raise
        last = time_of(pieces[-1])
        os.utime(descriptor, ns=(last * 1_000_000, last * 1_000_000))
    finally:
        os.close(descriptor)
    return msgspec.structs.replace(segment, last=last, size=size)


def read_forward(segments: Sequence[Segment], position: int, block: int = BLOCK) -> Iterator[Line]:
    """Lines from `position` on, oldest first."""
    for segment in segments:
        if segment.end <= position:
            continue
        at = max(position - segment.base, 0)
        start, rest = segment.base + at, b""
        while at < segment.size:
            data = _read(segment, at, min(block, segment.size - at))
            if not data:
                break
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for encoded in lines:
                end = start + len(encoded) + 1
                line = _line(encoded, start, end)
                if line is not None:
                    yield line
                start = end


def read_backward(segments: Sequence[Segment], position: int, block: int = BLOCK) -> Iterator[Line]:
    """Lines that end at or before `position`, newest first."""
    for segment in reversed(segments):
        if segment.base >= position:
            continue
        at = min(position - segment.base, segment.size)
        rest = b""
        while at > 0:
            begin = max(at - block, 0)
            data = _read(segment, begin, at - begin)
            if not data:
                break
            text = data + rest
            cut = text.find(b"\n") + 1 if begin else 0
            if begin and not cut:
                rest, at = text, begin
                continue
            *lines, torn = text[cut:].split(b"\n")
            end = segment.base + begin + len(text) - len(torn)
            for encoded in reversed(lines):
                start = end - len(encoded) - 1
                line = _line(encoded, start, end)
                if line is not None:
                    yield line
                end = start
            rest, at = text[:cut], begin


def position_of(segments: Sequence[Segment], time: int) -> int:
    """Position of the first line that is not older than `time`; the stream's end if there is none."""
    for segment in segments:
        if segment.last < time:
            continue
        if segment.first >= time:
            return segment.base
        start = segment.base + _line_start_before(segment, time)
        for line in read_forward((segment,), start):
            if line.time >= time:
                return line.position
        return segment.end
    return segments[-1].end if segments else 0


def _line_start_before(segment: Segment, time: int) -> int:
    """Offset of a line older than `time` (or of the first), at most some blocks before the first that is not."""
    low, high = 0, segment.size
    while high - low > BLOCK:
        middle = (low + high) // 2
        found = _first_line_from(segment, middle, high)
        if found is not None and found[1] < time:
            low = found[0]
        else:
            high = middle
    return low


def _first_line_from(segment: Segment, offset: int, limit: int) -> tuple[int, int] | None:
    """Offset and time of the first readable line that begins after `offset` and before `limit`."""
    data = b""
    while offset + len(data) < limit:
        piece = _read(segment, offset + len(data), _PROBE)
        if not piece:
            return None
        data += piece
        newline = data.find(b"\n")
        while newline >= 0:
            comma = data.find(b",", newline, newline + 24)
            number = data[newline + 2 : comma]
            if comma >= 0 and data[newline + 1 : newline + 2] == b"[" and number.isdigit():
                return offset + newline + 1, int(number)
            if len(data) - newline < 24:
                break
            newline = data.find(b"\n", newline + 1)
    return None


def _read(segment: Segment, offset: int, size: int) -> bytes:
    """Bytes of a segment; none if retention has removed it meanwhile."""
    try:
        descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


def _line(text: bytes, start: int, end: int) -> Line | None:
    try:
        event = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Line(start, end, event.time, event.message)


def _at(time: WallTime, piece: bytes) -> bytes:
    return b"".join(line_of(time, event.message) for event in _decoder.decode_lines(piece))


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
