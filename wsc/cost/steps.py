"""Cycles of a run of several steps: what is done once, and each step."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.cost.predict import Prediction
from wsc.isa.expr import Int
from wsc.isa.program import Loop, Program
from wsc.isa.statements import calls
from wsc.passes.roll import STEP


@dataclass(frozen=True, slots=True)
class StepCycles:
    """Predicted cycles of a run. once: before the steps. each: of one step, on average. count: of
    steps."""

    once: int
    each: float
    count: int


def loop_of_steps(program: Program) -> Loop | None:
    """The loop of main over the steps of a run."""
    loops = [
        item
        for region in program.regions
        for item in region.main
        if isinstance(item, Loop) and item.register == STEP
    ]
    return loops[0] if len(loops) == 1 == len(program.regions) else None


def step_cycles(program: Program, prediction: Prediction) -> StepCycles | None:
    """The cycles of a run's steps; None of a program that makes none.

    What is shown at the end counts for neither.
    """
    loop = loop_of_steps(program)
    if loop is None or not isinstance(loop.count, Int):
        return None
    (region,) = program.regions
    count = loop.count.value
    before = region.main[: region.main.index(loop)]
    added = {id(item.call): item.added for item in prediction.calls}
    once = sum(added.get(id(call), 0) for call in calls(before))
    each = sum(added.get(id(call), 0) for call in calls(loop.body))
    return StepCycles(once, each / count, count)
