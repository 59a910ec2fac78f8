"""Which Python files cannot be compiled, and where. Run as a program by the interpreter whose grammar counts.

Uses the standard library only, and what every interpreter that a function can run on understands (3.8 and later).
"""

import json
import sys
import warnings
from typing import List, NamedTuple, Optional, Sequence  # noqa: UP035 - for 3.8


class SyntaxFault(NamedTuple):
    file: str
    line: int
    column: int
    """From 1; 0 where it is not known."""

    message: str
    source: str
    """The line as it stands in the file, without its newline."""


def faults(files: Sequence[str]) -> List[SyntaxFault]:  # noqa: UP006
    """The first fault of each file that has one. A file that is gone has none."""
    found = [fault_of(file) for file in files]
    return [fault for fault in found if fault is not None]


def fault_of(file: str) -> Optional[SyntaxFault]:  # noqa: UP045
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib would double the time that this takes
            source = opened.read()
    except OSError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        kind = type(error).__name__
        text = (error.text or "").rstrip("\n")
        return SyntaxFault(file, error.lineno or 1, error.offset or 0, "%s: %s" % (kind, error.msg), text)  # noqa: UP031
    except ValueError as error:  # a null byte, to interpreters before 3.12
        return SyntaxFault(file, 1, 0, "SyntaxError: %s" % error, "")  # noqa: UP031
    return None


if __name__ == "__main__":
    print(json.dumps(faults(sys.argv[1:])))
