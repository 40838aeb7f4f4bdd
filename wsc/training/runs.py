"""In how many runs a step is done: as few as its samples find room in."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import SupportsIndex, TypeVar, cast

from wsc.errors import CompileError, DoesNotFit, shortened
from wsc.isa.asked import asked

AUTO = "auto"

_Compiled = TypeVar("_Compiled")


def require_runs(over: object) -> int | str:
    """The number of runs, or ``auto``. Raises CompileError for what is neither."""
    try:
        runs = AUTO if over == AUTO else index(cast("SupportsIndex", over))
    except TypeError:
        runs = 0
    if isinstance(runs, int) and runs < 1:
        name = asked("--accumulate", "over")
        raise CompileError(
            f"{name} is a number of runs from 1 on, or auto, not {shortened(str(over))}"
        )
    return runs


def in_fewest_runs(
    samples: int, compile_runs: Callable[[int], _Compiled], wafers: int = 1
) -> tuple[_Compiled, int, str]:
    """A step in as few runs as it has room in: what was compiled, their number, a note on them.

    Each run streams all weights once more, and sends out all gradients, so fewer take less time.

    samples: of the step. compile_runs: compiles one of so many runs. wafers: that share them out.

    Raises:
        DoesNotFit: one sample a run does not fit.
        CompileError: the samples cannot be shared out to the wafers.
    """
    if samples < 1 or samples % wafers:
        raise CompileError(f"{samples} samples cannot be shared out to {wafers} wafers")
    tried: list[str] = []
    for runs in range(wafers, samples + 1, wafers):
        if samples % runs:
            continue
        try:
            found = compile_runs(runs)
        except DoesNotFit:
            if runs == samples:
                raise
            tried.append(str(samples // runs))
            continue
        why = f"; {', '.join(tried)} at a time do not fit" if tried else ""
        note = f"{samples} samples of a step in {runs} runs of {samples // runs}{why}"
        return found, runs, note if runs > 1 else ""
    raise AssertionError("one sample a run is the last to be tried")
