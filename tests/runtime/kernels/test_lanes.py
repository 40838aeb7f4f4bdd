"""Lanes: what one operation does to 512 bits, against whole numbers of Python."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.runtime.kernels.lanes import Lanes, down, lanes_at, lowest, none, one, put_at, up, word
from wsc.runtime.kernels.library import Library, attach
from wsc.runtime.kernels.translate import FLAT, Translator, annotated
from wsc.runtime.kernels.words import FIELD, WORD, WORDS
from wsc.runtime.time.counts import decrease, increase, some
from wsc.runtime.values.compiled import Machine

PLACE = np.dtype([("before", np.int64), ("a", *FIELD), ("b", *FIELD), ("result", *FIELD)])
TABLES: dict[str, tuple[Any, int]] = {"places": (PLACE, FLAT), "counts": (np.int64, FLAT)}
LOW = (1 << WORD) - 1


def combined(m: Machine, _n: int) -> int:
    p = m.places[0]
    p.result = (p.a & ~p.b) | (p.a ^ p.b)
    return 1 if p.a & p.b else 0


def moved_up(m: Machine, _n: int) -> int:
    p = m.places[0]
    p.result = up(p.a, p.b)
    return 0


def moved_down(m: Machine, _n: int) -> int:
    p = m.places[0]
    p.result = down(p.a, p.b)
    return 0


def single(m: Machine, n: int) -> int:
    """One lane, found again."""
    p = m.places[0]
    p.result = none() | one(n // WORD, n % WORD)
    return lowest(word(p.result, n // WORD))


def counted(m: Machine, n: int) -> int:
    """Counts of four digits, up where ``a`` is set and down where ``b`` is."""
    p, at = m.places[0], m.counts.ctypes.data
    for _ in range(n):
        put_at(at, lanes_at(at))
        beyond = increase(at, 4, p.a)
        decrease(at, 4, p.b & some(at, 4) & ~beyond)
    p.result = some(at, 4)
    return 0


FUNCTIONS = (combined, moved_up, moved_down, single, counted)
words = st.lists(st.integers(0, LOW), min_size=WORDS, max_size=WORDS)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    entries = [annotated(function, outer=True) for function in FUNCTIONS]
    made = Library("lanes", TABLES, Path(__file__).parent)
    made.entries += entries
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return {name: kind(address) for name, address in attach(made.build(), entries).items()}


def run(compiled: dict[str, Any], name: str, a: list[int], b: list[int], n: int = 0) -> Any:
    """What a function gives, the words of its result, and the counts that it leaves."""
    places, counts = np.zeros(1, PLACE), np.zeros(4 * WORDS, np.int64)
    places["a"][0], places["b"][0] = (np.array(given, np.uint64).view(np.int64) for given in (a, b))
    addresses = np.array([places.ctypes.data, counts.ctypes.data], np.int64)
    gives = compiled[name](addresses.ctypes.data, n)
    return gives, places["result"][0].view(np.uint64).tolist(), counts.reshape(4, WORDS)


@settings(max_examples=30)
@given(a=words, b=words)
def test_operations_are_bitwise(compiled: dict[str, Any], a: list[int], b: list[int]) -> None:
    pairs = list(zip(a, b, strict=True))
    gives, result, _ = run(compiled, "combined", a, b)
    assert result == [(x & ~y) | (x ^ y) for x, y in pairs]
    assert gives == any(x & y for x, y in pairs)
    assert run(compiled, "moved_up", a, b)[1] == [(x << 1) & LOW | y >> 63 for x, y in pairs]
    assert run(compiled, "moved_down", a, b)[1] == [x >> 1 | (y << 63) & LOW for x, y in pairs]


@pytest.mark.parametrize("lane", [0, 63, 64, 300, 511])
def test_one_lane(compiled: dict[str, Any], lane: int) -> None:
    zeros = [0] * WORDS
    gives, result, _ = run(compiled, "single", zeros, zeros, lane)
    assert gives == lane % WORD
    assert result == [1 << lane % WORD if place == lane // WORD else 0 for place in range(WORDS)]


@pytest.mark.parametrize("times", [1, 7, 15])
def test_counts_go_up_and_down(compiled: dict[str, Any], times: int) -> None:
    ups, downs = [LOW, 0xF0F0] * 4, [0, 0x00F0] * 4
    _, result, digits = run(compiled, "counted", ups, downs, times)
    counts = [
        sum(int(row[place] >> 5 & 1) << k for k, row in enumerate(digits)) for place in (0, 1)
    ]
    assert counts == [times, 0]
    assert result == [LOW, 0xF000] * 4


def shifted(m: Machine, _n: int) -> int:
    p = m.places[0]
    p.result = p.a << 1  # type: ignore[operator]
    return 0


def as_number(m: Machine, _n: int) -> int:
    return m.places[0].a


@pytest.mark.parametrize(
    ("function", "reason"),
    [(shifted, "no LShift of lanes"), (as_number, "where one of i64 is wanted")],
)
def test_what_lanes_are_not(function: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Translator(TABLES).translate([annotated(function, outer=True)])


def test_lanes_are_for_kernels_alone() -> None:
    with pytest.raises(NotImplementedError):
        bool(Lanes())
