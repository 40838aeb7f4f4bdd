"""Graph to graph: movement composed, maps fused, what nobody reads removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from wsc.ir.check import broadcast, check_graph, infer
from wsc.ir.graph import (
    Arg,
    Expand,
    Graph,
    Lit,
    Map,
    Move,
    MoveStep,
    Node,
    Pad,
    Ref,
    Reshape,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.ir.naming import block_of, fresh_name
from wsc.passes.positions import known_positions
from wsc.passes.stage import Pass

MAX_BODY = 24  # steps of a fused map; more would need more temporaries than they save


@dataclass(frozen=True, slots=True)
class Simplify(Pass[Graph, Graph]):
    """Compose movement, turn one-element constants into literals, leave out checks of indices
    that are positions, fuse maps, drop dead nodes.

    Requires a checked graph; ensures that no node is dead and that no map reads a map of
    its own shape that has no other reader.
    """

    name: ClassVar[str] = "simplify"

    def apply(self, stage: Graph) -> Graph:
        """The simplified graph."""
        graph = stage
        changes = (split_pads, compose_moves, literals, known_positions, fuse_maps, drop_dead)
        for change in changes:
            graph = change(graph)
        return graph

    def broken(self, before: Graph, after: Graph) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        yield from faults(before, after)
        if len(fuse_maps(after).nodes) < len(after.nodes):
            yield "a map reads a map of its shape that nothing else reads"


def faults(before: Graph, after: Graph) -> Iterator[str]:
    """What is wrong with a graph that was made from another."""
    check_graph(after)
    dead = {node.name for node in after.nodes} - {node.name for node in drop_dead(after).nodes}
    if dead:
        yield f"node '{min(dead)}' is dead"
    if [output.name for output in before.outputs] != [output.name for output in after.outputs]:
        yield "the outputs of the graph are others"


def split_pads(graph: Graph) -> Graph:
    """A move whose padding is followed by a reshape becomes two moves."""
    nodes: list[Node] = []
    for node in graph.nodes:
        pieces = _pieces(node.op.steps) if isinstance(node.op, Move) else []
        if len(pieces) < 2:
            nodes.append(node)
            continue
        from wsc.ir.check import infer

        types = graph.types()
        source, current = node.inputs[0], types[node.inputs[0]]
        for number, piece in enumerate(pieces):
            final = number == len(pieces) - 1
            output = node.output if final else f"{node.output}.{number}"
            current = infer(Move(tuple(piece)), (current,))
            name = node.name if final else f"{node.name}.{number}"
            nodes.append(Node(name, Move(tuple(piece)), (source,), output, current, node.origin))
            source = output
    return graph.with_(nodes=tuple(nodes))


def _pieces(steps: tuple[MoveStep, ...]) -> list[list[MoveStep]]:
    pieces: list[list[MoveStep]] = [[]]
    for step in steps:
        padded = any(isinstance(earlier, Pad) for earlier in pieces[-1])
        if padded and not isinstance(step, Transpose):
            pieces.append([])
        pieces[-1].append(step)
    return pieces


def compose_moves(graph: Graph) -> Graph:
    """A move of a move is one move, unless the first one pads. Identities vanish."""
    producers: dict[str, Node] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, Move):
            before = producers.get(node.inputs[0])
            steps = node.op.steps
            earlier = before.op.steps if before and isinstance(before.op, Move) else ()
            if before and earlier and not any(isinstance(step, Pad) for step in earlier):
                origin = tuple(dict.fromkeys(before.origin + node.origin))
                node = replace(node, inputs=before.inputs, origin=origin)
                steps = earlier + steps
            node = replace(node, op=Move(tidy(steps)))
        producers[node.output] = node
        nodes.append(node)
    return graph.with_(nodes=tuple(nodes))


def cut_apart(graph: Graph) -> Graph:
    """Each cut is a node of its own, of what comes before it once.

    So a value that is cut into parts has the join of their derivatives as its own.
    """
    types, nodes = graph.types(), list[Node]()
    made: dict[tuple[str, tuple[MoveStep, ...]], str] = {}

    def moved(value: str, steps: tuple[MoveStep, ...], node: Node) -> str:
        key = value, steps
        if steps and key not in made:
            made[key] = name = fresh_name(node.output, "cut", types)
            types[name] = infer(Move(steps), (types[value],))
            nodes.append(Node(name, Move(steps), (value,), name, types[name], node.origin))
        return made[key] if steps else value

    for node in graph.nodes:
        steps = node.steps
        value, before = node.inputs[0] if node.inputs else "", list[MoveStep]()
        for step in steps[:-1]:
            if isinstance(step, Slice):
                value = moved(moved(value, tuple(before), node), (step,), node)
                before = []
            else:
                before.append(step)
        if steps and isinstance(steps[-1], Slice):
            value, before = moved(value, tuple(before), node), []
        if steps:
            node = replace(node, op=Move((*before, steps[-1])), inputs=(value,))
        nodes.append(node)
    return graph.with_(nodes=tuple(nodes))


def tidy(steps: tuple[MoveStep, ...]) -> tuple[MoveStep, ...]:
    """Adjacent reshapes, transposes and slices merged."""
    kept: list[MoveStep] = []
    for step in steps:
        last = kept[-1] if kept else None
        if isinstance(step, Reshape) and isinstance(last, Reshape):
            kept[-1] = step
        elif isinstance(step, Transpose) and isinstance(last, Transpose):
            kept[-1] = Transpose(tuple(last.perm[i] for i in step.perm))
        elif isinstance(step, Slice) and isinstance(last, Slice):
            kept[-1] = _within(last, step)
        else:
            kept.append(step)
        last = kept[-1]
        if isinstance(last, Transpose) and last.perm == tuple(range(len(last.perm))):
            kept.pop()
    return tuple(kept)


def _within(outer: Slice, inner: Slice) -> Slice:
    """A slice of what a slice gives, as one."""
    starts = zip(outer.starts, inner.starts, outer.steps, strict=True)
    strides = zip(outer.steps, inner.steps, inner.sizes, strict=True)
    return Slice(
        tuple(first + more * step for first, more, step in starts),
        inner.sizes,
        tuple(step * again if size > 1 else 1 for step, again, size in strides),
    )


def unspread(graph: Graph) -> Graph:
    """A map reads what was repeated along some of its dimensions as it was before.

    It repeats such operands by itself; the derivative of a sum is nothing but that. A map of
    nothing else is done before its operand is repeated.
    """
    producers: dict[str, Node] = {}
    types = graph.types()
    nodes: list[Node] = []

    def add(node: Node) -> None:
        if node.output not in producers:
            nodes.append(node)
            producers[node.output] = node
            types[node.output] = node.type

    def unmoved(name: str) -> str:
        """The first value that this one is in the same shape and order, whatever lies between."""
        found, node = name, producers.get(name)
        while node is not None and node.steps and all(isinstance(s, Reshape) for s in node.steps):
            (source,) = node.inputs
            found = source if types[source].shape == types[name].shape else found
            node = producers.get(source)
        return found

    for node in graph.nodes:
        if isinstance(node.op, Map):
            for place, name in enumerate(node.inputs):
                before = producers.get(name)
                narrow = None if before is None else _narrow(before, types)
                alone = len(node.inputs) == 1
                if narrow is None or not (alone or _still_whole(node, place, types)):
                    continue
                shape, source = narrow.type.shape, unmoved(narrow.inputs[0])
                if shape != types[source].shape:
                    add(narrow)
                    source = narrow.output
                if alone:
                    name, type_ = f"{node.output}.few", replace(node.type, shape=shape)
                    few = Node(name, node.op, (source,), name, type_, node.origin)
                    add(few)
                    node = replace(node, op=Move((Expand(node.type.shape),)), inputs=(few.output,))
                    break
                inputs = (*node.inputs[:place], source, *node.inputs[place + 1 :])
                node = replace(node, inputs=inputs)
        add(node)
    return drop_dead(graph.with_(nodes=tuple(nodes)))


def _narrow(node: Node, types: Mapping[str, Type]) -> Node | None:
    """What a node repeats along dimensions, before it does; None for other nodes."""
    if not isinstance(node.op, Move) or not node.op.steps:
        return None
    *steps, last = node.op.steps
    if not isinstance(last, Expand) or any(not isinstance(step, Reshape) for step in steps):
        return None
    (source,) = node.inputs
    shape = types[source].shape
    for step in steps:
        assert isinstance(step, Reshape)
        shape = step.shape
    name, type_ = f"{node.output}.narrow", replace(node.type, shape=shape)
    return Node(name, Move((Reshape(shape),)), (source,), name, type_, node.origin)


def _still_whole(node: Node, place: int, types: Mapping[str, Type]) -> bool:
    """Whether the other operands of a map together are as large as its result."""
    others = [types[name].shape for i, name in enumerate(node.inputs) if i != place]
    return bool(others) and broadcast(others) == node.type.shape


def literals(graph: Graph) -> Graph:
    """One-element constants that maps read become literals of the body."""
    small = {
        constant.name: constant
        for constant in graph.constants
        if constant.type.size == 1 and len(constant.type.shape) <= 1 and not constant.state
    }
    nodes = [
        _with_literals(node, small) if isinstance(node.op, Map) else node for node in graph.nodes
    ]
    return graph.with_(nodes=tuple(nodes))


def _with_literals(node: Node, small: dict) -> Node:  # type: ignore[type-arg]
    assert isinstance(node.op, Map)
    kept = [name for name in node.inputs if name not in small]
    if len(kept) == len(node.inputs) or not kept:
        return node
    values = {
        i: np.asarray(small[name].load()).reshape(()).item()
        for i, name in enumerate(node.inputs)
        if name in small
    }
    place = {i: kept.index(name) for i, name in enumerate(node.inputs) if name not in small}

    def change(arg: Arg | Ref | Lit) -> Arg | Ref | Lit:
        if isinstance(arg, Arg):
            return Lit(values[arg.index]) if arg.index in values else Arg(place[arg.index])
        return arg

    body = tuple(
        replace(step, args=tuple(change(arg) for arg in step.args)) for step in node.op.body
    )
    return replace(node, op=Map(body), inputs=tuple(kept))


def fuse_maps(graph: Graph) -> Graph:
    """A map with one reader, a map of the same shape, becomes part of it."""
    readers = {name: len(nodes) for name, nodes in graph.users().items()}
    for name in (name for output in graph.outputs for name in output.values):
        readers[name] = readers.get(name, 0) + 2
    producers: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, Map):
            node = _absorb(node, producers, readers)
        producers[node.output] = node
    used = set(producers)
    return graph.with_(nodes=tuple(producers[n.output] for n in graph.nodes if n.output in used))


def _absorb(node: Node, producers: dict[str, Node], readers: dict[str, int]) -> Node:
    """Fuse producers into a map until none is left that may be."""
    changed = True
    while changed:
        changed = False
        for name in node.inputs:
            before = producers.get(name)
            if before is None or not isinstance(before.op, Map) or readers.get(name, 0) != 1:
                continue
            assert isinstance(node.op, Map)
            same = before.type.shape == node.type.shape
            same = same and not _of_other_block(before, node)
            if same and len(before.op.body) + len(node.op.body) <= MAX_BODY:
                node = _fused(before, node)
                changed = True
                break
    return node


def _of_other_block(before: Node, node: Node) -> bool:
    """Whether two maps stay apart since they are for blocks of keys, which add up what they give.

    A part is added when it is there, and not all of them at the end. What goes on from the block
    before does nothing else, so that its result may take the place of what was there.
    """
    block = block_of(node.name)
    goes_on = block and any(block_of(name) not in ("", block) for name in node.inputs)
    return bool(goes_on) or block_of(before.name) != block


def _fused(before: Node, node: Node) -> Node:
    assert isinstance(before.op, Map)
    assert isinstance(node.op, Map)
    inputs = list(before.inputs) + [n for n in node.inputs if n != before.output]
    inputs = list(dict.fromkeys(inputs))
    shift = len(before.op.body)

    def change(arg: Arg | Ref | Lit, owner: Node, offset: int) -> Arg | Ref | Lit:
        if isinstance(arg, Ref):
            return Ref(arg.step + offset)
        if isinstance(arg, Arg):
            name = owner.inputs[arg.index]
            if owner is node and name == before.output:
                return Ref(shift - 1)
            return Arg(inputs.index(name))
        return arg

    def body(owner: Node, offset: int) -> tuple[Step, ...]:
        assert isinstance(owner.op, Map)
        return tuple(
            replace(step, args=tuple(change(arg, owner, offset) for arg in step.args))
            for step in owner.op.body
        )

    steps = body(before, 0) + body(node, shift)
    origin = tuple(dict.fromkeys(before.origin + node.origin))
    return replace(node, op=Map(steps), inputs=tuple(inputs), origin=origin)


def drop_dead(graph: Graph) -> Graph:
    """Nodes and constants that no output needs go."""
    needed = {name for output in graph.outputs for name in output.values}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            kept.append(node)
            needed.update(node.inputs)
    constants = tuple(c for c in graph.constants if c.name in needed)
    return graph.with_(nodes=tuple(reversed(kept)), constants=constants)
