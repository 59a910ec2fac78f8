"""What becomes /var/runtime for functions on Node: plain JavaScript, of which nothing runs outside a sandbox.

This file is not laid there: it only makes the directory a package, so that it is installed.
"""
