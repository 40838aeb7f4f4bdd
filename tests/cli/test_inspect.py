"""``wsc inspect`` on a program that was written by hand, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import TWICE, done, refused, text_file, wsc
from tests.conftest import Golden
from wsc.cli.inspect import sram_bar
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.views import inspect


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("summary", []),
        ("tile", ["--tile", "3,1"]),
        ("kernel", ["--kernel", "double"]),
        ("node", ["--node", "/twice/Add"]),
        ("streams", ["--streams"]),
        ("sram", ["--sram"]),
    ],
)
def test_text(
    name: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    monkeypatch.chdir(tmp_path)
    text_file(tmp_path / "twice.wsa", TWICE)
    golden(f"cli/golden/inspect_{name}.txt", done(wsc("inspect", "twice.wsa", *options)).stdout)


def test_line_numbers_are_those_of_the_file() -> None:
    program = parse(TWICE)
    text = TWICE.splitlines()
    told = [item for item in inspect.numbered(program) if item.number]
    assert len(told) == 19
    for item in told:
        assert text[item.number - 1].split() == item.line.text.split()


def test_line_numbers_of_a_program_as_it_is_printed() -> None:
    canonical = print_program(parse(TWICE))
    numbers = [item.number for item in inspect.numbered(parse(canonical))]
    assert numbers == list(range(1, len(canonical.splitlines()) + 1))


def test_every_node_leads_to_lines_and_back() -> None:
    program = parse(TWICE)
    assert inspect.all_nodes(program) == ["/twice/Add", "a", "r"]
    for node in inspect.all_nodes(program):
        view = inspect.node_view(program, node)
        assert view.lines
        assert all(node in item.nodes for item in view.lines)
    assert inspect.callers_nodes(program) == {
        "take": ("a",),
        "double": ("/twice/Add",),
        "give": ("r",),
    }


def test_each_index_has_its_tile() -> None:
    tensor = parse(TWICE).tensors[0]
    ranges = [inspect.holds(tensor, x, 0) for x in range(5)]
    assert ranges == [((0, 2),), ((2, 4),), ((4, 6),), ((6, 8),), None]


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (["--tile", "4,0"], "4x2 tiles"),
        (["--tile", "north"], "wants X,Y"),
        (["--kernel", "doubel"], "did you mean 'double'"),
        (["--node", "Add"], "did you mean '/twice/Add'"),
    ],
)
def test_what_is_not_there(options: list[str], fact: str, tmp_path: Path) -> None:
    refused(wsc("inspect", text_file(tmp_path / "t.wsa", TWICE), *options), fact)


def test_spans_and_pictures() -> None:
    assert inspect.span([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"
    assert inspect.span([]) == "none"
    assert inspect.picture([0, 1], [1], 3, 2, (64, 24)) == ["...", "##."]
    assert inspect.picture(range(100), range(1), 750, 994, (75, 71)) == [
        "#" * 10 + "." * 65,
        *["." * 75] * 70,
    ]


def test_the_map_of_the_sram() -> None:
    tensors = parse(TWICE).tensors
    assert sram_bar(tensors, 16, 64) == "[" + "#" * 8 + "c" * 16 + "." * 40 + "]"
