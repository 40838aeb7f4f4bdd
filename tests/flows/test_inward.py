"""Sums to the middle of a line in groups: who leads whom, on lines of all lengths."""

from __future__ import annotations

import pytest

from wsc.cost.groups import group_of
from wsc.flows import INWARD, LEAD
from wsc.flows.inward import Half
from wsc.isa.types import Side


def followed(half: Half, size: int) -> list[tuple[int, int]]:
    """(coordinate of a sender, that of the core that gets its words) along a line."""
    along_row = half.along_row
    width, height = (size, 1) if along_row else (1, size)
    found: list[tuple[int, int]] = []
    for strand in half.strands:
        table = strand.table(width, height)
        by = 1 if half.towards in (Side.EAST, Side.SOUTH) else -1
        at = {(x if along_row else y): positions for (x, y), positions in table.items()}
        for start, ((position,)) in at.items():
            if position.receive is not Side.RAMP:
                continue
            there = start + by
            while at[there][0].send != (Side.RAMP,):
                assert at[there][0].send == (half.towards,)
                there += by
            found.append((start, there))
    return sorted(found)


@pytest.mark.parametrize("size", [2, 3, 5, 8, 16, 17, 41, 100, 161])
@pytest.mark.parametrize("side", [Side.EAST, Side.NORTH])
def test_every_core_of_a_half_reaches_the_middle_once(side: Side, size: int) -> None:
    inward, lead = INWARD[side], LEAD[side]
    root, group = (size - 1) // 2, group_of(size)
    hops = dict(followed(inward, size)) | dict(followed(lead, size))
    assert len(hops) == len(followed(inward, size)) + len(followed(lead, size))
    half = range(root) if side is Side.EAST else range(root + 1, size)
    assert sorted(hops) == [*half]
    for start in half:
        # Within the group, and then from leader to leader.
        number, place = divmod(abs(root - start) - 1, group)
        tile, passed = start, 0
        while tile != root:
            tile, passed = hops[tile], passed + 1
        assert passed == place + number + 1
    assert all(abs(there - tile) in (1, group) for tile, there in hops.items())


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_leaders_furthest_out_are_walked(axis: str) -> None:
    found = LEAD[Side.EAST].alone(axis, 586)
    group, root = group_of(586), 292
    if axis == "y":
        assert not found
        return
    assert all((root - place - 1) % group == 0 for place in found)
    assert min(found) < group
