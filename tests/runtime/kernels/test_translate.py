"""Kernels as LLVM code: the same as Python where Python has an answer, and refused elsewhere."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.runtime.kernels.library import Library, attach
from wsc.runtime.kernels.translate import FLAT, Translator, annotated
from wsc.runtime.values.compiled import Machine, kernel

CELL = np.dtype([("first", np.int64), ("last", np.int64)])
TABLES: dict[str, tuple[Any, int]] = {
    "words": (np.int32, FLAT),
    "halves": (np.uint16, FLAT),
    "grid": (np.int64, 3),
    "cells": (CELL, FLAT),
}
LIMIT = 10
numbers = st.integers(-(2**31), 2**31)


def divided(a: int, b: int) -> int:
    return a // b


def rest(a: int, b: int) -> int:
    return a % b


def chained(a: int, b: int) -> int:
    """A chain, a choice, and truth values that count."""
    some = a < b <= LIMIT or a == b
    return (1 if some and not a > 3 else 2) + some


def looped(a: int, b: int) -> int:
    total = 0
    for i in range(a, b):
        if i % 3 == 0:
            continue
        if i > 40:
            break
        total += i
    while total > 100:
        total -= 7
    for i in range(5, 0, -1):
        total = 2 * total + i
    return total


def smallest(a: int, b: int) -> int:
    low, high = min(a, b, 5), max(a, b, -5)
    low, high = high, low
    return low * 3 - abs(high) + (a & b) - (a | b) + (a ^ ~b) + (a >> 2)


def tables(m: Machine, a: int) -> int:
    """Narrow integers are widened and cut, rows and records are places."""
    words, cell, row = m.words, m.cells[1], m.grid[1]
    m.halves[0], words[1] = a, a
    part = words[1:4]
    part[1] += part[0] + 1
    cell.first = cell.last = row[2]
    m.grid[0, 1] = cell.last + m.halves[0]
    return words[2]


FUNCTIONS: tuple[Callable[..., Any], ...] = (divided, rest, chained, looped, smallest)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    entries = [annotated(function, outer=True) for function in (*FUNCTIONS, tables)]
    made = Library("translated", TABLES, Path(__file__).parent)
    made.entries += entries
    found = attach(made.build(), entries)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return {name: kind(address) for name, address in found.items()}


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=60)
@given(a=numbers, b=numbers, near=st.integers(-60, 60))
def test_as_python(compiled: dict[str, Any], function: Any, a: int, b: int, near: int) -> None:
    pairs = [(near, near + 50), (near, -3), (0, near)]
    if function is not looped:
        pairs += [(a, b), (a, a)]
    for left, right in pairs:
        if right != 0 or function not in (divided, rest):
            assert compiled[function.__name__](left, right) == function(left, right), (left, right)


def test_a_division_by_zero_gives_zero(compiled: dict[str, Any]) -> None:
    assert compiled["divided"](7, 0) == compiled["rest"](7, 0) == 0


@pytest.mark.parametrize("value", [5, -1, 70000, 2**31 - 1])
def test_tables(compiled: dict[str, Any], value: int) -> None:
    words, halves = np.zeros(5, np.int32), np.zeros(2, np.uint16)
    grid, cells = np.arange(6).reshape(2, 3), np.zeros(2, CELL)
    held = [words, halves, grid, cells]
    addresses = np.array([table.ctypes.data for table in held], np.int64)
    sums = np.int64(value + 1).astype(np.int32)
    assert compiled["tables"](addresses.ctypes.data, value) == sums == words[2]
    assert words[1] == value
    assert halves[0] == value & 0xFFFF
    assert cells[1].item() == (5, 5)
    assert grid[0, 1] == 5 + (value & 0xFFFF)


def test_products_are_rounded_before_they_are_added() -> None:
    """No multiply-accumulate is fused: its bits would be others."""
    from wsc.runtime.values.multiply import value

    text = Translator({}).translate([value.compiled])
    assert "fmul float" in text
    assert "fadd float" in text
    assert not any(word in text for word in ("fast", "contract", "llvm.fma"))


# --- refusals ------------------------------------------------------------------------------


def no_statement(a: int) -> int:
    with a:  # type: ignore[attr-defined]
        return a


def no_name(a: int) -> int:
    return a + nowhere  # noqa: F821  # type: ignore[name-defined]


def another_type(a: int) -> int:
    b = a < 3
    if b:
        b = a
    return b


def no_kernel(a: int) -> int:
    return np.abs(a)


def no_field(m: Machine) -> int:
    return m.cells[0].middle


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (no_statement, "no translation of With"),
        (no_name, "no name 'nowhere'"),
        (another_type, "where one of i1 is wanted"),
        (no_kernel, "no translation of such a call"),
        (no_field, "no field 'middle'"),
    ],
)
def test_what_cannot_be_translated_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason) as caught:
        Translator(TABLES).translate([annotated(function, outer=True)])
    assert f"{Path(__file__).name}:" in str(caught.value)
    assert f"in '{function.__name__}'" in str(caught.value)


def test_an_inner_kernel_is_not_called_from_python() -> None:
    with pytest.raises(TypeError, match="called by other kernels alone"):
        kernel(divided)(1, 2)


# --- on disk -------------------------------------------------------------------------------
