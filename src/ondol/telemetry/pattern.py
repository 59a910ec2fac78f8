"""CloudWatch's filter patterns for unstructured lines. Pure.

`word word` all must occur, `"a phrase"` as it stands, `?a ?b` one of them, `-a` must not. Question-mark terms beside
others are ignored (CloudWatch Logs user guide, "Filter pattern syntax"). Matching is by substring, case-sensitive.
Patterns for JSON, for space-delimited fields and with regular expressions are refused: they are not there yet.
"""

import re
from collections.abc import Callable

from ondol.model.errors import InvalidParameter

_TERM = re.compile(r"""\s*([?-]?)(?:"((?:[^"\\]|\\.)+)"|(\w+))(?=\s|$)""")
_ESCAPE = re.compile(r"\\(.)")


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """What decides whether a message matches. Raises `InvalidParameter`."""
    pattern = pattern.strip()
    if pattern[:1] in ("{", "["):
        kind = "JSON" if pattern[0] == "{" else "space-delimited"
        raise InvalidParameter(f"Invalid filter pattern: {kind} patterns are not supported by ondol yet")
    if "%" in re.sub(r'"(?:[^"\\]|\\.)*"', "", pattern):
        raise InvalidParameter("Invalid filter pattern: regular expressions are not supported by ondol yet")
    terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
    position = 0
    while position < len(pattern):
        term = _TERM.match(pattern, position)
        if term is None:
            wrong = pattern[position:].split()[0]
            raise InvalidParameter(f"Invalid filter pattern: Invalid character(s) in term '{wrong}'")
        mark, phrase, word = term.groups()
        terms[mark].append(word if phrase is None else _ESCAPE.sub(r"\1", phrase))
        position = term.end()
    return _matcher(terms[""], terms["-"], terms["?"])


def _matcher(required: list[str], excluded: list[str], optional: list[str]) -> Callable[[str], bool]:
    if required or excluded:
        return lambda text: all(term in text for term in required) and not any(term in text for term in excluded)
    if optional:
        return lambda text: any(term in text for term in optional)
    return lambda text: True
