"""Attention of a training step over some of its heads at a time, where all of them find no room.

First the sequences of a batch count as heads, as in inference: then there are more to share out.

What each head does is its own. Scores of a few heads lie over the whole mesh, queries along one
axis and keys along the other, and each tile has only the rows of those heads to multiply. A group
after the other, forwards and backwards: so there is nothing to correct later, as there is where
keys are taken in blocks (``blocks``), and derivatives need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from typing import ClassVar

from wsc.cost import CostModel
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import check_graph
from wsc.ir.graph import Concat, Contract, Graph, Index, Map, Move, Node, Reduce, Transpose, Type
from wsc.ir.layout import Mesh, block, default_view, dense_view, local_size
from wsc.ir.regroup import Turn, adapted, groups, single, turned
from wsc.isa.fabric import Fabric
from wsc.passes.between import Between
from wsc.passes.blocks import Attention, attentions
from wsc.passes.contraction import Choice, choose_contraction, preferred, weighed_choices
from wsc.passes.keys import InBlocks, Sizes, layouts_of, rows_of
from wsc.passes.periods import LEAST
from wsc.passes.sequences import join_sequences
from wsc.passes.simplify import compose_moves, cut_apart, drop_dead
from wsc.passes.stage import Pass

FITS = 0.5  # of a tile's SRAM that a product may take with its operands as a whole
SHARE = 0.15  # the same of a product of one group

BLOCK = 0.25  # the same of a product of a block of keys, or of rows

Way = tuple[int, ...] | Sizes  # positions of each dimension in a group, or in blocks
Few = tuple[tuple[int, tuple[int, int]], ...]  # dimensions of a value -> (first, count)


class Made(Enum):
    """What a product of attention gives."""

    SCORES = "scores"
    OUT = "out"
    DERIVATIVE = "derivative"


@dataclass(frozen=True, slots=True)
class Groups(Pass[Graph, Graph]):
    """Attention whose scores have no layout that fits is done in groups of heads and sequences.

    Requires a checked graph; ensures that nothing reads what groups stand for. What fits is left
    as it is. few: of many blocks some stand for all (``wsc.passes.keys``).
    """

    fabric: Fabric
    few: bool = False
    name: ClassVar[str] = "groups"

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        check_graph(after)
        if [output.name for output in before.outputs] != [output.name for output in after.outputs]:
            yield "the outputs of the graph are others"

    def apply(self, stage: Graph) -> Graph:
        """The graph with such attention in groups."""
        graph = self._joined(stage)
        found: dict[Hashable, Way | None] = {}  # layers are alike
        types = graph.types()
        ways: dict[str, Way | None] = {}
        for item in attentions(graph):
            key = item.alike(types)
            if key not in found:
                found[key] = self._way(types, item)
            ways[item.out.name] = found[key]
        if any(isinstance(way, Sizes) for way in ways.values()):
            # What rotates queries and keys is done where blocks have them: so is its derivative.
            graph = cut_apart(Between().apply(drop_dead(compose_moves(graph))))
        work: list[Split | InBlocks] = []
        for item in attentions(graph):
            inner, way = inner_nodes(graph, item), ways[item.out.name]
            if inner is None or way is None:
                continue
            work.append(
                InBlocks(item, inner, way, self.few)
                if isinstance(way, Sizes)
                else Split(item, inner, way)
            )
        return in_groups(graph, work)

    def _joined(self, graph: Graph) -> Graph:
        """The graph with sequences and heads as one dimension, where they find no room as two."""
        fits: dict[Hashable, bool] = {}  # layers are alike
        joined, types = graph, graph.types()
        for item in attentions(graph):
            key = item.alike(types)
            if key not in fits:
                fits[key] = self._room(types, item, full_sizes(item), FITS)
            if not fits[key]:
                joined = join_sequences(joined, item.scores, item.out, item.side)
        return joined

    def _way(self, types: dict[str, Type], item: Attention) -> Way | None:
        """How an attention is cut; None if it is not to be cut."""
        full = full_sizes(item)
        if not full or self._room(types, item, full, FITS):
            return None
        sizes = self._sizes(types, item)
        blocks = self._blocks(types, item)
        if blocks is None or sizes is None:
            return blocks or sizes
        groups = prod(whole // size for whole, size in zip(full, sizes, strict=True))
        apart = groups * self._group_cycles(types, item, sizes)
        return blocks if self._blocks_cycles(types, item, blocks) < apart else sizes

    def _sizes(self, types: dict[str, Type], item: Attention) -> tuple[int, ...] | None:
        """Positions of each dimension that is split in one group; None if no group has room."""
        candidates = divisors(full_sizes(item))
        return next((sizes for sizes in candidates if self._room(types, item, sizes, SHARE)), None)

    def _blocks(self, types: dict[str, Type], item: Attention) -> Sizes | None:
        """Keys, and rows, of a block: what so many rows of tiles have; None if none has room."""
        if item.zeroed or 1 in (self._mesh.width, self._mesh.height) or not _rows_apart(item):
            return None
        keys, rows = (
            self._quickest(types, item, forward, item.scores.type.shape[axis])
            for forward, axis in ((True, item.axis), (False, rows_of(item)))
        )
        return None if keys is None or rows is None else Sizes(keys, rows)

    def _quickest(
        self, types: dict[str, Type], item: Attention, forward: bool, total: int
    ) -> int | None:
        """The block, of whole rows of tiles, with which all are done first; None if none has room.

        Longer ones have fewer ways down a column, shorter ones a last block that is fuller.
        """
        unit, share = block(total, "y", self._mesh).step, BLOCK * self.fabric.sram_bytes
        found: dict[int, int] = {}
        for size in range(unit, total // LEAST + 1, unit):
            choices = list(self._block_choices(types, item, forward, size))
            if any(choice is None or choice.bytes > share for _, choice in choices):
                break
            found[size] = -(-total // size) * self._block_cycles(choices)
        return min(found, key=lambda size: (found[size], size), default=None)

    def _block_choices(
        self, types: dict[str, Type], item: Attention, forward: bool, size: int
    ) -> Iterator[tuple[Made, Choice | None]]:
        """The products of a block, as ``laid_out`` wants them: those of its derivative too.

        forward: those of a block of keys, for the result and the gradient of the queries; else of
        rows, for the gradients of keys and values.
        """
        cost, shape = CostModel(self.fabric), item.scores.type.shape
        axis, along = item.axis, rows_of(item)
        axis, along = (axis, along) if forward else (along, axis)
        scored = {scored_labels(item)[axis]: size}
        summed = {summed_labels(item)[axis]: size}
        lies = {scored_labels(item)[along], summed_labels(item)[along]}
        for made, op, left, right in self._products(types, item, scored, summed):
            # What would sum over what lies along y is of the other walk.
            if not lies & {*op.out}:
                continue
            layouts = layouts_of(op, shape[along], self._mesh)
            at_a, at_b = (
                dense_view(extents, type_.dtype)
                for extents, type_ in zip(layouts, (left, right), strict=True)
            )
            choices = weighed_choices(op, left, right, False, at_a, at_b, cost, training=True)
            fit = (choice for choice in choices if (choice.a, choice.b) == layouts)
            yield made, preferred(fit, self.fabric.sram_bytes)

    def _blocks_cycles(self, types: dict[str, Type], item: Attention, sizes: Sizes) -> int:
        """Predicted cycles of an attention in blocks: forwards, again and backwards.

        What all tiles of a column read of a block goes down it: keys and values in the forward
        pass, queries and the derivative of the result in the derivative.
        """
        shape, cycles = item.scores.type.shape, 0
        for forward, size, axis in (
            (True, sizes.keys, item.axis),
            (False, sizes.rows, rows_of(item)),
        ):
            choices = list(self._block_choices(types, item, forward, size))
            looks = [item for item in choices if item[0] is not Made.DERIVATIVE]
            backs = [item for item in choices if item[0] is not Made.OUT]
            once = self._block_cycles(backs) + (2 * self._block_cycles(looks) if forward else 0)
            cycles += -(-shape[axis] // size) * once
        return cycles

    def _block_cycles(self, choices: Iterable[tuple[Made, Choice | None]]) -> int:
        """Predicted cycles of a block, with two of its operands on their way to all rows."""
        cost, cycles = CostModel(self.fabric), 0
        for made, choice in choices:
            if choice is None:
                continue
            cycles += choice.cycles
            if made is Made.SCORES:
                words = max(local_size(choice.a), local_size(choice.b))
                cycles += 2 * cost.broadcast(words, self._mesh.height)
        return cycles

    def _group_cycles(self, types: dict[str, Type], item: Attention, sizes: tuple[int, ...]) -> int:
        """Predicted cycles of one group: forwards, again and backwards."""
        cost, cycles = CostModel(self.fabric), 0
        for made, choice in self._group_choices(types, item, sizes):
            assert choice is not None
            cycles += (1 if made is Made.DERIVATIVE else 2) * choice.cycles
            keys = choice.out[item.axis] if made is Made.SCORES else None
            if keys is not None and keys.axis is not None:
                # The largest score and the sum of each row, twice, and a sum for the derivative.
                words = local_size(choice.out) // keys.length
                cycles += 5 * cost.all_reduce_along(words, keys.axis)
        return cycles

    def _group_choices(
        self, types: dict[str, Type], item: Attention, sizes: tuple[int, ...]
    ) -> Iterator[tuple[Made, Choice | None]]:
        """The products of a group, laid out as the cost model prefers."""
        cost = CostModel(self.fabric)
        for made, op, left, right in self._products(types, item, *self._few(item, sizes)):
            at_a, at_b = (default_view(t.shape, t.dtype, self._mesh) for t in (left, right))
            choice = choose_contraction(op, left, right, False, at_a, at_b, cost, training=True)
            yield made, choice

    @property
    def _mesh(self) -> Mesh:
        return Mesh(self.fabric.width, self.fabric.height)

    def _few(
        self, item: Attention, sizes: tuple[int, ...]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """The positions in a group of the labels of both products."""
        axes = axes_of(item)
        first, second = (
            {labels[axis]: size for axis, size in zip(axes, sizes, strict=True)}
            for labels in (scored_labels(item), summed_labels(item))
        )
        return first, second

    def _products(
        self,
        types: dict[str, Type],
        item: Attention,
        scored: dict[str, int],
        summed: dict[str, int],
    ) -> Iterator[tuple[Made, Contract, Type, Type]]:
        """All products of a part of an attention, with their operands: those of its derivative too.

        scored, summed: positions of labels in the product for the scores, and in that with values.
        """
        parts = ((Made.SCORES, item.scores, scored), (Made.OUT, item.out, summed))
        for made, node, few in parts:
            whole = _contract(node)
            op = replace(whole, extents=changed(whole.extents, few))
            operands = zip(node.inputs, (op.index_a, op.index_b), strict=True)
            a, b = (fewer(types[name], index, few) for name, index in operands)
            out = fewer(node.type, _plain(op.out), few)
            for number, (product, left, right) in enumerate(_with_derivatives(op, a, b, out)):
                yield Made.DERIVATIVE if number else made, product, left, right

    def _room(
        self, types: dict[str, Type], item: Attention, sizes: tuple[int, ...], share: float
    ) -> bool:
        """Whether all products of a group, those of its derivative too, take a share of the SRAM.

        sizes: positions of each dimension that may be split.
        """
        room = share * self.fabric.sram_bytes
        choices = self._group_choices(types, item, sizes)
        return all(choice is not None and choice.bytes <= room for _, choice in choices)


def _contract(node: Node) -> Contract:
    assert isinstance(node.op, Contract)
    return node.op


def _rows_apart(item: Attention) -> bool:
    """Whether rows of scores are a dimension of their own, of all that reads or gives them."""
    axis = rows_of(item)
    if axis < 0:
        return False
    for node, labels in (
        (item.scores, scored_labels(item)),
        (item.out, summed_labels(item)),
    ):
        op, label = _contract(node), labels[axis]
        entries = [entry for entry in (*op.index_a, *op.index_b) if label in dict(entry.terms)]
        if not label or entries != [Index(((label, 1),))]:
            return False
    return True


def in_groups(graph: Graph, work: Sequence[Split | InBlocks]) -> Graph:
    """The graph with some attention in groups; it itself if there is none."""
    if not work:
        return graph
    splits = {split.item.out.name: split for split in work}
    gone = {name for split in work for name in split.inner}
    build = GraphBuilder.of(graph, nodes=False)
    made: dict[str, str] = {}  # what an attention gave -> what its groups give
    for node in graph.nodes:
        split = splits.get(node.name)
        if split is not None:
            made[node.output] = split.emit(build).name
        elif node.name not in gone:
            inputs = tuple(made.get(name, name) for name in node.inputs)
            build.adopt(replace(node, inputs=inputs))
    outputs = [replace(item, value=made.get(item.value, item.value)) for item in graph.outputs]
    return build.finish(outputs).with_(files=graph.files)


def read_in_groups(graph: Graph) -> set[str]:
    """What the products of attention in groups read, but for the shares."""
    items = {item.out.output: item for item in attentions(graph)}
    made = {node.output: node for node in graph.nodes}

    def members(name: str) -> list[Attention]:
        """The attention whose results are joined to this value; none if something else is."""
        node = made.get(name)
        if name in items:
            return [items[name]]
        if node is None or not isinstance(node.op, Move | Concat):
            return []
        found = [members(operand) for operand in node.inputs]
        return [item for items in found for item in items] if all(found) else []

    groups = [members(node.output) for node in graph.nodes if isinstance(node.op, Concat)]
    return {
        name
        for item in (item for group in groups for item in group)
        for name in (*item.scores.inputs, item.out.inputs[1 - item.side])
    }


def full_sizes(item: Attention) -> tuple[int, ...]:
    """All positions of the dimensions that may be split."""
    return tuple(item.scores.type.shape[axis] for axis in axes_of(item))


def _plain(labels: tuple[str, ...]) -> tuple[Index, ...]:
    """The index of an operand whose dimensions are labels."""
    return tuple(Index(((label, 1),) if label else ()) for label in labels)


def _with_derivatives(
    op: Contract, a: Type, b: Type, out: Type
) -> Iterator[tuple[Contract, Type, Type]]:
    """A product with its operands, and those that give its derivative by each of them."""
    yield op, a, b
    result = _plain(op.out)
    for index, other, type_ in ((op.index_a, op.index_b, b), (op.index_b, op.index_a, a)):
        labels = tuple(entry.terms[0][0] if len(entry.terms) == 1 else "" for entry in index)
        yield Contract(result, other, labels, op.extents), out, type_


def divisors(full: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Sizes of groups, all of one group alike, the largest first; the last dimension last."""
    found: list[tuple[int, ...]] = []
    sizes = list(full)
    for place, size in enumerate(full):
        for part in (n for n in range(size, 0, -1) if size % n == 0):
            sizes[place] = part
            found.append(tuple(sizes))
    return found[1:]


def axes_of(item: Attention) -> list[int]:
    """The dimensions of the scores that both products go along, each on its own."""
    scored, summed = scored_labels(item), summed_labels(item)
    op, out = item.scores.op, item.out.op
    assert isinstance(op, Contract)
    assert isinstance(out, Contract)
    return [
        axis
        for axis, size in enumerate(item.scores.type.shape)
        if size > 1 and axis != item.axis and _alone(op, scored[axis]) and _alone(out, summed[axis])
    ]


def _alone(op: Contract, label: str) -> bool:
    """Whether a label is a dimension of both operands and of the result."""
    plain = Index(((label, 1),))
    sides = (op.index_a, op.index_b)
    return label in op.out and all(
        plain in side and sum(label in dict(entry.terms) for entry in side) == 1 for side in sides
    )


def scored_labels(item: Attention) -> tuple[str, ...]:
    """The label of each dimension of the scores in their product."""
    assert isinstance(item.scores.op, Contract)
    return item.scores.op.out


def summed_labels(item: Attention) -> list[str]:
    """The label of each of these dimensions in the product with the values."""
    assert isinstance(item.out.op, Contract)
    shares = (item.out.op.index_a, item.out.op.index_b)[item.side]
    return [entry.terms[0][0] if entry.terms else "" for entry in shares]


def changed(
    extents: tuple[tuple[str, int], ...], sizes: dict[str, int]
) -> tuple[tuple[str, int], ...]:
    """The sizes of labels, other ones for some."""
    return tuple((label, sizes.get(label, size)) for label, size in extents)


def fewer(type_: Type, index: tuple[Index, ...], sizes: dict[str, int]) -> Type:
    """The type of an operand with fewer positions of some labels."""
    shape = tuple(
        sizes.get(entry.terms[0][0], size) if len(entry.terms) == 1 else size
        for entry, size in zip(index, type_.shape, strict=True)
    )
    return replace(type_, shape=shape)


def inner_nodes(graph: Graph, item: Attention) -> dict[str, Node] | None:
    """The nodes from the scores to their shares by name; None if others read what they give, or
    if one of them is no map or plain reduction of their dimensions."""
    found = {item.scores.name: item.scores}
    values = {item.scores.output}
    rank = len(item.scores.type.shape)
    for node in graph.nodes:
        if not values.intersection(node.inputs) or node.name == item.out.name:
            continue
        if not isinstance(node.op, Map | Reduce) or len(node.type.shape) != rank:
            return None
        found[node.name] = node
        values.add(node.output)
    shown = {value for output in graph.outputs for value in output.values}
    return None if values & shown or item.out.inputs[1 - item.side] in values else found


@dataclass(slots=True)
class Split:
    """One attention in groups.

    inner: its nodes but the last. sizes: of a group, by dimension. adrift: nodes that each group
    has a part of its own of, by what they give.
    """

    item: Attention
    inner: dict[str, Node]
    sizes: tuple[int, ...]
    adrift: Mapping[str, Node] = field(default_factory=dict[str, Node])
    parts: dict[tuple[str, Few], Value] = field(default_factory=dict[tuple[str, Few], Value])

    def emit(self, build: GraphBuilder) -> Value:
        """Add the nodes of all groups: what is given in place of what ``out`` gave."""
        return self._joined(build, axes_of(self.item), self.sizes, {})

    def _joined(
        self,
        build: GraphBuilder,
        axes: list[int],
        sizes: tuple[int, ...],
        taken: dict[int, tuple[int, int]],
    ) -> Value:
        """The result of the groups within some ranges, one behind the other."""
        if not axes:
            return self._group(build, taken)
        (axis, *others), (size, *rest) = axes, sizes
        total = self.item.scores.type.shape[axis]
        if size == total:
            return self._joined(build, others, tuple(rest), taken)
        parts = [
            self._joined(build, others, tuple(rest), taken | {axis: (start, size)})
            for start in range(0, total, size)
        ]
        op = self.item.out.op
        assert isinstance(op, Contract)
        with build.at(f"{self.item.out.name}.groups", self.item.out.origin):
            return build.concat(parts, op.out.index(summed_labels(self.item)[axis]))

    def _group(self, build: GraphBuilder, taken: dict[int, tuple[int, int]]) -> Value:
        """The attention of one group. taken: dimension of the scores -> (first, count)."""
        values: dict[str, Value] = {}
        stem = "".join(f".{first // count}" for first, count in taken.values())
        scored, summed = scored_labels(self.item), summed_labels(self.item)
        for node in (*self.inner.values(), self.item.out):
            with build.at(f"{node.name}.group{stem}", node.origin):
                op = node.op
                if isinstance(op, Contract):
                    labels = scored if node is self.item.scores else summed
                    few = {labels[axis]: span for axis, span in taken.items()}
                    inputs = [
                        values.get(name) or self._part(build, name, index, few)
                        for name, index in zip(node.inputs, (op.index_a, op.index_b), strict=True)
                    ]
                    counts = {label: count for label, (_, count) in few.items()}
                    op = replace(op, extents=changed(op.extents, counts))
                elif isinstance(op, Reduce):
                    inputs = [values[name] for name in node.inputs]
                    counts = {
                        op.index[axis].terms[0][0]: count for axis, (_, count) in taken.items()
                    }
                    op = replace(op, extents=changed(op.extents, counts))
                else:
                    rank = len(node.type.shape)
                    inputs = [
                        values.get(name) or self._beside(build, name, rank, taken)
                        for name in node.inputs
                    ]
                values[node.output] = build.add(op, inputs)
        return values[self.item.out.output]

    def _part(
        self,
        build: GraphBuilder,
        name: str,
        index: tuple[Index, ...],
        few: dict[str, tuple[int, int]],
    ) -> Value:
        """What a group has of an operand of a product."""
        spans = ((index.index(Index(((label, 1),))), span) for label, span in few.items())
        return self._cut(build, name, tuple(spans))

    def _beside(
        self, build: GraphBuilder, name: str, rank: int, few: Mapping[int, tuple[int, int]]
    ) -> Value:
        """What a group has of a value that is broadcast to one of this rank."""
        value = build.value(name)
        more = rank - value.rank
        spans = ((axis - more, span) for axis, span in few.items())
        spans = ((axis, span) for axis, span in spans if axis >= 0 and value.shape[axis] > 1)
        return self._cut(build, name, tuple(spans))

    def _cut(self, build: GraphBuilder, name: str, few: Few) -> Value:
        """Some positions of a value; of nodes adrift, what these give for parts of operands."""
        key = (name, few)
        if key not in self.parts:
            node = self.adrift.get(name)
            if node is None:
                value = build.value(name)
                for axis, (first, count) in few:
                    value = build.slice_axis(value, axis, first, count)
            else:
                op, spans, rank = node.op, dict(few), len(node.type.shape)
                if isinstance(op, Move):
                    shape = build.value(node.inputs[0]).shape
                    op, spans = _turned_part(op, shape, few)
                    rank = len(shape)
                inputs = [self._beside(build, operand, rank, spans) for operand in node.inputs]
                with build.at(f"{node.name}.part", node.origin):
                    value = build.add(op, inputs)
            self.parts[key] = value
        return self.parts[key]


def _turned_part(
    op: Move, shape: tuple[int, ...], few: Few
) -> tuple[Move, dict[int, tuple[int, int]]]:
    """The movement of a part of what is turned, and the positions of that which it takes.

    shape: of all that is turned. few: the positions that the part has.
    """
    turns = [step for step in op.steps if isinstance(step, Turn)]
    spans: dict[int, tuple[int, int]] = {}
    for axis, span in few:
        source = source_axis(op, shape, axis)
        assert source is not None
        spans[source] = span
    own = tuple(spans[i][1] if i in spans else size for i, size in enumerate(shape))
    steps = adapted(shape, turns, own, repeat=False)
    assert steps is not None
    return Move(steps), spans


def source_axis(op: Move, shape: tuple[int, ...], axis: int) -> int | None:
    """The dimension that a movement brings to this place on its own; None if there is none.

    shape: of what is moved.
    """
    shapes = [shape]
    for step in op.steps:
        if not isinstance(step, Turn):
            return None
        shapes.append(turned(shapes[-1], step))
    for step, before, after in reversed(list(zip(op.steps, shapes, shapes[1:], strict=False))):
        if isinstance(step, Transpose):
            axis = step.perm[axis]
            continue
        (group,) = (item for item in groups(before, after) if axis in item.new)
        found = single(group, before, after)
        if found is None or found[1] != axis:
            return None
        axis = found[0]
    return axis
