"""Text -> program. The grammar is ``grammar.lark``; mnemonics come from the table."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from wsc.isa.builder import Builder
from wsc.isa.collection import without_collection
from wsc.isa.diagnostics import MOST, AssemblyError, Diagnostic, Source
from wsc.isa.expr import BINARY, FUNCTIONS
from wsc.isa.names import check_names
from wsc.isa.program import Program
from wsc.isa.syntax_errors import explain, without_line
from wsc.isa.table import BY_NAME, TABLE, Category
from wsc.isa.types import Control, DType

if TYPE_CHECKING:
    from lark import Lark

GRAMMAR = Path(__file__).with_name("grammar.lark")
_LOCK = Lock()  # the parser's actions are bound to one builder

_CATEGORY_TERMINALS = {
    Category.SCALAR: "SCALAR_OP",
    Category.LOAD: "LOAD_OP",
    Category.STORE: "STORE_OP",
    Category.VECTOR: "VECTOR_OP",
    Category.SEND: "SEND_OP",
    Category.CONTROL: "CONTROL_OP",
    Category.SEMAPHORE: "SEMAPHORE_OP",
}


def parse(text: str, file: str = "<text>") -> Program:
    """The program that ``text`` describes, every object with its location in ``file``.

    Raises:
        AssemblyError: the text does not follow the grammar, or uses a name that is
            unknown, reserved or taken; with line, column and caret, all of the text's at once.
    """
    source = Source(text)
    with _LOCK, without_collection():
        lark, builder = _machinery()
        tree: Any = _tree(lark, builder, text, file, source)
        places = builder.places
    assert isinstance(tree, Program)
    problems = check_names(tree, source, places)
    if problems:
        raise AssemblyError(problems[:MOST])
    return tree


def _tree(lark: Lark, builder: Builder, text: str, file: str, source: Source) -> Any:
    """What the builder makes of the text.

    A line that does not follow the grammar is left out and the rest read again, so that all
    such lines are told at once. What opens a block cannot be left out: there it ends.
    """
    from lark.exceptions import UnexpectedInput

    rest = text if text.endswith("\n") else text + "\n"
    found: list[Diagnostic] = []
    while True:
        builder.begin(file, source)
        try:
            tree = lark.parse(rest)
        except (UnexpectedInput, AssemblyError) as error:
            if isinstance(error, AssemblyError):  # of a number or a name, say: not of the grammar
                if found:  # and maybe of a name that a line declared which was left out
                    raise AssemblyError(found) from None
                problems = list(error.diagnostics)
            else:
                problems = [explain(error, lark, rest, file, source)]
            found += problems
            line = problems[0].location.line
            shortened = without_line(rest, line)
            if shortened is None or len(found) >= MOST:
                raise AssemblyError(found) from None
            rest = shortened
            continue
        if found:
            raise AssemblyError(found)
        return tree


def grammar_text() -> str:
    """The whole grammar: the file, and the terminals that the tables define."""
    lines = [GRAMMAR.read_text(encoding="utf-8"), "// generated from the tables in Python"]
    for category, terminal in _CATEGORY_TERMINALS.items():
        words = [word for row in TABLE if row.category is category for word in mnemonics(row.name)]
        lines.append(f"{terminal}: /{_alternatives(words)}/")
    lines += [
        f"DTYPE: /{_alternatives([dtype.value for dtype in DType])}/",
        f"CONTROL: /{_alternatives([c.value for c in Control if c is not Control.NONE])}/",
        f"FUNCTION.2: /({'|'.join(FUNCTIONS)})(?=[ \\t]*\\()/",
        f"RELATION: /{'|'.join(sorted(relations(), key=len, reverse=True))}/",
    ]
    return "\n".join(lines) + "\n"


def relations() -> list[str]:
    """The operators that compare."""
    return [operator for operator, (level, _) in BINARY.items() if level == 1]


def mnemonics(name: str) -> list[str]:
    """The mnemonics of a row, with their type suffixes."""
    row = BY_NAME[name]
    if row.category not in (Category.VECTOR, Category.SEND):
        return [name]
    return [f"{name}.{dtype.value}" for dtype in row.types]


def _alternatives(words: list[str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return f"({'|'.join(map(re.escape, longest_first))})\\b(?!\\.)"


@cache
def _machinery() -> tuple[Lark, Builder]:
    """The parser's tables, made once, and the builder that its actions are bound to."""
    from lark import Lark

    builder = Builder()
    lark = Lark(grammar_text(), parser="lalr", transformer=builder)  # type: ignore[arg-type]
    return lark, builder
