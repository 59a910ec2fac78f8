"""Decides which environments exist and who may use them, and when an idle one is stopped. Never touches a process.

```
            growth allowed   placed         init done       recalled
 REQUESTED ──────────────▶ PLACING ──▶ STARTING ──▶ LENT ◀───────▶ RECALLING ──▶ STOPPING ──▶ gone
     └─ refused                 │ ▲     └─ failed: the invocation that caused it is told
                          no room ▼ │ somebody's room became free
                             WITHOUT_ROOM ── waited enough: told so
```

A ready environment is lent to the frontend that asked; an invocation neither takes it from nor returns it to the
manager. One timer per environment and keep-alive period asks the frontend whether it was used meanwhile.

Environments of versions with provisioned concurrency begin at PLACING, for nobody who waits, and are not asked whether
they were used: `provisioned.py` says how many there are to be.
"""
