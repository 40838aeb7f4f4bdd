"""Values of registers, for many tiles at once."""

from __future__ import annotations

from typing import Any

from wsc.isa.expr import apply
from wsc.isa.program import Op
from wsc.isa.table import BY_NAME, OPERATORS, Category
from wsc.isa.values import VALUES, Class


def result(op: Op, values: list[Any]) -> Any:
    """What a scalar instruction gives for integers, or arrays of them; a load, a first index.

    What lies in SRAM is not known.
    """
    if BY_NAME[op.name].category is Category.LOAD:
        return 0
    if op.name in ("i.set", "i.index"):
        return values[0]
    operator = OPERATORS.get(op.name)
    return VALUES[op.name, Class.INT](*values) if operator is None else apply(operator, *values)
