"""The program that fetches one image: `REFERENCE DIRECTORY`. What it has to say are lines: see `Word`."""

import signal
import sys
from enum import Enum
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))

from ondol.linux.process import die_with_parent
from ondol.runtimes.oci.errors import ImageError
from ondol.runtimes.oci.fetch import fetch


class Word(Enum):
    """How each line begins."""

    SAYS = "says"
    """Progress, for people."""

    HAS = "has"
    """The last line: the digest of the image, which is there."""

    FAILED = "failed"
    """The last line: why it is not."""


def main(reference: str, directory: str) -> int:
    """Fetch, and say what came of it."""

    def tell(word: Word, text: str) -> None:
        print(word.value, " ".join(text.split()), flush=True)

    try:
        fetched = fetch(reference, Path(directory), lambda text: tell(Word.SAYS, text))
    except ImageError as error:
        tell(Word.FAILED, str(error))
        return 1
    tell(Word.HAS, fetched.digest)
    return 0


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    sys.exit(main(*sys.argv[1:]))
