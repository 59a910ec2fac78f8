"""What becomes /var/runtime of a Python sandbox.

It runs on the function's own interpreter, whatever its version, and imports nothing of ondol.
"""
