"""Tells whether this machine can have a router: makes one, on a host that is a network namespace of its own.

A program. Exit status 0, or 1 with what is missing on stderr.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH100, PTH120

import os
import sys

sys.path.append(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
)

from ondol.linux import namespaces
from ondol.sandbox.jail import power
from ondol.sandbox.jail.spawner.router import NoRouter, Router


def main() -> int:
    if not power.is_roots():
        print("root", file=sys.stderr)
        return 1
    try:
        namespaces.unshare(namespaces.NEW_NETWORK)
        Router("probe", 0).close()
    except (NoRouter, OSError) as lack:
        print(lack, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
