"""The kill -9 campaign: no event that was acknowledged is lost, whenever ondol dies.

```
 simulated   the very events service in virtual time, over a disk that keeps what was acknowledged: a seed, a campaign
 live        a real ondol, real functions, moto behind: kill after kill on one store
      └── both tell what they see to a Story of each event (story.py), which says what must not be
```

`make campaign` runs both in full, `make test` shorter forms of the same. What fails prints the command that repeats it.
"""
