"""What several wafers add to a training step: weights on the way out, gradients on the way back.

The weight store is the root of a tree of nodes. Each passes on to all below it what it gets, and
adds up what comes from them, as fast as its links are; so a level costs its latency, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsc.cost.edge import Traffics
from wsc.errors import CompileError
from wsc.isa.fabric import Fabric
from wsc.isa.program import Direction, Kind, Program
from wsc.isa.turns import plain_transfers, unrolled

_NANO = 1e-9


@dataclass(frozen=True, slots=True)
class Exchange:
    """A step on several wafers. All times are seconds, all bytes those of one run.

    wafers, levels: of the tree. runs: that each wafer does one after another. broadcast_bytes:
    weights that go to all wafers. own_bytes: what each wafer looks up for itself, and so crosses
    the link of the store once for each. reduced_bytes: gradients and other outputs. broadcast,
    reduction: how long these take alone, from the store to the last wafer and back. run: of a
    wafer. step: from the first weight that leaves the store to the last gradient.
    """

    wafers: int
    levels: int
    runs: int
    broadcast_bytes: int
    own_bytes: int
    reduced_bytes: int
    broadcast: float
    reduction: float
    run: float
    step: float

    @property
    def added(self) -> float:
        """By how much the interconnect makes the step longer."""
        return self.step - self.runs * self.run


def require_shares(wafers: int, runs: int) -> None:
    """Raise CompileError if the runs of a step cannot be shared out to so many wafers."""
    if wafers < 1 or runs % wafers:
        raise CompileError(
            f"the runs of a step (--accumulate) are {runs}, and cannot be shared out to {wafers} "
            "wafers: take a multiple of these"
        )


def exchange(program: Program, fabric: Fabric, cycles: int, wafers: int, runs: int) -> Exchange:
    """The step of ``wafers`` wafers that share out ``runs`` runs of a program.

    cycles: of a run. Weights are used while they arrive, and gradients leave while the backward
    pass is under way, so a run takes what the slowest of the three takes. Only the ways through
    the tree come on top: once at the beginning, as the weights of the next run are under
    way during this one, and once at the end.
    """
    levels = _levels(wafers, fabric.interconnect_ways)
    latency = levels * fabric.interconnect_nanoseconds * _NANO
    shared, own, reduced = _moved(program)
    rate = fabric.interconnect_bytes_per_second
    out, back = (shared + own * wafers) / rate, reduced / rate
    run, each = cycles / fabric.clock_hertz, runs // wafers
    step = each * max(run, out, back) + 2 * latency
    return Exchange(
        wafers,
        levels,
        each,
        shared,
        own,
        reduced,
        out + latency,
        back + latency,
        run,
        step,
    )


def _levels(wafers: int, ways: int) -> int:
    """Levels of nodes between the store and so many wafers; none for a single one."""
    levels, reached = 0, 1
    while reached < wafers:
        reached *= ways
        levels += 1
    return levels


def _moved(program: Program) -> tuple[int, int, int]:
    """Bytes of a run: weights for all wafers, what is looked up of weights, outputs.

    Inputs come from elsewhere: each wafer has other samples.
    """
    program = unrolled(program)
    kinds = {tensor.name: tensor.kind for tensor in program.edge_tensors}
    each = Traffics(program)
    shared = own = reduced = 0
    for transfer in plain_transfers(program):
        moved = each.of(transfer).bytes
        if kinds[transfer.tensor] is Kind.KEPT:  # it stays at the edge of its own wafer
            continue
        if transfer.direction is Direction.DRAIN:
            reduced += moved
        elif kinds[transfer.tensor].stored and transfer.lookup is None:
            shared += moved
        elif kinds[transfer.tensor] is Kind.WEIGHT:
            own += moved
    return shared, own, reduced
