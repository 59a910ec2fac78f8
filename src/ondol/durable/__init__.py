"""Durable executions: functions that are run again and again, each time from where they had come to, until they end.

```
                 ┌──────────────── checkpoint: the function says what it has done ────────────────┐
 start ──▶ ACTIVE ──invocation──▶ ┤                                                               │
             ▲                    └─ PENDING ──▶ SUSPENDED ── wait over, step due, callback, ─────┤
             └──────────────────────────────────────────────  chained invocation answered         ▼
                                              SUCCEEDED, FAILED, TIMED_OUT, STOPPED ◀────────── CLOSED ──▶ forgotten
```

Each change is one step: decided by a pure machine, written, and only then made true and answered. After a kill the
steps are read again, and what they say is due goes on. It decides when a function runs, and what a checkpoint may say;
it must not know how an invocation runs, nor where a function comes from.

Source: developer guide, "Lambda durable functions"; the service model; AWS's durable execution SDKs and the runners of
their testing packages, which show what the service answers.
"""
