"""Kernels in the form that Numba compiles: fewer statements, and the same results."""

from __future__ import annotations

import gc
import inspect
import math
from collections.abc import Callable
from enum import Enum, IntEnum
from types import ModuleType
from typing import Any

import pytest
from numba.core import event, ir
from numba.core.compiler import run_frontend
from numba.core.ssa import reconstruct_ssa
from wsc.runtime.engine.lean import finishing_only
from wsc.runtime.engine.simplify import simplify, spread_pairs

from tests.runtime.test_values import from_python
from wsc.runtime.engine import compiled, dispatch


class Column(IntEnum):
    LOW = 3
    HIGH = 1 << 40


class Name(Enum):
    FIRST = 1


LIMIT = 5


def members(a: int, b: int, c: int, d: int) -> int:
    return Column.HIGH + a if b > Column.LOW else Column.LOW - c * LIMIT + d


def branches(a: int, b: int, c: int, d: int) -> int:
    total = 0
    while a:
        a -= 1
        if b and not c:
            total += Column.LOW
        elif a & 1:
            continue
        if bool(d):
            total += 1
    return total if total or d > 7 else -1


def zeros(a: int, b: int, c: int, d: int) -> float:
    return math.copysign(1.0, -0.0 if a else 0.0) + math.copysign(2.0, 0.0)


def assigned_again(a: int, b: int, c: int, d: int) -> int:
    first = (a, b)
    a, b = b + c, d
    second = (a, b)
    return first[0] * 1000 + first[1] * 100 + second[0] * 10 + second[1]


@pytest.mark.parametrize("function", [members, branches, zeros, assigned_again])
def test_the_same_result(function: Callable[..., Any]) -> None:
    got = from_python(dispatch.jit(function), "iiii")
    for a in (0, 1, 6):
        for b in (0, 3, 4):
            for c, d in ((0, 0), (2, 1), (0, 9), (-1, 8)):
                assert got(a, b, c, d) == function(a, b, c, d), (a, b, c, d)


def test_an_index_counts_whatever_was_loaded_before() -> None:
    compiled.TIME.prepare()  # brings other versions of ``getitem``, some for one index alone
    got = from_python(dispatch.jit(assigned_again), "iiii")
    assert got(1, 2, 3, 4) == assigned_again(1, 2, 3, 4) == 1254


def statements(function: Callable[..., Any]) -> list[Any]:
    """The values that a function assigns, simplified."""
    form = run_frontend(function)
    simplify(form)
    return [
        statement.value
        for block in form.blocks.values()
        for statement in block.find_insts(ir.Assign)
    ]


def attributes(values: list[Any]) -> list[str]:
    return [v.attr for v in values if isinstance(v, ir.Expr) and v.op == "getattr"]


def test_members_are_numbers() -> None:
    values = statements(members)
    constants = {value.value for value in values if isinstance(value, ir.Const)}
    assert {3, 1 << 40} <= constants
    assert not attributes(values)
    assert not any(isinstance(value, ir.Global) and value.value is Column for value in values)


def test_other_attributes_are_left_alone() -> None:
    def other(a: Any) -> Any:
        return Name.FIRST, math.pi, a.real

    values = statements(other)
    assert attributes(values) == ["FIRST", "pi", "real"]
    assert any(isinstance(value, ir.Global) and value.value is math for value in values)


def test_an_unknown_member_is_an_error() -> None:
    def unknown() -> int:
        return Column.MIDDLE  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="MIDDLE"):
        statements(unknown)


def test_what_is_there_is_not_made_again() -> None:
    def twice(s: Any, at: int) -> None:
        s.table[at, Column.LOW] += s.table[at, 4] + 4

    values = statements(twice)
    assert attributes(values) == ["table"]
    numbers = [value.value for value in values if isinstance(value, ir.Const)]
    assert sorted(number for number in numbers if number is not None) == [3, 4]


def test_a_table_is_indexed_by_two_numbers() -> None:
    def move(table: Any, a: int, b: int) -> Any:
        table[a, b] = table[b, a] + table[a, b] + table[a]
        if b:
            b = a
            table[a, b] += 1
        return a, b

    form = run_frontend(move)
    form = reconstruct_ssa(form)
    spread_pairs(form.blocks)
    values = [v.value for block in form.blocks.values() for v in block.find_insts(ir.Assign)]
    named = [v.name for v in values if isinstance(v, ir.Global) and v.value is not bool]
    assert sorted(named) == ["load_item"] * 2 + ["store_item"] * 2
    left = [v.op for v in values if isinstance(v, ir.Expr) and v.op in ("getitem", "build_tuple")]
    assert left == ["getitem", "build_tuple"]  # table[a], and what is returned
    assert not [s for block in form.blocks.values() for s in block.find_insts(ir.SetItem)]


def test_a_kernel_that_raises_is_refused() -> None:
    def raises(a: int) -> int:
        if a:
            raise ValueError("a")
        return a

    with pytest.raises(NotImplementedError, match="cannot raise"):
        statements(raises)


def reached(function: Any, seen: dict[str, Any]) -> None:
    """Collect all that a compiled function and those that it calls name outside themselves."""
    names = inspect.getclosurevars(getattr(function, "py_func", function))
    for name, value in {**names.globals, **names.nonlocals}.items():
        key = f"{getattr(value, '__module__', '')}.{name}"
        if key not in seen:
            seen[key] = value
            if hasattr(value, "py_func"):
                reached(value, seen)


@pytest.mark.parametrize("loop", [compiled.REFERENCE, compiled.TIME, compiled.CORES])
def test_every_enumeration_decides_whether_code_on_disk_is_stale(loop: compiled.Loop) -> None:
    seen: dict[str, Any] = {}
    reached(loop.function, seen)
    sources = {module.__name__ for module in loop.sources if isinstance(module, ModuleType)}
    kinds = [v for v in seen.values() if isinstance(v, type) and issubclass(v, IntEnum)]
    assert len(kinds) > 5
    assert {kind.__module__ for kind in kinds} <= sources
    # What ``dispatch`` generates lies in no module.
    functions = {v.py_func.__module__ for v in seen.values() if hasattr(v, "py_func")} - {None}
    assert functions <= sources


def test_numba_is_left_as_it_was() -> None:
    before = event.broadcast
    with finishing_only(compiled.TIME.function):
        assert not gc.isenabled()
        assert event.broadcast is not before
    assert gc.isenabled()
    assert event.broadcast is before
