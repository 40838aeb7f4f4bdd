"""Running a program for ``wsc run``: progress, a run that is cut short, and its trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsc.cli.common import say, working

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.runtime.api import RunResult
    from wsc.runtime.errors import CycleLimit, Deadlock


def execute(
    program: Program, arrays: dict[str, np.ndarray], options: dict[str, Any]
) -> tuple[RunResult, str]:
    """The run, and why it stopped before its end: then it has counters but no outputs."""
    from wsc.runtime.errors import CycleLimit, Deadlock

    started = time.perf_counter()
    with working("running") as line:

        def progress(cycle: int, fraction: float) -> None:
            line(f"running: cycle {cycle:,}, {fraction:.0%} of the edge's elements moved")

        try:
            result: Any = program.run(
                arrays, progress=progress, compiling=about_compiling(line), **options
            )
            return result, ""
        except (CycleLimit, Deadlock) as error:
            if error.counters is None:  # nothing was timed
                raise
            return _unfinished(error, options, time.perf_counter() - started), str(error)


def about_compiling(line: Any) -> Callable[[str], None]:
    """Says on a status line that an engine is compiled, and why its code cannot be kept."""
    said: list[str] = []  # each engine asks for itself

    def compiling(unkept: str) -> None:
        if unkept in said:
            return
        said.append(unkept)
        if unkept:
            say(f"the engine is compiled for this run alone: {unkept}", error=True)
        else:
            line.still("compiling the engines (once, a few seconds)")

    return compiling


def _unfinished(error: CycleLimit | Deadlock, options: dict[str, Any], seconds: float) -> RunResult:
    from wsc.runtime.api import RunResult
    from wsc.runtime.engine import choose_engine

    wanted = ("check_races", "causes")
    engine = choose_engine(options["engine"], *(options.get(name, False) for name in wanted))
    assert error.cycle is not None
    return RunResult(
        {},
        error.cycle,
        error.counters,
        seconds,
        engine,
        error.trace,
        error.windows,
        error.causes,
    )
