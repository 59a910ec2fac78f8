"""Packages made from directories of this machine: what belongs to one, read without being led out, and watched.

Knows nothing of functions: whose code a folder is, and what becomes of a change, control decides.
"""
