"""What of us runs inside a sandbox's walls: the zygote, a sandbox's first process, and the road to the customer's code.

```
zygote ──fork──▶ init (PID 1) ──fork──▶ runtime (PID 2) ──▶ bootstrap.main, or an exec
  waits for        waits for              locked down,
  slots            what to attach         waits for its environment
```

Standard library and `ondol.linux` alone, for Python 3.8 and later: it runs on the function's own interpreter. The
spawner lays it into the zygote's view of /var/runtime; the zygote takes that view away once it has imported it, so
no sandbox sees any of it.
"""
