"""Linux system calls, thin and typed: what Python's standard library has no name for.

Nothing here decides anything, and nothing here knows a sandbox. Every module is standard library alone and runs on
Python 3.8 and later, because some of them also run inside a sandbox, on the function's own interpreter.
"""
