"""Deep networks: a few of the layers go through the passes, and stand for those between them.

Layers that differ in their weights alone are laid out alike and become a loop. So what the passes
make of a network of four such layers says what they make of one of ninety-six: the loop has more
turns, and the names in it go on. The layers in the middle are left out of the graph, and come
back as turns of the loop. Where that cannot be shown, all layers go through the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wsc.ir.cut import BEFORE, Cut
from wsc.ir.graph import Constant, Graph, Node
from wsc.ir.ranges import MOST_READ
from wsc.passes.layers import Layers, find_layers

BEHIND = 2  # layers that are kept behind those that are left out, at least
TOGETHER = 4  # layers that take turns at most: as many, or a multiple of it, are left out


@dataclass(frozen=True, slots=True)
class Deep:
    """A deep network, of which a few layers stand for all, or a few blocks of keys in each layer.

    few: the graph with these. cut: the layers that it is without, None if it has all. work:
    multiply-accumulates of all. whole: makes the graph of all. more: the same with all blocks of
    keys, None where that is no other.
    """

    few: Graph
    cut: Cut | None
    work: int
    whole: Callable[[], Graph]
    more: Callable[[], Deep | None] = lambda: None


def shorten(graph: Graph) -> tuple[Graph, Cut] | None:
    """A simplified graph without the layers in the middle of a deep stack, and what these are.

    None where there is no such stack, or where a layer has more of its own than weights: inputs,
    outputs, small integers (whose values may decide what becomes of a node), or something that
    training keeps or changes.
    """
    if any(constant.state for constant in graph.constants):
        return None
    return _without_middle(graph, _decide_nothing)


def shorten_forward(graph: Graph) -> tuple[Graph, Cut] | None:
    """The same of the forward pass of a training step, before anything is made of it.

    What a layer has of its own may change from step to step. What does not, and is small enough to
    be looked at, has to be the same in all layers. Each node has to be for some of the model's that
    no other layer's is for, so that its derivative is as well.
    """
    return _without_middle(graph, _all_the_same, trains=True)


def _without_middle(
    graph: Graph,
    decides: Callable[[Sequence[Constant]], bool],
    trains: bool = False,
) -> tuple[Graph, Cut] | None:
    """A graph without the layers in the middle.

    decides: whether nothing follows from the values of the constants that all layers have at one
    place. trains: whether a backward pass is made of it: then each node has
    to be known by what it is for.
    """
    stacks = find_layers(graph)
    if len(stacks) != 1:
        return None
    (layers,) = stacks
    before = BEFORE if not trains or _trained_before(graph, layers) else BEFORE + 1
    left = (layers.count - before - BEHIND) // TOGETHER * TOGETHER
    if left < TOGETHER or layers.kept:
        return None
    own = _own(graph, layers)
    families = _families(graph, layers, own)
    if families is None or own is None or not all(map(decides, own)):
        return None
    first = layers.start + before * layers.period
    last = first + left * layers.period
    made = {node.output: number for number, node in enumerate(graph.nodes)}
    gone = {node.output for node in graph.nodes[first:last]}
    if any(gone.intersection(output.values) for output in graph.outputs):
        return None
    turn = graph.nodes[layers.start : layers.start + layers.period]
    if trains and not all(families.keys() & {*node.origin} for node in turn):
        return None

    def handed(name: str) -> str:
        """What the layer behind those left out gets in the place of what it is handed."""
        return graph.nodes[made[name] - (last - first)].output if name in gone else name

    following = graph.nodes[last : last + layers.period]
    rest = graph.nodes[last + layers.period :]
    if any(gone.intersection(node.inputs) for node in rest):
        return None
    nodes: list[Node] = [*graph.nodes[:first]]
    nodes += [replace(node, inputs=tuple(map(handed, node.inputs))) for node in following]
    read = {name for node in (*nodes, *rest) for name in node.inputs}
    read |= {name for output in graph.outputs for name in output.values}
    constants = tuple(constant for constant in graph.constants if constant.name in read)
    short = graph.with_(nodes=(*nodes, *rest), constants=constants)
    # What is made of the few has to see the same layers.
    alike = [(item.start, item.period, item.count) for item in find_layers(short)]
    if alike != [(layers.start, layers.period, layers.count - left)]:
        return None
    return short, Cut(left, families, graph.constants, before=before)


def _trained_before(graph: Graph, layers: Layers) -> bool:
    """Whether training changes something in front of layers.

    If it does not, the backward pass ends in the first layer, and so in its own way, as does what
    the second one hands on to it.
    """
    states = {constant.name for constant in graph.constants if constant.state}
    return any(states.intersection(node.inputs) for node in graph.nodes[: layers.start])


def _own(graph: Graph, layers: Layers) -> list[tuple[Constant, ...]] | None:
    """What layers have of their own: at each place the constants of all of them.

    None if something else than a constant is one layer's alone.
    """
    constants = {constant.name: constant for constant in graph.constants}
    found: list[tuple[Constant, ...]] = []
    for names in _columns(graph, layers):
        if not layers.own.isdisjoint(names):
            if any(name not in constants for name in names):
                return None
            found.append(tuple(constants[name] for name in names))
    return found


def _columns(graph: Graph, layers: Layers) -> list[tuple[str, ...]]:
    """What the nodes of all layers read, place by place."""
    return [
        column
        for place in range(layers.start, layers.start + layers.period)
        for column in zip(
            *(node.inputs for node in graph.nodes[place : layers.end : layers.period]), strict=True
        )
    ]


def _decide_nothing(own: Sequence[Constant]) -> bool:
    """Whether no value of these is looked at, once a graph is simplified."""
    return all(item.type.dtype.is_float or item.type.size > MOST_READ for item in own)


def _all_the_same(own: Sequence[Constant]) -> bool:
    """Whether what is made of these is the same for all of them.

    A single float may become a literal, integers may be positions.
    """
    changing = {item.state for item in own}
    if len(changing) > 1 or True in changing:
        return len(changing) == 1
    read = 1 if own[0].type.dtype.is_float else MOST_READ
    return own[0].type.size > read or len({item.load().tobytes() for item in own}) == 1


def _families(
    graph: Graph, layers: Layers, own: Sequence[Sequence[Constant]] | None
) -> dict[str, tuple[str, ...]] | None:
    """Each name of a layer -> those of all; None if one name would be of several layers."""
    found: dict[str, tuple[str, ...]] = {}
    columns = [tuple(item.name for item in items) for items in own or ()]
    for place in range(layers.start, layers.start + layers.period):
        nodes = graph.nodes[place : layers.end : layers.period]
        if len({len(node.origin) for node in nodes}) > 1:
            return None
        columns.append(tuple(node.output for node in nodes))
        columns += zip(*(node.origin for node in nodes), strict=True)
    return found if all(add_family(found, column) for column in columns) else None


def add_family(families: dict[str, tuple[str, ...]], column: tuple[str, ...]) -> bool:
    """Note the names that all layers have for one thing.

    Returns:
        Whether each is a name of one layer, or one name is that of all.
    """
    if len(set(column)) == 1:  # a name that all layers share
        return True
    for name in column:
        if families.setdefault(name, column) != column:
            return False
    return len(set(column)) == len(column)
