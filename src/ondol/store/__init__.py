"""What outlives a process: small records with revisions, queues, and blobs.

```
  Store    key ──▶ (value, revision)     get · put/delete, compare-and-set · list · watch
  Queues   name ──▶ messages             put, with a delay · take · acknowledge · put back
  Blobs    SHA-256 ──▶ content           put · open/read, verified · collect
```

It decides when something counts as kept: never before it is on disk, file and directory. It must not know what the
records mean. What a cluster engine cannot do is not offered by any store: no transaction over keys, no range.
"""
