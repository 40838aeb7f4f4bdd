"""Determinants, by elimination with the largest pivot of each column."""

from __future__ import annotations

from wsc.frontend.reduce import index_of, iota
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term

SIZE_LIMIT = 64  # each row is a round of its own


@lowering("Det", since=11)
def det(call: Call) -> Value:
    """The determinant of each matrix along the last two dimensions."""
    build, x = call.build, call.arg(0)
    require(x.rank >= 2 and x.shape[-1] == x.shape[-2], f"matrices of shape {x.shape[-2:]}")
    size = x.shape[-1]
    require(size <= SIZE_LIMIT, f"matrices of {size} rows (at most {SIZE_LIMIT})")
    count = x.type.size // (size * size)
    matrix = build.reshape(x, (count, size, size), "matrices")
    factors: list[Value] = []
    for _ in range(size - 1):
        pivot, matrix = _eliminated(build, matrix)
        factors.append(pivot)
    factors.append(matrix)
    result = build.map(_product, *factors)
    return build.reshape(result, x.shape[:-2], "shape")


def _product(*factors: Term) -> Term:
    total = factors[0]
    for factor in factors[1:]:
        total = total * factor
    return total


def _eliminated(build: GraphBuilder, matrix: Value) -> tuple[Value, Value]:
    """(the signed pivot of column 0, what remains without its row and its column).

    The determinant is the product of both: of pivot row p of column 0, the sign is (-1)^p.
    """
    size = matrix.shape[1]
    column = build.slice_axis(matrix, 2, 0, 1, hint="column")
    sizes = build.map(lambda v: v.abs(), column, hint="magnitude")
    chosen = index_of(build, sizes, 1, Reduction.MAX, last=False, keep=True)
    rows = iota(build, size, 1, 3)
    picked = build.map(lambda v, p, i: i.eq(p).select(v, 0.0), matrix, chosen, rows, hint="picked")
    row = build.reduce(Reduction.SUM, picked, [1], True, "row")
    pivot = build.slice_axis(row, 2, 0, 1, hint="pivot")
    # The rows behind the pivot's move up by one.
    upper = build.slice_axis(matrix, 1, 0, size - 1, hint="upper")
    lower = build.slice_axis(matrix, 1, 1, size - 1, hint="lower")
    places = iota(build, size - 1, 1, 3)
    rest = build.map(
        lambda a, b, p, i: (i < p).select(a, b), upper, lower, chosen, places, hint="rest"
    )
    head = build.slice_axis(rest, 2, 0, 1, hint="head")
    # Where the pivot is zero the whole column is, and the factor does not matter.
    factor = build.map(lambda h, p: p.eq(0.0).select(0.0, h / p), head, pivot, hint="factor")
    tail = build.slice_axis(rest, 2, 1, size - 1, hint="tail")
    across = build.slice_axis(row, 2, 1, size - 1, hint="across")
    remaining = build.map(lambda a, f, r: a - f * r, tail, factor, across, hint="remaining")
    signed = build.map(
        lambda v, p: v * (1 - (p & 1) * 2).cast(v.dtype), pivot, chosen, hint="signed"
    )
    return signed, remaining
