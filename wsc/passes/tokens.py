"""Tokens: batch and sequence as one dimension, where that gives each tile fewer of them.

A layout has one dimension along each axis of the mesh. Sixteen sequences of 2,048 tokens on 994
rows of tiles are three tokens of each sequence in a tile, 48 together; 32,768 tokens are 33.

Position by position: a row of tiles has the same two or three positions of every sequence. What
attention then moves to its heads comes from all rows and goes to all columns; if a row had one
sequence alone, all of it would go to the few columns that have the heads of that one. What leaves
is in the order of the output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from wsc.cost import CostModel
from wsc.ir.graph import (
    Contract,
    Expand,
    Gather,
    Graph,
    Index,
    Keep,
    Map,
    Move,
    MoveStep,
    Node,
    Reduce,
    Reshape,
    Transpose,
    Type,
)
from wsc.ir.naming import fresh_name
from wsc.isa.fabric import Fabric
from wsc.isa.table import Timing
from wsc.passes.simplify import compose_moves, drop_dead, faults
from wsc.passes.stage import Pass


@dataclass(frozen=True, slots=True)
class Tokens(Pass[Graph, Graph]):
    """The first two dimensions of what products with weights go over become one.

    Requires a simplified graph; ensures that no node is dead. Maps and reductions around the
    products follow them; where something else reads a value, it is seen in its two dimensions.
    """

    fabric: Fabric
    name: ClassVar[str] = "tokens"

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        yield from faults(before, after)

    def apply(self, stage: Graph) -> Graph:
        """The graph with such dimensions joined."""
        graph = stage
        constants = {constant.name for constant in graph.constants}
        # What a training step keeps for its backward pass takes room: fewer tokens take less.
        kept = any(constant.state for constant in graph.constants)
        found: dict[tuple[int, int], list[Node]] = {}
        for node in graph.nodes:
            weighted = isinstance(node.op, Contract) and bool(constants & {*node.inputs})
            if not weighted or not _pair(node):
                continue
            first, second, *_ = node.type.shape
            if self._gains(first, second, node.type, kept):
                found.setdefault((first, second), []).append(node)
        if not found:
            return graph
        readers = graph.users()
        for sizes, products in found.items():
            last = [node for node in products if node.output not in readers]
            rest = [node for node in products if node.output in readers]
            names = {node.output for node in last}
            if rest:
                graph = _Join(graph, sizes, rest, names, True).apply()
            for node in last:
                graph = _Join(graph, sizes, [node], {*graph.types()}, False).apply()
        return drop_dead(compose_moves(graph))

    def _gains(self, batch: int, sequence: int, type_: Type, kept: bool) -> bool:
        """Whether a tile has less to multiply for each weight; or, if it keeps them, as much and
        fewer tokens."""
        model, rows = CostModel(self.fabric), self.fabric.height
        apart = min(batch * -(-sequence // rows), sequence * -(-batch // rows))
        joined = -(-batch * sequence // rows)
        kind = Timing.MULTIPLY_ACCUMULATE
        fewer, more = (model.rows(kind, count, type_.dtype) for count in (joined, apart))
        return (fewer, joined) < (more, apart) if kept else fewer < more


def _pair(node: Node) -> bool:
    """Whether a node does the same for every position of its first two dimensions."""
    shape, op = node.type.shape, node.op
    if len(shape) < 3 or 1 in shape[:2]:
        return False
    if isinstance(op, Map | Keep):
        return True
    if isinstance(op, Reduce):
        return _leads(op.index, op.out[:2])
    if isinstance(op, Contract):
        sides = [_leads(index, op.out[:2]) for index in (op.index_a, op.index_b)]
        others = [_has(index, op.out[:2]) for index in (op.index_a, op.index_b)]
        return sides in ([True, False], [False, True]) and others == sides
    return False


def _summed(node: Node) -> tuple[str, str] | None:
    """The labels of the first two dimensions of what a node reads, if it sums over both.

    So does the gradient of a weight, which is a product, and that of a bias.
    """
    op = node.op
    if isinstance(op, Reduce):
        sides = [op.index]
    elif isinstance(op, Contract):
        sides = [op.index_a, op.index_b]
    else:
        return None
    if len(sides[0]) < 3 or any(len(entry.terms) != 1 for entry in sides[0][:2]):
        return None
    pair = (sides[0][0].terms[0][0], sides[0][1].terms[0][0])
    whole = not {*pair} & {*op.out} and all(_leads(index, pair) for index in sides)
    return pair if whole else None


def _leads(index: tuple[Index, ...], labels: tuple[str, ...]) -> bool:
    """Whether these labels are the first two dimensions of an operand, and in no other."""
    first, second = labels
    plain = [Index(((first, 1),)), Index(((second, 1),))]
    alone = first != second and "" not in labels and [*index[:2]] == plain
    return alone and not _has(index[2:], labels)


def _has(index: tuple[Index, ...], labels: tuple[str, ...]) -> bool:
    return any(label in dict(entry.terms) for entry in index for label in labels)


@dataclass(slots=True)
class _Join:
    """One pair of sizes, and the values that have one dimension in place of the two.

    without: values that stay as they are. inner: the second of the two is the outer one.
    """

    graph: Graph
    sizes: tuple[int, int]
    products: list[Node]
    without: set[str]
    inner: bool
    types: dict[str, Type] = field(init=False)
    made: dict[str, Node] = field(init=False)
    users: dict[str, list[Node]] = field(init=False)
    taken: set[str] = field(default_factory=set[str])  # what the products read, joined or not
    nodes: list[Node] = field(default_factory=list[Node])
    seen: dict[tuple[str, tuple[MoveStep, ...]], str] = field(
        default_factory=dict[tuple[str, tuple[MoveStep, ...]], str]
    )

    def __post_init__(self) -> None:
        self.types = self.graph.types()
        self.made = {node.output: node for node in self.graph.nodes}
        self.users = self.graph.users()

    def apply(self) -> Graph:
        """The graph with other nodes for the values that are joined."""
        inside = self._inside()
        self.taken = {
            name
            for product in self.products
            for name in product.inputs
            if self.types[name].shape[:2] == self.sizes
        }
        apart = {name for output in self.graph.outputs for name in output.values}
        sums = {
            node.output: pair
            for node in self.graph.nodes
            if (pair := self._sums_up(node, inside)) is not None
        }
        apart |= {
            name
            for node in self.graph.nodes
            if node.output not in inside and node.output not in sums
            for name in node.inputs
        }
        for node in self.graph.nodes:
            pair = sums.get(node.output)
            if pair is not None:
                self.nodes.append(self._sum(node, pair, inside, apart))
                continue
            if node.output not in inside:
                self.nodes.append(node)
                continue
            shown = node.output in apart
            name = f"{node.output}.tokens" if shown else node.output
            type_ = replace(node.type, shape=self._joined(node.type.shape))
            inputs = tuple(self._input(value, node, inside, apart) for value in node.inputs)
            joined = replace(
                node, op=self._op(node), inputs=inputs, output=name, type=type_, name=name
            )
            self.nodes.append(joined)
            if shown:  # who else reads it sees two dimensions
                back = Move(self._back(node.type.shape))
                self.nodes.append(replace(node, op=back, inputs=(name,)))
        return self.graph.with_(nodes=tuple(self.nodes))

    def _inside(self) -> set[str]:
        """The values to join: those of the products, and of all maps and sums next to them."""
        found = {node.output for node in self.products}
        waiting = deque(self.products)
        while waiting:
            for node in self._next_to(waiting.popleft(), found):
                found.add(node.output)
                waiting.append(node)
        return found

    def _next_to(self, node: Node, found: set[str]) -> Iterator[Node]:
        made = (self.made[name] for name in node.inputs if name in self.made)
        for other in (*made, *self.users.get(node.output, ())):
            taken = other.output in found or other.output in self.without
            if taken or other.type.shape[:2] != self.sizes:
                continue
            if _pair(other) or self._looks_up(other):
                yield other

    def _sums_up(self, node: Node, inside: set[str]) -> tuple[str, str] | None:
        """The two labels that a node outside sums over, if it reads something that is joined.

        What a product among the joined ones takes in joins its dimensions for that one, and a sum
        reads it so too.
        """
        if node.output in inside or not (inside | self.taken).intersection(node.inputs):
            return None
        pair = _summed(node)
        sizes = {self.types[name].shape[:2] for name in node.inputs}
        return pair if sizes == {self.sizes} else None

    def _sum(self, node: Node, pair: tuple[str, str], inside: set[str], apart: set[str]) -> Node:
        """A node that sums over both dimensions, of what has one in their place."""
        op = node.op
        assert isinstance(op, Reduce | Contract)
        extents = _merged(op.extents, pair)
        if isinstance(op, Reduce):
            op = replace(op, index=(op.index[0], *op.index[2:]), extents=extents)
        else:
            a, b = ((index[0], *index[2:]) for index in (op.index_a, op.index_b))
            op = Contract(a, b, op.out, extents)
        inputs = tuple(
            (f"{value}.tokens" if value in apart else value)
            if value in inside
            else self._as_one(value, node)
            for value in node.inputs
        )
        return replace(node, op=op, inputs=inputs)

    def _as_one(self, value: str, node: Node) -> str:
        """A value from outside, its two dimensions in the order in which they are joined."""
        shape = self.types[value].shape
        turned = (self._turned(shape),) if self.inner else ()
        return self._moved(value, (*turned, Reshape(self._joined(shape))), node)

    def _looks_up(self, node: Node) -> bool:
        """Whether a node takes a row of a table for each position."""
        rows = isinstance(node.op, Gather) and node.op.axis == 0
        return rows and self.types[node.inputs[1]].shape == self.sizes

    def _joined(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * shape[1], *shape[2:])

    def _turned(self, shape: tuple[int, ...]) -> Transpose:
        return Transpose((1, 0, *range(2, len(shape))))

    def _back(self, shape: tuple[int, ...]) -> tuple[MoveStep, ...]:
        """From one dimension to the two."""
        if not self.inner:
            return (Reshape(shape),)
        return (Reshape((shape[1], shape[0], *shape[2:])), self._turned(shape))

    def _op(self, node: Node) -> Map | Reduce | Contract | Gather | Keep:
        op = node.op
        if isinstance(op, Reduce):
            pair = op.out[:2]
            return replace(
                op,
                index=(op.index[0], *op.index[2:]),
                out=(op.out[0], *op.out[2:]),
                extents=_merged(op.extents, pair),
            )
        if isinstance(op, Contract):
            pair = op.out[:2]
            a, b = (
                (index[0], *index[2:]) if _leads(index, pair) else index
                for index in (op.index_a, op.index_b)
            )
            return Contract(a, b, (op.out[0], *op.out[2:]), _merged(op.extents, pair))
        assert isinstance(op, Map | Gather | Keep)
        return op

    def _input(self, value: str, node: Node, inside: set[str], apart: set[str]) -> str:
        """An operand of a joined node."""
        if value in inside:
            return f"{value}.tokens" if value in apart else value
        own, rank = self.types[value].shape, len(node.type.shape)
        if isinstance(node.op, Contract):
            place = node.inputs.index(value)
            index = (node.op.index_a, node.op.index_b)[place]
            if not _leads(index, node.op.out[:2]):
                return value
        elif isinstance(node.op, Gather):
            if value != node.inputs[1]:
                return value
        elif len(own) < rank - 1:
            return value
        full = (1,) * (rank - len(own)) + own if isinstance(node.op, Map) else own
        steps: list[MoveStep] = []
        if full[:2] not in ((1, 1), self.sizes):  # repeated over one of the two
            full = (*self.sizes, *full[2:])
            steps = [Reshape((1,) * (rank - len(own)) + own), Expand(full)]
        if self.inner and full[:2] != (1, 1):
            steps.append(self._turned(full))
        return self._moved(value, (*steps, Reshape(self._joined(full))), node)

    def _moved(self, value: str, steps: tuple[MoveStep, ...], node: Node) -> str:
        """A value from outside, once, with one dimension in place of two."""
        from wsc.ir.check import infer

        if (value, steps) not in self.seen:
            name = fresh_name(value, "joined", self.types)
            self.seen[value, steps] = name
            op = Move(steps)
            self.types[name] = infer(op, (self.types[value],))
            self.nodes.append(Node(name, op, (value,), name, self.types[name], node.origin))
        return self.seen[value, steps]


def _merged(
    extents: tuple[tuple[str, int], ...], pair: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Sizes of labels, with the pair under the name of its first."""
    sizes = dict(extents)
    both = sizes[pair[0]] * sizes[pair[1]]
    return tuple((n, both if n == pair[0] else size) for n, size in extents if n != pair[1])
