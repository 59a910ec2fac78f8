"""What runtime and handler a package is for, judged by its files. Pure.

`bootstrap` means a program for `provided.al2023`. Otherwise the files that people name their handlers' files by are
looked at in turn, and in each the functions that are usually the handler.
"""

import ast
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

_STEMS = ("lambda_function", "app", "main", "index", "handler", "function")
_FUNCTIONS = ("lambda_handler", "handler", "main")
_NODE_SUFFIXES = (".mjs", ".js", ".cjs")
_BOOTSTRAP = "bootstrap"


class Guess(NamedTuple):
    language: str
    """`python`, `nodejs` or `provided`: what the runtime's name begins with."""

    handler: str
    reason: str


LOOKED_FOR = f"{_BOOTSTRAP}, or {', '.join(_STEMS)} with .py, .mjs, .js or .cjs and in it {' or '.join(_FUNCTIONS)}"


def guess(names: Collection[str], read: Callable[[str], bytes]) -> Guess | None:
    """Language and handler of a package with these files; None if none of them looks like a handler's."""
    if _BOOTSTRAP in names:
        return Guess("provided", _BOOTSTRAP, "it has a file `bootstrap`")
    for stem in _STEMS:
        for suffix, language, functions_of in _KINDS:
            name = stem + suffix
            if name not in names:
                continue
            there = set(functions_of(read(name).decode(errors="replace")))
            for function in _FUNCTIONS:
                if function in there:
                    return Guess(language, f"{stem}.{function}", f"{name} has `{function}`")
    return None


def runtime_of(language: str, there: Collection[str]) -> str:
    """The runtime to name for a language: the newest of those that are there, else one that the refusal can name."""
    newest = max((name for name in there if name.startswith(language)), key=_number, default=None)
    return newest or {"python": "python3.13", "nodejs": "nodejs22.x", "provided": "provided.al2023"}[language]


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _python_names(source: str) -> Iterator[str]:
    """What a module defines, assigns or imports at its top."""
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)


def _node_names(source: str) -> Iterator[str]:
    """What a module exports, as far as one sees it without running it."""
    yield from re.findall(r"\bexports\.(\w+)\s*=", source)
    yield from re.findall(r"\bexport\s+(?:async\s+)?(?:const|let|var|function)\s+(\w+)", source)
    for listed in re.findall(r"(?:\bexport|\bmodule\.exports\s*=)\s*\{([^}]*)\}", source):
        yield from re.findall(r"(\w+)\s*(?:,|$|:|\()", listed)


_KINDS: tuple[tuple[str, str, Callable[[str], Iterator[str]]], ...] = (
    (".py", "python", _python_names),
    *((suffix, "nodejs", _node_names) for suffix in _NODE_SUFFIXES),
)
