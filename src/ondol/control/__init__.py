"""Functions, versions, aliases, layers, tags, reserved concurrency: what people have created, and its life cycle.

```
 create ──▶ Pending ──▶ Active            update ──▶ InProgress ──▶ Successful
               └─────▶ Failed                            └────────▶ Failed
```

A change is durable before it is answered. While an update is in progress the old code runs on; it is reported
Successful only when every holder has adopted the new view or its lease has run out, so that no invocation started
afterwards runs the old version. Control is never on the warm path.
"""
