"""A chosen part of ONNX's own tests: every operator that passes one, at least once.

``python -m conformance --choose tests/conformance/chosen.txt`` chooses anew, and
``--random`` holds other values against the reference evaluator for all tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.page import general
from conformance.pool import run_all
from conformance.run import PASSED, Record, run_case
from conformance.suite import load_cases

CHOSEN = (Path(__file__).parent / "chosen.txt").read_text(encoding="utf-8").split()
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(scope="module")
def records() -> list[Record]:
    names = frozenset(CHOSEN)
    cases = [case for case in load_cases(["node"]) if case.name in names]
    assert len(cases) == len(names)
    return list(run_all(cases, "3x5", 1, 60.0, with_random=True))


@pytest.mark.slow
def test_every_operator_passes_one_of_its_tests(records: list[Record]) -> None:
    """Chosen on 4x4 tiles, they pass on 3x5 too."""
    missed = [f"{r.name}: {r.reason}" for r in records if r.status != PASSED]
    assert not missed


@pytest.mark.slow
def test_other_values_agree(records: list[Record]) -> None:
    """Nothing but what decides a shape was baked in."""
    differ = [f"{r.name}: {general(r.random_reason)}" for r in records if r.random == "differed"]
    assert not differ


def test_every_operator_of_the_page_is_among_them() -> None:
    """The page and the choice are of the same run."""
    operators = set(_passing_operators())
    assert len(operators) > 100
    assert len(CHOSEN) >= len(operators)


def _passing_operators() -> Iterator[str]:
    table = PAGE.read_text(encoding="utf-8").split("## By operator")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[2].isdigit() and int(cells[2]):
            yield cells[0]


def test_an_output_declared_as_an_optional_may_be_its_element() -> None:
    (case,) = load_cases(["node"], "^test_identity_opt$")
    assert run_case(case, "2x2").status == PASSED
