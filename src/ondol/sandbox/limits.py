"""How much may be unpacked. Light to import, as `errors`."""

from typing import NamedTuple


class UnpackLimits(NamedTuple):
    """Counted on what is written, not on what the archive's directory says."""

    bytes: int = 262_144_000
    entries: int = 100_000
