"""What a program will do, said before it runs: cycles by call, traffic, energy.

A kernel's cycles are those by which it makes the run longer: from the cycle in which the last
tile has left the calls before it to the one in which the last tile has left it. Neighbours
overlap, so these, and no other share of the time, add up to the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wsc.cost.threads import Span
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


def added(ends: Iterable[float]) -> list[int]:
    """By how much each of successive parts of a run makes it longer."""
    found: list[int] = []
    latest = 0
    for end in ends:
        whole = max(latest, round(end) if end > 0 else 0)
        found.append(whole - latest)
        latest = whole
    return found


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
    spans = [walk.spans[key] for key in sorted(walk.spans)]
    passes: dict[int, list[tuple[Span, int]]] = {}
    for span, more in zip(spans, added(span.end for span in spans), strict=True):
        passes.setdefault(id(span.statement), []).append((span, more))
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


def _call(call: Call, passes: list[tuple[Span, int]]) -> CallPrediction:
    """One call over all its passes, of which each has added so many cycles."""
    if not passes:
        return CallPrediction(call, 0, 0, 0, 0)
    start, end = min(span.start for span, _ in passes), max(span.end for span, _ in passes)
    macs = round(sum(span.macs for span, _ in passes))
    return CallPrediction(call, round(start), round(end), sum(more for _, more in passes), macs)


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
