"""The model's regular expressions, which are Java's, as Python's."""

import re

_ONE_CLASS = {
    # \\w stands for letters, numbers and "_"; every pattern of the models that names one of these names all three.
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": "\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


def translate(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the model, for use with `fullmatch`. Its classes are ASCII's, unless it names Unicode's."""
    flags = re.NOFLAG if r"\p{" in pattern else re.ASCII
    for java, python in _ONE_CLASS.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern.replace(r"[\w-_]", r"[\w_-]"), flags)
