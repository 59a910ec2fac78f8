"""What takes long, as child processes of the spawner: base roots, unpacking, forgetting a tree.

A program of its own, because it needs the whole of ondol, which the spawner does without. Exit status: 0,
`ARCHIVE_REFUSED` for an archive that must not be unpacked, 1 for all else; stderr says why.
"""

import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[4]))

import msgspec

from ondol.model.runtime import Runtime
from ondol.sandbox.driver import SandboxError, UnpackLimits, UnpackRefused
from ondol.sandbox.jail import image_root
from ondol.sandbox.jail.baseroot import build
from ondol.sandbox.jail.spawner.commands import ARCHIVE_REFUSED
from ondol.sandbox.jail.unpack import unpack_confined

ARCHIVE = 0
"""The archive to unpack is standard input."""


def main(arguments: list[str]) -> int:
    """Do one order.

    `root RUNTIME DIRECTORY`, `image DIRECTORY USER`, `unpack DIRECTORY BYTES ENTRIES USER` or `discard DIRECTORY`.
    """
    try:
        match arguments:
            case ["root", runtime, directory]:
                build(msgspec.json.decode(runtime, type=Runtime), Path(directory))
            case ["image", directory, user]:
                image_root.build(Path(directory), int(user))
            case ["unpack", directory, size, entries, user]:
                limits = UnpackLimits(bytes=int(size), entries=int(entries))
                unpack_confined(ARCHIVE, Path(directory), limits, int(user))
            case ["discard", directory]:
                # Renamed first: half a tree must not be found under its digest.
                doomed = Path(directory).with_name(f".{Path(directory).name}.discarded")
                Path(directory).rename(doomed)
                shutil.rmtree(doomed)
    except UnpackRefused as refusal:
        print(refusal, file=sys.stderr)
        return ARCHIVE_REFUSED
    except (SandboxError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
