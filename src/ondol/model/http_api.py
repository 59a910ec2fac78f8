"""HTTP APIs: what stands before functions where API Gateway stands on AWS, and what its paths mean.

There are two kinds, as on AWS: a REST API has a stage in every path and payload format 1.0; an HTTP API may do without
a stage, answers preflights itself, and has either format. Source: API Gateway developer guide, "Choose between REST
APIs and HTTP APIs".
"""

import enum
import re

import msgspec

from ondol.model.arn import partition_of
from ondol.model.function_url import Cors
from ondol.model.ids import AccountId, Region

ANY = "ANY"
"""The method of a route that takes every method which no other route of its path takes."""

DEFAULT = "$default"
"""Of an HTTP API: the stage that no path names, and the route that takes what no other takes."""

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_VARIABLE = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}", re.ASCII)
_LITERAL = re.compile(r"[^{}/\s?#]+")


class ApiKind(enum.StrEnum):
    REST = "rest"
    HTTP = "http"


class SegmentKind(enum.IntEnum):
    """In the order in which a match is preferred."""

    LITERAL = 0
    VARIABLE = 1
    GREEDY = 2


class Segment(msgspec.Struct, frozen=True):
    """One part of a route's path."""

    kind: SegmentKind
    text: str
    """What it must be, or the variable's name."""


class HttpApiKey(msgspec.Struct, frozen=True, gc=False, order=True):
    account: AccountId
    region: Region
    name: str

    @property
    def arn(self) -> str:
        """For people and logs: AWS names an API by its id alone."""
        return f"arn:{partition_of(self.region)}:execute-api:{self.region}:{self.account}:{self.name}"


class ApiRoute(msgspec.Struct, frozen=True):
    """Which function answers a method of a path."""

    method: str
    path: str
    """As `/pets/{id}` or `/{proxy+}`; `$default` of an HTTP API is everything else."""

    function: str
    """A name, in the API's own account and region."""

    qualifier: str | None
    payload: str
    """The version of its events: 1.0 or 2.0."""

    timeout_ms: int

    @property
    def key(self) -> str:
        """As events name it."""
        return DEFAULT if self.path == DEFAULT else f"{self.method} {self.path}"


class HttpApi(msgspec.Struct, frozen=True):
    key: HttpApiKey
    id: str
    """The first label of its host name."""

    kind: ApiKind
    stage: str
    routes: tuple[ApiRoute, ...]
    stage_variables: dict[str, str]
    cors: Cors | None
    binary_types: tuple[str, ...]
    """Of a REST API: the media types whose bodies are bytes, such as `image/*`."""

    revision: int
    """Grows with every change; a holder keeps the highest it has seen."""

    def source_arn(self, method: str, path: str) -> str:
        """On whose behalf a function is invoked, as its policy may name it."""
        region = self.key.region
        what = path if path == DEFAULT else f"{method}{path}"
        return f"arn:{partition_of(region)}:execute-api:{region}:{self.key.account}:{self.id}/{self.stage}/{what}"


def parse_path(path: str) -> tuple[Segment, ...]:
    """The segments of a route's path. Raises ValueError, whose text ends the sentence "... must"."""
    if not path.startswith("/"):
        raise ValueError("begin with a slash")
    texts = path[1:].split("/") if path != "/" else []
    segments = tuple(_segment(text) for text in texts)
    if any(segment.kind is SegmentKind.GREEDY for segment in segments[:-1]):
        raise ValueError("have a variable with + at its end only")
    names = [segment.text for segment in segments if segment.kind is not SegmentKind.LITERAL]
    if len(set(names)) != len(names):
        raise ValueError("not name a variable twice")
    return segments


def _segment(text: str) -> Segment:
    variable = _VARIABLE.fullmatch(text)
    if variable is not None:
        return Segment(SegmentKind.GREEDY if variable[2] else SegmentKind.VARIABLE, variable[1])
    if _LITERAL.fullmatch(text):
        return Segment(SegmentKind.LITERAL, text)
    raise ValueError(f"be made of words and variables like {{id}} or {{proxy+}}, not {text!r}")
