"""Elementwise work between two movements is done behind the second.

Rotary positions take parts of a product, turn them, and join them again; attention then wants the
result with its heads in front. Each part would be moved for its map, and the join for its reader.
Here the maps are done where their result is wanted, and what they read is moved there as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from wsc.ir.check import infer
from wsc.ir.graph import Concat, Graph, Map, Move, MoveStep, Node, Reshape, Slice, Transpose, Type
from wsc.ir.naming import block_of, fresh_name
from wsc.ir.regroup import Turn, adapted, apart, delayed, joins, place, unsplit
from wsc.passes.differentiate import GRADIENT
from wsc.passes.layers import Layers, find_layers
from wsc.passes.simplify import drop_dead, faults, tidy
from wsc.passes.stage import Pass


@dataclass(frozen=True, slots=True)
class Between(Pass[Graph, Graph]):
    """Maps whose operands are moved, and whose result is moved again, follow the second movement.

    What they take of one value, moved in the same way, is moved once and cut there. What layers
    move alike from outside of them (the angles of a rotation) is moved once, before all of them.
    Where attention goes in blocks, its derivative has them where the forward pass has them already.
    Requires a simplified graph; ensures that no node is dead.
    """

    name: ClassVar[str] = "between"

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        yield from faults(before, after)

    def apply(self, stage: Graph) -> Graph:
        """The graph with such maps behind the movement of their results."""
        return _before_layers(_Later(stage).apply())


@dataclass(slots=True)
class _Later:
    """The nodes of a graph under change.

    nodes: by their outputs, new ones included. ahead: new nodes, by the node that they come before.
    """

    source: Graph
    nodes: dict[str, Node] = field(init=False)
    types: dict[str, Type] = field(init=False)
    users: dict[str, list[str]] = field(init=False)
    shown: set[str] = field(init=False)
    ahead: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    host: dict[str, str] = field(default_factory=dict[str, str])
    in_blocks: bool = field(init=False)  # whether attention of a training step is

    def __post_init__(self) -> None:
        self.in_blocks = any(block_of(node.name) for node in self.source.nodes)
        self.nodes = {node.output: node for node in self.source.nodes}
        self.types = self.source.types()
        self.shown = {name for output in self.source.outputs for name in output.values}
        readers = self.source.users()
        self.users = {name: [node.output for node in nodes] for name, nodes in readers.items()}

    def apply(self) -> Graph:
        """Push movement up, from the last node to the first; then move once what is moved alike."""
        adrift: dict[str, bool] = {}
        for node in self.source.nodes:
            adrift[node.output] = self._is_adrift(node, adrift)
        names = [node.output for node in self.source.nodes if adrift[node.output]]
        for name in reversed(names):
            if name not in self.shown:
                self._push(self.nodes[name])
        self._share(names)
        if not self.host:
            return self.source
        return drop_dead(self.source.with_(nodes=tuple(_once(self._in_order()))))

    def _in_order(self) -> list[Node]:
        return [
            self.nodes[name]
            for node in self.source.nodes
            for name in (*self._before(node.output), node.output)
        ]

    def _before(self, name: str) -> list[str]:
        return [item for new in self.ahead.get(name, ()) for item in (*self._before(new), new)]

    def _is_adrift(self, node: Node, adrift: dict[str, bool]) -> bool:
        """A map, or a join, of nothing but what is moved, and of such: no layout is its own."""
        if not isinstance(node.op, Map | Concat) or (self.in_blocks and GRADIENT in node.name):
            return False
        whole = [
            name
            for name in node.inputs
            if isinstance(node.op, Concat) or self.types[name].shape == node.type.shape
        ]
        return bool(whole) and all(
            name in self.nodes and (isinstance(self.nodes[name].op, Move) or adrift[name])
            for name in whole
        )

    # --- movement goes up -------------------------------------------------------------

    def _push(self, node: Node) -> None:
        """Let a node give its result as all of its readers move it."""
        readers = [self.nodes[name] for name in self.users.get(node.output, ())]
        shape, op = node.type.shape, node.op
        if 0 in shape:
            return
        moved = [(reader.steps, ()) for reader in readers]
        if isinstance(op, Concat) and shape[op.axis] == len(node.inputs):
            moved = [_late(shape, steps, op.axis) for steps, _ in moved]
        steps = _common([first for first, _ in moved])
        if not joins(shape, steps):
            return
        if isinstance(op, Concat):
            axis = place(shape, steps, op.axis)
            if axis is None:
                return
            op = Concat(axis)
        wanted: list[tuple[MoveStep, ...]] = []
        for name in node.inputs:
            own = self.types[name].shape
            full = (1,) * (len(shape) - len(own)) + own
            turns = adapted(shape, steps, full, repeat=isinstance(op, Map))
            if turns is None:
                return
            wanted.append((*([Reshape(full)] if full != own else []), *turns))
        inputs = [
            self._moved(name, turns, node) for name, turns in zip(node.inputs, wanted, strict=True)
        ]
        type_ = infer(op, [self.types[name] for name in inputs])
        self.types[node.output] = type_
        self.nodes[node.output] = replace(node, op=op, inputs=tuple(inputs), type=type_)
        for reader, (first, rest) in zip(readers, moved, strict=True):
            left = Move(tidy((*first[len(steps) :], *rest)))
            self.nodes[reader.output] = replace(reader, op=left)

    def _moved(self, value: str, steps: tuple[MoveStep, ...], node: Node) -> str:
        """A value moved for one node: a movement of what it is a movement of."""
        made, origin = self.nodes.get(value), node.origin
        self._unread(value, node.output)
        source = value
        if made is not None and isinstance(made.op, Move):
            if not self.users[value] and value not in self.shown:
                self._unread(made.inputs[0], value)  # nobody wants it any more
            source, steps = made.inputs[0], (*made.steps, *steps)
            origin = tuple(dict.fromkeys((*made.origin, *origin)))
        name = fresh_name(node.output, value, self.types)
        self._add(Node(name, Move(tidy(steps)), (source,), name, node.type, origin), node.output)
        self.users[name] = [node.output]
        return name

    def _unread(self, value: str, reader: str) -> None:
        """Note that a node no longer reads a value."""
        self.users[value] = [name for name in self.users[value] if name != reader]

    def _add(self, node: Node, host: str) -> None:
        """A new movement ahead of another node."""
        self.types[node.output] = infer(node.op, (self.types[node.inputs[0]],))
        self.nodes[node.output] = replace(node, type=self.types[node.output])
        self.users.setdefault(node.inputs[0], []).append(node.output)
        self.ahead.setdefault(host, []).append(node.output)
        self.host[node.output] = host

    # --- what is moved alike is moved once ----------------------------------------------

    def _share(self, names: Sequence[str]) -> None:
        """Parts of one value, moved in the same way for maps adrift, become parts of one move.

        Dimensions of size one are where each of them wants them.
        """
        found: dict[tuple[str, tuple[MoveStep, ...]], dict[str, tuple[Move, Slice]]] = {}
        for name in names:
            for value in self.nodes[name].inputs:
                node = self.nodes.get(value)
                if node is None or not isinstance(node.op, Move) or value in self.shown:
                    continue
                split = self._cut_last(node)
                if split is not None and split[0]:
                    steps, cut = split
                    key = _without_ones(self.types[node.inputs[0]], steps)
                    found.setdefault((node.inputs[0], key), {})[value] = Move(steps), cut
        order = {node.output: place for place, node in enumerate(self._in_order())}
        for (source, _), parts in found.items():
            if len(parts) < 2:
                continue
            first = min(parts, key=order.__getitem__)
            made = self.nodes[first]
            name = fresh_name(first, "whole", self.types)
            self._add(Node(name, parts[first][0], (source,), name, made.type, made.origin), first)
            shape = self.types[name].shape
            for value, (move, cut) in parts.items():
                full = infer(move, (self.types[source],)).shape
                turned = () if full == shape else (Reshape(full),)
                part = replace(self.nodes[value], op=Move((*turned, cut)), inputs=(name,))
                self.nodes[value] = part

    def _cut_last(self, node: Node) -> tuple[tuple[MoveStep, ...], Slice] | None:
        """The steps of a movement with a slice of one dimension as the last of them."""
        steps = node.steps
        cuts = [i for i, step in enumerate(steps) if isinstance(step, Slice)]
        behind = steps[cuts[-1] + 1 :] if cuts else ()
        if not cuts or not all(isinstance(step, Turn) for step in behind):
            return None
        before, cut = steps[: cuts[-1]], steps[cuts[-1]]
        assert isinstance(cut, Slice)
        split = before[-1] if before else None
        if isinstance(split, Reshape) and 0 not in split.shape:
            whole = unsplit(self._shape_behind(node.inputs[0], before[:-1]), split, cut)
            if whole is not None:
                *before, cut = tidy((*before[:-1], whole[0]))
                behind = whole[1], *behind
                assert isinstance(cut, Slice)
        shape = self._shape_behind(node.inputs[0], tuple(before))
        turns = tuple(step for step in behind if isinstance(step, Turn))
        found = None if 0 in cut.sizes else delayed(shape, cut, turns)
        return None if found is None else (tidy((*before, *found[0])), found[1])

    def _shape_behind(self, value: str, steps: tuple[MoveStep, ...]) -> tuple[int, ...]:
        """The shape of a value that these steps have moved."""
        given = self.types[value]
        return infer(Move(steps), (given,)).shape if steps else given.shape


def _once(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes without movement that is there already for the same node of the model.

    Layers stay alike: what they share each of them moves.
    """
    found: dict[tuple[str, Move, tuple[str, ...]], str] = {}
    instead: dict[str, str] = {}
    for node in nodes:
        node = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        if isinstance(node.op, Move):
            first = found.setdefault((node.inputs[0], node.op, node.origin), node.output)
            instead[node.output] = first
        yield node


def _before_layers(graph: Graph) -> Graph:
    """The graph in which layers share what each of them turns in the same way, if no node gives it.

    Parts of a source are left alone: all of them at once may find no room.
    """
    made = {node.output for node in graph.nodes}
    found: dict[tuple[str, tuple[MoveStep, ...]], list[int]] = {}
    for number, node in enumerate(graph.nodes):
        turns = isinstance(node.op, Move) and all(isinstance(s, Turn) for s in node.op.steps)
        if turns and node.inputs[0] not in made:
            found.setdefault((node.inputs[0], node.steps), []).append(number)
    alike = [numbers for numbers in found.values() if len(numbers) > 1]
    stacks = find_layers(graph) if alike else []
    instead: dict[str, str] = {}
    first: list[Node] = []
    shown = {name for output in graph.outputs for name in output.values}
    for numbers in alike:
        nodes = [graph.nodes[number] for number in numbers]
        if _in_several(numbers, stacks) and not shown & {node.output for node in nodes}:
            first.append(nodes[0])
            instead |= {node.output: nodes[0].output for node in nodes}
    if not first:
        return graph
    rest = [
        replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.output not in instead
    ]
    return graph.with_(nodes=(*first, *rest))


def _in_several(numbers: Sequence[int], stacks: Sequence[Layers]) -> bool:
    """Whether nodes of these numbers are in more than one layer of a stack."""
    return any(
        len({(n - s.start) // s.period for n in numbers if s.start <= n < s.end}) > 1
        for s in stacks
    )


def _without_ones(given: Type, steps: tuple[MoveStep, ...]) -> tuple[MoveStep, ...]:
    """The steps as they are if nothing has dimensions of size one, but what other steps than turns
    take and give."""
    found: list[MoveStep] = []
    for step in steps:
        shape, given = given.shape, infer(Move((step,)), (given,))
        kept = [size for size in given.shape if size > 1]
        if isinstance(step, Transpose):
            order = [i for i in step.perm if shape[i] > 1]
            found.append(Transpose(tuple(sorted(order).index(i) for i in order)))
        elif isinstance(step, Reshape):
            found.append(Reshape(tuple(kept)))
        else:
            found += [Reshape(shape), step, Reshape(tuple(kept))]
    return tidy(tuple(found))


def _late(
    shape: tuple[int, ...], steps: tuple[MoveStep, ...], axis: int
) -> tuple[tuple[MoveStep, ...], tuple[MoveStep, ...]]:
    """The steps of what reads a join of single positions; and what comes behind them, if they make
    one dimension of these and others.

    Neighbours that are turned together are joined so: what else is done to them does not wait.
    """
    turns = _common([steps])
    found = None if place(shape, turns, axis) is not None else apart(shape, turns, axis)
    if found is None:
        return steps, ()
    first, join = found
    return first, (join, *steps[len(turns) :])


def _common(all_steps: Sequence[tuple[MoveStep, ...]]) -> list[Turn]:
    """The reshapes and transposes with which all of these begin."""
    found: list[Turn] = []
    for steps in zip(*all_steps, strict=False):
        if not isinstance(steps[0], Turn) or any(step != steps[0] for step in steps):
            break
        found.append(steps[0])
    return found
