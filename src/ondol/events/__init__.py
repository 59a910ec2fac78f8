"""Decides when an asynchronous event runs, is tried again, and where it goes in the end. Loses none that was accepted.

```
 accept ──▶ queue of the function's shard ──▶ attempt ──▶ succeeded ──▶ (record to the destination) ──▶ gone
   202 when durable        ▲                     ├─ function failed ──▶ a new step, due in 1 and 2 minutes
                           │                     │      └─ no retries left, too old ──▶ destination, dead-letter queue
                           └── put back: 1 s … 5 min ◀── throttled, or the platform failed
```

Each step is a message of the store's. The next one is written before the one that it follows is acknowledged, so that
whoever is killed in between repeats work and loses none. It must not know how an attempt runs, nor where a function
comes from.
"""
