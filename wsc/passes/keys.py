"""Attention of a training step in blocks of keys, where all scores find no room.

What a softmax is shifted by does not change it. So the logarithm c of the sum of each row is found
in a first walk over the blocks, and counts as a constant then::

    p = exp(s - c)        o = (sum of p @ v over the blocks) / (sum of p over the blocks)

The lower sum is one, and its derivative is what the derivative of a softmax takes from each
row. So the rules of the primitives give what is known of attention (Dao and others,
"FlashAttention", 2022)::

    ds = p * (do @ v' - rowsum(do * o))

and no block reads what another one has. The scores of a block are computed once more for their
derivative (``anew`` in ``differentiate``): none is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Contract, Graph, Index, Node, Reduce, Reduction
from wsc.ir.layout import Mesh, block, whole
from wsc.ir.naming import ANEW, LOOK, SUMS, block_number, block_of, in_blocks
from wsc.isa.program import Extent
from wsc.isa.types import DType
from wsc.passes.blocks import Attention

BEFORE, BEHIND = 10, 10  # blocks that are kept around those that are left out, at least
TOGETHER = 4  # blocks that take turns at most: as many, or a multiple of it, are left out


def blocks_apart(count: int) -> int:
    """How many of so many blocks are left out, if a few stand for all.

    Blocks differ in their number alone. So the first and the last ones say how the numbers in what
    is made of them go on, and those between become turns of a loop that nothing else has seen.
    """
    return max(count - BEFORE - BEHIND, 0) // TOGETHER * TOGETHER


def left_behind(graph: Graph) -> dict[tuple[str, int], int]:
    """How many blocks were left out behind one of them, by what is in blocks and its number."""
    numbers: dict[str, set[int]] = {}
    for node in graph.nodes:
        number = block_number(node.name)
        if number is not None:
            numbers.setdefault(in_blocks(node.name), set()).add(number)
    return {
        (name, before): number - before - 1
        for name, found in numbers.items()
        for before, number in pairwise(sorted(found))
        if number > before + 1
    }


def rows_in_blocks(graph: Graph) -> dict[str, int]:
    """How many rows the scores of each head have, of all attention in blocks, by its name."""
    scores: dict[str, Contract] = {}
    found: dict[str, int] = {}
    for node in graph.nodes:
        name = in_blocks(node.name) if block_of(node.name, ANEW) else ""
        if name and isinstance(node.op, Contract):
            scores.setdefault(name, node.op)
        elif name in scores and isinstance(node.op, Reduce) and name not in found:
            # The sum of the shares of each row, of which keys are not a dimension any more.
            sizes = zip(scores[name].out, node.type.shape, strict=True)
            heads = _heads(scores[name])
            found[name] = max((size for label, size in sizes if label not in heads), default=1)
    return found


def laid_out(
    node: Node, rows: Mapping[str, int], mesh: Mesh
) -> tuple[tuple[Extent, ...], tuple[Extent, ...]] | None:
    """The layouts of the operands of a product over a block of keys, or of its derivative.

    None of any other node. rows: see ``rows_in_blocks``.
    """
    size = rows.get(in_blocks(node.name))
    return layouts_of(node.op, size, mesh) if isinstance(node.op, Contract) and size else None


def layouts_of(
    op: Contract, rows: int, mesh: Mesh
) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
    """Layouts of both operands with heads along x and rows of scores along y.

    What sums over keys is done in each tile then, and what sums over rows down the columns.
    rows: of the scores of one head.
    """
    sizes = dict(op.extents)
    heads = _heads(op)
    along = {
        "x": max(heads, key=lambda name: sizes[name], default=""),
        "y": next((name for name, n in op.extents if n == rows and name not in heads), ""),
    }
    split = {name: axis for axis, name in along.items() if name}
    a, b = (
        tuple(
            block(sizes[name], split[name], mesh) if name in split else whole(sizes.get(name, 1))
            for name in (entry.terms[0][0] if entry.terms else "" for entry in index)
        )
        for index in _sides(op)
    )
    return a, b


def _heads(op: Contract) -> set[str]:
    """The labels of the dimensions of which each position has a product of its own."""
    first, second = ({n for entry in index for n, _ in entry.terms} for index in _sides(op))
    return first & second & {*op.out}


def _sides(op: Contract) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    return op.index_a, op.index_b


@dataclass(slots=True)
class InKeys:
    """One attention in blocks of keys.

    inner: its nodes but the last, by name. size: keys of a block; the last one may have fewer.
    few: whether some of many blocks stand for all (``blocks_apart``).
    """

    item: Attention
    inner: dict[str, Node]
    size: int
    few: bool = False
    made: dict[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.made = {node.output: node for node in self.inner.values()}

    def emit(self, build: GraphBuilder) -> Value:
        """Add the nodes of all blocks: what is given in place of what ``out`` gave."""
        shift = self._shift(build)
        out = self.item.out
        total: Value | None = None
        result: Value | None = None
        for number, keys in self._blocks():
            with build.at(f"{out.name}{ANEW}{number}", out.origin):
                scores = self._logits(build, keys)
                shares = build.map(lambda s, c: (s - c).op("exp"), scores, shift, hint="shares")
                row = build.reduce(Reduction.SUM, shares, (self.item.axis,), True, "row")
                part = self._product(build, shares, keys)
            with build.at(f"{out.name}{SUMS}{number}", out.origin):
                total = row if total is None else _added(build, total, row, "total")
                wide = build.cast(part, DType.F32)
                result = wide if result is None else _added(build, result, wide, "joined")
        assert total is not None
        assert result is not None
        with build.at(f"{out.name}.blocks", out.origin):
            dtype, rows = out.type.dtype, self._in_rows(build, total)
            return build.map_as_is(lambda r, t: (r / t).cast(dtype), result, rows)

    def _blocks(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """The number of each block that is there, its first key, and how many it has."""
        total = self.item.scores.type.shape[self.item.axis]
        count = -(-total // self.size)
        left = blocks_apart(count) if self.few else 0
        for number in range(count):
            if not BEFORE <= number < BEFORE + left:
                start = number * self.size
                yield number, (start, min(self.size, total - start))

    def _shift(self, build: GraphBuilder) -> Value:
        """The logarithm of the sum of each row, which counts as a constant."""
        out, axis = self.item.out, (self.item.axis,)
        most: Value | None = None
        total: Value | None = None
        for number, keys in self._blocks():
            with build.at(f"{out.name}{LOOK}{number}", out.origin):
                scores = self._logits(build, keys)
                here = build.reduce(Reduction.MAX, scores, axis, True, "most", still=True)
                before, most, scale = most, here, None
                if before is not None:  # what the sum so far is worth under the new maximum
                    scale = build.map(
                        lambda a, b: (a - a.op("max", b)).op("exp"), before, here, hint="scale"
                    )
                    most = build.map(lambda a, b: a.op("max", b), before, here, hint="above")
                raised = build.map(lambda s, m: (s - m).op("exp"), scores, most, hint="raised")
                row = build.reduce(Reduction.SUM, raised, axis, True, "row", still=True)
                if scale is None or total is None:
                    total = row
                else:
                    total = build.map_as_is(
                        lambda t, a, r: t * a.cast(DType.F32) + r, total, scale, row, hint="total"
                    )
        assert most is not None
        assert total is not None
        with build.at(f"{out.name}.shift", out.origin):
            dtype = most.dtype
            return build.map_as_is(lambda m, t: m + t.op("log").cast(dtype), most, total)

    def _logits(self, build: GraphBuilder, keys: tuple[int, int]) -> Value:
        """What the softmax is of, for the keys of a block."""
        item = self.item
        found: dict[str, Value] = {}

        def made(name: str, rank: int) -> Value:
            node = self.made.get(name)
            if node is None:  # a mask, or a factor
                value = build.value(name)
                axis = item.axis - (rank - value.rank)
                if axis < 0 or value.shape[axis] == 1:
                    return value
                return build.slice_axis(value, axis, *keys)
            if name not in found:
                if node.name == item.scores.name:
                    given = (None, None)
                    found[name] = self._contracted(build, node, item.scored, given, keys, "scores")
                else:
                    inputs = [made(operand, len(node.type.shape)) for operand in node.inputs]
                    found[name] = build.add(node.op, inputs, "logits")
            return found[name]

        return made(item.logits, len(item.scores.type.shape))

    def _product(self, build: GraphBuilder, shares: Value, keys: tuple[int, int]) -> Value:
        """What the keys of a block give to the result."""
        given = (None, shares) if self.item.side else (shares, None)
        return self._contracted(build, self.item.out, self.item.summed, given, keys, "part")

    def _contracted(
        self,
        build: GraphBuilder,
        node: Node,
        label: str,
        given: tuple[Value | None, Value | None],
        keys: tuple[int, int],
        hint: str,
    ) -> Value:
        """A product over, or for, the keys of a block."""
        op = node.op
        assert isinstance(op, Contract)
        extents = tuple((name, keys[1] if name == label else n) for name, n in op.extents)
        operands: list[Value] = []
        for name, index, value in zip(node.inputs, (op.index_a, op.index_b), given, strict=True):
            if value is None:
                value, entry = build.value(name), Index(((label, 1),))
                if entry in index:
                    value = build.slice_axis(value, index.index(entry), *keys, hint="of")
            operands.append(value)
        return build.add(replace(op, extents=extents), operands, hint)

    def _in_rows(self, build: GraphBuilder, total: Value) -> Value:
        """A sum for each row of the shares, with the dimensions of the result."""
        places = self.item.rows
        perm = [places.index(place) for place in range(len(places))]
        return build.transpose(total, perm)


def _added(build: GraphBuilder, total: Value, part: Value, hint: str) -> Value:
    """A running sum in single precision, and more."""
    return build.map_as_is(lambda t, p: t + p, total, part, hint=hint)
