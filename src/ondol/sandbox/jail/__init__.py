"""The jail: isolation by Linux namespaces, cgroups, capabilities and seccomp, with root's power or without.

```
platform process ──commands──▶ spawner ──▶ zygote ──▶ init ──▶ runtime
 (no capability)   ◀─descriptors─ (PID 1)    one per     PID 1     PID 2, the customer's
                                             runtime and account
```

`driver.py` and `sandbox.py` are the platform's side; `spawner/` is the one process with power, which comes from where
`power.py` says; `inside/` runs within the walls. What a sandbox sees of the disk is `base_root.py`'s. ADR 0002, 0003
and 0009 say why.
"""
