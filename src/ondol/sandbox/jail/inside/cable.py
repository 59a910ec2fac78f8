"""A sandbox's way out: a cable between its network namespace and the router, laid while nobody waits.

It is laid by the sandbox's own set-up code, which comes from the router's namespace and still has power over both.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH110, PTH123

from __future__ import annotations

import os
from typing import Any

from ondol.linux.route import End, Routes

INTERFACE = End("eth0", 100)
"""The number is far from those that the kernel gives to what it puts into a new namespace by itself."""

_NO_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"


def lay(router: Routes, plan: dict[str, Any]) -> None:
    """Join this namespace to that of `router`, which is closed. Raises `OSError`."""
    if os.path.exists(_NO_IPV6):
        with open(_NO_IPV6, "w", encoding="ascii") as file:
            file.write("1")
    number, address = plan["link"], plan["address"]
    router.add_pair(End(f"s{number}", number), INTERFACE, os.getpid())
    router.add_route(f"{address}/32", number, plan["table"])
    router.close()
    own = Routes()
    own.bring_up(INTERFACE)
    own.add_address(address, INTERFACE.number)
    own.add_route("0.0.0.0/0", INTERFACE.number)
    own.close()
