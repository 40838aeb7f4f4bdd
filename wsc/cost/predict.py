"""What a program will do, said before it runs: cycles by call, traffic, energy.

A kernel's cycles are those by which it makes the run longer: from the cycle in which the last
tile has left the calls before it to the one in which the last tile has left it. Neighbours
overlap, so these, and no other share of the time, add up to the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsc.cost.threads import Repeated, Span
from wsc.cost.unpredictable import Unpredictable
from wsc.cost.walk import Walk
from wsc.isa.collection import without_collection
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Direction, Program
from wsc.isa.statements import calls
from wsc.isa.table import Timing
from wsc.isa.turns import plain_transfers, unrolled
from wsc.isa.types import DType

__all__ = ["CallPrediction", "Prediction", "Unpredictable", "added", "predict"]


@dataclass(frozen=True, slots=True)
class CallPrediction:
    """One call of main. start: first cycle of the first tile; end: cycle in which the last one
    leaves; added: by how much that makes the run longer. macs: over all tiles."""

    call: Call
    start: int
    end: int
    added: int
    macs: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted run. calls: those of main in the order of the text, that run at all or not.

    sampled: whether the tiles walked are a sample of the mesh. energy: picojoules by cause.
    utilization: multiply-accumulates of the network, each once, over those that all tiles could
    have done. macs: those that are executed.
    """

    cycles: int
    calls: tuple[CallPrediction, ...]
    macs: int
    utilization: float
    io_bytes_in: int
    io_bytes_out: int
    energy: dict[str, float]
    sampled: bool


def added(ends: npt.ArrayLike) -> np.ndarray:
    """By how much each of successive parts of a run makes it longer: whole cycles."""
    times = np.asarray(ends, float)
    latest = np.maximum.accumulate(np.where(times > 0, np.rint(times), 0.0))
    return np.diff(latest, prepend=0.0).astype(np.int64)


@without_collection()
def predict(program: Program, fabric: Fabric) -> Prediction:
    """Predict a verified program's run on a fabric.

    Raises:
        Unpredictable: it does what the cost model has no formula for; hand-written programs may.
    """
    program = unrolled(program)
    walk = Walk(program, fabric)
    walk.run()
    (region,) = program.regions
    passes = _passes([walk.spans[key] for key in sorted(walk.spans)])
    found = tuple(_call(item, passes.get(id(item), [])) for item in calls(region.main))
    cycles = walk.end
    moved = dict.fromkeys(Direction, 0)
    each = walk.streams.traffics
    for transfer in plain_transfers(program):
        moved[transfer.direction] += each.of(transfer).bytes
    # Numbers for lookups, and control wavelets, take the edge's bandwidth as well.
    io = (moved[Direction.FEED] + walk.streams.controls, moved[Direction.DRAIN] + _asked(program))
    tally, timing = walk.tally, fabric.timing[Timing.MULTIPLY_ACCUMULATE]
    tiles = program.width * program.height
    useful = tally.macs if program.work is None else {program.precision: program.work}
    needed = sum(macs / timing.peak(kind) for kind, macs in useful.items())
    return Prediction(
        cycles,
        found,
        round(sum(tally.macs.values())),
        needed / max(tiles * cycles, 1),
        *io,
        _energy(walk, fabric, sum(io), tiles * cycles),
        not (walk.x.complete and walk.y.complete),
    )


@dataclass(frozen=True, slots=True)
class _Passes:
    """One or several passes of a statement of main: first cycle, last one, what all add."""

    start: float
    end: float
    added: int
    macs: float


def _passes(spans: Sequence[Span | Repeated]) -> dict[int, list[_Passes]]:
    """What passes of statements add, by statement. spans: of all main, in the order of time."""
    # Turns that were not walked are rows of statements, one turn behind the other.
    ends = [span.ends() if isinstance(span, Repeated) else np.array([[span.end]]) for span in spans]
    more = added(np.concatenate([np.zeros(0), *(array.ravel() for array in ends)]))
    found: dict[int, list[_Passes]] = {}
    place = 0
    for item, array in zip(spans, ends, strict=True):
        mine = more[place : place + array.size].reshape(array.shape).sum(axis=0).tolist()
        place += array.size
        if isinstance(item, Span):
            own = _Passes(item.start, item.end, mine[0], item.macs)
            found.setdefault(id(item.statement), []).append(own)
            continue
        for span, end, sum_of_all in zip(item.spans, array[-1].tolist(), mine, strict=True):
            own = _Passes(span.start + item.cycles, end, sum_of_all, span.macs * item.more)
            found.setdefault(id(span.statement), []).append(own)
    return found


def _call(call: Call, passes: list[_Passes]) -> CallPrediction:
    """One call over all its passes."""
    if not passes:
        return CallPrediction(call, 0, 0, 0, 0)
    start, end = min(part.start for part in passes), max(part.end for part in passes)
    macs = round(sum(part.macs for part in passes))
    return CallPrediction(call, round(start), round(end), sum(p.added for p in passes), macs)


def _asked(program: Program) -> int:
    """Bytes of the numbers that lookups send out."""
    return sum(
        t.lookup.count * DType.I32.bytes for t in plain_transfers(program) if t.lookup is not None
    )


def _energy(walk: Walk, fabric: Fabric, io: int, tile_cycles: int) -> dict[str, float]:
    """Counts times the fabric's figures, by cause, as the runtime's counters have it."""
    tally, each = walk.tally, fabric.energy
    return {
        "multiply_accumulate": tally.macs[DType.F32] * each["multiply_accumulate_f32"]
        + tally.macs[DType.F16] * each["multiply_accumulate_f16"],
        "operation": (tally.elements + tally.scalars) * each["operation"],
        "sram": tally.sram * each["sram_byte"],
        "hop": tally.hops * each["hop"],
        "io": io * each["io_byte"],
        "static": tile_cycles * each["static_tile_cycle"],
    }
