"""How problems are shown, and what it takes to find a name that is near."""

from __future__ import annotations

import time

from wsc.isa.diagnostics import LONGEST, Diagnostic, nearest
from wsc.isa.program import Location


def test_the_nearest_of_some() -> None:
    assert nearest("fmca", ["mov", "fmac"]) == "; did you mean 'fmac'?"
    assert nearest("fmca", []) == ""


def test_the_time_that_it_takes_is_bounded() -> None:
    started = time.process_time()
    known = [f"known_{number}" for number in range(20_000)]
    assert "known_" in nearest("knwon_77", known)
    assert nearest("x" * 100_000, ["x" * 99_999]) == ""
    assert time.process_time() - started < 1


def test_the_caret_stands_below_its_word_also_behind_an_escape() -> None:
    place = Location("t.wsa", 1, 6)
    line, caret = Diagnostic("m", place, "; \x1b\t word", 4).render().split("\n")[1:]
    assert line == r"; \x1b  word"
    assert caret == "        ^^^^"


def test_of_a_long_line_the_surroundings_are_shown() -> None:
    text = Diagnostic("m", Location("t.wsa", 1, 50_001), "x" * 50_000 + "word" + "y" * 50_000, 4)
    _, line, caret = text.render().split("\n")
    assert len(line) <= LONGEST + 4
    assert line[caret.index("^") :][: caret.count("^")] == "word"
