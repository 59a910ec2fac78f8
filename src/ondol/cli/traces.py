"""Which lines of a log message are what: an error's headline, a frame of the function's own code, its source. Pure."""

import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

_HEADLINE = re.compile(r"\[ERROR\]|\S+\t\S+\tERROR\t|Traceback \(most recent|.*Task timed out after")
_PYTHON_FRAME = re.compile(r'(?P<head>\s*File ")/var/task/(?P<name>[^"]+)(?P<tail>", line (?P<line>\d+).*)')
_NODE_FRAME = re.compile(
    r"(?P<head>\s*at .*?)(?:file://)?/var/task/(?P<name>[^():]+)(?P<tail>:(?P<line>\d+):\d+.*)", re.DOTALL
)


class Kind(Enum):
    TEXT = "text"
    HEADLINE = "headline"
    FRAME = "frame"
    SOURCE = "source"


class Line(NamedTuple):
    kind: Kind
    text: str


SourceLine = Callable[[str, int], str | None]
"""A line of a file of the package, by the file's name and the line's number; None if there is none."""


def lines_of(message: str, directory: str, source_line: SourceLine) -> Iterator[Line]:
    """A log message line by line. Frames of the package's own files name them as they are below `directory`.

    What has no source line of its own in the trace (Node.js) gets it.
    """
    source_follows = False
    for text in message.rstrip("\n").replace("\r", "\n").replace("\u00a0", " ").split("\n"):
        frame = _PYTHON_FRAME.fullmatch(text) or _NODE_FRAME.fullmatch(text)
        source = None if frame is None else source_line(frame["name"], int(frame["line"]))
        if frame is not None and source is not None:
            yield Line(Kind.FRAME, f"{frame['head']}{directory}/{frame['name']}{frame['tail']}")
            source_follows = frame.re is _PYTHON_FRAME
            if not source_follows:
                yield Line(Kind.SOURCE, f"      {source.strip()}")
        elif source_follows:
            yield Line(Kind.SOURCE, text)
            source_follows = False
        else:
            yield Line(Kind.HEADLINE if _HEADLINE.match(text) else Kind.TEXT, text)
