"""The program that asks for one image. What it has to say are lines: see `Word`."""

import signal
import sys
from enum import Enum
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))

from ondol.linux.process import die_with_parent
from ondol.runtimes.oci.errors import ImageError
from ondol.runtimes.oci.fetch import Say, fetch, fetch_exactly, resolve
from ondol.runtimes.oci.reference import beneath, parse


class Word(Enum):
    """How each line begins."""

    SAYS = "says"
    """Progress, for people."""

    HAS = "has"
    """The last line: the digest of the image."""

    FAILED = "failed"
    """The last line: the kind of `ImageError`, and its text."""


def main(order: list[str]) -> int:
    """Do one order, and tell what came of it.

    `fetch REFERENCE IMAGES`, `resolve REFERENCE FOLDER` or `exactly REFERENCE FOLDER DIGEST IMAGES`, where IMAGES is
    the directory to fetch to, and a path is read beneath FOLDER alone, if that is no empty text.
    """

    def tell(word: Word, text: str) -> None:
        print(word.value, " ".join(text.split()), flush=True)

    try:
        digest = _perform(order, lambda text: tell(Word.SAYS, text))
    except ImageError as error:
        tell(Word.FAILED, f"{type(error).__name__} {error}")
        return 1
    tell(Word.HAS, digest)
    return 0


def _perform(order: list[str], say: Say) -> str:
    match order:
        case ["fetch", reference, images]:
            return fetch(reference, Path(images), say).digest
        case ["resolve", reference, folder]:
            return resolve(beneath(parse(reference), folder))
        case ["exactly", reference, folder, digest, images]:
            return fetch_exactly(beneath(parse(reference), folder), digest, Path(images), say).digest
    raise ImageError(f"this is no order: {order}")


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    sys.exit(main(sys.argv[1:]))
