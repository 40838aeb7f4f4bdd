"""One layout for every text: indentation, spaces and columns; words and comments stay.

What the printer writes is laid out so already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from wsc.isa.printer import INDENT, WIDEST
from wsc.isa.tokens import TextLine, Token, text_lines

_OPENING = ("_PROC", "_MAIN", "LOOP", "IF")
_MIDDLE, _CLOSING = "_ELSE", "_END"

# Declarations whose names line up, and how many words their heads have.
_ALIGNED = {"_CONST": 2, "_COLOR": 2, "_TENSOR": 2, "VALUE": 2, "_WEIGHT": 2, "KEPT": 2}
_EDGE = ("VALUE", "_WEIGHT", "KEPT")  # these line up with each other

_OPEN = ("LPAR", "LSQB", "LBRACE")
_CLOSE = ("RPAR", "RSQB", "RBRACE")
_VALUES = ("NAME", "INT", "RPAR", "AXIS", "SIDE", "SIZE")  # a sign behind one joins two values


def format_text(text: str) -> str:
    """The text in the one layout; the program that it is stays the same.

    Raises:
        lark.exceptions.UnexpectedInput: the text does not follow the grammar.
    """
    lines = text_lines(text)
    made: list[str] = []
    for line in _with_comments(lines, _words(lines)):
        if line or (made and made[-1]):  # one empty line at a time, and none at the beginning
            made.append(line)
    while made and not made[-1]:
        made.pop()
    return "".join(f"{line}\n" for line in made)


def _words(lines: Sequence[TextLine]) -> Iterator[str]:
    """Each line without its comment, and with its indentation."""
    heads = _heads(lines)
    depth = 0
    for line in lines:
        first = line.tokens[0].kind if line.tokens else ""
        if first in (_MIDDLE, _CLOSING):
            depth = max(depth - 1, 0)
        words = spaced(line.tokens)
        if line.number in heads:
            head, width = heads[line.number]
            words = head.ljust(width) + words[len(head) :]
        yield INDENT * depth + words
        if first in (*_OPENING, _MIDDLE):
            depth += 1


def _with_comments(lines: Sequence[TextLine], words: Iterator[str]) -> Iterator[str]:
    """The lines with their comments; those behind words in lines in a row line up."""
    pairs = list(zip(lines, words, strict=True))
    for behind, group in groupby(pairs, lambda pair: bool(pair[0].tokens and pair[0].comment)):
        run = list(group)
        width = max(len(text) for _, text in run) + len(INDENT) if behind else 0
        for line, text in run:
            yield (text.ljust(width) + line.comment).rstrip()


def _heads(lines: Sequence[TextLine]) -> dict[int, tuple[str, int]]:
    """Head and width of each declaration: lines in a row that declare the same line up."""

    def kind(line: TextLine) -> str:
        first = line.tokens[0].kind if line.tokens else ""
        return _EDGE[0] if first in _EDGE else first if first in _ALIGNED else ""

    found: dict[int, tuple[str, int]] = {}
    for declared, group in groupby(lines, kind):
        if declared:
            heads = {line.number: spaced(line.tokens[:2]) for line in group}
            names = [head.removeprefix(_skipped(declared, head)) for head in heads.values()]
            width = min(WIDEST, max(map(len, names)))
            for number, head in heads.items():
                found[number] = (head, width + len(_skipped(declared, head)))
    return found


def _skipped(declared: str, head: str) -> str:
    """The part of a head that does not count for its column: the word ``const``, say."""
    return "" if declared in _EDGE else head.split(" ", 1)[0] + " "


def spaced(tokens: Sequence[Token]) -> str:
    """The words of a line with the spaces between them."""
    text = ""
    for place, token in enumerate(tokens):
        if place and _space(tokens, place):
            text += " "
        text += token.text
    return text


def _space(tokens: Sequence[Token], place: int) -> bool:
    """Whether there is a space before the word at a place."""
    before, here = tokens[place - 1], tokens[place]
    if here.kind in (*_CLOSE, "COMMA") or before.kind in (*_OPEN, "LESSTHAN"):
        return False
    if here.kind == "MORETHAN":  # <color>, but <color: > if it advances with nothing
        return before.kind == "COLON"
    if before.kind == "COMMA":
        return tokens[0].kind != "_REGION"
    if "FACTOR" in (here.kind, before.kind):
        return False
    if "COLON" in (here.kind, before.kind):
        return _beside_colon(tokens, place)
    if before.kind == "SIGN":
        return _joins(tokens, place - 1)
    if here.kind in ("LPAR", "LSQB"):
        return _before_bracket(tokens, place)
    return True


def _joins(tokens: Sequence[Token], place: int) -> bool:
    """Whether a sign stands between two values; else it is that of the one behind it."""
    return place > 0 and tokens[place - 1].kind in _VALUES


def _before_bracket(tokens: Sequence[Token], place: int) -> bool:
    """``proc take(``, ``by sgd(``, ``from a[``, but ``mov.f32 [a]``, ``send.f32 (x, y)``."""
    before, here = tokens[place - 1], tokens[place]
    if here.kind == "LPAR":
        called = tokens[place - 2].kind if place > 1 else ""
        return not (before.kind == "FUNCTION" or called in ("_PROC", "CALL", "_BY"))
    if before.kind == "DTYPE":
        return False
    return not (before.kind in ("NAME", "STRING") and tokens[place - 2].kind == "_FROM")


def _beside_colon(tokens: Sequence[Token], place: int) -> bool:
    """``name : type`` in declarations, ``loop n: 4``, ``s0: [a]``, ``<color: k>``, ``for i:8``."""
    colon = place if tokens[place].kind == "COLON" else place - 1
    behind = colon < place
    kinds = [token.kind for token in tokens[:colon]]
    if kinds[0] in (*_EDGE, "_TENSOR", "_ROUTE") and "COLON" not in kinds:
        return True
    opens = kinds[0] in ("LOOP", "ASYNC") and "COLON" not in kinds
    if kinds[-1] == "SEMAPHORE" or opens:
        return behind
    inside = len(kinds) > 1 and kinds[-2] == "LESSTHAN"
    return behind and inside
