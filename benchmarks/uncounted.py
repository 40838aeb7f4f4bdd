"""The engines without their counters, for a benchmark of what counting costs.

Counters are tables, and columns of other tables, that the compiled loops store to and never
read for anything else. So leaving the stores out leaves time and values as they are, and what
is computed for them alone is dropped when the loop is optimised. That is done to Numba's form
of the kernels as they are compiled; the kernels themselves and every other run know nothing
of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import IntEnum
from types import ModuleType
from typing import Any

from numba.core import ir

from wsc.runtime.engine import compiled, drive, fast, kernel_router, kernel_vector, pipeline
from wsc.runtime.engine.layout import G, P, State, T
from wsc.runtime.engine.replacing import replacing
from wsc.runtime.engine.simplify import simplify

TABLES = ("counters", "statements", "counted", "passes", "moves", "lost", "dyn_links")
_COLUMNS: tuple[IntEnum, ...] = (G.BYTES_IN, G.BYTES_OUT, T.TOP, T.PASS)
COLUMNS = frozenset((type(column), column.name) for column in _COLUMNS)
# These do nothing but count.
CALLS = (kernel_router.lose, kernel_vector.account)


@contextmanager
def without_counters() -> Generator[None]:
    """While the block lasts, the fast engine does not count, and what a run gives has no counters.

    ``counters`` of a result is None. The compiled loop is another one, on disk too.
    """
    ours = sys.modules[__name__]
    cores = _again(compiled.CORES, ours)
    loop = _again(compiled.FAST, ours, cores)
    with replacing(
        (compiled, "FAST", loop),
        (compiled, "CORES", cores),
        (pipeline, "simplify", _simplify),
        (drive, "collect", _collect_nothing),
        (fast, "count_moves", _nothing),
    ):
        yield


def _again(
    loop: compiled.Loop, ours: ModuleType, part: compiled.Loop | None = None
) -> compiled.Loop:
    """A loop of the same function, that depends on this module too."""
    return compiled.Loop(loop.function, (*loop.sources, ours), loop.signature, part)


def _nothing(*_: object) -> None:
    pass


def _collect_nothing(_image: object, state: State, _cycles: int) -> None:
    """No counters; and make sure that nothing has been counted.

    Raises:
        AssertionError: a compiled loop has stored a count.
    """
    counts = {name: getattr(state, name) for name in TABLES if name not in ("statements", "passes")}
    counts["statements"] = state.statements[:, P.BUSY :]  # first starts, last ends: not 0 at first
    counts["bytes"] = state.g[[G.BYTES_IN, G.BYTES_OUT]]
    counts["high water"] = state.tile[:, T.TOP]
    counted = [name for name, values in counts.items() if values.any()]
    assert not counted, f"counted all the same: {', '.join(counted)}"


def leave_out(function: Any) -> None:
    """Take all that only counts out of a kernel in Numba's form, before it has been simplified."""
    found = _Definitions(function)
    for block in function.blocks.values():
        block.body = [statement for statement in block.body if not _counts(statement, found)]


def _simplify(function: Any) -> None:
    leave_out(function)
    simplify(function)


def _counts(statement: Any, found: _Definitions) -> bool:
    """Whether a statement does nothing but count."""
    if isinstance(statement, ir.SetItem):
        return found.all(statement.target, _is_table) or found.all(statement.index, found.is_column)
    if isinstance(statement, ir.Assign) and _is(statement.value, "call"):
        return found.all(statement.value.func, _is_counting)
    return False


def _is(value: Any, operation: str) -> bool:
    return isinstance(value, ir.Expr) and value.op == operation


def _is_table(value: Any) -> bool:
    return _is(value, "getattr") and value.attr in TABLES


def _is_counting(value: Any) -> bool:
    return isinstance(value, ir.Global) and any(value.value is function for function in CALLS)


class _Definitions:
    """What is assigned to each variable of a function."""

    def __init__(self, function: Any) -> None:
        self.values: dict[str, list[Any]] = {}
        for block in function.blocks.values():
            for statement in block.find_insts(ir.Assign):
                self.values.setdefault(statement.target.name, []).append(statement.value)

    def all(self, variable: Any, test: Callable[[Any], bool]) -> bool:
        """Whether all that a variable can be, through others too, passes a test."""
        waiting, seen = [variable], {variable.name}
        while waiting:
            values = self.values.get(waiting.pop().name, [])
            others = [value for value in values if isinstance(value, ir.Var)]
            if not values or not all(test(v) for v in values if not isinstance(v, ir.Var)):
                return False
            waiting += [other for other in others if other.name not in seen]
            seen |= {other.name for other in others}
        return True

    def is_column(self, value: Any) -> bool:
        """Whether an index names a column that is a counter."""
        if _is(value, "build_tuple"):
            return any(self.all(item, self.is_column) for item in value.items)
        if not _is(value, "getattr"):
            return False
        classes = self.values.get(value.value.name, [])
        return any(
            isinstance(kind, ir.Global) and (kind.value, value.attr) in COLUMNS for kind in classes
        )
