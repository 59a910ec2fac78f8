"""AWS's SDK for Python, which AWS's Python runtimes bring: where this installation of ondol has it.

Source: developer guide, "Building Lambda functions with Python", runtime-included SDK versions. A function's own copy,
in its package or a layer, comes first.
"""

import importlib.metadata
import importlib.util
import re
from functools import cache
from pathlib import Path

PACKAGES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")

_OLDEST = re.compile(r">=\s*3\.(\d+)")


@cache
def sdk() -> tuple[str, ...]:
    """The packages and modules that make it up; none if it is not installed whole."""
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return ()
        origin = Path(spec.origin)
        found.append(str(origin.parent if spec.submodule_search_locations else origin))
    return tuple(found)


@cache
def oldest_python() -> int:
    """The minor version of the oldest Python 3 that it runs on."""
    said = _OLDEST.search(importlib.metadata.metadata("boto3")["Requires-Python"] or "")
    return int(said[1]) if said is not None else 0
