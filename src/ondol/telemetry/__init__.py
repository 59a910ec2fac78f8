"""Logs (later metrics and traces): kept, queried, bounded on disk. Never slows the warm path.

```
worker ── write ──▶ buffer ── writer thread, every 0.2 s ──▶ segments (files) ◀── queries, on threads of their own
        (memory, bounded)                                  └▶ catalogue (which groups, streams and segments there are)
```

A line is at most one flush interval away from the disk, and a query first waits for that flush, so that who has been
answered finds its lines. What is kept is bounded: by stream, and in all, the oldest going first.
"""
