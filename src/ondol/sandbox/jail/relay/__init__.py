"""What sandboxes reach of the host: a process that joins their connections to the host's, and answers for its names.

```
 sandbox: 127.0.0.1:5432 (its own) ──listening socket──▶ relay process ──▶ host: 127.0.0.1:5432
                    :53  ─────────── UDP and TCP ──────▶               ──▶ the host's name servers     (nat)
                    who was refused ──────────────────▶               ──▶ does the host listen there?
```

The sockets are bound in each sandbox by its own set-up, before the lock-down, and handed out by descriptor. The relay
is apart from the platform's loop, so that bytes in bulk delay no invocation, and holds no capability.
"""

import msgspec


class Bound(msgspec.Struct, frozen=True):
    """The sockets that a sandbox's set-up binds for the relay, in this order."""

    ports: list[int]
    """Listening, on the sandbox's loopback."""

    resolver: bool
    """Two at which names are asked for: one listens, one takes datagrams."""

    refusals: bool
    """Those that hear which ports refused: `ondol.linux.refusals.watch`."""

    @property
    def count(self) -> int:
        return len(self.ports) + 2 * self.resolver + 3 * self.refusals
