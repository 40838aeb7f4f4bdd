"""Attention of a training step in blocks, where all scores find no room.

The forward pass walks over blocks of keys, with a running maximum, sum and result, as inference
does (``blocks``). It gives the result o and, for each row, the logarithm c of the sum. So all
shares of a block are known at once later::

    p = exp(s - c)

The derivative is what is known of attention (Dao and others, "FlashAttention", 2022)::

    ds = p * (do @ v' - rowsum(do * o))

It walks twice, so that no sum goes over tiles: over blocks of keys for the gradient of the queries,
which stay where they are with its sums, and over blocks of rows (queries) for those of keys and
values. It is what the rules of the primitives give for o + (p @ v - o * rowsum(p)), where o and c
count as constants, and in each walk what a block has a part of: a shift does not change a softmax,
and the sum of all shares is one. This stands for the result while derivatives are taken
(``settled``), and is never computed. No block reads what another one has, and none is kept: scores
are computed for the result, and twice for the derivative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Contract, Graph, Index, Node, Reduction
from wsc.ir.layout import Mesh, block, whole
from wsc.ir.naming import KEYS, LOOK, ROWS, block_of, blocks_of, numbered_block
from wsc.ir.terms import Term
from wsc.isa.program import Extent
from wsc.isa.types import DType
from wsc.passes.blocks import LOWEST, Attention
from wsc.passes.differentiate import AGAIN, STILL
from wsc.passes.simplify import drop_dead

STANDS = ":stands"  # behind the name of what attention gives while derivatives are taken

Span = tuple[int, int]  # the first position, and how many there are
Blocks = tuple[str, str]  # the attention that they are of, and what is done with them


BEFORE, BEHIND = 10, 10  # blocks that are kept around those that are left out, at least
TOGETHER = 4  # blocks that take turns at most: as many, or a multiple of it, are left out


def blocks_apart(count: int) -> int:
    """How many of so many blocks are left out, if a few stand for all.

    Blocks differ in their number alone. So the first and the last ones say how the numbers in what
    is made of them go on, and those between become turns of a loop that nothing else has seen.
    """
    return max(count - BEFORE - BEHIND, 0) // TOGETHER * TOGETHER


def left_behind(graph: Graph) -> dict[tuple[str, int], int]:
    """How many blocks were left out behind one of them, by ``numbered_block``."""
    numbers: dict[str, set[int]] = {}
    for node in graph.nodes:
        block = numbered_block(node.name)
        if block is not None:
            numbers.setdefault(block[0], set()).add(block[1])
    return {
        (name, before): number - before - 1
        for name, found in numbers.items()
        for before, number in pairwise(sorted(found))
        if number > before + 1
    }


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many keys, and how many rows, a block has."""

    keys: int
    rows: int


def sizes_along(graph: Graph) -> dict[Blocks, int]:
    """The size of what lies along y in all blocks of one kind of an attention.

    Where keys are in blocks, these are the rows of the scores of each head, else the keys: what no
    block has a part of.
    """
    found: dict[Blocks, int] = {}
    for node in graph.nodes:
        blocks = blocks_of(node.name)
        if blocks is None or blocks in found or not isinstance(node.op, Contract):
            continue
        # The first product of a block gives its scores.
        op, heads = node.op, _heads(node.op)
        sides = zip(node.inputs, _sides(op), strict=True)
        whole = [side for name, side in sides if not block_of(name)] or [*_sides(op)]
        labels = {label for side in whole for entry in side for label, _ in entry.terms}
        rows = (n for label, n in op.extents if label in labels & {*op.out} - heads)
        found[blocks] = max(rows, default=1)
    return found


def laid_out(
    node: Node, along: Mapping[Blocks, int], mesh: Mesh
) -> tuple[tuple[Extent, ...], tuple[Extent, ...]] | None:
    """The layouts of the operands of a product of a block.

    None of any other node. along: see ``sizes_along``.
    """
    blocks = blocks_of(node.name)
    size = along.get(blocks) if blocks is not None else None
    return layouts_of(node.op, size, mesh) if isinstance(node.op, Contract) and size else None


def layouts_of(
    op: Contract, rows: int, mesh: Mesh
) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
    """Layouts of both operands with heads along x, and rows (or keys) along y.

    What sums over those of a block is done in each tile then. rows: how many lie along y.
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
class InBlocks:
    """One attention in blocks.

    inner: its nodes but the last, by name. sizes: of blocks, of which there are several; the last
    one may have less. few: whether some of many blocks stand for all (``blocks_apart``).
    """

    item: Attention
    inner: dict[str, Node]
    sizes: Sizes
    few: bool = False
    made: dict[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        # An operand of which a block has all would have the derivatives of both walks.
        shape = self.item.scores.type.shape
        assert self.sizes.keys < shape[self.item.axis], "there is one block of keys"
        assert self.sizes.rows < shape[rows_of(self.item)], "there is one block of rows"
        self.made = {node.output: node for node in self.inner.values()}

    def emit(self, build: GraphBuilder) -> Value:
        """Add the nodes of all blocks: what is given in place of what ``out`` gave."""
        out, axis = self.item.out, rows_of(self.item)
        result, shift = self._look(build)
        # For the queries: blocks of keys, of which each gives a part of all rows.
        whole: Value | None = None
        total: Value | None = None
        for number, _, keys in self._keys():
            with build.at(f"{out.name}{KEYS}{number}", out.origin):
                row, part = self._shared(build, {self.item.axis: keys}, shift)
                total = row if total is None else build.map(_sum, total, row, hint="total")
                whole = part if whole is None else build.map(_sum, whole, part, hint="joined")
        assert whole is not None
        assert total is not None
        # For keys and values: blocks of rows.
        parts: list[Value] = []
        sums: list[Value] = []
        for number, times, rows in self._rows():
            with build.at(f"{out.name}{ROWS}{number}", out.origin):
                here = _part(build, shift, axis, rows)
                row, part = self._shared(build, {axis: rows}, here)
                sums += [row] * times
                parts += [part] * times
        with build.at(f"{out.name}{STANDS}", out.origin):
            apart = build.concat(parts, self.item.rows[axis], "parts")
            each = self._in_rows(build, build.concat(sums, axis, "sums"))
            total = self._in_rows(build, total)
            return build.map_as_is(_stands, result, whole, total, apart, each, hint="result")

    def _shared(
        self, build: GraphBuilder, few: Mapping[int, Span], shift: Value
    ) -> tuple[Value, Value]:
        """The sum of the shares of a block, and what they give to the result."""
        logits = self._logits(build, few, STILL)
        shares = build.map_as_is(
            lambda s, c: (s.cast(DType.F32) - c).op("exp").cast(s.dtype),
            logits,
            shift,
            hint="shares",
        )
        row = build.reduce(Reduction.SUM, shares, (self.item.axis,), True, "row")
        return row, self._product(build, shares, few, STILL)

    def _keys(self) -> Iterator[tuple[int, int, Span]]:
        """Each block of keys: its number, for how many it stands, and what it has."""
        return _spans(self.item.scores.type.shape[self.item.axis], self.sizes.keys, self.few)

    def _rows(self) -> Iterator[tuple[int, int, Span]]:
        """The same of each block of rows."""
        return _spans(self.item.scores.type.shape[rows_of(self.item)], self.sizes.rows, self.few)

    def _look(self, build: GraphBuilder) -> tuple[Value, Value]:
        """The result, and the logarithm of the sum of each row of shares, in single precision."""
        out, axis = self.item.out, self.item.axis
        most: Value | None = None
        total: Value | None = None
        result: Value | None = None
        for number, _, keys in self._keys():
            with build.at(f"{out.name}{LOOK}{number}", out.origin):
                scores = self._logits(build, {axis: keys})
                here = build.reduce(Reduction.MAX, scores, (axis,), True, "most")
                before = most
                # No row's largest is minus infinity: what is masked has no distance from itself.
                least = LOWEST[here.dtype]
                most = (
                    build.map(lambda m, least=least: m.op("max", least), here, hint="above")
                    if before is None
                    else build.map(lambda a, b: a.op("max", b), before, here, hint="above")
                )
                raised = build.map(lambda s, m: (s - m).op("exp"), scores, most, hint="raised")
                row = build.reduce(Reduction.SUM, raised, (axis,), True, "row")
                part = self._product(build, raised, {axis: keys})
                if before is None or total is None or result is None:
                    total, result = row, build.cast(part, DType.F32)
                    continue
                # What there is so far is worth this much under the new maximum.
                scale = build.map(lambda a, b: (a - b).op("exp"), before, most, hint="scale")
                total = build.map_as_is(_grown, total, scale, row, hint="total")
                beside = self._in_rows(build, scale)
                result = build.map_as_is(_grown, result, beside, part, hint="joined")
        assert most is not None
        assert total is not None
        assert result is not None
        with build.at(f"{out.name}{LOOK}", out.origin):
            shift = build.map_as_is(
                lambda m, t: m.cast(DType.F32) + t.op("log"), most, total, hint="shift"
            )
            dtype, rows = out.type.dtype, self._in_rows(build, total)
            found = build.map_as_is(lambda r, t: (r / t).cast(dtype), result, rows, hint="result")
            return found, shift

    def _logits(self, build: GraphBuilder, few: Mapping[int, Span], mark: str = "") -> Value:
        """What the softmax is of, for some positions of a dimension of the scores.

        mark: behind the names of parts of operands.
        """
        item = self.item
        found: dict[str, Value] = {}

        def made(name: str, rank: int) -> Value:
            node = self.made.get(name)
            if node is None:  # a mask, or a factor
                value = build.value(name)
                for place, span in few.items():
                    axis = place - (rank - value.rank)
                    if axis >= 0 and value.shape[axis] > 1:
                        # What is added to scores has its derivative of the walk over rows.
                        value = _part(build, value, axis, span, mark if place == item.axis else "")
                return value
            if name not in found:
                if node.name == item.scores.name:
                    labels = {_label(node, axis): span for axis, span in few.items()}
                    found[name] = self._contracted(
                        build, node, labels, (None, None), "scores", mark
                    )
                else:
                    inputs = [made(operand, len(node.type.shape)) for operand in node.inputs]
                    found[name] = build.add(node.op, inputs, "logits")
            return found[name]

        return made(item.logits, len(item.scores.type.shape))

    def _product(
        self, build: GraphBuilder, shares: Value, few: Mapping[int, Span], mark: str = ""
    ) -> Value:
        """What the shares of a block give to the result."""
        item = self.item
        assert isinstance(item.out.op, Contract)
        index = _sides(item.out.op)[item.side]
        labels = {index[axis].terms[0][0]: span for axis, span in few.items()}
        given = (None, shares) if item.side else (shares, None)
        return self._contracted(build, item.out, labels, given, "part", mark)

    def _contracted(
        self,
        build: GraphBuilder,
        node: Node,
        few: Mapping[str, Span],
        given: tuple[Value | None, Value | None],
        hint: str,
        mark: str,
    ) -> Value:
        """A product over, or for, some positions of a label."""
        op = node.op
        assert isinstance(op, Contract)
        sizes = {label: count for label, (_, count) in few.items()}
        extents = tuple((name, sizes.get(name, n)) for name, n in op.extents)
        operands: list[Value] = []
        for name, index, value in zip(node.inputs, _sides(op), given, strict=True):
            if value is None:
                value = build.value(name)
                for label, span in few.items():
                    entry = Index(((label, 1),))
                    if entry in index:
                        value = _part(build, value, index.index(entry), span, mark)
            operands.append(value)
        return build.add(replace(op, extents=extents), operands, hint)

    def _in_rows(self, build: GraphBuilder, total: Value) -> Value:
        """A number for each row of the shares, with the dimensions of the result."""
        places = self.item.rows
        perm = [places.index(place) for place in range(len(places))]
        return build.transpose(total, perm)


def settled(graph: Graph) -> Graph:
    """The graph in which the results of attention in blocks are read as the forward pass has them.

    What stood for them while derivatives were taken has the same value.
    """
    given = {
        node.output: node.inputs[0]
        for node in graph.nodes
        if node.name.removesuffix(AGAIN).endswith(f"{STANDS}.result")
    }
    if not given:
        return graph
    nodes = tuple(
        replace(node, inputs=tuple(given.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.output not in given
    )
    outputs = [replace(item, value=given.get(item.value, item.value)) for item in graph.outputs]
    return drop_dead(graph.with_(nodes=nodes, outputs=tuple(outputs)))


def rows_of(item: Attention) -> int:
    """The dimension of the scores that the derivative takes in blocks, the longest one of the
    queries alone; -1 if there is none."""
    shape, op = item.scores.type.shape, item.scores.op
    assert isinstance(op, Contract)
    heads = _heads(op)
    axes = (axis for axis in range(len(shape)) if axis != item.axis)
    others = [axis for axis in axes if _label(item.scores, axis) not in heads]
    return max(others, key=lambda axis: shape[axis], default=-1)


def _label(node: Node, axis: int) -> str:
    """The label of a dimension of what a product gives."""
    assert isinstance(node.op, Contract)
    return node.op.out[axis]


def _spans(total: int, size: int, few: bool) -> Iterator[tuple[int, int, Span]]:
    """Each block that is there: its number, for how many it stands, and what it has.

    few: whether some of many stand for all.
    """
    count = -(-total // size)
    left = blocks_apart(count) if few else 0
    for number in range(count):
        if not BEFORE <= number < BEFORE + left:
            start = number * size
            yield number, 1 + left * (number == BEFORE - 1), (start, min(size, total - start))


def _part(build: GraphBuilder, value: Value, axis: int, span: Span, mark: str = "") -> Value:
    """Some positions of a dimension."""
    return build.slice_axis(value, axis, *span, hint=f"of{mark}")


def _sum(total: Term, more: Term) -> Term:
    return total + more


def _grown(total: Term, scale: Term, more: Term) -> Term:
    """A running sum in single precision under another maximum, and more."""
    return total * scale.cast(DType.F32) + more.cast(DType.F32)


def _stands(result: Term, whole: Term, total: Term, apart: Term, each: Term) -> Term:
    """The result, with the derivatives that it has by the shares of both walks."""
    wide = result.cast(DType.F32)
    first = whole.cast(DType.F32) - wide * total
    second = apart.cast(DType.F32) - wide * each
    return (wide + (first + second)).cast(result.dtype)
