"""Who is calling, which version is meant, how the answer is framed. Keeps no state that a restart would lose.

```
 service: whose is it?               and what for?
   access, names: from where        ┌─ Lambda's API ──────▶ invoke_api, event_api, durable_api; all else lambda_api
   verified_door, verifier: who     ├─ doors for browsers ▶ url_api, gateway
   rights: may they                 ├─ another of AWS's ──▶ other_services: trigger_api, s3_api, sns_api, forwarding
   sandbox_door: a function itself  └─ ondol's own ───────▶ template_api, credentials_api, debugging, code_links

 targets, directory: which version ─▶ invocations: machine, permits, idle ─▶ a worker ─▶ answers, http_answer
```

What ondol itself invokes goes the lower way too: events by `attempts`, durable executions by `durable_runner`, and what
is read from queues and streams by `own_invocations`.
"""
