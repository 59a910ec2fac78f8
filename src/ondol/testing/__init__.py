"""For those who test functions: an ondol of their own, started and emptied by fixtures.

`server` starts one and speaks to it; `pytest_plugin` makes fixtures of that. Neither knows how ondol works inside: they
use its command and its endpoint, as anybody would.
"""
