"""Admits or throttles: account and function concurrency, request rate, growth of a function. Knows nothing of workers.

Frontends hold blocks of permits (`Grant`) and draw from them without asking. Counting is called to refill, to return
and to recall; it recalls unused permits from others before it refuses anybody.
"""
