"""Attention over the sequences of a batch: sequences and heads become one dimension.

A layout has one dimension along each axis of the mesh. Sixteen sequences of 64 heads so fill 64
rows of tiles, and each tile has all sixteen; as 1,024 heads they fill all rows. The sequences of
one head are neighbours: so they are near the tiles that compute the head, for every sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wsc.ir.graph import (
    Contract,
    Expand,
    Graph,
    Index,
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


def join_sequences(graph: Graph, scores: Node, out: Node, side: int) -> Graph:
    """The graph with the first two dimensions of an attention's scores as one.

    scores: the product that gives them. out: that of their shares, its operand ``side``, with the
    values. The graph stays as it is where one of the dimensions has size one, where something else
    reads a value on the way from scores to shares, or where an operand lacks one of the two.
    """
    return _Join(graph, scores, out, side).apply()


@dataclass(slots=True)
class _Join:
    """The nodes of one attention, and what stands for them."""

    graph: Graph
    scores: Node
    out: Node
    side: int
    types: dict[str, Type] = field(init=False)
    made: list[Node] = field(default_factory=list[Node])

    def __post_init__(self) -> None:
        self.types = self.graph.types()

    def apply(self) -> Graph:
        """The graph with other nodes for the attention."""
        shape = self.scores.type.shape
        inner = self._inner()
        op_scores, op_out = _op(self.scores), _op(self.out)
        shares = (op_out.index_a, op_out.index_b)[self.side]
        pair = _pair(tuple(Index(((label, 1),)) for label in op_scores.out))
        shared = _pair(shares)
        if inner is None or pair is None or shared is None or 1 in shape[:2]:
            return self.graph
        if not (_may_join(op_scores, pair) and _may_join(op_out, shared)):
            return self.graph
        nodes: list[Node] = []
        for node in self.graph.nodes:
            if node.name in inner:
                self.made = []
                changed = self._inside(node, inner, shape, pair)
                nodes += [*self.made, changed]
            elif node.name == self.out.name:
                self.made = []
                changed = self._last(shared)
                nodes += [*self.made, *changed]
            else:
                nodes.append(node)
        return self.graph.with_(nodes=tuple(nodes))

    def _inner(self) -> dict[str, str] | None:
        """Nodes from the scores to their shares, and their values; None if others read these."""
        found = {self.scores.name: self.scores.output}
        values = {self.scores.output}
        for node in self.graph.nodes:
            reads = values & {*node.inputs}
            if not reads or node.name == self.out.name:
                continue
            if not isinstance(node.op, Map | Reduce):
                return None
            if node.type.shape[:2] != self.scores.type.shape[:2]:
                return None
            if isinstance(node.op, Reduce) and _pair(node.op.index) != node.op.out[:2]:
                return None
            found[node.name] = node.output
            values.add(node.output)
        shown = {value for output in self.graph.outputs for value in output.values}
        return None if values & shown or self.out.inputs[1 - self.side] in values else found

    def _inside(
        self, node: Node, inner: dict[str, str], shape: tuple[int, ...], pair: tuple[str, str]
    ) -> Node:
        type_ = replace(node.type, shape=_joined(node.type.shape))
        if isinstance(node.op, Contract):
            op, inputs = self._product(node, pair)
            op = replace(op, out=(pair[0], *op.out[2:]))
            return replace(node, op=op, inputs=inputs, type=type_)
        if isinstance(node.op, Reduce):
            first, second, *_ = node.op.out
            op = replace(
                node.op,
                index=(node.op.index[0], *node.op.index[2:]),
                out=(first, *node.op.out[2:]),
                extents=_merged(node.op.extents, (first, second)),
            )
            return replace(node, op=op, type=type_)
        values = {*inner.values()}
        inputs = tuple(
            name if name in values else self._beside(name, shape) for name in node.inputs
        )
        return replace(node, inputs=inputs, type=type_)

    def _beside(self, value: str, shape: tuple[int, ...]) -> str:
        """An input that is broadcast to the scores, as it is to joined ones."""
        own = self.types[value].shape
        if len(own) < len(shape) - 1 or not own:
            return value
        full = (1,) * (len(shape) - len(own)) + own
        steps: list[MoveStep] = [] if full == own else [Reshape(full)]
        if full[:2] == (1, 1):
            return self._moved(value, [Reshape(full[1:])])
        wide = (*shape[:2], *full[2:])
        steps += [] if wide == full else [Expand(wide)]
        turned = Transpose((1, 0, *range(2, len(wide))))
        return self._moved(value, [*steps, turned, Reshape(_joined(wide))])

    def _product(self, node: Node, pair: tuple[str, str]) -> tuple[Contract, tuple[str, str]]:
        """The contraction over operands with both dimensions in one, and these."""
        op, done = _op(node), list[tuple[str, tuple[Index, ...]]]()
        for value, index in zip(node.inputs, (op.index_a, op.index_b), strict=True):
            done.append(self._operand(value, index, pair))
        (a, index_a), (b, index_b) = done
        return Contract(index_a, index_b, op.out, _merged(op.extents, pair)), (a, b)

    def _operand(
        self, value: str, index: tuple[Index, ...], pair: tuple[str, str]
    ) -> tuple[str, tuple[Index, ...]]:
        """An operand with the dimensions of the pair in front, as one."""
        places = [_place(index, label) for label in reversed(pair)]
        rest = [i for i in range(len(index)) if i not in places]
        shape = self.types[value].shape
        turned = tuple(shape[i] for i in (*places, *rest))
        moved = self._moved(value, [Transpose((*places, *rest)), Reshape(_joined(turned))])
        return moved, (Index(((pair[0], 1),)), *(index[i] for i in rest))

    def _last(self, pair: tuple[str, str]) -> list[Node]:
        """The product with the values, and its result as it was."""
        node, op = self.out, _op(self.out)
        shares = (op.index_a, op.index_b)[self.side]
        values = (op.index_a, op.index_b)[1 - self.side]
        moved, index = self._operand(node.inputs[1 - self.side], values, pair)
        places = [op.out.index(label) for label in reversed(pair)]
        rest = [i for i in range(len(op.out)) if i not in places]
        extents = _merged(op.extents, pair)
        own = (shares[0], *shares[2:])
        indices = (own, index) if self.side == 0 else (index, own)
        new = Contract(*indices, (pair[0], *(op.out[i] for i in rest)), extents)
        inputs = [node.inputs[self.side], moved]
        if self.side == 1:
            inputs.reverse()
        turned = tuple(node.type.shape[i] for i in (*places, *rest))
        name = f"{node.output}.joined"
        type_ = replace(node.type, shape=_joined(turned))
        order = (*places, *rest)
        back = Transpose(tuple(order.index(i) for i in range(len(order))))
        return [
            Node(name, new, tuple(inputs), name, type_, node.origin),
            replace(node, op=Move((Reshape(turned), back)), inputs=(name,)),
        ]

    def _moved(self, value: str, steps: Sequence[MoveStep]) -> str:
        """A value moved for this attention."""
        from wsc.ir.check import infer

        op = Move(tuple(steps))
        for node in self.made:
            if node.op == op and node.inputs == (value,):
                return node.output
        name = fresh_name(f"{self.out.output}.joined", value, self.types)
        self.types[name] = infer(op, (self.types[value],))
        self.made.append(Node(name, op, (value,), name, self.types[name], self.out.origin))
        return name


def _op(node: Node) -> Contract:
    assert isinstance(node.op, Contract)
    return node.op


def _joined(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0] * shape[1], *shape[2:])


def _merged(
    extents: tuple[tuple[str, int], ...], pair: tuple[str, str]
) -> tuple[tuple[str, int], ...]:
    """Sizes of labels, with the pair under the name of its first."""
    sizes = dict(extents)
    both = sizes[pair[0]] * sizes[pair[1]]
    return tuple((n, both if n == pair[0] else size) for n, size in extents if n != pair[1])


def _pair(index: tuple[Index, ...]) -> tuple[str, str] | None:
    """The labels of the first two dimensions, if each has one."""
    if len(index) < 3 or not all(len(entry.terms) == 1 for entry in index[:2]):
        return None
    first, second = (entry.terms[0][0] for entry in index[:2])
    return (first, second) if first and second and first != second else None


def _place(index: tuple[Index, ...], label: str) -> int:
    """The dimension that is a label; -1 if none is, or it is in more than one."""
    places = [i for i, entry in enumerate(index) if label in dict(entry.terms)]
    alone = len(places) == 1 and index[places[0]] == Index(((label, 1),))
    return places[0] if alone else -1


def _may_join(op: Contract, pair: tuple[str, str]) -> bool:
    """Whether both labels are dimensions of their own in both operands and the result."""
    return all(
        label in op.out and _place(index, label) >= 0
        for label in pair
        for index in (op.index_a, op.index_b)
    )
