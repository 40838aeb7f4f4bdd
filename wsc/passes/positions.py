"""Indices that are known to be positions need no instruction that checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wsc.ir.graph import Arg, Graph, Lit, Map, Node, Ref, Step
from wsc.ir.ranges import Interval, intervals, is_position, of_argument, ranges
from wsc.isa.types import DType

_CHECKS = frozenset({"index", "within"})  # of a number from 0 on, both give the number


def known_positions(graph: Graph) -> Graph:
    """Without the steps that check an index which cannot be wrong, whatever the inputs are."""
    if not any(_checks(node) for node in graph.nodes):
        return graph
    found = ranges(graph)
    nodes = [
        _unchecked(node, [found[name] for name in node.inputs]) if _checks(node) else node
        for node in graph.nodes
    ]
    return graph.with_(nodes=tuple(nodes))


def _checks(node: Node) -> bool:
    return isinstance(node.op, Map) and any(step.op in _CHECKS for step in node.op.body)


def _unchecked(node: Node, inputs: Sequence[Interval]) -> Node:
    assert isinstance(node.op, Map)
    steps = intervals(node.op, inputs)
    kept: list[Step] = []
    place: list[Arg | Ref | Lit] = []  # what each step of before is now
    for step in node.op.body:
        args = tuple(place[arg.step] if isinstance(arg, Ref) else arg for arg in step.args)
        bounds = [of_argument(arg, inputs, steps) for arg in step.args[:2]]
        if step.op in _CHECKS and is_position(bounds[0], bounds[1]):
            place.append(args[0])
            continue
        place.append(Ref(len(kept)))
        kept.append(replace(step, args=args))
    if not kept or place[-1] != Ref(len(kept) - 1):  # the last step is the result
        kept.append(Step("mov", DType.I32, (place[-1],)))
    return replace(node, op=Map(tuple(kept)))
