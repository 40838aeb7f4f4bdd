"""Cycles of a run of several steps: what is done once, and each step."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.cost.predict import Prediction
from wsc.isa.program import Loop, Program
from wsc.isa.statements import calls

STEP = "step"  # what counts the steps of a run in the text


@dataclass(frozen=True, slots=True)
class StepCycles:
    """Predicted cycles of a run. once: before the steps. each: of one step, on average. count: of
    steps."""

    once: int
    each: float
    count: int


def step_cycles(program: Program, prediction: Prediction) -> StepCycles | None:
    """The cycles of a run's steps; None of a program that makes none.

    What is shown at the end counts for neither.
    """
    (region,) = program.regions
    loops = [item for item in region.main if isinstance(item, Loop) and item.register == STEP]
    if len(loops) != 1:
        return None
    (loop,) = loops
    count = int(loop.count.value)  # type: ignore[union-attr]
    before = region.main[: region.main.index(loop)]
    added = {id(item.call): item.added for item in prediction.calls}
    once = sum(added.get(id(call), 0) for call in calls(before))
    each = sum(added.get(id(call), 0) for call in calls(loop.body))
    return StepCycles(once, each / count, count)
