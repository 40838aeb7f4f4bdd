"""``wsc run --engine values``: a run for its outputs, without a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsc.cli.common import (
    Refusal,
    console,
    say_facts,
    say_json,
    verbose,
    working,
)
from wsc.cli.execute import about_compiling
from wsc.cli.tables import print_table

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.compare import Comparison
    from wsc.runtime.api import ValuesResult

OPTIONS = {
    "delays": "--delays",
    "max_cycles": "--max-cycles",
    "check_races": "--check-races",
    "trace": "--trace",
    "maps": "--map",
    "report": "--report",
    "against": "--against",
    "dump_sram": "--dump-sram",
}


@dataclass(frozen=True, slots=True)
class Executed:
    """A run without a clock, with what is said about it."""

    program: Program
    result: ValuesResult
    seed: int | None
    drawn: tuple[str, ...]
    files: Mapping[str, Path]
    compared: Sequence[Comparison] | None
    undecided: str  # why there is no second opinion where outputs differ, or empty


def refuse_clock(options: Mapping[str, Any]) -> None:
    """Refuse the options that mean nothing without a clock."""
    given = [flag for name, flag in OPTIONS.items() if options[name] not in (None, False, ())]
    if given:
        raise Refusal(
            f"{', '.join(given)}: the values engine has no clock; take another engine, "
            "or leave that out"
        )


def execute_values(
    program: Program,
    arrays: dict[str, np.ndarray],
    max_memory: int | None,
    changed_weights: bool,
) -> ValuesResult:
    """Run a program for its outputs."""
    with working("running") as line:

        def progress(_cycle: int, part: float) -> None:
            line(f"running: {part:.0%} of the edge's elements moved")

        return program.run(
            arrays,
            engine="values",
            progress=progress,
            max_memory=max_memory,
            changed_weights=changed_weights,
            compiling=about_compiling(line),
        )


def print_values(executed: Executed, as_json: bool) -> None:
    """Say what is known, as JSON or for people."""
    if as_json:
        say_json(as_object(executed))
    else:
        _show(executed)


def as_object(executed: Executed) -> dict[str, Any]:
    """Everything known about a run, for JSON: null for what only a clock tells."""
    from wsc.cli.finished import outputs_of, setting

    result, counters = executed.result, executed.result.counters
    made: dict[str, Any] = {
        "cycles": None,
        "predicted_cycles": None,
        "outputs": outputs_of(result.outputs, executed.files),
        "useful_utilization": None,
        "wall_seconds": result.wall_seconds,
        "engine": result.engine,
        "stopped": None,
        **setting(executed.program),
        "seconds_on_the_fabric": None,
        "seed": executed.seed,
        "drawn_inputs": list(executed.drawn),
        "io_bytes": {"in": counters.io_bytes_in, "out": counters.io_bytes_out},
        "energy_picojoules": None,
        "counters": counters.as_dict(),
        "tiles": None,
        "kernels": None,
    }
    if executed.compared is not None:
        made["comparison"] = [item.as_dict() for item in executed.compared]
        made["no_second_opinion"] = executed.undecided or None
        made["agrees"] = all(item.agrees for item in executed.compared)
    return made


def _show(executed: Executed) -> None:
    """The report for people, on standard output."""
    from wsc.cli.finished import fabric_name, outputs_table, show_comparison

    screen = console()
    result, counters = executed.result, executed.result.counters
    if result.outputs:
        print_table(screen, outputs_table(result.outputs, executed.files))
    screen.print()
    macs = counters.macs_f32 + counters.macs_f16
    hops = sum(int(moved[..., :4].sum()) for moved in counters.wavelets.values())
    facts = [
        ("fabric", fabric_name(executed.program)),
        ("work", f"{macs:,} multiply-accumulates, {counters.elements:,} other elements"),
        ("wavelets", f"{hops:,} hops, and {counters.dynamic_hops:,} of remote stores"),
        ("SRAM", f"{counters.sram_high_water:,} bytes of a tile used"),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("executed", f"in {result.wall_seconds:.2f} s by the values engine, which has no clock"),
    ]
    if executed.drawn:
        facts.append(("drawn", f"{', '.join(executed.drawn)} from seed {executed.seed}"))
    if verbose():
        names = ", ".join(f"{n:,} {name}" for name, n in counters.instructions.items())
        facts.append(("instructions", names))
    say_facts(facts)
    if executed.compared is not None:
        show_comparison(executed.compared, executed.undecided)
