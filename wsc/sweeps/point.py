"""One point of a sweep: what a worker does, wherever it is."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import warnings
from typing import Any

from wsc.isa.asked import on_the_command_line
from wsc.sweeps.points import ESTIMATE, Point

Row = dict[str, Any]  # of plain values: text, numbers and None

# What is measured at a point, in the order of the columns; None where an engine has no answer.
MEASURED = (
    "tiles",
    "cycles",
    "seconds_on_the_fabric",
    "utilization",
    "busy",
    "stalled_input",
    "stalled_output",
    "waiting",
    "macs",
    "io_bytes_in",
    "io_bytes_out",
    "sram_bytes",
    "energy_picojoules",
)
STATUS, REASON, NOTES = "status", "reason", "notes"
OK, FAILED, KILLED = "ok", "failed", "killed"


def run_point(point: Point) -> Row:
    """The row of a point. Whatever stops it is its reason, and stops no other point."""
    from wsc.api import told

    # Ctrl-C reaches every process of a terminal; the one that started the others ends them.
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        before = None
    try:
        with on_the_command_line(point.flags), warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", UserWarning)
            measured, notes = _measured(point)
        notes += [str(item.message) for item in found if _is_ours(item)]
        return _row(point, measured, OK, "", "; ".join(dict.fromkeys(notes)))
    except Exception as error:  # noqa: BLE001 - the table has a place for it
        return stopped(point, FAILED, told(error))
    finally:
        if before is not None:
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, before)


def stopped(point: Point, status: str, reason: str) -> Row:
    """The row of a point that gave nothing."""
    return _row(point, {}, status, " ".join(reason.split()), "")


def _row(point: Point, measured: Row, status: str, reason: str, notes: str) -> Row:
    return {
        **point.axes,
        **{name: measured.get(name) for name in MEASURED},
        STATUS: status,
        REASON: reason,
        NOTES: notes,
    }


def _is_ours(item: warnings.WarningMessage) -> bool:
    from wsc.errors import PrecisionWarning

    return issubclass(item.category, PrecisionWarning)


def _measured(point: Point) -> tuple[Row, list[str]]:
    """What a point gives, and what the user should know of its program."""
    program = _program(point)
    found: Row = {
        "tiles": program.assembly.width * program.assembly.height,
        "sram_bytes": _sram(program),
    }
    if point.engine == ESTIMATE:
        return found | _estimated(program), list(program.notes)
    options: dict[str, Any] = {"engine": point.engine, "max_memory": point.max_memory}
    if point.max_cycles is not None:
        options["max_cycles"] = point.max_cycles
    result: Any = program.run(program.draw(point.seed), **options)
    counters = result.counters
    if result.cycles is None:  # no clock
        macs = counters.macs_f32 + counters.macs_f16
        return found | {"macs": macs}, list(program.notes)
    totals = counters.as_dict()
    threads = max(counters.busy.size * result.cycles, 1)
    found |= {
        "cycles": result.cycles,
        "seconds_on_the_fabric": result.cycles / program.fabric.clock_hertz,
        "utilization": counters.utilization,
        "energy_picojoules": math.fsum(counters.energy.values()),
        **{name: totals[name] for name in ("macs", "io_bytes_in", "io_bytes_out")},
        **{
            name: totals[name] / threads
            for name in ("busy", "stalled_input", "stalled_output", "waiting")
        },
    }
    return found, list(program.notes)


def _program(point: Point) -> Any:
    """The program of a point: compiled for its machine, or put on it as it is."""
    from wsc.api import compile as compile_model
    from wsc.api import load
    from wsc.errors import OtherMachine

    model, settings = point.model, dict(point.settings)
    if not model.is_program:
        return compile_model(
            point.path,
            point.machine,
            dict(point.dims),
            point.precision or "f32",
            settings=settings,
            weights=model.weights,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OtherMachine)  # among the notes of the program
        return load(str(point.path)).on(point.machine, settings)


def _sram(program: Any) -> int:
    from wsc.views.inspect import sram_use

    return sram_use(program.assembly, program.fabric).total


def _estimated(program: Any) -> Row:
    from wsc.cost.predict import Unpredictable, predict
    from wsc.errors import CompileError

    try:
        found = predict(program.assembly, program.fabric)
    except Unpredictable as reason:
        raise CompileError(f"this program cannot be predicted: {reason}") from None
    return {
        "cycles": found.cycles,
        "seconds_on_the_fabric": found.cycles / program.fabric.clock_hertz,
        "utilization": found.utilization,
        "macs": found.macs,
        "io_bytes_in": found.io_bytes_in,
        "io_bytes_out": found.io_bytes_out,
        "energy_picojoules": math.fsum(found.energy.values()),
    }
