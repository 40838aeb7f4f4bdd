"""Syntax errors in plain words: what stands there, and what was expected instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wsc.isa.diagnostics import Diagnostic, Source, nearest
from wsc.isa.program import Location
from wsc.isa.table import BY_NAME, TABLE, Category

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

_WORDS = {
    "NAME": "a name",
    "INT": "an integer",
    "STRING": "a text in quotes",
    "SIDE": "a side (N, E, S, W or RAMP)",
    "SIZE": "a size such as 4x2",
    "SEMAPHORE": "a semaphore such as s0",
    "CONTROL": "'advance' or 'reset'",
    "DTYPE": "a type (f32, f16 or i32)",
    "FLOAT": "a number such as 1.5",
    "NODE": '@"node"',
    "NL": "the end of the line",
    "_NL": "the end of the line",
    "AXIS": "'x' or 'y'",
    "RELATION": "a comparison",
    "VALUE": "'input' or 'output'",
    "TRANSFER": "'feed' or 'drain'",
}
_READABLE = 5
_EXPRESSION = {"NAME", "INT", "SIGN", "FUNCTION", "LPAR"}
_OPERAND = {"LSQB", "LESSTHAN", "LBRACE", "FLOAT"}
_OPERATORS = {"SIGN", "FACTOR", "RELATION"}
_OPENING = ("proc", "main", "loop", "if")
_DECLARATIONS = (
    *("proc", "main", "route", "feed", "drain", "region", "tensor", "color", "const"),
    *("input", "output", "weight", "kept", "fabric", "precision", "model", "work", "set", "file"),
)


def explain(error: UnexpectedInput, lark: Lark, text: str, file: str, source: Source) -> Diagnostic:
    """The diagnostic for the first place where the text leaves the grammar."""
    expected = {str(name) for name in getattr(error, "allowed", None) or error_expected(error)}
    position = error.pos_in_stream
    at_end = getattr(getattr(error, "token", None), "type", "") == "$END"
    if at_end or position is None or position >= len(text):
        lines = text.rstrip("\n").split("\n")
        where = Location(file, len(lines), len(lines[-1]) + 1)
        message = f"the text ends, but {_list(expected, lark)} was expected"
        if "_END" in expected:
            message += _open_block(lines)
        return Diagnostic(message, where, lines[-1])
    where = Location(file, error.line, error.column)
    word = _word(text, position)
    message = _comment(word, text, position) or _unclosed(word, expected, text, error.line)
    message = message or _unknown(word, expected)
    if not message:
        shown = f"'{word}'" if word else "the end of the line"
        wanted = _list(expected, lark)
        message = f"expected {wanted}, not {shown}" if wanted else f"{shown} is not expected here"
    return Diagnostic(message, where, source.line(where), max(1, len(word)))


def without_line(text: str, line: int) -> str | None:
    """The text with a line left empty; None if what follows would not be understood without it."""
    lines = text.split("\n")
    if not 0 < line <= len(lines):
        return None
    if not any(before.partition(";")[0].strip() for before in lines[: line - 1]):
        return None  # it does not begin as assembly, and no later line would either
    word = (lines[line - 1].split() or [""])[0]
    if not word or word in (*_OPENING, "wsc", "fabric", "else", "end"):
        return None
    if word in _DECLARATIONS and _open_block(lines[: line - 1]):
        return None  # an ``end`` is missing before it
    lines[line - 1] = ""
    return "\n".join(lines)


def error_expected(error: UnexpectedInput) -> set[str]:
    """The terminals that the parser could have taken."""
    return set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())


def _word(text: str, position: int) -> str:
    """What a reader would call the next word; empty at the end of a line or at a comment."""
    found = re.compile(r'[ \t\r]*(?:;.*)?\n|[\w.]+|"[^"\n]*"?|->|[<>=!]=|.').match(text, position)
    return "" if found is None or found[0].endswith("\n") else found[0]


def _comment(word: str, text: str, position: int) -> str:
    """The message where somebody writes a comment as other languages have it."""
    for mark in ("#", "//"):
        if word and text.startswith(mark, position):
            return f"'{mark}' is not expected here: comments begin with ';'"
    return ""


def _unclosed(word: str, expected: set[str], text: str, line: int) -> str:
    """The message where a declaration begins though a block is open."""
    if "_END" not in expected or word not in _DECLARATIONS:
        return ""
    found = _open_block(text.split("\n")[: line - 1])
    return f"'{word}' begins a declaration, but an 'end' is missing{found}"


def _open_block(lines: list[str]) -> str:
    """Which block has no ``end``, as the end of a sentence.

    Where the lines are indented, it is the one whose ``end`` stands elsewhere.
    """
    blocks: list[tuple[int, str]] = []
    suspect: tuple[int, str] | None = None
    for number, line in enumerate(lines, start=1):
        code = line.partition(";")[0].rstrip()
        word = (code.split() or [""])[0]
        if word in _OPENING:
            blocks.append((number, code))
        elif word == "end" and blocks:
            opened = blocks.pop()
            if _indent(opened[1]) != _indent(code):
                suspect = suspect or opened
    number, code = suspect or (blocks[-1] if blocks else (0, ""))
    return f": line {number} opens '{code.strip()}'" if number else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _unknown(word: str, expected: set[str]) -> str:
    """The message for a word where an instruction or a declaration must start."""
    if "VECTOR_OP" in expected and re.match(r"[A-Za-z_]", word):
        return _unknown_instruction(word, "CALL" in expected)
    if "_REGION" in expected and re.match(r"[A-Za-z_]", word):
        declarations = [
            name.lower().lstrip("_") for name in expected if name not in ("VALUE", "TRANSFER")
        ]
        known = [*declarations, "input", "output", "feed", "drain"]
        return f"'{word}' does not start a declaration{nearest(word, known)}"
    return ""


def _unknown_instruction(word: str, statement: bool) -> str:
    name, _, suffix = word.rpartition(".")
    row = BY_NAME.get(word) or BY_NAME.get(name)
    if row is not None and row.types and row.category in (Category.VECTOR, Category.SEND):
        types = ", ".join(f"{row.name}.{dtype.value}" for dtype in row.types)
        if row.name == word:
            return f"'{word}' needs an element type: {types}"
        return f"'{row.name}' has no form for '{suffix}', only {types}"
    known = [*BY_NAME, *_typed(), *(["loop", "if", "call", "end", "async"] if statement else [])]
    return f"there is no instruction '{word}'{nearest(word, known)}"


def _typed() -> list[str]:
    vectors = [row for row in TABLE if row.category in (Category.VECTOR, Category.SEND)]
    return [f"{row.name}.{dtype.value}" for row in vectors for dtype in row.types]


def _list(expected: set[str], lark: Lark) -> str:
    """The expected terminals as a phrase; empty where so many are that it would not help."""
    left, phrases = set(expected), list[str]()
    if "VECTOR_OP" in left:
        left = {name for name in left if name not in ("LOOP", "IF", "CALL", "ASYNC")}
        left = {name for name in left if not name.endswith("_OP")}
        phrases.append("an instruction")
    if left >= _OPERAND:
        phrases.append("an operand ([address], <color>, {integer} or a number such as 1.5)")
        left -= _OPERAND
    if left >= _EXPRESSION:
        phrases.append("an expression")
        left -= _EXPRESSION
    if left - _OPERATORS:
        left -= _OPERATORS
    phrases += sorted(dict.fromkeys(_phrase(name, lark) for name in left))
    if len(phrases) > _READABLE:
        return ""
    if len(phrases) < 2:
        return "".join(phrases)
    return f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def _phrase(name: str, lark: Lark) -> str:
    if name in _WORDS:
        return _WORDS[name]
    if name in ("SIGN", "FACTOR"):
        return "an operator"
    if name == "$END":
        return "the end of the text"
    pattern = lark.get_terminal(name).pattern.value
    return f"'{pattern.removesuffix(chr(92) + 'b')}'"
