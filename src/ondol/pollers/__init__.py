"""How a source is read, batched, filtered and checkpointed: what event source mappings do once they are enabled.

```
 queue   receive ─▶ filter ─▶ batch ─▶ invoke ─▶ delete           scaling: how many of these at once
 broker  consume ─▶ filter ─▶ batch ─▶ invoke ─▶ acknowledge
 stream  shards ─▶ read ─▶ filter ─▶ lanes ─▶ batch ─▶ invoke ─▶ checkpoint
                                                 ▲ bisect, retry ┘ └▶ on-failure destination
```

A poller never skips a record: a message is deleted, and a checkpoint written, only once the function has taken the
record, a filter has dropped it, or its retries are over and what is to be told of that is told. Invocations go the
way of all others. Which mappings there are is control's to say.
"""
