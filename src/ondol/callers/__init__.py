"""Decides whose an access key is, and what it may do. Never sees a request: the frontend verifies signatures.

```
 credentials create ─▶ a record, durable ─▶ its key counts ─▶ credentials revoke: no record, and it counts no more
 a start            ─▶ the operator's key, in a file of the data directory; made anew where the file is gone
```
Records hold no secret: it follows from the key of the data directory and the access key (as with
`ondol.aws.session`), so that nothing that shows or copies records can give one away.
"""
