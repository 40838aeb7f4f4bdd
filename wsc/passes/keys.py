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

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Contract, Index, Node, Reduction
from wsc.isa.types import DType
from wsc.passes.blocks import Attention
from wsc.passes.differentiate import ANEW


@dataclass(slots=True)
class InKeys:
    """One attention in blocks of keys.

    inner: its nodes but the last, by name. size: keys of a block.
    """

    item: Attention
    inner: dict[str, Node]
    size: int
    made: dict[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.made = {node.output: node for node in self.inner.values()}

    def emit(self, build: GraphBuilder) -> Value:
        """Add the nodes of all blocks: what is given in place of what ``out`` gave."""
        shift = self._shift(build)
        out = self.item.out
        total: Value | None = None
        result: Value | None = None
        for number, start in enumerate(self._starts()):
            with build.at(f"{out.name}.{ANEW}{number}", out.origin):
                scores = self._logits(build, start)
                shares = build.map(lambda s, c: (s - c).op("exp"), scores, shift, hint="shares")
                row = build.reduce(Reduction.SUM, shares, (self.item.axis,), True, "row")
                part = self._product(build, shares, start)
            with build.at(f"{out.name}.block{number}", out.origin):
                total = row if total is None else _added(build, total, row, "total")
                wide = build.cast(part, DType.F32)
                result = wide if result is None else _added(build, result, part, "joined")
        assert total is not None
        assert result is not None
        with build.at(f"{out.name}.blocks", out.origin):
            dtype, rows = out.type.dtype, self._in_rows(build, total)
            return build.map_as_is(lambda r, t: (r / t).cast(dtype), result, rows)

    def _starts(self) -> Sequence[int]:
        return range(0, self.item.scores.type.shape[self.item.axis], self.size)

    def _shift(self, build: GraphBuilder) -> Value:
        """The logarithm of the sum of each row, which counts as a constant."""
        out, axis = self.item.out, (self.item.axis,)
        most: Value | None = None
        total: Value | None = None
        for number, start in enumerate(self._starts()):
            with build.at(f"{out.name}.look{number}", out.origin):
                scores = self._logits(build, start)
                here = build.reduce(Reduction.MAX, scores, axis, True, "most", still=True)
                before, most = most, here
                if before is not None:
                    most = build.map(lambda a, b: a.op("max", b), before, here, hint="above")
                raised = build.map(lambda s, m: (s - m).op("exp"), scores, most, hint="raised")
                row = build.reduce(Reduction.SUM, raised, axis, True, "row", still=True)
                if before is not None and total is not None:
                    total = build.map_as_is(
                        lambda t, a, b, r: t * (a - b).op("exp").cast(DType.F32) + r,
                        total,
                        before,
                        most,
                        row,
                        hint="total",
                    )
                else:
                    total = row
        assert most is not None
        assert total is not None
        with build.at(f"{out.name}.shift", out.origin):
            dtype = most.dtype
            return build.map_as_is(lambda m, t: m + t.op("log").cast(dtype), most, total)

    def _logits(self, build: GraphBuilder, start: int) -> Value:
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
                return build.slice_axis(value, axis, start, self.size)
            if name not in found:
                found[name] = self._node(build, node, start, made)
            return found[name]

        return made(item.logits, len(item.scores.type.shape))

    def _node(self, build: GraphBuilder, node: Node, start: int, made: object) -> Value:
        if node.name != self.item.scores.name:
            inputs = [made(name, len(node.type.shape)) for name in node.inputs]
            return build.add(node.op, inputs, "logits")
        return self._contracted(build, node, self.item.scored, [None, None], start, "scores")

    def _product(self, build: GraphBuilder, shares: Value, start: int) -> Value:
        """What the keys of a block give to the result."""
        given = [shares if side == self.item.side else None for side in (0, 1)]
        return self._contracted(build, self.item.out, self.item.summed, given, start, "part")

    def _contracted(
        self,
        build: GraphBuilder,
        node: Node,
        label: str,
        given: list[Value | None],
        start: int,
        hint: str,
    ) -> Value:
        """A product over, or for, the keys of a block."""
        op = node.op
        assert isinstance(op, Contract)
        extents = tuple((name, self.size if name == label else n) for name, n in op.extents)
        operands: list[Value] = []
        for name, index, value in zip(node.inputs, (op.index_a, op.index_b), given, strict=True):
            if value is None:
                value, entry = build.value(name), Index(((label, 1),))
                if entry in index:
                    value = build.slice_axis(value, index.index(entry), start, self.size, hint="of")
            operands.append(value)
        return build.add(replace(op, extents=extents), operands, hint)

    def _in_rows(self, build: GraphBuilder, total: Value) -> Value:
        """A sum for each row of the shares, with the dimensions of the result."""
        places = self.item.rows
        perm = [places.index(place) for place in range(len(places))]
        return build.transpose(total, perm)


def _added(build: GraphBuilder, total: Value, part: Value, hint: str) -> Value:
    """A running sum in single precision, and more."""
    return build.map_as_is(lambda t, p: t + p.cast(DType.F32), total, part, hint=hint)
