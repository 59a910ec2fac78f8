"""How the two processes of a sandbox give up their power for good: to a user of their own, or to nobody.

Where there are no users to give, both keep the number that the spawner has. The runtime then goes to a user namespace
in which it is alone: it has no capability there, can gain none, and counts for nothing in the namespace that owns the
sandbox's mounts, network and processes.
"""

from __future__ import annotations

from ondol.linux import capabilities, namespaces

USER, GROUP = 993, 990
"""Whom a function on AWS runs as; what a runtime without a user of its own takes itself for."""


def leave_first(user: int | None) -> None:
    """For the first process, which runs nobody's code."""
    if user is None:
        capabilities.clear()
    else:
        capabilities.become(user, user)


def leave_runtime(user: int | None) -> None:
    """For the process that becomes the customer's, and whatever it starts. Needs one thread."""
    if user is None:
        namespaces.become_alone(USER, GROUP)
        # A new user namespace comes with everything, the bounding set too.
        capabilities.drop_bounding()
        capabilities.clear()
    else:
        capabilities.become(user, user)
