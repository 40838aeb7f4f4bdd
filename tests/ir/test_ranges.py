"""No value leaves the interval that is worked out for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wsc.ir.build import GraphBuilder
from wsc.ir.graph import Arg, GraphOutput, Reduction, Step, Type
from wsc.ir.ranges import Interval, of_step, ranges
from wsc.isa.table import BY_NAME, Category, operand_type
from wsc.isa.types import DType
from wsc.isa.values import DomainError, evaluate

NUMBERS: dict[DType, list[float]] = {
    DType.I32: [-(2.0**31), 1 - 2**31, -70000, -9, -2, -1, 0, 1, 2, 3, 8, 31, 70000, 2**31 - 1],
    DType.F32: [-math.inf, -3e38, -2.5e9, -7.5, -1.0, -0.0, 0.0, 0.5, 2.5, 9.0, 3e9, math.inf],
    DType.F16: [-math.inf, -65504.0, -7.5, -1.0, 0.0, 2.5, 2048.0, 65504.0, math.inf],
}
ROWS = [
    (row.name, dtype)
    for row in BY_NAME.values()
    if row.category is Category.VECTOR and not row.accumulates
    for dtype in row.types
]


@pytest.mark.parametrize(("name", "dtype"), ROWS, ids=[f"{n}-{d.value}" for n, d in ROWS])
def test_an_instruction_stays_within_its_interval(name: str, dtype: DType) -> None:
    """Of numbers drawn from random intervals, their ends among them."""
    rng = np.random.default_rng(len(name))
    roles = BY_NAME[name].operands[1:]
    step = Step(name, dtype, tuple(Arg(number) for number in range(len(roles))))
    for _ in range(24):
        bounds: list[Interval] = []
        pools: list[list[float]] = []
        for role in roles:
            numbers = NUMBERS[operand_type(role, dtype)]
            low, high = sorted(rng.integers(0, len(numbers), 2))
            pools.append(numbers[low : high + 1])
            bounds.append((float(numbers[low]), float(numbers[high])))
        least, most = of_step(step, bounds)
        for _ in range(4):
            args = [pool[rng.integers(len(pool))] for pool in pools]
            try:
                value = float(evaluate(name, dtype, *args))
            except DomainError:
                continue
            assert math.isnan(value) or least <= value <= most, (args, value, (least, most))


def test_what_a_graph_is_known_to_give() -> None:
    build = GraphBuilder("g")
    words = build.input("x", Type(DType.I32, (2, 6)), "int64")
    flags = build.input("c", Type(DType.I32, (2, 6)), "bool")
    table = build.constant(np.array([3, -2, 5]), DType.I32, "table")
    small = build.map(lambda x: x.op("mod", 3), words, hint="small")
    values = {
        "unknown": (words, (-(2.0**31), 2.0**31 - 1)),
        "flags": (flags, (0, 1)),
        "small": (small, (0, 2)),
        "gathered": (build.gather(table, small, 0), (-2, 5)),
        "counted": (build.reduce(Reduction.SUM, flags, [1]), (0, 6)),
        "least": (build.reduce(Reduction.MIN, small, [0, 1]), (0, 2)),
        "joined": (build.concat([small, flags], 0), (0, 2)),
        "wraps": (build.map(lambda x: x + 1, words), (-(2.0**31), 2.0**31 - 1)),
        "flipped": (build.map(lambda x: 7 - x, small), (5, 7)),
    }
    outputs = [GraphOutput(name, value.name, "int64") for name, (value, _) in values.items()]
    found = ranges(build.finish(outputs))
    for name, (value, wanted) in values.items():
        assert found[value.name] == wanted, name
