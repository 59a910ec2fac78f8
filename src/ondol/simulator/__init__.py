"""Runs the platform's own decisions over loads and fleets that no test machine has.

```
                     ┌──▶ Kernel  a heap of events around the bare cores: millions of invocations, thousands of workers
 workloads ──▶ Trace ┤                                                                   │ decision logs are equal
                     └──▶ World   the real services on a loop of virtual time, with simulated sandboxes
```

It decides nothing that the platform decides: what it shows is what the same objects do when they run for real.
"""
