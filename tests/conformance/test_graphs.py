"""Models drawn at random: some of them, and that the harness sees what goes wrong.

``python -m conformance.graphs`` tries many more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.fuzz.judge import GOOD, Verdict
from conformance.graphs import judge
from conformance.graphs.drawn import Drawn, draw
from conformance.graphs.judge import Graphs, judged
from conformance.graphs.shrink import listing, shrunk

COUNT, SEED, LIMIT = 120, 11, 60.0  # the limit is that of a machine with much else to do


@pytest.mark.slow
def test_drawn_models_agree() -> None:
    findings = list(Graphs(SEED, LIMIT).run(range(COUNT), 1))
    assert [str(finding) for finding in findings if finding.verdict not in GOOD] == []
    assert sum(finding.verdict is Verdict.AGREED for finding in findings) > COUNT * 9 // 10


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
