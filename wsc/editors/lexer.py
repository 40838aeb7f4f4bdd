"""The colors of assembly for Pygments: in Sphinx, in LaTeX, on a terminal (``pygmentize``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pygments.lexer import RegexLexer
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from wsc.editors.words import alternatives, words

_WORDS = words()


class WsaLexer(RegexLexer):
    """Assembly of wsc."""

    name = "wsc assembly"
    aliases: ClassVar[Sequence[str]] = ["wsa"]
    filenames: ClassVar[Sequence[str]] = ["*.wsa"]
    url = ""

    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r";[^\n]*", Comment.Single),
            (r'@"(\\.|[^"\\\n])*"', String.Symbol),  # the ONNX nodes of a line
            (r'"(\\.|[^"\\\n])*"', String.Double),
            (r"\d+x\d+\b", Number.Integer),
            (r"\d+\.\d*(e[+-]?\d+)?|\d+e[+-]?\d+", Number.Float),
            (r"\d+", Number.Integer),
            (alternatives(_WORDS.mnemonics), Name.Builtin),
            (alternatives(_WORDS.code), Keyword),
            (r"^[ \t]*(" + alternatives(_WORDS.declarations) + ")", Keyword.Declaration),
            (alternatives(_WORDS.types), Keyword.Type),
            (alternatives(_WORDS.functions) + r"(?=\s*\()", Name.Function),
            (alternatives(_WORDS.coordinates), Name.Variable.Magic),
            (alternatives(_WORDS.sides), Name.Constant),
            (alternatives(_WORDS.declarations), Keyword.Declaration),
            (alternatives(_WORDS.controls), Keyword),
            (r"(?<![\w.])s\d+\b", Name.Label),  # a semaphore
            (r"[a-z_]+(\.[a-z0-9_]+)+", Name.Attribute),  # a number of the fabric
            (r"[A-Za-z_]\w*", Name),
            (r"->|[=!<>]=|[-+*/%<>=|]", Operator),
            (r"[\[\](){},:]", Punctuation),
        ]
    }
