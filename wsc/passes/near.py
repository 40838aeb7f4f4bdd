"""Blocks that lie near those that they are moved to: in their columns, and in their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.ir.graph import Concat, Contract, Graph, Index, Map, Move, MoveStep, Reduce, Type
from wsc.ir.layout import Mesh, block, dense_view, whole
from wsc.ir.tasks import MoveTask
from wsc.isa.expr import Expr, Name, evaluate
from wsc.isa.program import Extent
from wsc.kernels.index import Ix, to_expr
from wsc.kernels.index_map import IndexMap, index_map

FAR = 8  # columns on average, from which on messages hold each other up
NEXT = 1  # columns in which blocks of two sizes may be apart that keep step with each other
MOST = 2  # times the smallest block
ASKED = 256  # positions of each other dimension that are looked at


def block_near(
    out: tuple[Extent, ...],
    place: int,
    type_: Type,
    moves: Sequence[tuple[tuple[MoveStep, ...], tuple[Extent, ...]]],
    mesh: Mesh,
) -> int:
    """Outputs of a block along x, so that each is in a column that one of its movements goes to.

    out: the layout with the smallest blocks. place: the dimension of it along x. moves: what is
    done to the result, and the layouts in which it is wanted then.

    Returns:
        The smallest such block, or one with which it is in the next column at most; that of ``out``
        if there is none up to twice as large, or if the columns are near as it is.
    """
    step, size = out[place].step, out[place].size
    positions = np.arange(size)
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    for steps, wanted in moves:
        if not any(extent.axis == "x" for extent in wanted):
            return step
        first, last = _columns(place, type_, steps, wanted, mesh)
        low, high = np.maximum(low, first), np.minimum(high, last)
    moved = np.isfinite(low)
    if not moved.any() or (low > high).any():
        return step

    def apart(size: int) -> np.ndarray:
        column = positions // size
        return np.maximum(np.maximum(low - column, column - high), 0.0)[moved]

    if apart(step).mean() < FAR:
        return step
    return next((b for b in range(step, MOST * step + 1) if apart(b).max() <= NEXT), step)


def spread_blocks(graph: Graph, mesh: Mesh) -> frozenset[tuple[str, int, int]]:
    """What ``Mesh.spread`` says of the dimensions of a graph, on a mesh that has many tiles.

    Side by side from the first tile on, each block would be the farther from what it is moved to
    the further south or east that is, and all would go one way. At equal distances over as many
    tiles it is where that is.
    """
    if any(
        isinstance(node.op, Reduce | Contract) and not _is_plain(node.op) for node in graph.nodes
    ):
        return frozenset()  # windows reach into other blocks
    rows = {("y", size, mesh.height) for size in _positions(graph, mesh)}
    columns = {("x", size, tiles) for size, tiles in _heads(graph, mesh).items()}
    return frozenset(rows | columns)


def _positions(graph: Graph, mesh: Mesh) -> set[int]:
    """Sizes of dimensions along y whose blocks lie over all rows.

    Products with weights take tokens of all sequences, in blocks that fill the mesh. Those that
    take positions of a sequence fill fewer rows.
    """
    if mesh.height <= FAR * FAR:
        return set()
    constants = {constant.name for constant in graph.constants}
    tokens: set[int] = set()
    others: set[int] = set()
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Contract):
            weighted = [name in constants for name in node.inputs]
            # A weight may be the first operand.
            of_b = op.index_a if weighted == [True, False] else op.index_b
            in_b = {label for entry in of_b for label, _ in entry.terms}
            sizes = {size for label, size in op.extents if label in op.out and label not in in_b}
            (tokens if any(weighted) else others).update(sizes)

    def rows(size: int) -> int:
        return block(size, "y", mesh).blocks

    most = max((rows(size) for size in tokens), default=0)
    return {size for size in others - tokens if 1 < rows(size) <= most - FAR}


def _heads(graph: Graph, mesh: Mesh) -> dict[int, int]:
    """Sizes of dimensions along x whose blocks lie over so many columns.

    Products of two activations have a dimension for heads, often of all sequences. Their results
    become features that products with weights take, in blocks that fill more columns.
    """
    if mesh.width <= FAR * FAR:
        return {}
    constants = {constant.name for constant in graph.constants}
    given: dict[str, frozenset[int]] = {}  # value -> sizes of heads that it is moved from
    others: set[int] = set()
    found: dict[int, set[int]] = {}
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Move | Map | Concat):
            given[node.output] = frozenset().union(*(given.get(name, ()) for name in node.inputs))
        if not isinstance(op, Contract):
            continue
        in_a, in_b = ({label for e in index for label, _ in e.terms} for index in _indices(op))
        each = {label for label in in_a & in_b if label in op.out}
        others.update(size for label, size in op.extents if label not in each)
        if not constants.intersection(node.inputs):
            given[node.output] = frozenset(size for label, size in op.extents if label in each)
            continue
        summed = [
            block(size, "x", mesh).blocks for label, size in op.extents if label in in_a & in_b
        ]
        for size in frozenset().union(*(given.get(name, ()) for name in node.inputs)):
            found.setdefault(size, set()).update(summed)
    return {
        size: min(columns)
        for size, columns in found.items()
        if size not in others and 1 < block(size, "x", mesh).blocks <= min(columns) - FAR
    }


def _indices(op: Reduce | Contract) -> tuple[tuple[Index, ...], ...]:
    """The labels of each operand's dimensions."""
    return (op.index,) if isinstance(op, Reduce) else (op.index_a, op.index_b)


def _is_plain(op: Reduce | Contract) -> bool:
    """Whether every dimension of every operand is one label, or none."""
    return all(
        not entry.offset and (not entry.terms or (len(entry.terms) == 1 and entry.terms[0][1] == 1))
        for index in _indices(op)
        for entry in index
    )


def _columns(
    place: int,
    type_: Type,
    steps: tuple[MoveStep, ...],
    wanted: tuple[Extent, ...],
    mesh: Mesh,
) -> tuple[np.ndarray, np.ndarray]:
    """For each position along a dimension the first and the last column that its elements go to.

    Infinite, with either sign, where nothing is moved.
    """
    shape = tuple(whole(size) for size in type_.shape)
    source, target = (dense_view(extents, type_.dtype) for extents in (shape, wanted))
    found = index_map(MoveTask(source, steps, target, None), mesh)
    axis, extent = next((i, e) for i, e in enumerate(wanted) if e.axis == "x")
    tests = _tests(found)
    # Of another dimension only those positions count that its own tests let pass, and of these
    # each once that the column and the other tests tell apart: of tokens, often one a sequence.
    names: dict[str, np.ndarray] = {}
    rest = tests
    for number, size in enumerate(type_.shape):
        along = _names(found, number, np.arange(size if number == place else min(size, ASKED)))
        if number != place:
            own = [test for test in rest if (used := test.form.variables()) and used <= {*along}]
            rest = [test for test in rest if test not in own]
            passed = np.ones(len(along[f"s{number}"]), bool)
            for test in own:
                passed &= test.holds(along)
            forms = (found.target[axis], *(test.form for test in rest))
            along = _told_apart({name: values[passed] for name, values in along.items()}, forms)
        ways = [-1 if other == number else 1 for other in range(len(type_.shape))]
        names |= {name: values.reshape(ways) for name, values in along.items()}
    column = _value(found.target[axis], names) // extent.step
    if extent.over:
        column = column * extent.over // extent.blocks
    taken = np.ones(1, bool)
    for test in rest:
        taken = taken & test.holds(names)
    # Where a dimension decides neither, one position of it says what all do, if there is any.
    taken = taken & all(names[f"s{number}"].size for number in range(len(type_.shape)))
    column, taken, _ = np.broadcast_arrays(column, taken, np.zeros([1] * len(type_.shape)))
    others = tuple(number for number in range(column.ndim) if number != place)
    first = np.where(taken, column, np.inf).min(axis=others, initial=np.inf)
    last = np.where(taken, column, -np.inf).max(axis=others, initial=-np.inf)
    first, last = (np.broadcast_to(end, type_.shape[place]) for end in (first, last))
    nothing = ~np.isfinite(first)
    return np.where(nothing, -np.inf, first), np.where(nothing, np.inf, last)


@dataclass(frozen=True, slots=True)
class _Test:
    """What must hold of a position that is moved: least <= form < end, or a divisor divides it."""

    form: Ix
    least: int = 0
    end: int = 0
    divisor: int = 0

    def holds(self, names: dict[str, np.ndarray]) -> np.ndarray:
        """Where it holds."""
        value = _value(self.form, names)
        if self.divisor:
            return value % self.divisor == 0
        return (value >= self.least) & (value < self.end)


def _tests(found: IndexMap) -> list[_Test]:
    between = [_Test(form, least, end) for form, least, end in found.between]
    return between + [_Test(form, divisor=divisor) for form, divisor in found.divisible]


def _names(found: IndexMap, number: int, at: np.ndarray) -> dict[str, np.ndarray]:
    """The variables of a dimension at these positions of it."""
    names = {f"s{number}": at}
    if number in found.runs:
        length = found.runs[number]
        names |= {f"q{number}": at // length, f"r{number}": at % length}
    return names


def _told_apart(along: dict[str, np.ndarray], forms: Iterable[Ix]) -> dict[str, np.ndarray]:
    """One position of all at which the variables that forms use have the same values."""
    used = {name for form in forms for name in form.variables()}
    seen = [values for name, values in along.items() if name in used]
    if not seen:
        return {name: values[:1] for name, values in along.items()}
    _, once = np.unique(np.stack(seen), axis=1, return_index=True)
    return {name: values[once] for name, values in along.items()}


def _value(form: Ix, names: dict[str, np.ndarray]) -> np.ndarray:
    """The values of a form; copies of an expansion are the first."""
    variables: dict[str, Expr] = {name: Name(name) for name in form.variables()}
    known = {name: names.get(name, np.zeros(1, int)) for name in variables}
    return np.asarray(evaluate(to_expr(form, variables), known))
