"""Which route of an HTTP API takes a request. Pure.

Of the routes whose path fits, the most specific one: segment by segment from the left, a literal is preferred to a
variable and that to a greedy one. An HTTP API looks only at routes that have the request's method, or ANY, and falls
back on `$default`; a REST API finds the path first, and a method that this path lacks is not there at all.
Source: API Gateway developer guide, "Create routes for HTTP APIs", "Set up a proxy integration with a proxy resource".
"""

from collections.abc import Sequence
from urllib.parse import unquote

import msgspec

from ondol.model.http_api import ANY, DEFAULT, ApiKind, ApiRoute, HttpApi, Segment, SegmentKind, parse_path


class Found(msgspec.Struct, frozen=True):
    route: ApiRoute
    variables: dict[str, str]
    """Of the path, by name."""


class _Path(msgspec.Struct, frozen=True):
    """A path that routes have, and these by method."""

    path: str
    segments: tuple[Segment, ...]
    routes: dict[str, ApiRoute]


class Router:
    """The routes of one API, in the order in which they are tried."""

    def __init__(self, api: HttpApi) -> None:
        self._kind = api.kind
        self._default: ApiRoute | None = None
        paths: dict[str, _Path] = {}
        for route in api.routes:
            if route.path == DEFAULT:
                self._default = route
            else:
                known = paths.setdefault(route.path, _Path(route.path, parse_path(route.path), {}))
                known.routes[route.method] = route
        self._paths = sorted(paths.values(), key=lambda path: [segment.kind for segment in path.segments])

    def find(self, method: str, path: str) -> Found | None:
        """`path` is what follows the stage, percent-encoded."""
        parts = _parts(path, self._kind)
        for candidate in self._paths:
            variables = _fit(candidate.segments, parts)
            if variables is None:
                continue
            route = candidate.routes.get(method) or candidate.routes.get(ANY)
            if route is not None:
                return Found(route, variables)
            if self._kind is ApiKind.REST:
                return None
        return None if self._default is None else Found(self._default, {})

    def methods(self, path: str) -> frozenset[str] | None:
        """Those for which the path of a REST API that fits has routes; None where no path fits."""
        parts = _parts(path, self._kind)
        for candidate in self._paths:
            if _fit(candidate.segments, parts) is not None:
                return frozenset(candidate.routes)
        return None


def within_stage(api: HttpApi, path: str) -> str | None:
    """What follows the stage in a path of the API; None if the path is in no stage that there is."""
    if api.stage == DEFAULT:
        return path
    stage, slash, below = path[1:].partition("/")
    return slash + below or "/" if stage == api.stage else None


def decoded_path(kind: ApiKind, path: str) -> str:
    """A path as the API sees it: an HTTP API decodes it before it looks at it, a REST API never does."""
    return path if kind is ApiKind.REST else unquote(path)


def _parts(path: str, kind: ApiKind) -> list[str]:
    """A REST API ignores slashes at the end."""
    path = path.rstrip("/") if kind is ApiKind.REST else decoded_path(kind, path)
    return path[1:].split("/") if path not in {"", "/"} else []


def _fit(segments: Sequence[Segment], parts: Sequence[str]) -> dict[str, str] | None:
    """What the variables are if the parts of a path fit; None if they do not."""
    greedy = bool(segments) and segments[-1].kind is SegmentKind.GREEDY
    if len(parts) < len(segments) or (len(parts) > len(segments) and not greedy):
        return None
    variables: dict[str, str] = {}
    for at, segment in enumerate(segments):
        text = "/".join(parts[at:]) if segment.kind is SegmentKind.GREEDY else parts[at]
        if segment.kind is SegmentKind.LITERAL:
            if text != segment.text:
                return None
        elif not text:
            return None
        else:
            variables[segment.text] = text
    return variables
