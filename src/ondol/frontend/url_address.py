"""Where function URLs are: which requests are to one, and how one is written.

```
 http://<id>.lambda-url.<region>.localhost:4566/path     the URL that is shown
 http://127.0.0.1:4566/_ondol/url/<id>/path              the same, where the name cannot be resolved
```
Pure. A request whose host is a URL's is never one to the API, whatever its path says: a page that a function serves has
an origin of its own, from which the API is as far as from any other.
"""

import msgspec

from ondol.model.ids import Region

PATH = "/_ondol/url/"

_MARK = ".lambda-url."
_END = ".localhost"


class UrlAddress(msgspec.Struct, frozen=True):
    """To which URL a request is, and to what below it."""

    id: str
    region: Region | None
    """None where the address does not say it."""

    path: str
    """Percent-encoded; begins with a slash."""


def address_of(host: str, path: str) -> UrlAddress | None:
    """The function URL that a request is to; None where it is to something else."""
    if _MARK in host:
        name = host.partition(":")[0].lower()
        id, _, rest = name.partition(_MARK)
        if rest.endswith(_END):
            return UrlAddress(id, Region(rest.removesuffix(_END)), path)
    if path.startswith(PATH):
        id, slash, below = path.removeprefix(PATH).partition("/")
        return UrlAddress(id, None, slash + below or "/")
    return None


def domain_of(id: str, region: Region) -> str:
    return f"{id}{_MARK}{region}{_END}"


def link_to(id: str, region: Region, host: str) -> str:
    """The URL as it is shown to somebody who has reached ondol under `host`, with its port."""
    port = host.rpartition("]")[2].partition(":")[2]
    return f"http://{domain_of(id, region)}{f':{port}' if port else ''}/"
