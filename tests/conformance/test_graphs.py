"""Models drawn at random: some of them, and that the harness sees what goes wrong.

``python -m conformance.graphs`` tries many more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from conformance.fuzz.judge import GOOD, Finding, Verdict
from conformance.graphs import judge
from conformance.graphs.__main__ import main
from conformance.graphs.draft import Draft
from conformance.graphs.drawn import OPSETS, Drawn, draw
from conformance.graphs.judge import Graphs, judged
from conformance.graphs.recipes import NOT_DRAWN, RECIPES
from conformance.graphs.recipes.registry import Recipe
from conformance.graphs.shrink import listing, shrunk
from wsc.frontend import load_lowerings
from wsc.frontend.registry import lowerings

COUNT, SEED, LIMIT = 80, 11, 60.0  # the limit is that of a machine with much else to do


@pytest.mark.slow
def test_drawn_models_agree() -> None:
    findings = list(Graphs(SEED, LIMIT).run(range(COUNT), 1))
    assert [str(finding) for finding in findings if finding.verdict not in GOOD] == []
    assert sum(finding.verdict is Verdict.AGREED for finding in findings) > COUNT * 9 // 10


def test_every_operator_is_drawn_or_has_its_reason() -> None:
    load_lowerings()
    compiled = {(entry.domain, entry.op_type) for entry in lowerings()}
    drawn = {(item.domain, item.operator) for item in RECIPES}
    assert drawn & set(NOT_DRAWN) == set()
    assert drawn | set(NOT_DRAWN) == compiled
    assert all(NOT_DRAWN.values())


LAST = OPSETS[-1]


@pytest.mark.parametrize("item", RECIPES, ids=lambda item: f"{item.operator}-{item.since}")
def test_each_recipe_adds_its_operator(item: Recipe) -> None:
    """At the first and the last opset that it says; chance may take operands that do not suit."""
    for opset in {max(item.since, OPSETS[0]), min(item.until, LAST)}:
        drafts = (Draft(random.Random(attempt), opset) for attempt in range(20))
        made = next(filter(None, (_drawn(item, draft) for draft in drafts)), set())
        assert (item.domain, item.operator) in made, opset


def _drawn(item: Recipe, draft: Draft) -> set[tuple[str, str]]:
    """The operators of what a recipe adds; none if it was not to be."""
    with draft.tried():
        item.draw(draft, item.operator)
    return {(node.domain, node.op_type) for node in draft.nodes}


def test_what_goes_wrong_is_told_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Graphs, numbers: Sequence[int], jobs: int) -> Iterator[Finding]:
        yield Finding(0, "first", (), Verdict.AGREED)
        yield Finding(1, "second", (), Verdict.HUNG, "no end")
        raise KeyboardInterrupt

    monkeypatch.setattr(Graphs, "run", run)
    told = CliRunner().invoke(main, ["--count", "3"])
    assert told.exit_code != 0
    assert "1 second [] hung: no end" in told.output
    assert "first" not in told.output


def test_a_seed_gives_the_same_models() -> None:
    first, again, other = (
        [draw(seed, n).model.SerializeToString() for n in range(8)] for seed in (3, 3, 4)
    )
    assert first == again
    assert not set(first) & set(other)


def test_a_wrong_output_is_seen_and_its_model_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    number = next(n for n in range(50) if len(draw(SEED, n).operators) > 7)
    drawn = draw(SEED, number)
    guilty = drawn.operators[3]
    outputs = judge.outputs_of

    def planted(drawn: Drawn) -> list[Any]:
        off = int(guilty in drawn.operators)
        return [np.asarray(array + off).astype(array.dtype) for array in outputs(drawn)]

    assert judged(number, drawn).verdict is Verdict.AGREED
    monkeypatch.setattr(judge, "outputs_of", planted)
    assert judged(number, drawn).verdict is Verdict.DISAGREED
    small = shrunk(drawn, lambda smaller: judged(number, smaller).verdict is Verdict.DISAGREED)
    assert guilty in small.operators
    assert len(small.operators) <= 2
    assert guilty in listing(small)
