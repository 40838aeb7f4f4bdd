"""Attention in blocks of keys, where its scores as a whole find no room.

A softmax over the keys needs the largest score and the sum of a row before the first share is
known. With a running maximum m, sum l and result o, a block of scores s and values v can be had
and forgotten::

    m' = max(m, max(s))        c = exp(m - m')        p = exp(s - m')
    l' = l * c + sum(p)        o' = o * c + p @ v

and the result is o / l (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018;
Rabe and Staats, "Self-attention does not need O(n^2) memory", 2021).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import ClassVar

from wsc.cost import CostModel
from wsc.ir.graph import (
    Arg,
    Contract,
    Graph,
    Index,
    Lit,
    Map,
    Move,
    Node,
    Primitive,
    Reduce,
    Reduction,
    Ref,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.ir.layout import Mesh, block
from wsc.ir.naming import fresh_name
from wsc.isa.fabric import Fabric
from wsc.isa.types import DType
from wsc.passes.contraction import choose_contraction
from wsc.passes.sequences import join_sequences
from wsc.passes.simplify import compose_moves, drop_dead, faults, split_pads
from wsc.passes.stage import Pass

SHARE = 0.5  # of a tile's SRAM that a block may take with its operands
PARTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
LOWEST = {DType.F32: -3.4028234663852886e38, DType.F16: -65504.0}


@dataclass(frozen=True, slots=True)
class Blocks(Pass[Graph, Graph]):
    """Attention whose scores have no layout that fits is done in blocks of keys.

    Sequences of a batch count as heads then. Requires a simplified graph; ensures that no node is
    dead. What fits is left as it is: fewer, larger steps.
    """

    fabric: Fabric
    name: ClassVar[str] = "blocks"

    def apply(self, stage: Graph) -> Graph:
        """The graph with such attention in blocks."""
        graph = stage
        found: dict[Hashable, int | None] = {}  # layers are alike

        def sized(types: dict[str, Type], item: Attention) -> int | None:
            key = item.alike(types)
            if key not in found:
                found[key] = self.keys(types, item)
            return found[key]

        joined, types = graph, graph.types()
        for item in attentions(graph):
            if sized(types, item) != 0:
                joined = join_sequences(joined, item.scores, item.out, item.side)
        work = {item.out.name: item for item in attentions(joined)}
        types = joined.types()
        nodes: list[Node] = []
        for node in joined.nodes:
            item = work.get(node.name)
            size = None if item is None else sized(types, item)
            if item is None or not size:
                nodes.append(node)
            else:
                nodes += _Rewrite(joined, item).nodes_for(size)
        if joined is graph and len(nodes) == len(graph.nodes):
            return graph
        # Maps are not fused any more: one for all blocks would want all of their results at once.
        graph = compose_moves(split_pads(joined.with_(nodes=tuple(nodes))))
        return drop_dead(graph)

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        yield from faults(before, after)

    def keys(self, types: dict[str, Type], item: Attention) -> int | None:
        """Keys of a block: 0 if all scores have a layout that fits, None if no block has one."""
        total = dict(_op(item.out).extents)[item.summed]
        if room(self.fabric, types, item, total, 1.0):
            return 0
        # Whole blocks of what a row of tiles holds, if there are such: then steps differ in
        # nothing but their number.
        rows = block(total, "y", Mesh(self.fabric.width, self.fabric.height)).step
        for unit, parts in product((rows, 1), PARTS):
            keys = math.ceil(total / (parts * unit)) * unit
            if keys < total and room(self.fabric, types, item, keys, SHARE):
                return keys
        return None


def room(
    fabric: Fabric, types: Mapping[str, Type], item: Attention, keys: int, share: float
) -> bool:
    """Whether both products over so many keys take no more than a share of a tile's SRAM each."""
    cost = CostModel(fabric)
    for node, label in ((item.scores, item.scored), (item.out, item.summed)):
        extents = tuple((n, keys if n == label else s) for n, s in _op(node).extents)
        op = replace(_op(node), extents=extents)
        a, b = (_shrunk(types[name], index, label, keys) for name, index in _operands(node))
        choice = choose_contraction(op, a, b, False, None, None, cost)
        if choice is None or choice.bytes > share * fabric.sram_bytes:
            return False
    return True


def _op(node: Node) -> Contract:
    assert isinstance(node.op, Contract)
    return node.op


def _operands(node: Node) -> Iterator[tuple[str, tuple[Index, ...]]]:
    op = _op(node)
    return zip(node.inputs, (op.index_a, op.index_b), strict=True)


def _shrunk(type_: Type, index: tuple[Index, ...], label: str, size: int) -> Type:
    """The type of an operand with fewer positions of a label."""
    shape = tuple(
        size if entry.terms == ((label, 1),) else whole
        for entry, whole in zip(index, type_.shape, strict=True)
    )
    return replace(type_, shape=shape)


@dataclass(frozen=True, slots=True)
class Attention:
    """A softmax over scores and the product of its shares with values.

    scores: the contraction behind the scores. scored, summed: the label of the keys in it and in
    ``out``. logits: what the softmax is of, with the keys along ``axis``. side: which operand of
    ``out`` the shares are. zeroed: whether rows that are no numbers become zeros.
    """

    scores: Node
    scored: str
    logits: str
    axis: int
    out: Node
    summed: str
    side: int
    zeroed: bool

    @property
    def rows(self) -> tuple[int, ...]:
        """The dimensions of the result in the order of the shares: their rows, values for keys."""
        op = _op(self.out)
        found = _in_rows(op, _names((op.index_a, op.index_b)[self.side]), self.axis)
        assert found is not None
        return found

    def alike(self, types: dict[str, Type]) -> Hashable:
        """What is the same in all attention that blocks of one size suit."""
        nodes = (self.scores, self.out)
        products = tuple((node.op, tuple(types[name] for name in node.inputs)) for node in nodes)
        return self.zeroed, products


def attentions(graph: Graph) -> Iterator[Attention]:
    """All attention in a graph."""
    return _Search(graph).attentions()


class _Search:
    """Attention in a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made = {node.output: node for node in graph.nodes}
        self.users = graph.users()
        self.types = graph.types()
        self.shown = {value for output in graph.outputs for value in output.values}

    def attentions(self) -> Iterator[Attention]:
        """All that there are."""
        for node in self.graph.nodes:
            if isinstance(node.op, Contract):
                for side in (0, 1):
                    found = self._attention(node, side)
                    if found is not None:
                        yield found
                        break

    def _attention(self, out: Node, side: int) -> Attention | None:
        shares = self._only(out.inputs[side], out)
        zeroed = shares is not None and shares.op == _zeroed(shares.type.dtype)
        if zeroed:
            assert shares is not None
            shares = self._only(shares.inputs[0], shares)
        if shares is None or shares.op != _divided(shares.type.dtype):
            return None
        dtype = shares.type.dtype
        raised, total = (self.made.get(name) for name in shares.inputs)
        last = shares  # what reads the sum: the division, or what makes halves of it for that
        if total is not None and total.op == NARROWED:
            last, total = total, self.made.get(total.inputs[0])
            if self._only(last.output, shares) is None:
                return None
        if raised is None or total is None or raised.op != _raised(dtype):
            return None
        most = self.made.get(raised.inputs[1])
        logits = raised.inputs[0]
        if most is None or total.inputs != (raised.output,) or most.inputs != (logits,):
            return None
        axis = self._axis(most, Reduction.MAX, self.types[logits])
        if axis is None or self._axis(total, Reduction.SUM, raised.type) != axis:
            return None
        inner = {most.name: (raised,), raised.name: (total, shares), total.name: (last,)}
        for node in (most, raised, total):
            if [*self.users[node.output]] != [*inner[node.name]] or node.output in self.shown:
                return None
        scores, scored = self._behind(logits, axis)
        summed = self._summed(out, side, axis)
        if scores is None or not summed:
            return None
        return Attention(scores, scored, logits, axis, out, summed, side, zeroed)

    def _only(self, value: str, user: Node) -> Node | None:
        """The node that gives a value which one node alone reads."""
        alone = self.users.get(value) == [user] and value not in self.shown
        return self.made.get(value) if alone else None

    def _axis(self, node: Node, kind: Reduction, type_: Type) -> int | None:
        """The one dimension that a reduction goes over and keeps with size one."""
        if not isinstance(node.op, Reduce) or node.op.kind is not kind:
            return None
        if len(node.type.shape) != len(type_.shape):
            return None
        changed = [i for i, size in enumerate(type_.shape) if node.type.shape[i] != size]
        plain = all(
            len(e.terms) == 1 and e.terms[0][1] == 1 and not e.offset for e in node.op.index
        )
        return changed[0] if plain and len(changed) == 1 else None

    def _behind(self, value: str, axis: int) -> tuple[Node | None, str]:
        """The contraction whose result becomes the scores, map by map, and the keys' label."""
        while True:
            node = self.made.get(value)
            if node is None:
                return None, ""
            if isinstance(node.op, Contract):
                op, label = node.op, node.op.out[axis]
                entries = [e for e in (*op.index_a, *op.index_b) if label in dict(e.terms)]
                plain = all(entry == Index(((label, 1),)) for entry in entries)
                return (node, label) if label and plain and entries else (None, "")
            whole = [name for name in node.inputs if self.types[name].shape == node.type.shape]
            products = [name for name in whole if not self._constant(name)]
            if not isinstance(node.op, Map) or len(products) != 1:
                return None, ""
            value = products[0]

    def _constant(self, value: str) -> bool:
        """Whether a value is one from outside, moved or not: a mask, and no scores."""
        node = self.made.get(value)
        return node is None or (isinstance(node.op, Move) and self._constant(node.inputs[0]))

    def _summed(self, out: Node, side: int, axis: int) -> str:
        """The keys' label in the second product, if each row of its result is one of theirs."""
        op = _op(out)
        shares, values = (op.index_a, op.index_b) if side == 0 else (op.index_b, op.index_a)
        if not all(len(e.terms) <= 1 and not e.offset for e in (*shares, *values)):
            return ""
        labels = _names(shares)
        label = labels[axis]
        in_values = [entry for entry in values if entry.terms == ((label, 1),)]
        if not label or label in op.out or len(in_values) != 1:
            return ""
        return label if _in_rows(op, labels, axis) is not None else ""


def _names(index: tuple[Index, ...]) -> list[str]:
    """The label of each dimension of an operand, "" where there is none."""
    return [entry.terms[0][0] if entry.terms else "" for entry in index]


def _in_rows(op: Contract, labels: list[str], axis: int) -> tuple[int, ...] | None:
    """The dimensions of a product's result in the order of the shares'; None if it has others.

    labels: of the shares' dimensions. axis: theirs of the keys, where the result has what the
    values bring. Dimensions of size one that the shares do not name take the places that are left.
    """
    if len(op.out) != len(labels):
        return None
    sizes, free = dict(op.extents), list(range(len(op.out)))
    order: list[int | None] = [None] * len(labels)
    for place, label in enumerate(labels):
        if place == axis:
            continue
        if labels.count(label) > 1 and label in op.out:
            return None
        if label in op.out:
            order[place] = op.out.index(label)
            free.remove(op.out.index(label))
        elif sizes.get(label, 1) != 1:
            return None
    (*single, brought) = sorted(free, key=lambda i: (sizes.get(op.out[i], 1), i))
    if any(sizes.get(op.out[i], 1) != 1 for i in single) or op.out[brought] in labels:
        return None
    for place in range(len(labels)):
        if place == axis:
            order[place] = brought
        elif order[place] is None:
            order[place] = single.pop(0)
    return tuple(place for place in order if place is not None)


# --- what maps do ---------------------------------------------------------------------------


def _map(dtype: DType, *steps: tuple[str, *tuple[Arg | Ref | Lit, ...]]) -> Map:
    """A map of steps of one type."""
    return Map(tuple(Step(name, dtype, tuple(arguments)) for name, *arguments in steps))


def _raised(dtype: DType) -> Map:
    """exp(x - m)."""
    return _map(dtype, ("sub", Arg(0), Arg(1)), ("exp", Ref(0)))


def _divided(dtype: DType) -> Map:
    return _map(dtype, ("div", Arg(0), Arg(1)))


def _zeroed(dtype: DType) -> Map:
    """Zero where it is not a number: a row of which every key is masked."""
    return _map(dtype, ("isnan", Arg(0)), ("select", Ref(0), Lit(0.0), Arg(0)))


def _grown(dtype: DType) -> Map:
    """What was, as far as it counts still, and what is new."""
    return _map(dtype, ("mul", Arg(0), Arg(1)), ("add", Ref(0), Arg(2)))


NARROWED = _map(DType.F16, ("narrow", Arg(0)))
GROWN_WIDE = Map(
    (
        Step("widen", DType.F16, (Arg(1),)),
        Step("mul", DType.F32, (Arg(0), Ref(0))),
        Step("add", DType.F32, (Ref(1), Arg(2))),
    )
)


# --- the nodes of the blocks ----------------------------------------------------------------


@dataclass(slots=True)
class _Rewrite:
    """Nodes that stand for one attention."""

    graph: Graph
    item: Attention
    types: dict[str, Type] = field(init=False)
    made: dict[str, Node] = field(init=False)
    found: list[Node] = field(default_factory=list[Node])
    sliced: dict[tuple[str, int, int], str] = field(default_factory=dict[tuple[str, int, int], str])

    def __post_init__(self) -> None:
        self.types = self.graph.types()
        self.made = {node.output: node for node in self.graph.nodes}

    def nodes_for(self, size: int) -> list[Node]:
        """The nodes, with blocks of so many keys; the last one gives what ``out`` gave."""
        item = self.item
        total = dict(_op(item.out).extents)[item.summed]
        running: tuple[str, str, str] | None = None
        for number, start in enumerate(range(0, total, size)):
            running = self._block(number, start, min(size, total - start), running)
        assert running is not None
        _, total_of_row, result = running
        dtype = item.out.type.dtype
        row = self.types[total_of_row]
        if row.dtype is not dtype:
            name = f"{item.out.output}.sum"
            total_of_row = self._node(name, NARROWED, replace(row, dtype=dtype), total_of_row)
        body = _divided(dtype).body
        if item.zeroed:
            isnan, select = _zeroed(dtype).body
            body += (
                replace(isnan, args=(Ref(0),)),
                replace(select, args=(Ref(1), Lit(0.0), Ref(0))),
            )
        if self.item.rows == tuple(range(len(self.item.rows))):
            return [*self.found, replace(item.out, op=Map(body), inputs=(result, total_of_row))]
        name = f"{item.out.output}.rows"
        shared = self._node(name, Map(body), self.types[result], result, total_of_row)
        turned = Transpose(tuple(self.item.rows.index(i) for i in range(len(self.item.rows))))
        return [*self.found, replace(item.out, op=Move((turned,)), inputs=(shared,))]

    def _block(
        self, number: int, start: int, size: int, before: tuple[str, str, str] | None
    ) -> tuple[str, str, str]:
        """(largest score, sum, result) with one block more."""
        item, stem = self.item, f"{self.item.out.output}.block{number}"
        dtype = self.types[item.logits].dtype
        scores = self._part(item.logits, item.axis, start, size)
        rows = self._reduced(f"{stem}.max", scores, Reduction.MAX)
        row = self.types[rows]
        if before is None:
            # No row's largest is minus infinity: what is masked has no distance from itself.
            most = self._node(
                f"{stem}.most", _map(dtype, ("max", Arg(0), Lit(LOWEST[dtype]))), row, rows
            )
        else:
            most = self._node(
                f"{stem}.most", _map(dtype, ("max", Arg(0), Arg(1))), row, before[0], rows
            )
        raised = self._node(f"{stem}.exp", _raised(dtype), self.types[scores], scores, most)
        sums = self._reduced(f"{stem}.sum", raised, Reduction.SUM)
        result = self._product(f"{stem}.product", raised, start, size)
        if before is None:
            return most, sums, result
        shrunk = self._node(f"{stem}.shrunk", _raised(dtype), row, before[0], most)
        grown = _grown(dtype) if self.types[sums].dtype is dtype else GROWN_WIDE
        total = self._node(f"{stem}.total", grown, self.types[sums], before[1], shrunk, sums)
        result = self._node(
            f"{stem}.result",
            _grown(dtype),
            self.types[result],
            before[2],
            shrunk,
            result,
        )
        return most, total, result

    def _node(self, name: str, op: Primitive, type_: Type, *inputs: str) -> str:
        """A new node for the nodes of ``out``."""
        self.found.append(Node(name, op, inputs, name, type_, self.item.out.origin))
        self.types[name] = type_
        return name

    def _reduced(self, name: str, value: str, kind: Reduction) -> str:
        """The maximum or the sum of each row."""
        axis, shape = self.item.axis, self.types[value].shape
        labels = tuple(f"d{i}" for i in range(len(shape)))
        wide = kind is Reduction.SUM and self.types[value].dtype is DType.F16
        op = Reduce(
            kind,
            tuple(Index(((label, 1),)) for label in labels),
            tuple("" if i == axis else label for i, label in enumerate(labels)),
            tuple(zip(labels, shape, strict=True)),
            wide,
        )
        kept = tuple(1 if i == axis else size for i, size in enumerate(shape))
        dtype = DType.F32 if wide else self.types[value].dtype
        return self._node(name, op, Type(dtype, kept), value)

    def _product(self, name: str, shares: str, start: int, size: int) -> str:
        """The shares of a block with its values."""
        item, op = self.item, _op(self.item.out)
        index = (op.index_a, op.index_b)[1 - item.side]
        (axis,) = (i for i, entry in enumerate(index) if entry.terms == ((item.summed, 1),))
        values = self._part(item.out.inputs[1 - item.side], axis, start, size)
        inputs = (shares, values) if item.side == 0 else (values, shares)
        op = replace(op, out=tuple(op.out[i] for i in item.rows))
        shape = tuple(item.out.type.shape[i] for i in item.rows)
        type_ = replace(item.out.type, shape=shape)
        return self._node(name, self._narrowed(op, item.summed, size), type_, *inputs)

    def _narrowed(self, op: Contract, label: str, size: int) -> Contract:
        return replace(op, extents=tuple((n, size if n == label else s) for n, s in op.extents))

    def _part(self, value: str, axis: int, start: int, size: int) -> str:
        """Positions start .. start + size - 1 of a value along an axis.

        Of maps and of the product that the scores are, so that these are never there as a whole.
        """
        key = (value, axis, start)
        if key in self.sliced:
            return self.sliced[key]
        shape = self.types[value].shape
        cut = replace(
            self.types[value],
            shape=tuple(size if i == axis else whole for i, whole in enumerate(shape)),
        )
        name = fresh_name(f"{self.item.out.output}.at{start}", value, self.types)
        node = self.made.get(value)
        if node is not None and isinstance(node.op, Map) and self._leads(value):
            inputs = [self._input(name, axis - len(shape), start, size) for name in node.inputs]
            found = self._node(name, node.op, cut, *inputs)
        elif node is not None and node.name == self.item.scores.name:
            op, label = _op(node), self.item.scored
            parts = [
                self._part(operand, place, start, size)
                if (place := _place(index, label)) is not None
                else operand
                for operand, index in _operands(node)
            ]
            found = self._node(name, self._narrowed(op, label, size), cut, *parts)
        else:
            starts = tuple(start if i == axis else 0 for i in range(len(shape)))
            op = Move((Slice(starts, cut.shape, (1,) * len(shape)),))
            found = self._node(name, op, cut, value)
        self.sliced[key] = found
        return found

    def _input(self, value: str, back: int, start: int, size: int) -> str:
        """What a part of a map reads of an input; ``back``: the axis, counted from the end."""
        shape = self.types[value].shape
        if len(shape) < -back or shape[back] == 1:
            return value
        return self._part(value, len(shape) + back, start, size)

    def _leads(self, value: str) -> bool:
        """Whether a value is on the way from the first product to the softmax."""
        node = self.made.get(value)
        if node is None or node.name == self.item.scores.name:
            return node is not None
        shape = node.type.shape
        same = isinstance(node.op, Map) and [n for n in node.inputs if self.types[n].shape == shape]
        return bool(same) and any(self._leads(name) for name in same or ())


def _place(index: tuple[Index, ...], label: str) -> int | None:
    """The dimension of an operand along which a label alone goes."""
    places = [i for i, entry in enumerate(index) if label in dict(entry.terms)]
    return places[0] if places else None
