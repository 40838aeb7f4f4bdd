"""Heat maps in characters: their marks, their scale, and what is outstanding."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.helpers import TWICE, done, refused, wsc
from wsc.cli import maps
from wsc.views.maps import KINDS


def marks(shown: str) -> list[list[str]]:
    """The marks of each map."""
    found = re.findall(r"^\+-+\+\n((?:\|.*\|\n)+)\+-+\+$", shown, re.M)
    return [[line[1:-1] for line in text.splitlines()] for text in found]


def test_the_kinds_of_the_command_are_those_there_are() -> None:
    assert tuple(KINDS) == maps.KINDS


def test_maps_of_a_run(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    shown = done(wsc("run", twice, "--map", "links", "--map", "stall", "--map", "sram")).stdout
    links, stalls, sram = marks(shown)
    assert links == ["@@@@", "    "]  # the first row alone has links with wavelets
    assert re.search(r"^busiest: tile \(0, 0\) to N, 2 wavelets .*: 2 of 'back'$", shown, re.M)
    assert len(stalls) == 2
    assert re.search(r"cycles: line \d+, mov waits for", shown) or "of 0 cycles" not in shown
    # The code that gives words to the edge is in the first row alone.
    assert sram == ["@@@@", "####"]
    assert marks(done(wsc("inspect", twice, "--map", "sram")).stdout) == [sram]


def test_maps_that_cannot_be(tmp_path: Path) -> None:
    twice = tmp_path / "twice.wsa"
    twice.write_text(TWICE, encoding="utf-8")
    refused(wsc("inspect", twice, "--map", "busy"), "--map busy is of a run: wsc run")
    assert "are under tiles" in done(wsc("run", twice, "--map", "busy", "--json"), 2).stderr
    refused(wsc("run", twice, "--map", "busy", "--engine", "values"), "--map: the values engine")
