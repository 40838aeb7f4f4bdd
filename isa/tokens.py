"""The tokens of a text, line by line, with the comments: for tools that keep what a person wrote.

The parser makes a program and forgets the layout. A formatter and an editor need the words of
each line and where they are; both come from the same grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wsc.isa.parser import grammar_text
from wsc.isa.syntax_errors import without_line

if TYPE_CHECKING:
    from lark import Lark

NEWLINES = ("NL", "_NL")


@dataclass(frozen=True, slots=True)
class Token:
    """A word. kind: its terminal in the grammar. column: of its first letter, from 1."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def end(self) -> int:
        """The column behind its last letter."""
        return self.column + len(self.text)


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line. comment: from its semicolon on, without spaces at the end; may be empty."""

    number: int
    tokens: tuple[Token, ...]
    comment: str


def text_lines(text: str, tolerant: bool = False) -> list[TextLine]:
    """Every line of a text.

    tolerant: a line that does not follow the grammar has the tokens before the mistake; if the
    rest cannot be understood without that line, it has none.

    Raises:
        lark.exceptions.UnexpectedInput: the text does not follow the grammar.
    """
    found: dict[int, list[Token]] = {}
    for token in _tolerated(text) if tolerant else _tokens(text):
        found.setdefault(token.line, []).append(token)
    lines: list[TextLine] = []
    for number, line in enumerate(text.split("\n"), start=1):
        tokens = found.get(number, [])
        # What is behind the last word is a comment, or nothing.
        rest = line[tokens[-1].end - 1 :] if tokens else line
        mark = rest.find(";")
        comment = rest[mark:].rstrip() if mark >= 0 and not rest[:mark].strip() else ""
        lines.append(TextLine(number, tuple(tokens), comment))
    return lines


def _tolerated(text: str) -> list[Token]:
    from lark.exceptions import UnexpectedInput

    rest = text
    mistaken: list[Token] = []
    while True:
        found: list[Token] = []
        try:
            found.extend(_tokens(rest))  # what came before an error is kept
            return mistaken + found
        except UnexpectedInput as error:
            line = getattr(error, "line", -1)
            shortened = without_line(rest, line)
            if shortened is None or shortened == rest:
                return mistaken + found
            mistaken += [token for token in found if token.line == line]
            rest = shortened


def _tokens(text: str) -> Iterator[Token]:
    """All tokens but ends of lines."""
    parser = _lark().parse_interactive(text if text.endswith("\n") else text + "\n")
    for token in parser.iter_parse():
        if token.type not in NEWLINES:
            yield Token(token.type, str(token), token.line or 0, token.column or 0)
    parser.feed_eof()


@cache
def _lark() -> Lark:
    """The grammar alone, without the builder's actions."""
    from lark import Lark

    return Lark(grammar_text(), parser="lalr")
