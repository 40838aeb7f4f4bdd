"""Colors of assembly: every word has one, from the one list of words; the files are current."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pygments.token import Comment, Error, Keyword, Name, Number, String

from tests.cli.helpers import TWICE
from wsc.editors.lexer import WsaLexer
from wsc.editors.textmate import FILE, grammar
from wsc.editors.words import words
from wsc.isa.table import TABLE
from wsc.isa.tokens import text_lines

ROOT = Path(__file__).parents[2]
HAND = sorted((ROOT / "tests" / "programs").glob("*.wsa"))
KINDS = {
    "NAME": (Name, Keyword),
    "INT": (Number,),
    "FLOAT": (Number,),
    "STRING": (String,),
    "NODE": (String,),
    "SIZE": (Number,),
    "VECTOR_OP": (Name.Builtin,),
    "SCALAR_OP": (Name.Builtin,),
    "SEND_OP": (Name.Builtin,),
    "CALL": (Keyword,),
    "DTYPE": (Keyword.Type,),
    "SEMAPHORE": (Name.Label,),
    "LOOP": (Keyword,),
    "_PROC": (Keyword,),
    "_TENSOR": (Keyword.Declaration,),
    "TRANSFER": (Keyword.Declaration,),
}


def test_the_words_are_those_of_the_grammar() -> None:
    known = words()
    assert {"proc", "loop", "if", "end", "else", "main", "call", "async"} == set(known.code)
    assert {"fabric", "route", "feed", "drain", "when", "input", "sha256"} <= set(
        known.declarations
    )
    assert not {"x", "y", "f32", "advance"} & set(known.declarations)
    assert len(known.mnemonics) > len(TABLE)


@pytest.mark.parametrize("path", HAND, ids=lambda path: path.stem)
def test_every_word_has_its_color(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    colors: dict[int, Any] = {}
    for place, color, value in WsaLexer().get_tokens_unprocessed(text):
        assert color is not Error, value
        for letter in range(place, place + len(value)):
            colors[letter] = color
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for line in text_lines(text):
        for token in line.tokens:
            color = colors[starts[token.line - 1] + token.column - 1]
            if token.kind in KINDS:
                assert any(color in kind for kind in KINDS[token.kind]), (token, color)
        if line.comment:
            end = starts[line.number - 1] + len(text.split("\n")[line.number - 1].rstrip()) - 1
            assert colors[end] in Comment


def test_pygments_is_told_of_the_lexer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["pygments.lexers"].items()
    assert EntryPoint(entry[0], entry[1], "pygments.lexers").load() is WsaLexer
    assert WsaLexer.aliases == [entry[0]]


def test_the_textmate_grammar_is_current() -> None:
    assert (ROOT / FILE).read_text(encoding="utf-8") == grammar(), (
        "python -m wsc.editors.textmate writes it anew"
    )


def test_the_textmate_grammar_takes_every_word() -> None:
    patterns = [
        (item["name"], re.compile(item["match"], re.M))
        for item in json.loads(grammar())["patterns"]
    ]
    for line in text_lines(TWICE):
        raw = TWICE.split("\n")[line.number - 1]
        for token in line.tokens:
            names = [name for name, pattern in patterns if pattern.match(raw, token.column - 1)]
            assert names or token.kind in ("NAME", "COLON", "COMMA", "LSQB", "RSQB", "LPAR", "RPAR")


def test_the_extension_names_its_files() -> None:
    folder = ROOT / "editors" / "vscode"
    package = json.loads((folder / "package.json").read_text())["contributes"]
    for item in package["grammars"]:
        assert json.loads((folder / item["path"]).read_text())["scopeName"] == item["scopeName"]
    for item in package["languages"]:
        json.loads((folder / item["configuration"]).read_text())
