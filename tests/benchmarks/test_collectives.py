"""Collectives agree with formulas, written by hand and emitted, and the page says what is so.

A reduced grid; ``python -m benchmarks collectives`` runs all of it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks import collectives
from benchmarks.collectives import (
    PROGRAMS,
    Case,
    Cell,
    agrees,
    cell,
    kernel,
    measure,
    mesh,
    wide,
    written,
)
from benchmarks.collectives_page import DOCS, TITLES, page, plot, summary_rows
from benchmarks.formulas import Published

TILES, WORDS = (4, 32), (1, 16, 256)
EXACT = ("broadcast", "broadcast_2d", "chain")


@pytest.mark.parametrize(
    ("name", "words", "cycles"),
    [
        ("broadcast", 64, 580),
        ("broadcast", 4096, 4612),
        ("chain", 64, 3130),
        ("chain", 4096, 7162),
        ("tree", 64, 845),
    ],
)
def test_quoted_numbers_for_512_tiles(name: str, words: int, cycles: int) -> None:
    assert round(getattr(Published(2), name)(words, 512)) == cycles


def test_a_rectangle_of_one_row_is_a_row() -> None:
    assert Published(3).broadcast_2d(10, 7, 1) == Published(3).broadcast(10, 7)


@pytest.mark.parametrize("name", EXACT)
def test_slower_hops_are_in_the_formula(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(wide(), hop_cycles=2)
    monkeypatch.setattr(collectives, "wide", lambda: slow)
    found = cell(Case(name, *mesh(name, 8), 16))
    assert found.kernel == found.machine


def test_every_collective_has_a_program() -> None:
    assert {path.stem for path in PROGRAMS.glob("*.wsa")} == set(TITLES)


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("tiles", TILES)
def test_cycles_are_those_of_the_formula(name: str, tiles: int) -> None:
    for words in WORDS:
        found = cell(Case(name, *mesh(name, tiles), words))
        assert agrees(found.off_machine, found.machine), found
        if name in EXACT:
            assert found.written == found.kernel == found.published, found


@pytest.mark.parametrize("name", ["tree", "two_phase", "star", "ring"])
def test_long_vectors_take_what_was_published(name: str) -> None:
    found = cell(Case(name, 8, 1, 4096))
    assert agrees(found.off_published, found.published), found


@pytest.mark.parametrize("name", TITLES)
def test_delays_change_no_value(name: str) -> None:
    case = Case(name, *mesh(name, 16), 16)
    for program in (written(case), kernel(case)):
        usual = measure(case, program)
        assert {measure(case, program, delays) for delays in (1, 2, 3)} != {usual}


@pytest.mark.parametrize("name", TITLES)
def test_engines_agree_to_the_cycle(name: str) -> None:
    case = Case(name, *mesh(name, 16), 64)
    for program in (written(case), kernel(case)):
        assert measure(case, program, engine="reference") == measure(case, program)


@pytest.mark.parametrize(
    ("name", "tiles", "words"), [("chain", 7, 5), ("star", 5, 3), ("ring", 9, 4), ("ring", 3, 6)]
)
def test_lines_of_any_length(name: str, tiles: int, words: int) -> None:
    case = Case(name, tiles, 1, words)
    assert measure(case, written(case)) == measure(case, kernel(case))


def test_a_wrong_value_is_noticed() -> None:
    case = Case("chain", 4, 1, 4)
    other = Case("star", 4, 1, 4)
    chain = kernel(case)
    broken = chain.with_(regions=kernel(other).regions, routes=kernel(other).routes)
    with pytest.raises(Exception, match="'star'"):
        measure(case, broken)


def test_the_page_shows_both_formulas_where_they_differ() -> None:
    case = Case("star", 8, 1, 4)
    text = page([Cell(case, 48, 46, 33.0, 46.0)], "python -m benchmarks collectives")
    assert "| 8 | program | **48** |" in text
    assert "|  | kernel | **46** |" in text
    assert "|  | difference | +45.5% |" in text
    assert "|  | machine's | 46 |" in text
    assert summary_rows([Cell(case, 46, 46, 46.0, 46.0)])[0][2:] == ["1", "exact", "1", "exact"]


def test_the_plot_has_a_dot_for_each_case() -> None:
    cells = [
        Cell(Case("star", tiles, 1, words), 1, tiles * words, float(tiles * words), 9.0)
        for tiles in (4, 8)
        for words in (1, 4)
    ]
    text = plot(cells)
    assert text.count('r="3.2"') == 2 + 2 + 1  # on both panels, and in the legend
    assert ">P = 8 tiles<" in text


def test_the_page_in_docs_is_what_the_programs_take() -> None:
    text = (DOCS / "collectives.md").read_text(encoding="utf-8")
    for name, title in TITLES.items():
        table = text.split(f"## {title}\n")[1].split("\n## ")[0]
        head = next(line for line in table.splitlines() if line.startswith("| P |"))
        column = re.split(r" *\| *", head).index("B = 16")
        row = next(line for line in table.splitlines() if line.startswith("| 16 |"))
        case = Case(name, *mesh(name, 16), 16)
        assert re.split(r" *\| *", row)[column] == f"**{measure(case, written(case)):,}**", name
