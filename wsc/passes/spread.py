"""Forms of maps and reductions: which of their dimensions is along x, and which along y.

A map is where its operands are, and a reduction where the value is that it reduces, unless somebody
asks for another form. The labels of a map are the numbers of the dimensions of its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from wsc.cost.model import CostModel
from wsc.ir.forms import TOO_LARGE, Form
from wsc.ir.graph import Map, Node, Reduce, Reduction, Type
from wsc.ir.layout import Extent, Mesh, View, local_size, whole
from wsc.isa.table import BY_NAME
from wsc.kernels.reduce import OPS
from wsc.passes.contraction import fresh_bytes, out_extents, relayout, wanted_extents

Extents = tuple[Extent, ...]
Split = dict[str, str]
"""Label -> mesh axis."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A form of a node: the layouts of its operands and of its result.

    split: label -> mesh axis. summed: the axes along which a label of a reduction is that it sums.
    """

    split: tuple[tuple[str, str], ...]
    operands: tuple[Extents, ...]
    out: Extents
    summed: tuple[str, ...] = ()

    def along(self, axis: str) -> str:
        """The label along an axis, or empty."""
        return next((label for label, on in self.split if on == axis), "")


def map_spread(node: Node, types: Sequence[Type], split: Split, mesh: Mesh) -> Spread:
    """A form of a map. types: of its operands."""
    sizes = {str(place): size for place, size in enumerate(node.type.shape)}
    out = out_extents([*sizes], sizes, split, mesh)
    return Spread(tuple(split.items()), tuple(aligned(t.shape, out) for t in types), out)


def reduce_spread(node: Node, types: Sequence[Type], split: Split, mesh: Mesh) -> Spread:
    """A form of a reduction. types: of its operand."""
    op = node.op
    assert isinstance(op, Reduce)
    sizes = dict(op.extents)
    out = out_extents(op.out, sizes, split, mesh)
    operand = wanted_extents(op.index, types[0].shape, sizes, split, mesh)
    summed = tuple(sorted(axis for label, axis in split.items() if label not in op.out))
    return Spread(tuple(split.items()), (operand,), out, summed)


def spreads(node: Node, types: Sequence[Type], mesh: Mesh) -> Iterator[Spread]:
    """All forms that a map or a reduction has on a mesh."""
    if isinstance(node.op, Map):
        labels, made = [str(i) for i, size in enumerate(node.type.shape) if size > 1], map_spread
    else:
        labels, made = _labels(node.op), reduce_spread
    for x, y in product(["", *labels], repeat=2):
        if x and x == y:
            continue
        split = {label: axis for label, axis in ((x, "x"), (y, "y")) if label}
        yield made(node, types, split, mesh)


def _labels(op: object) -> list[str]:
    """The labels of a reduction that may be along an axis.

    Those of the result may; one that is summed, if it is a dimension of its own, and if its parts
    can be joined along a line of tiles.
    """
    assert isinstance(op, Reduce)
    found: list[str] = []
    for label, size in op.extents:
        entries = [entry for entry in op.index if label in dict(entry.terms)]
        alone = all(entry.terms == ((label, 1),) and entry.offset == 0 for entry in entries)
        if size > 1 and (label in op.out or (alone and op.kind is not Reduction.PROD)):
            found.append(label)
    return found


def aligned(shape: Sequence[int], extents: Extents) -> Extents:
    """The layout of an operand that is repeated along the dimensions which it has not."""
    shift = len(extents) - len(shape)
    return tuple(
        extents[place + shift] if extents[place + shift].size == size else whole(size)
        for place, size in enumerate(shape)
    )


def weigh(
    node: Node,
    spread: Spread,
    types: Sequence[Type],
    places: Sequence[View | None],
    cost: CostModel,
    training: bool,
) -> Form:
    """A form with what the cost model says of it. places: where the operands are now."""
    fabric = cost.fabric
    mesh = Mesh(fabric.width, fabric.height)
    dtype = node.type.dtype
    if isinstance(node.op, Map):
        size = local_size(spread.out)
        compute = sum(cost.vector(size, BY_NAME[s.op].timing, s.dtype) for s in node.op.body)
    else:
        assert isinstance(node.op, Reduce)
        timing = BY_NAME[OPS[node.op.kind]].timing
        compute = cost.vector(local_size(spread.operands[0]), timing, types[0].dtype)
    moving, size = 0, local_size(spread.out) * dtype.bytes
    for type_, at, wanted in zip(types, places, spread.operands, strict=True):
        moving += relayout(at, wanted, type_, cost, mesh, training)
        size += fresh_bytes(at, wanted, type_)
    link = sum(cost.all_reduce(local_size(spread.out), mesh.count(axis)) for axis in spread.summed)
    return Form(
        spread.along("x"),
        spread.along("y"),
        "combined" if spread.summed else "local",
        0,
        compute + link + moving,
        moving,
        compute,
        link,
        0,
        size,
        TOO_LARGE if size > fabric.sram_bytes else "",
    )


def split_of(labels: Sequence[str], extents: Extents) -> Split:
    """Which of the labels of dimensions are along which axis."""
    return {
        label: extent.axis
        for label, extent in zip(labels, extents, strict=True)
        if label and extent.axis is not None
    }
