"""Heat maps in characters: their marks, their scale, and what is outstanding."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import TWICE, done, refused, wsc
from wsc.cli import maps


def marks(shown: str) -> list[list[str]]:
    """The marks of each map."""
    found = re.findall(r"^\+-+\+\n((?:\|.*\|\n)+)\+-+\+$", shown, re.M)
    return [[line[1:-1] for line in text.splitlines()] for text in found]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (33, 70), (5, 300)])
def test_a_map_has_all_tiles(shape: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    grid = np.zeros(shape, np.int64)
    grid[-1, -1] = 1000
    maps.show_map("busy", grid, [])
    shown = capsys.readouterr().out
    (rows,) = marks(shown)
    assert len({len(row) for row in rows}) == 1
    assert len(rows) <= maps.MOST[1]
    assert len(rows[0]) <= maps.MOST[0]
    assert rows[-1][-1] == "@"
    assert shown.count("@") == 2  # and in the scale
    assert shown.isascii()
    block = max(-(-shape[1] // maps.MOST[0]), -(-shape[0] // maps.MOST[1]))
    assert (len(rows), len(rows[0])) == (-(-shape[0] // block), -(-shape[1] // block))


def test_what_is_not_nothing_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    maps.show_map("busy", np.array([[0, 1, 10**6]]), [])
    assert marks(capsys.readouterr().out) == [[" .@"]]
    maps.show_map("busy", np.zeros((2, 2), np.int64), [])
    assert marks(capsys.readouterr().out) == [["  ", "  "]]


def test_maps_of_a_run(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    shown = done(wsc("run", twice, "--map", "links", "--map", "stall", "--map", "sram")).stdout
    links, stalls, sram = marks(shown)
    assert links == ["@@@@", "    "]  # the first row alone has links with wavelets
    assert re.search(r"^busiest: tile \(0, 0\) to N, 2 wavelets .*: 2 of 'back'$", shown, re.M)
    assert len(stalls) == 2
    assert re.search(r"cycles: line \d+, mov waits for", shown) or "of 0 cycles" not in shown
    assert sram == ["@@@@", "@@@@"]
    assert marks(done(wsc("inspect", twice, "--map", "sram")).stdout) == [sram]


def test_maps_that_cannot_be(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    refused(wsc("inspect", twice, "--map", "busy"), "--map busy is of a run: wsc run")
    assert "are under tiles" in done(wsc("run", twice, "--map", "busy", "--json"), 2).stderr
    refused(wsc("run", twice, "--map", "busy", "--engine", "values"), "--map: the values engine")
