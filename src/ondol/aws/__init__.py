"""The wire: everything that AWS's clients see of a service, derived from AWS's own service model.

```
 request ─▶ routes ─▶ parse ─▶ validate ─▶ (a service decides) ─▶ serialize ─▶ answer
               │         │         │                  │ CallerError, PlatformError
               └─────────┴────┬────┘                  └──────────▶ errors ─▶ answer
                     service_model + departures
```

`wire` joins these for one service. `signing` signs requests, `sigv4` says who signed one and whether that is true,
`identity` whom that makes the caller, `names` which function is meant, `payload` whether an event is JSON.
Knows no function, no account's state and no socket.
"""
