"""Rooflines: what a transfer moves, and which transfers belong to a call."""

from __future__ import annotations

import numpy as np

from tests.cli.helpers import TWICE
from wsc.cost.edge import Traffics, traffic
from wsc.isa.counted import MainStatement, StatementCycles
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.turns import plain_transfers
from wsc.views.report import busy_shares, edge_needs, kernel_rows
from wsc.views.streams import call_transfers


def _ragged(transfer: str) -> str:
    return TWICE.replace("feed into in all side N from a[x*2 + i] for i:2", transfer)


def test_traffic_of_a_plain_transfer() -> None:
    program = parse(TWICE)
    moved = traffic(program, plain_transfers(program)[0])
    assert (moved.ports.tolist(), moved.wavelets, moved.bytes) == ([2, 2, 2, 2], 2, 32)


def test_traffic_with_guard_repeats_and_ragged_blocks() -> None:
    text = _ragged(
        "feed into in all side N when x > 0 from a[r*4 + i] repeat r:3 "
        "for i:max(0, min(4, 6 - r*4)) then advance final reset"
    )
    program = parse(text)
    moved = traffic(program, plain_transfers(program)[0])
    assert moved.ports.tolist() == [0, 6, 6, 6]
    assert moved.wavelets == 6 + 3 + 1
    assert moved.bytes == 18 * 4


def test_traffic_on_another_side_counts_rows() -> None:
    program = parse(TWICE.replace("drain back in all side N", "drain back in all side W"))
    assert traffic(program, plain_transfers(program)[1]).ports.tolist() == [2, 2]


def test_transfers_belong_to_the_call_that_they_name() -> None:
    def found(text: str) -> dict[int, list[int]]:
        program = parse(text)
        played = list(plain_transfers(program))
        return {
            call: [played.index(transfer) for transfer in own]
            for call, own in call_transfers(program).items()
        }

    assert found(TWICE) == {0: [0], 2: [1]}
    # Neither a node nor the order says whose they are.
    assert found(TWICE.replace(" call c1", " call c2")) == {2: [0, 1]}
    assert found(TWICE.replace(" call c1", "")) == {2: [1]}


def test_the_bound_of_the_edge() -> None:
    program, fabric = parse(TWICE), find_fabric("4x2")
    assert edge_needs(Traffics(program), fabric, plain_transfers(program))[:2] == (2, 1)
    assert edge_needs(Traffics(program), fabric, [])[:2] == (0, 0)


def test_rows_skip_what_never_ran() -> None:
    program, fabric = parse(TWICE), find_fabric("4x2")
    give = program.regions[0].main[2].then[0]  # type: ignore[union-attr]
    named = MainStatement("all", "call give", ("r",), give.where, "give", 2)
    rows = kernel_rows(program, fabric, [StatementCycles(named, 10, 20, 16, 32, 40, 40, 10, 20)])
    assert len(rows) == 1
    row = rows[0]
    assert (row.procedure, row.nodes, row.line) == ("give", ("r",), give.where.line)
    assert (row.bound.compute, row.bound.link, row.bound.io) == (4, 2, 1)
    assert row.bound.limit == "compute"
    assert np.isclose(row.utilization, 0.4)
    shares = busy_shares(row, rate=1, tiles=8)
    assert shares == {"mac": 0.4, "other": 0.0, "wait": 0.6}
