"""The edge's schedule in few entries: those that are equal, and those that take turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wsc.isa.parser import parse
from wsc.isa.program import Transfer, TransferLoop
from wsc.passes.roll import periodic

TEXT = """\
wsc 1
fabric "wse2" 1x1
weight w : f32[4] "w.safetensors"
color a = 0
region all at 0,0 size 1x1
route a in all : N -> RAMP
main all
end
feed a in all side N from w[i] for i:4
"""


def played(entries: tuple[Transfer | TransferLoop, ...]) -> list[Transfer]:
    """The entries one by one."""
    found: list[Transfer] = []
    for entry in entries:
        if isinstance(entry, TransferLoop):
            found += list(entry.body) * entry.count
        elif entry.repeat is not None:
            found += [replace(entry, repeat=None)] * entry.repeat[1]
        else:
            found.append(entry)
    return found


@pytest.mark.parametrize("period", [1, 2, 3, 5])
@pytest.mark.parametrize("turns", [1, 7, 8, 40])
@pytest.mark.parametrize("around", [0, 1, 4])
def test_nothing_is_lost(period: int, turns: int, around: int) -> None:
    (feed,) = parse(TEXT).transfers
    assert isinstance(feed, Transfer)
    body = [replace(feed, call=f"c{number}") for number in range(period)]
    others = [replace(feed, call=f"d{number}") for number in range(around)]
    given = [*others, *body * turns, *others]
    entries = periodic(given)
    assert played(entries) == given
    if turns >= 8:
        assert len(entries) == 2 * around + 1


def test_entries_that_name_a_turn_themselves_are_left_alone() -> None:
    (feed,) = parse(TEXT).transfers
    assert isinstance(feed, Transfer)
    counted = replace(feed, dims=tuple(replace(dim, name="turn") for dim in feed.dims))
    for other in (counted, replace(feed, nodes=("of {turn}",))):
        given = [feed, replace(other, call="c1")] * 20
        assert list(periodic(given)) == given
