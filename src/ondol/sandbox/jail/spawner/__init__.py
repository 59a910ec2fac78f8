"""The one process with power: it makes, freezes, limits and ends sandboxes for a platform process that has none.

It is PID 1 of a PID namespace in which every zygote and every sandbox nests, so the kernel ends them all with it. It
takes fixed commands (`commands.py`) over one socket, and ends when that is closed. It runs one thread and waits for
nothing: what is slow (base roots, zips, disk images) runs in child processes. Standard library and `ondol.linux`
alone, so that it starts in some 30 ms and stays small.
"""

ROOTS, NOWHERE = "roots", "nowhere"
"""In place of a path to control groups: wherever root has them, or no such place."""

SHARED = "shared"
"""In place of a user's number: there is none but the spawner's own."""

USERS = 65536
"""Reserved for one data directory; a sandbox takes two."""

ARCHIVE_REFUSED = 3
"""The exit status of `slow.py` for an archive that must not be unpacked."""

HALF_DONE = (".unpacking", ".discarded")
"""How trees end that are being made, and being removed."""

SWEPT = ".swept"
"""And how they end when a later run finds them so."""

SCRATCH = "scratch"
"""The directory, of those in the data directory, over which the spawner has a file system of its own."""
