"""The words of the assembly by kind, from its grammar and its instruction table."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wsc.isa.expr import FUNCTIONS, RESERVED
from wsc.isa.parser import grammar_text, mnemonics
from wsc.isa.table import TABLE
from wsc.isa.types import Control, DType, Side

_KEYWORD = re.compile(r"^(_?[A-Z0-9]+)(?:\.\d+)?: /\(?([a-z0-9|]+)\)?\\b/$", re.M)
_OPENING = ("proc", "main", "loop", "if", "else", "end", "call", "async")
_OTHERS = ("AXIS", "DTYPE", "CONTROL")  # they look like keywords, and are of other kinds


@dataclass(frozen=True, slots=True)
class Words:
    """declarations: keywords that begin or join a declaration. code: those of statements.

    A word may be a name too, where the grammar expects one.
    """

    declarations: tuple[str, ...]
    code: tuple[str, ...]
    mnemonics: tuple[str, ...]
    types: tuple[str, ...]
    functions: tuple[str, ...]
    coordinates: tuple[str, ...]
    sides: tuple[str, ...]
    controls: tuple[str, ...]


def words() -> Words:
    """All words, each kind from its one place."""
    keywords = [
        word
        for name, alternatives in _KEYWORD.findall(grammar_text())
        if name not in _OTHERS
        for word in alternatives.split("|")
    ]
    return Words(
        declarations=tuple(sorted({*keywords} - {*_OPENING})),
        code=tuple(word for word in _OPENING if word in keywords),
        mnemonics=tuple(name for row in TABLE for name in mnemonics(row.name)),
        types=tuple(dtype.value for dtype in DType),
        functions=tuple(FUNCTIONS),
        coordinates=tuple(RESERVED),
        sides=tuple(side.value for side in Side),
        controls=tuple(item.value for item in Control if item is not Control.NONE),
    )


def alternatives(names: tuple[str, ...]) -> str:
    """A pattern that takes any of the words, whole."""
    longest = sorted(names, key=lambda name: (-len(name), name))
    return rf"(?<![\w.])(?:{'|'.join(map(re.escape, longest))})(?![\w.])"
