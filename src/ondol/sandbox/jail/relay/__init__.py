"""What sandboxes reach of the host, port by port: a process that joins their connections to the host's.

```
 sandbox: 127.0.0.1:5432 (its own) ──listening socket──▶ relay process ──▶ host: 127.0.0.1:5432
```

The sockets are bound in each sandbox by its own set-up, before the lock-down, and handed out by descriptor. The relay
is apart from the platform's loop, so that bytes in bulk delay no invocation, and holds no capability.
"""
