"""Where the doors for browsers are, function URLs and HTTP APIs: which requests are to one, and how one is written.

```
 http://<id>.lambda-url.<region>.localhost:4566/path     a function URL, as it is shown
 http://<id>.execute-api.<region>.localhost:4566/path    an HTTP API
 http://127.0.0.1:4566/_ondol/url/<id>/path              the same, where the name cannot be resolved
 http://127.0.0.1:4566/_ondol/http/<id>/path
```
Pure. A request whose host is such a door's is never one to the API, whatever its path says: a page that a function
serves has an origin of its own, from which the API is as far as from any other.
"""

import enum

import msgspec

from ondol.model.ids import Region
from ondol.model.network import is_our_name

_OWN = "/_ondol/"
_END = ".localhost"


class Front(enum.Enum):
    """A kind of door; its value is the label of its host names."""

    URL = "lambda-url"
    API = "execute-api"


_MARKS = {front: f".{front.value}." for front in Front}
_PATHS = {Front.URL: f"{_OWN}url/", Front.API: f"{_OWN}http/"}


class UrlAddress(msgspec.Struct, frozen=True):
    """To which door a request is, and to what below it."""

    id: str
    region: Region | None
    """None where the address does not say it."""

    path: str
    """Percent-encoded; begins with a slash."""

    front: Front = Front.URL


def address_of(host: str, path: str) -> UrlAddress | None:
    """The door that a request is to; None where it is to something else."""
    if _END in host:
        name = host.partition(":")[0].lower()
        for front, mark in _MARKS.items():
            id, found, rest = name.partition(mark)
            if found and rest.endswith(_END):
                return UrlAddress(id, Region(rest.removesuffix(_END)), path, front)
    if path.startswith(_OWN):
        for front, beginning in _PATHS.items():
            if path.startswith(beginning):
                id, slash, below = path.removeprefix(beginning).partition("/")
                return UrlAddress(id, None, slash + below or "/", front)
    return None


def domain_of(front: Front, id: str, region: Region) -> str:
    return f"{id}{_MARKS[front]}{region}{_END}"


def link_to(front: Front, id: str, region: Region, host: str, *, encrypted: bool) -> str:
    """The address as it is shown to somebody who has reached ondol under `host`, with its port.

    From another machine names under `localhost` are not ours: there it is by path.
    """
    scheme = "https" if encrypted else "http"
    if not is_our_name(host):
        return f"{scheme}://{host}{_PATHS[front]}{id}/"
    port = host.rpartition("]")[2].partition(":")[2]
    return f"{scheme}://{domain_of(front, id, region)}{f':{port}' if port else ''}/"
