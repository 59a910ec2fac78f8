"""What is wrong with a text that is no JSON, in the words of the parser that AWS uses (Jackson), and where.

Only asked once a fast decoder has refused the text. Long texts are told less of their fault than short ones, so
that nobody can make us go through megabytes byte by byte. Columns count bytes. Two kinds of text that fast
decoders refuse and Jackson takes have no fault: escapes of lone surrogates, and nesting up to a depth of 1,000.
AWS's answers confirm the form, unrecognized tokens, commas and broken UTF-8; the columns, to within one, they do not.
"""

import re
from enum import Enum, auto

import msgspec

SOURCE = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"

_LONGEST_SCANNED = 4_096
"""Bytes, at up to 2 us each."""

_DEEPEST = 1_000

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(rb"[A-Za-z0-9_$\x80-\xff]+")
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)
_STOPPED = re.compile(r"\(byte ([0-9]+)\)")
"""Where that decoder says that it has; at the end of the text it does not."""

_LITERALS = (b"true", b"false", b"null")
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


class _Expect(Enum):
    """What may come next, once space is skipped."""

    VALUE = auto()
    FIRST_ELEMENT = auto()
    FIRST_NAME = auto()
    NAME = auto()
    COLON = auto()
    MORE = auto()
    """A comma or the end of what is open; at the root, nothing."""


class _Fault(Exception):
    """Found; the column is that of the byte at `position`."""

    def __init__(self, cause: str, position: int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.position = position


def find_fault(text: bytes) -> str | None:
    """The first fault, followed by its place; None where Jackson would take the text.

    In a text of more than 4 KiB it is not said what was expected instead. Takes about 2 ms per MB of those.
    """
    valid, broken = _utf8(text)
    try:
        if len(text) > _LONGEST_SCANNED:
            _skim(valid, complete=broken is None)
        else:
            _scan(valid, complete=broken is None)
        first = broken
    except _Fault as fault:
        first = fault if broken is None or fault.position < len(valid) else broken
    return None if first is None else f"{first.cause}\n at {_place(text, first.position)}"


def _place(text: bytes, position: int) -> str:
    line = text.count(b"\n", 0, position) + 1
    column = position - text.rfind(b"\n", 0, position)
    return f"[Source: {SOURCE}; line: {line}, column: {column}]"


def _utf8(text: bytes) -> tuple[bytes, _Fault | None]:
    """The part that is UTF-8, and what is wrong with the byte after it."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        valid = text[: error.start]
        if error.reason == "invalid start byte":
            return valid, _Fault(f"Invalid UTF-8 start byte 0x{text[error.start]:x}", error.start)
        if error.end < len(text):
            return valid, _Fault(f"Invalid UTF-8 middle byte 0x{text[error.end]:x}", error.end)
        return valid, _Fault("Unexpected end-of-input in a multi-byte character", len(text))
    return text, None


def _scan(text: bytes, complete: bool) -> None:
    """Go through `text` and raise `_Fault` at the first fault; its end is none unless it is `complete`."""
    opened: list[tuple[bytes, int]] = []
    expect = _Expect.VALUE
    position = 0
    while True:
        position = _end(_SPACE, text, position)
        if position >= len(text):
            if complete:
                _check_end(text, opened, expect)
            return
        byte = text[position : position + 1]
        if expect is _Expect.COLON:
            if byte != b":":
                raise _unexpected(text, position, "was expecting a colon to separate field name and value")
            expect, position = _Expect.VALUE, position + 1
        elif expect is _Expect.MORE or (byte in b"]}" and expect in (_Expect.FIRST_ELEMENT, _Expect.FIRST_NAME)):
            expect, position = _separator(text, position, opened)
        elif expect in (_Expect.FIRST_NAME, _Expect.NAME):
            if byte != b'"':
                raise _unexpected(text, position, "was expecting double-quote to start field name")
            position = _string(text, position, complete, " in field name")
            expect = _Expect.COLON
        elif byte in b"[{":
            opened.append((byte, position))
            if len(opened) > _DEEPEST:
                raise _too_deep(len(opened), position)
            expect = _Expect.FIRST_ELEMENT if byte == b"[" else _Expect.FIRST_NAME
            position += 1
        else:
            position = _scalar(text, position, complete, at_root=not opened)
            expect = _Expect.MORE


def _skim(text: bytes, complete: bool) -> None:
    """Raise `_Fault` where a decoder that is fast, but has other words, stops."""
    try:
        # Half of a surrogate pair, which Jackson takes alone as well, becomes some other character.
        _SYNTAX.decode(text.replace(b"\\ud", b"\\u0").replace(b"\\uD", b"\\u0"))
    except msgspec.DecodeError as error:
        told = _STOPPED.search(str(error))
        if told is not None:
            position = int(told[1])
            raise _Fault(f"Unexpected character ({_character(text, position)})", position) from error
        if complete:
            raise _Fault("Unexpected end-of-input", len(text)) from error
    except RecursionError as error:
        raise _too_deep(_DEEPEST + 1, len(text)) from error


def _check_end(text: bytes, opened: list[tuple[bytes, int]], expect: _Expect) -> None:
    if opened:
        opener, start = opened[-1]
        kind = "Object" if opener == b"{" else "Array"
        raise _Fault(
            f"Unexpected end-of-input: expected close marker for {kind} (start marker at {_place(text, start)})",
            len(text),
        )
    if expect is not _Expect.MORE:
        raise _Fault("No content to map due to end-of-input", len(text))


def _separator(text: bytes, position: int, opened: list[tuple[bytes, int]]) -> tuple[_Expect, int]:
    byte = text[position : position + 1]
    if not opened:
        raise _unexpected(text, position, "Expected space separating root-level values")
    opener, start = opened[-1]
    kind, closer = ("Object", b"}") if opener == b"{" else ("Array", b"]")
    if byte == closer:
        opened.pop()
        return _Expect.MORE, position + 1
    if byte in b"]}":
        raise _Fault(
            f"Unexpected close marker '{byte.decode()}': expected '{closer.decode()}' "
            f"(for {kind} starting at {_place(text, start)})",
            position,
        )
    if byte != b",":
        raise _unexpected(text, position, f"was expecting comma to separate {kind} entries")
    return (_Expect.NAME if opener == b"{" else _Expect.VALUE), position + 1


def _scalar(text: bytes, position: int, complete: bool, at_root: bool) -> int:
    """The end of the string, number or literal that starts here."""
    byte = text[position : position + 1]
    if byte == b'"':
        return _string(text, position, complete, ": was expecting closing quote for a string value")
    if byte in b"-0123456789":
        return _number(text, position, at_root)
    end = _end(_WORD, text, position)
    if text[position:end] in _LITERALS:
        return end
    if end == position or byte >= b"\x80":
        raise _unexpected(text, position, f"expected a valid value {_VALUES}")
    token = text[position:end].decode(errors="replace")
    # Jackson has read one byte beyond the token, where there is one, before it complains.
    raise _Fault(f"Unrecognized token '{token}': was expecting {_VALUES}", min(end + 1, len(text)))


def _string(text: bytes, position: int, complete: bool, where: str) -> int:
    end = _end(_STRING, text, position)
    if end >= len(text):
        if complete:
            raise _Fault(f"Unexpected end-of-input{where}", len(text))
        return end
    byte = text[end]
    if byte == ord('"'):
        return end + 1
    if byte == ord("\\"):
        raise _bad_escape(text, end)
    raise _Fault(
        f"Illegal unquoted character ((CTRL-CHAR, code {byte})): has to be escaped using backslash "
        "to be included in string value",
        end,
    )


def _bad_escape(text: bytes, backslash: int) -> _Fault:
    escaped = text[backslash + 1 : backslash + 2]
    if escaped == b"u":
        digits = text[backslash + 2 : backslash + 6]
        for offset, digit in enumerate(digits):
            if digit not in b"0123456789abcdefABCDEF":
                where = backslash + 2 + offset
                return _unexpected(text, where, "expected a hex-digit for character escape sequence")
    if not escaped or escaped == b"u":
        return _Fault("Unexpected end-of-input in character escape sequence", len(text))
    return _Fault(f"Unrecognized character escape {_character(text, backslash + 1)}", backslash + 1)


def _number(text: bytes, position: int, at_root: bool) -> int:
    end = _end(_NUMBER, text, position)
    if end == position:
        reason = "expected digit (0-9) to follow minus sign, for valid numeric value"
        raise _in_number(text, position + 1, reason)
    byte = text[end : end + 1]
    if byte and byte in b"0123456789":
        raise _Fault("Invalid numeric value: Leading zeroes not allowed", end)
    if byte == b".":
        raise _in_number(text, end + 1, "Decimal point not followed by a digit")
    if byte and byte in b"eE":
        signed = end + 1 + (text[end + 1 : end + 2] in (b"+", b"-"))
        raise _in_number(text, signed, "Exponent indicator not followed by a digit")
    if at_root and _end(_WORD, text, end) > end:
        raise _unexpected(text, end, "Expected space separating root-level values")
    return end


def _in_number(text: bytes, position: int, reason: str) -> _Fault:
    if position >= len(text):
        return _Fault("Unexpected end-of-input in numeric value", len(text))
    return _Fault(f"Unexpected character ({_character(text, position)}) in numeric value: {reason}", position)


def _unexpected(text: bytes, position: int, reason: str) -> _Fault:
    return _Fault(f"Unexpected character ({_character(text, position)}): {reason}", position)


def _too_deep(depth: int, position: int) -> _Fault:
    return _Fault(
        f"Document nesting depth ({depth}) exceeds the maximum allowed ({_DEEPEST}, "
        "from `StreamReadConstraints.getMaxNestingDepth()`)",
        position,
    )


def _character(text: bytes, position: int) -> str:
    character = text[position : position + 4].decode(errors="ignore")[:1]
    if not character or ord(character) < ord(" "):
        return f"(CTRL-CHAR, code {text[position]})"
    return f"'{character}' (code {ord(character)})"


def _end(pattern: re.Pattern[bytes], text: bytes, position: int) -> int:
    found = pattern.match(text, position)
    return position if found is None else found.end()
