"""Decides what invokes functions beside their callers: rules, schedules, buckets, topics.

```
 PutEvents, a record for a bus ──▶ rules of the bus ──▶ targets whose pattern matches ─┐
 an object that was stored or deleted through the door ──▶ functions of its bucket ────┤
 a message that was published through the door ──▶ functions that its topic has ───────┤
 the clock ──▶ agenda ──▶ a rule's or a schedule's occurrence ─────────────────────────┼──▶ events (durable), then 200
                                       may this service invoke that function? ◀────────┘
```
What is kept survives a kill: rules with their targets, schedules, and which occurrence each has had last. An event is
acknowledged once every invocation that it causes is in the queue of `events`. It must not know how a request is framed,
nor how a function runs.
"""
