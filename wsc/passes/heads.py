"""Attention over some of its heads at a time, where that is predicted to be quicker than blocks.

Scores of all heads lie over the mesh with queries along one axis and keys along the other only if
a tile has room for the queries of all heads. Where it has not, either keys are taken in blocks
(``blocks``), with features along an axis and sums of all scores on the links; or heads are taken
some at a time (``groups``), with whole rows of scores, and nothing to correct later.

What rotates queries and keys is done group by group too. It has no layout of its own: each group
has its part in the layout in which its product wants it, straight from what was moved.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from wsc.cost import CostModel
from wsc.ir.graph import Concat, Contract, Graph, Map, Move, Node, Type
from wsc.ir.layout import Mesh, default_view, dense_view, local_size
from wsc.isa.fabric import Fabric
from wsc.passes.between import Between
from wsc.passes.blocks import Attention, Blocks, attentions, room
from wsc.passes.contraction import SHARE_OF_SRAM, Choice, choose_contraction
from wsc.passes.groups import (
    Split,
    axes_of,
    changed,
    divisors,
    fewer,
    full_sizes,
    in_groups,
    inner_nodes,
    scored_labels,
    source_axis,
    summed_labels,
)
from wsc.passes.sequences import join_sequences
from wsc.passes.simplify import compose_moves, drop_dead, faults, split_pads
from wsc.passes.stage import Pass

MOST = 32  # groups of one attention
SHARE = 0.3  # of a tile's SRAM that a product of one group may take


@dataclass(frozen=True, slots=True)
class Heads(Pass[Graph, Graph]):
    """Attention that leaves no room is done in groups of heads where blocks of keys take longer.

    Sequences of a batch count as heads then. Requires a simplified graph; ensures that no node is
    dead. What fits, and leaves room for what else a tile holds, is left as it is.
    """

    fabric: Fabric
    name: ClassVar[str] = "heads"

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        yield from faults(before, after)

    def apply(self, stage: Graph) -> Graph:
        """The graph with such attention in groups."""
        graph, types = stage, stage.types()
        found: dict[Hashable, tuple[int, ...] | None] = {}  # layers are alike
        for item in attentions(stage):
            key = item.alike(types)
            if key not in found:
                found[key] = self.sizes(stage, item)
            if found[key] is not None:
                graph = join_sequences(graph, item.scores, item.out, item.side)
        taken = {item.scores.name: found[item.alike(types)] for item in attentions(stage)}
        if not any(taken.values()):
            return stage
        # Rotations go behind what brings heads to the front: only there can heads be taken apart.
        graph = Between().apply(graph)
        work: list[Split] = []
        for item in attentions(graph):
            sizes, inner = taken.get(item.scores.name), inner_nodes(graph, item)
            if sizes is not None and inner is not None:
                work.append(Split(item, inner, sizes, _adrift(graph, item, sizes)))
        return drop_dead(compose_moves(split_pads(in_groups(graph, work))))

    def sizes(self, graph: Graph, item: Attention) -> tuple[int, ...] | None:
        """Positions in one group of each dimension that may be split; None if blocks are better."""
        types, blocks = graph.types(), Blocks(self.fabric)
        total = dict(_op(item.out).extents)[item.summed]
        if room(self.fabric, types, item, total, SHARE_OF_SRAM):
            return None
        graph = join_sequences(graph, item.scores, item.out, item.side)
        named = {other.scores.name: other for other in attentions(graph)}
        joined = named.get(item.scores.name)
        if joined is None or inner_nodes(graph, joined) is None:
            return None
        item, types, full = joined, graph.types(), full_sizes(joined)
        best, least = None, None
        keys = blocks.keys(types, item)
        if keys:
            weighed = self._weighed(types, item, {item.scored: keys}, {item.summed: keys})
            least = None if weighed is None else -(-total // keys) * weighed
        for sizes in divisors(full):
            count = 1
            for size, whole in zip(sizes, full, strict=True):
                count *= whole // size
            scored, summed = _few(item, sizes)
            weighed = self._weighed(types, item, scored, summed) if count <= MOST else None
            if weighed is not None and (least is None or count * weighed < least):
                best, least = sizes, count * weighed
        return best

    def _weighed(
        self,
        types: Mapping[str, Type],
        item: Attention,
        scored: dict[str, int],
        summed: dict[str, int],
    ) -> int | None:
        """Predicted cycles of a part of an attention; None if one of its products takes too much.

        scored, summed: positions of labels in the product for the scores, and in that with values.
        """
        mesh, cost = Mesh(self.fabric.width, self.fabric.height), CostModel(self.fabric)
        scores, shares, cycles = None, item.out.inputs[item.side], 0
        for node, few in ((item.scores, scored), (item.out, summed)):
            op = _op(node)
            op = replace(op, extents=changed(op.extents, few))
            a, b = (
                fewer(types[name], index, few)
                for name, index in zip(node.inputs, (op.index_a, op.index_b), strict=True)
            )
            at = [
                dense_view(scores.out, type_.dtype)
                if scores is not None and name == shares
                else default_view(type_.shape, type_.dtype, mesh)
                for name, type_ in zip(node.inputs, (a, b), strict=True)
            ]
            choice = choose_contraction(op, a, b, False, *at, cost)
            if choice is None or choice.bytes > SHARE * self.fabric.sram_bytes:
                return None
            scores = scores or choice
            cycles += choice.cycles
        assert scores is not None
        return cycles + _softmax(scores, item.axis, cost)


def _softmax(scores: Choice, axis: int, cost: CostModel) -> int:
    """Predicted cycles of the largest score, and of the sum, of each row: those of its line."""
    keys = scores.out[axis]
    if keys.axis is None:
        return 0
    return 2 * cost.all_reduce_along(local_size(scores.out) // keys.length, keys.axis)


def _op(node: Node) -> Contract:
    assert isinstance(node.op, Contract)
    return node.op


def _few(item: Attention, sizes: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """The positions in a group of the labels of both products."""
    axes = axes_of(item)
    scored, summed = scored_labels(item), summed_labels(item)
    return (
        {scored[axis]: size for axis, size in zip(axes, sizes, strict=True)},
        {summed[axis]: size for axis, size in zip(axes, sizes, strict=True)},
    )


def _adrift(graph: Graph, item: Attention, sizes: tuple[int, ...]) -> dict[str, Node]:
    """Maps and joins of nothing but what is moved, that this attention alone reads, by output.

    Each has all dimensions that are split.
    """
    return _Adrift(graph, item, sizes).found


class _Adrift:
    """The search for them, from the operands of both products upwards."""

    def __init__(self, graph: Graph, item: Attention, sizes: tuple[int, ...]) -> None:
        self.made = {node.output: node for node in graph.nodes}
        self.types, self.users = graph.types(), graph.users()
        self.shown = {value for output in graph.outputs for value in output.values}
        self.found: dict[str, Node] = {}
        self.readers = {item.scores.name, item.out.name}
        full = full_sizes(item)
        for node, labels in ((item.scores, scored_labels(item)), (item.out, summed_labels(item))):
            op = _op(node)
            split = {
                labels[axis]
                for axis, size, whole in zip(axes_of(item), sizes, full, strict=True)
                if size < whole
            }
            for name, index in zip(node.inputs, (op.index_a, op.index_b), strict=True):
                if name == item.out.inputs[item.side]:
                    continue
                axes = [i for i, e in enumerate(index) if {label for label, _ in e.terms} & split]
                self._is_adrift(name, axes)

    def _is_adrift(self, name: str, axes: list[int]) -> bool:
        """Whether a value is such, and what it is made of; axes: its dimensions that are split."""
        node = self.made.get(name)
        if node is None or name in self.shown:
            return False
        if name in self.found:
            return True
        if any(user.name not in self.readers for user in self.users[name]):
            return False
        if isinstance(node.op, Move):
            # Turned only: what it turns is adrift, or it is itself what is moved.
            (name,) = node.inputs
            inner = [source_axis(node.op, self.types[name].shape, axis) for axis in axes]
            found = [axis for axis in inner if axis is not None]
            return len(found) == len(axes) and self._taken(node, {name: found})
        if isinstance(node.op, Concat) and node.op.axis not in axes:
            return self._taken(node, dict.fromkeys(node.inputs, axes))
        if isinstance(node.op, Map):
            full = [n for n in node.inputs if self.types[n].shape == node.type.shape]
            return bool(full) and self._taken(node, dict.fromkeys(full, axes))
        return False

    def _taken(self, node: Node, operands: Mapping[str, list[int]]) -> bool:
        """Take a node if all of its operands are moved, or adrift themselves."""
        found, readers = dict(self.found), set(self.readers)
        self.readers.add(node.name)
        moved = isinstance(node.op, Move)
        for name, axes in operands.items():
            made = self.made.get(name)
            given = made is not None and isinstance(made.op, Move) and not moved
            if not self._is_adrift(name, axes) and not given:
                self.found, self.readers = found, readers
                return False
        self.found[node.output] = node
        return True
