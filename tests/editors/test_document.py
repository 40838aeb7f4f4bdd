"""Names, hover, completion and rename: on programs by hand, and on texts with mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wsc
from tests.cli.helpers import TWICE
from wsc.editors.document import EDGE, LOCAL, TENSOR, Document, Name, RenameError
from wsc.isa.format import format_text
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.models import builders

PROGRAMS = Path(__file__).parents[1] / "programs"
HAND = [PROGRAMS / f"{name}.wsa" for name in ("async", "broadcast", "remote", "switch")]


def find(document: Document, pattern: str) -> tuple[int, int]:
    """Line and column of the first group of a pattern."""
    found = re.search(pattern, document.text, re.M)
    assert found, pattern
    before = document.text[: found.start(1)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def named(document: Document, pattern: str) -> Name:
    name = document.name_at(*find(document, pattern))
    assert name is not None, pattern
    return name


@pytest.mark.parametrize("path", HAND, ids=lambda path: path.stem)
def test_every_thing_can_be_renamed(path: Path) -> None:
    """The text with the new name is a program that differs in that name alone."""
    document = Document(path.read_text(encoding="utf-8"), str(path))
    program = parse(document.text)
    entities = {name.entity: name for name in document.names}
    assert len(entities) > 10
    for name in entities.values():
        assert document.definition(name) is not None, name
        lines = document.text.split("\n")
        for token, text in reversed(document.rename(name, "renamed_")):
            line = lines[token.line - 1]
            lines[token.line - 1] = line[: token.column - 1] + text + line[token.end - 1 :]
        parse("\n".join(lines))  # every use is known, and no other thing has changed
        back = Document("\n".join(lines))
        again = next(item for item in back.names if item.name == "renamed_")
        lines = back.text.split("\n")
        for token, text in reversed(back.rename(again, name.name)):
            line = lines[token.line - 1]
            lines[token.line - 1] = line[: token.column - 1] + text + line[token.end - 1 :]
        assert "\n".join(lines) == document.text
    assert print_program(parse(document.text)) == print_program(program)


@pytest.mark.parametrize("text", ["", "\n", "wsc 1", TWICE])
@pytest.mark.parametrize(("line", "column"), [(1, 1), (2, 1), (1, 999), (999, 1), (999, 999)])
def test_places_that_are_not_in_the_text(text: str, line: int, column: int) -> None:
    """An editor may ask for a place of the text as it was before the last change."""
    document = Document(text)
    assert isinstance(document.hover(line, column), str)
    assert isinstance(list(document.proposals(line, column)), list)
    name = document.name_at(line, column)
    assert name is None or text == TWICE


def test_definitions() -> None:
    document = Document(TWICE)
    for pattern, line in (
        (r"call (take)", "proc take(at, count)"),
        (r"from (a)\[", "input  a : f32[8]"),
        (r"<(into)>", "color into = 0"),
        (r"at = (buf)", "tensor buf :"),
        (r"^main (all)", "region all"),
        (r"call take\((at) =", "proc take(at, count)"),
        (r"from a\[x\*2 \+ (i)\]", "feed into"),
    ):
        found = document.definition(named(document, pattern))
        assert found is not None
        assert TWICE.split("\n")[found.token.line - 1].startswith(line), pattern


def test_a_name_of_one_line_hides_a_register() -> None:
    text = TWICE.replace("  call take", "  i.set i, 3\n  call take", 1)
    text = text.replace('count = 2) as c1 @"a"', 'count = i - 1) as c1 @"a"')
    document = Document(text)
    register = named(document, r"i\.set (i)")
    assert (register.space, register.scope) == (LOCAL, "main all")
    assert len(document.places(register)) == 2
    inner = named(document, r"for (i):count")
    assert inner.scope.startswith("line ")
    assert document.name_at(*find(document, r"H( )")) is None


def test_hover() -> None:
    document = Document(TWICE)
    said = document.hover(*find(document, r"^  (add)\.f32"))
    assert "**add.f32**" in said
    assert "cycles to start" in said
    assert "wse2" in said
    assert "bytes 0 to 7 of each tile" in document.hover(*find(document, r"tensor (buf)"))
    assert "Take words from the edge." in document.hover(*find(document, r"call (take)"))
    assert "route into in all when y < H - 1" in document.hover(*find(document, r"<(into)>"))
    assert "rows of the region" in document.hover(*find(document, r"y < (H)"))
    assert document.hover(*find(document, r"(; Take)")) == ""
    text = TWICE.replace("precision", "set io.bytes_per_cycle = 8\nprecision", 1)
    assert "= 8 on this machine" in Document(text).hover(5 - 2, 6)


def test_completion() -> None:
    document = Document(TWICE + "\nfeed ")
    last = document.text.count("\n") + 1

    def words(pattern: str) -> set[str]:
        return {item.word for item in document.proposals(*find(document, pattern))}

    assert {"call", "loop", "mov.f32", "tensor"} <= words(r"^  (mov)\.f32 \[at")
    assert words(r"<(into)>") == {"into", "back"}
    assert words(r"call (take)") == {"take", "double", "give"}
    assert words(r"in (all)") == {"all"}
    assert words(r"from (a)\[") == {"a", "r"}
    assert {"at", "count", "buf", "x", "min"} <= words(r"\[(at) \+")
    assert {item.word for item in document.proposals(last, 6)} == {"into", "back"}


def test_a_text_with_mistakes_still_has_names() -> None:
    text = TWICE.replace("route back in all when y == 0 : RAMP -> N", "route back when")
    document = Document(text)
    program, _, found = document.checked
    assert program is None
    assert [item.location.line for item in found] == [text.split("\n").index("route back when") + 1]
    assert document.definition(named(document, r"call (take)")) is not None
    assert Document("").checked[2]
    assert Document("").names == []
    wrong = Document(TWICE.replace('"wse2" 4x2', '"none" 4x2'))
    assert "no fabric 'none'" in wrong.checked[2][0].message
    assert Document(TWICE.replace("size 8", "size 4")).checked[2]
    assert not Document(TWICE).checked[2]


@pytest.mark.parametrize(
    ("new", "reason"),
    [("4", "is no name"), ("a b", "is no name"), ("x", "is a word"), ("min", "is a word")],
)
def test_names_that_cannot_be_given(new: str, reason: str) -> None:
    document = Document(TWICE)
    with pytest.raises(RenameError, match=reason):
        document.rename(named(document, r"tensor (buf)"), new)
    with pytest.raises(RenameError, match="is a color in line"):
        document.rename(named(document, r"color (into)"), "back")
    with pytest.raises(RenameError, match="is a local in line"):
        document.rename(named(document, r"tensor (buf)"), "count")
    assert document.rename(named(document, r"from (a)\["), "a b")[0][1] == '"a b"'


def test_a_program_of_the_compiler() -> None:
    """Layers that stay a loop have rounds in the edge's schedule, with a name of their own."""
    text = wsc.compile(builders.transformer_encoder(3, 8, 2, 4), "2x2").text
    document = Document(text)
    for name in document.names:
        assert document.definition(name) is not None, name
    (round_,) = {name for name in document.names if name.scope.startswith("loop ")}
    with pytest.raises(RenameError, match="'layer' is part of a name in line"):
        document.rename(round_, "depth")
    assert format_text(text) == text


def test_an_update_names_edge_tensors() -> None:
    line = 'update w by adam(rate = 0.5, w = 3) from "g 1" with m, "v"'
    document = Document(f'wsc 1\nfabric "wse2" 1x1\ninput w : f32[1] "float32"\n{line}\n')
    assert [(name.name, name.space) for name in document.names] == [
        ("w", EDGE),
        ("w", EDGE),
        ("g 1", EDGE),
        ("m", EDGE),
        ("v", EDGE),
    ]


def test_outline() -> None:
    document = Document(TWICE)
    found = {name.name: (name.space, last) for name, last in document.outline() if name.defines}
    lines = TWICE.split("\n")
    assert found["take"] == ("procedure", lines.index("end") + 1)
    assert found["buf"][0] == TENSOR
