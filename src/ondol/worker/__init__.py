"""Slots on one host: code unpacked and cached, the Runtime API served, limits enforced, phases timed.

```
 slot ── start ──▶ INIT ── next ──▶ IDLE ◀──────▶ FROZEN        one machine per environment (`machine.py`)
                    │               │  ▲
       error, exit, time-out     invoke  response and next
                    ▼               ▼  │
                  ENDED ◀──────── BUSY ┘    time-out, exit, out of memory: ENDED, and the sandbox is stopped
```

Never decides for other hosts.
"""
