"""Where a run's cycles went: one row for each call of main, against roofline and prediction.

The roofline of a call is the largest of three bounds (``wsc.cost.Bound``):

compute
    its multiply-accumulates, spread evenly over the tiles of the mesh, at the rate of
    the core for the network's precision;
link
    the wavelets of its edge transfers over the busiest port, one a cycle;
I/O
    the bytes of its edge transfers, in the direction that has more of them, at the
    fabric's bandwidth.

Which transfers belong to a call is said by ``wsc.views.streams``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.cost import Bound
from wsc.cost.edge import Traffics, edge_bytes
from wsc.cost.predict import Prediction
from wsc.isa.counted import StatementCycles
from wsc.isa.fabric import Fabric
from wsc.isa.program import Direction, Program, Transfer
from wsc.isa.shown import Facts, Shown, few
from wsc.isa.table import Timing
from wsc.isa.types import DType, Side
from wsc.views.streams import call_transfers


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One call (or other statement) of main.

    busy, macs: busy cycles of the main thread and multiply-accumulates of a tile, mean
    over the tiles of the mesh. bound: what the resources would need at least. cycles: from the
    first tile's arrival to the last one's departure, at each turn of a loop. added: cycles by
    which it made the run longer (``wsc.cost.predict``); predicted: what the cost model
    says of them, None where it says nothing. own: cycles that the main thread of a tile was at it,
    mean over the tiles; those of all rows sum to the cycles until the threads ended. call: its
    number (``wsc.views.streams.all_calls``), None of other statements. moved: bytes over the edge
    in each direction.
    """

    number: int
    line: int
    procedure: str
    nodes: tuple[str, ...]
    start: int
    end: int
    busy: float
    total_macs: int
    bound: Bound
    cycles: int
    added: int = 0
    predicted: int | None = None
    own: float = 0.0
    call: int | None = None
    moved: Mapping[Direction, int] = field(default_factory=dict[Direction, int])

    @property
    def utilization(self) -> float:
        """Roofline over cycles."""
        return self.bound.part_of(self.cycles)

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {
            "line": self.line,
            "kernel": self.procedure,
            "nodes": list(self.nodes),
            "start": self.start,
            "end": self.end,
            "cycles": self.cycles,
            "macs": self.total_macs,
            **self.bound.facts(),
            "utilization": self.utilization,
            "busy_cycles_per_tile": self.busy,
            "self_cycles_per_tile": self.own,
            "added_cycles": self.added,
            "predicted_cycles": self.predicted,
        }


def mac_rate(fabric: Fabric, dtype: DType) -> float:
    """Multiply-accumulates of one tile in a cycle."""
    return fabric.timing[Timing.MULTIPLY_ACCUMULATE].peak(dtype)


def edge_needs(
    each: Traffics, fabric: Fabric, transfers: Sequence[Transfer]
) -> tuple[int, int, dict[Direction, int]]:
    """(link, I/O) cycles that these transfers need at least, and their bytes each way."""
    ports: dict[tuple[str, Side, Direction], np.ndarray] = {}
    for transfer in transfers:
        key = (transfer.region, transfer.side, transfer.direction)
        ports[key] = ports.get(key, 0) + each.of(transfer).ports
    moved = edge_bytes(each, transfers)
    link = max((int(array.max(initial=0)) for array in ports.values()), default=0)
    return link, -(-max(moved.values()) // fabric.io_bytes_per_cycle), moved


def kernel_rows(
    program: Program,
    fabric: Fabric,
    measured: Sequence[StatementCycles],
    prediction: Prediction | None = None,
) -> list[KernelRow]:
    """One row for each statement of main that ran, in the order of the text."""
    tiles = program.width * program.height
    streams, each = call_transfers(program), Traffics(program)
    rows: list[KernelRow] = []
    for item in measured:
        call = item.statement.call
        known = None if prediction is None or call is None else prediction.calls[call].added
        own = [] if call is None else streams.get(call, [])
        name = item.statement.procedure or item.statement.text
        bound, moved = _bound(each, fabric, item.macs, own)
        rows.append(
            KernelRow(
                number=len(rows),
                line=item.statement.where.line,
                procedure=name,
                nodes=item.statement.nodes,
                start=item.start,
                end=item.end,
                busy=item.busy / tiles,
                own=item.inside / tiles,
                total_macs=item.macs,
                added=item.added,
                predicted=known,
                cycles=item.spent,
                bound=bound,
                call=call,
                moved=moved,
            )
        )
    return rows


@dataclass(frozen=True, slots=True, repr=False)
class EstimatedRow(Shown):
    """One call of main as predicted. cycles: those that it adds to the run; macs: in all.

    number: of the call. moved: bytes over the edge in each direction.
    """

    number: int
    line: int
    procedure: str
    nodes: tuple[str, ...]
    start: int
    cycles: int
    macs: int
    bound: Bound
    moved: Mapping[Direction, int]

    def _facts(self) -> Facts:
        return [
            ("line", f"{self.line}"),
            ("kernel", self.procedure),
            ("node", few(self.nodes)),
            ("cycles", f"{self.cycles:,}"),
            ("bound by", self.bound.limit if self.bound.roofline else "nothing"),
        ]

    @property
    def utilization(self) -> float:
        """Roofline over cycles; above one where it overlaps with what runs before it."""
        return self.bound.part_of(self.cycles)

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {
            "line": self.line,
            "kernel": self.procedure,
            "nodes": list(self.nodes),
            "start": self.start,
            "predicted_cycles": self.cycles,
            "macs": self.macs,
            **self.bound.facts(),
            "utilization": self.utilization,
        }


def estimated_rows(program: Program, fabric: Fabric, prediction: Prediction) -> list[EstimatedRow]:
    """One row for each call of main, in the order of the text."""
    streams, each = call_transfers(program), Traffics(program)
    rows: list[EstimatedRow] = []
    for number, item in enumerate(prediction.calls):
        own = streams.get(number, [])
        rows.append(
            EstimatedRow(
                number,
                item.call.where.line,
                item.call.procedure,
                item.call.nodes,
                item.start,
                item.added,
                item.macs,
                *_bound(each, fabric, item.macs, own),
            )
        )
    return rows


def _bound(
    each: Traffics, fabric: Fabric, macs: int, transfers: Sequence[Transfer]
) -> tuple[Bound, dict[Direction, int]]:
    """What the resources need at least for so many multiply-accumulates and these transfers.

    And the bytes that the transfers move each way.
    """
    program = each.program
    link, io, moved = edge_needs(each, fabric, transfers)
    rate = mac_rate(fabric, program.precision) * program.width * program.height
    return Bound(round(macs / rate), link, io), moved


def busy_shares(row: KernelRow, rate: float, tiles: int) -> Mapping[str, float]:
    """Parts of a row's cycles, mean over the tiles of the mesh; they sum to one.

    mac: multiply-accumulates at full rate. other: the rest of the busy cycles. wait:
    main threads stalled, waiting, or not at this statement.
    """
    if not row.cycles:
        return {"mac": 0.0, "other": 0.0, "wait": 0.0}
    mac = row.total_macs / (tiles * rate * row.cycles)
    busy = row.busy / row.cycles
    return {"mac": mac, "other": max(busy - mac, 0.0), "wait": max(1.0 - max(busy, mac), 0.0)}
