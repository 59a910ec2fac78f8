"""JSON that others wrote: callers, functions, servers."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What it raises to decode what is no JSON, not what was asked for, not UTF-8, or nested too deeply."""
