"""Running a program for ``wsc run``: progress, a run that is cut short, and its trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsc.cli.common import say, working

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.runtime.api import RunResult
    from wsc.runtime.errors import CycleLimit, Deadlock
    from wsc.runtime.trace import TraceRequest


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


def trace_request(program: Program, given: Mapping[str, Any]) -> TraceRequest:
    """What to record; tiles and nodes that are not there are refused before the long work.

    given: the fields of the request, None where an option was not given.
    """
    from wsc.runtime.nodes import statements_of
    from wsc.runtime.trace import TraceRequest

    request = TraceRequest(**{name: value for name, value in given.items() if value is not None})
    request.chosen(program.assembly.width, program.assembly.height)
    if request.node:
        statements_of(program.assembly, request.node)
    return request


def write_trace(path: Path, result: RunResult, inputs: Iterable[Path] = ()) -> None:
    """Write the trace whole, or not at all. inputs: files that are read, and never replaced."""
    import gzip

    from wsc.store.files import appearing

    assert result.trace is not None
    with working(f"writing {path}"), appearing(path, inputs=inputs) as (partial,):
        if path.suffix == ".gz":
            with gzip.open(partial, "wt", encoding="utf-8") as file:
                result.trace.write(file)
        else:
            with partial.open("w", encoding="utf-8") as file:
                result.trace.write(file)
