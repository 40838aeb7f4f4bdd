"""Measurements beside our cycles: the page is what the command prints, and most of it agrees."""

from __future__ import annotations

import re

from benchmarks.fidelity import PAGE, Row, page


def test_the_page_in_docs_is_what_the_programs_take() -> None:
    text = page()
    assert PAGE.read_text(encoding="utf-8") == text
    agree, rows = map(int, re.findall(r"^(\d+) of (\d+) do", text, re.M)[0])
    assert agree >= 36
    # What does not agree says why.
    apart = [line for line in text.splitlines() if "| no |" in line]
    assert len(apart) == rows - agree
    assert all(len(line.split("|")[7].strip()) > 20 for line in apart)


def test_a_rate_is_held_to_its_part_and_a_time_to_a_cycle() -> None:
    assert not Row("rate", "silicon", 2.0, 2.2).agrees
    assert Row("time", "silicon", 2.0, 2.2, whole=True).agrees
    assert not Row("time", "silicon", 8.0, 9.5, whole=True).agrees
    assert Row("rate", "silicon", 100.0, 104.0).agrees
