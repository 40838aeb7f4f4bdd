"""Two sides: every difference is told, and a side does not differ from itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsc.differences import Side, Table, compare
from wsc.differences.compare import hunks, joined
from wsc.errors import CompileError
from wsc.isa.shown import named

NAMES = st.sampled_from("abcd")
ROWS = st.dictionaries(
    NAMES, st.dictionaries(st.sampled_from("xy"), st.integers(0, 3) | st.none()), max_size=4
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, ROWS, st.booleans())
def test_every_difference_is_told(old: Any, new: Any, ranked: bool) -> None:
    weight = "x" if ranked else ""
    (found,) = compare(Side("k", (Table("t", old, weight),)), Side("k", (Table("t", new, weight),)))
    assert set(found.removed) == set(old) - set(new)
    assert set(found.added) == set(new) - set(old)
    told = {(change.name, change.field): (change.before, change.after) for change in found.changed}
    for name in set(old) & set(new):
        for field in "xy":
            pair = old[name].get(field), new[name].get(field)
            assert told.get((name, field), (None, None)) == (
                pair if pair[0] != pair[1] else (None, None)
            )
    assert len(told) == len(found.changed)
    (same,) = compare(Side("k", (Table("t", old, weight),)), Side("k", (Table("t", old, weight),)))
    assert not same


def test_the_largest_change_comes_first() -> None:
    old = {name: {"n": 1, "cycles": 10} for name in "abc"}
    new = {"a": {"n": 2, "cycles": 11}, "b": {"n": 2, "cycles": 10}, "c": {"n": 2, "cycles": 1}}
    sides = [Side("k", (Table("t", rows, "cycles"),)) for rows in (old, new)]
    (found,) = compare(sides[0], sides[1])
    assert [change.name for change in found.changed] == ["c", "c", "a", "a", "b"]
    assert [change.share for change in found.changed if change.field == "cycles"] == [-0.9, 0.1]


def test_what_was_fused_otherwise_is_compared_as_a_whole() -> None:
    old = {"a, b": {"cycles": 10, "kernels": "x"}, "c": {"cycles": 5, "kernels": "x"}}
    new = {
        "a": {"cycles": 3, "kernels": "x"},
        "b, c": {"cycles": 4, "kernels": "y"},
        "d": {"cycles": 1, "kernels": "x"},
    }
    sides = [
        Side("k", (Table("t", rows, "cycles", nodes={name: name.split(", ") for name in rows}),))
        for rows in (old, new)
    ]
    (found,) = compare(sides[0], sides[1])
    first, second = found.changed
    assert (first.name, first.before, first.after) == ("a, b, c", 15, 7)
    assert (second.before, second.after) == ("x", "x, y")
    assert set(found.added) == {"d"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
def test_groups_are_apart(marks: list[list[str]]) -> None:
    groups = joined({named(mark): mark for mark in marks})
    for one in marks:
        first = set(groups[named(one)].split(", "))
        for other in marks:
            second = set(groups[named(other)].split(", "))
            assert first == second or not first & second
        assert set(one) <= first


def test_a_comma_in_a_name_joins_nothing() -> None:
    rows = {named(nodes): nodes for nodes in (("a, b",), ("a",), ("b", "c"))}
    groups = joined(rows)
    assert len(rows) == len(set(groups.values())) == 3


def test_tables_that_one_side_has() -> None:
    (found,) = compare(Side("k", ()), Side("k", (Table("t", {"a": {"x": 1}}),)))
    assert set(found.added) == {"a"}
    with pytest.raises(CompileError, match="a k and a j have nothing to compare"):
        compare(Side("k", ()), Side("j", ()))


def test_parts_of_lines() -> None:
    before = "Load(step=2, length=4) at 8"
    assert hunks(before, "Load(step=3, length=4) at 9") == [("step = 2", "step = 3"), ("8", "9")]
    assert hunks(before, before) == []
