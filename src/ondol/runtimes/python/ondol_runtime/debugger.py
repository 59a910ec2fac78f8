"""Waits for a debugger before the customer's code is loaded, where the platform asks for that.

The debugger is debugpy, which the platform has laid into /opt for this environment alone.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "ONDOL_DEBUGGER"
"""Where to listen; the customer's code does not see it."""

PLACE = "/opt/.ondol"


def wait() -> None:
    """Return once a debugger has attached and set its breakpoints; at once if none is to be waited for."""
    address = os.environ.pop(VARIABLE, None)
    if address is None:
        return
    host, _, port = address.rpartition(":")
    # It warns of what Python's own modules are compiled into, which nobody debugs here.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    sys.path.insert(0, PLACE)
    import debugpy  # noqa: PLC0415 (not there for anybody else)

    sys.path.remove(PLACE)
    del os.environ["PYDEVD_DISABLE_FILE_VALIDATION"]
    # In this process: one of its own would count among the function's, and take memory twice.
    debugpy.listen((host, int(port)), in_process_debug_adapter=True)
    debugpy.wait_for_client()
