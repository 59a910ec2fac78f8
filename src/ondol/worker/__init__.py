"""Slots on one host: code unpacked and cached, the Runtime API served, limits enforced, phases timed.

```
 slot ── start ──▶ INIT ── next ──▶ IDLE ◀──────▶ FROZEN        one machine per environment (`machine.py`)
                    │               │  ▲
       error, exit, time-out     invoke  next
                    │               ▼  │
                    ▼             BUSY │    time-out, exit, out of memory: ENDED, and the sandbox is stopped
                  ENDED ◀───────────┤  │
                                 result: the client is answered
                                    ▼  │
                                RESPONDED
```

A result that streams passes STREAMING on its way from BUSY to RESPONDED, and CUT_OFF if it ends unfinished. Where
there are extensions, SETTLING comes before IDLE, and LINGERING after RESPONDED, until they too are ready. An init that
fails is run again, once, in another slot.

Never decides for other hosts.
"""
