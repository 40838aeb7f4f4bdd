"""The network of a program as a page draws it: boxes in layers, and what flows between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx

from wsc.isa.program import Kind, Program
from wsc.isa.shown import escaped, named
from wsc.views.dataflow import dataflow
from wsc.views.report import KernelRow
from wsc.views.streams import all_calls

SWEEPS = 4  # over all layers, to put boxes near those that they take from


def network(program: Program, rows: Sequence[KernelRow]) -> dict[str, Any]:
    """Boxes and arrows.

    A box is what the calls with the same ONNX nodes do, or an input or output of the network; it
    has a layer, below those that it takes from, and a place in the layer. An arrow goes from one
    box to another (by number), with the tensors that flow; back: to the next turn of a loop.
    """
    calls = [call for _, call in all_calls(program)]
    names: dict[tuple[str, ...] | int, int] = {}
    boxes: list[dict[str, Any]] = []
    of_call: list[int] = []
    for number, call in enumerate(calls):
        # A call without nodes, as in programs written by hand, is a box of its own.
        key = call.nodes or number
        if key not in names:
            names[key] = len(boxes)
            boxes.append(_box(named(call.nodes) or call.procedure, call.nodes, call.where.line))
        of_call.append(names[key])
    for row in rows:
        if row.call is not None:
            box = boxes[of_call[row.call]]
            box["cycles"] += row.added
            box["brought"] += sum(row.moved.values())

    shown = {
        tensor.name: tensor.kind
        for kind in (Kind.INPUT, Kind.OUTPUT)
        for tensor in program.shown(kind)
    }
    edges: dict[str, int] = {}
    arrows: dict[tuple[int, int], set[str]] = {}
    ahead: set[tuple[int, int]] = set()  # those that flow on in the text, and not to a turn behind
    for flow in dataflow(program):
        ends = [None if end is None else of_call[end] for end in (flow.giver, flow.taker)]
        if None in ends:
            # Weights come from the edge too: they are bytes of the box that takes them.
            if flow.tensor not in shown:
                continue
            if flow.tensor not in edges:
                edges[flow.tensor] = len(boxes)
                boxes.append(_box(flow.tensor, (), 0, shown[flow.tensor].value))
            ends = [edges[flow.tensor] if end is None else end for end in ends]
        giver, taker = ends
        if giver is not None and taker is not None and giver != taker:
            arrows.setdefault((giver, taker), set()).add(flow.tensor)
            if flow.giver is None or flow.taker is None or flow.giver < flow.taker:
                ahead.add((giver, taker))

    _arrange(boxes, ahead)
    return {
        "boxes": boxes,
        "arrows": [
            {
                "from": giver,
                "to": taker,
                "tensors": sorted(tensors),
                "back": (giver, taker) not in ahead,
            }
            for (giver, taker), tensors in arrows.items()
        ],
    }


def _box(name: str, nodes: Iterable[str], line: int, kind: str = "") -> dict[str, Any]:
    return {
        "name": escaped(name),
        "nodes": list(nodes),
        "line": line,
        "kind": kind,
        "cycles": 0,
        "brought": 0,
    }


def _arrange(boxes: list[dict[str, Any]], ahead: Iterable[tuple[int, int]]) -> None:
    """Give every box its layer and its place in the layer.

    ahead: the arrows that tell layers; of those that would close a circle, as where two calls of
    one box stand around another box, the later ones do not.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(boxes)))
    # Numbers of boxes rise in the text, so only an arrow to a smaller one can close a circle.
    for giver, taker in sorted(ahead, key=lambda arrow: (arrow[0] > arrow[1], arrow)):
        calls = not (boxes[giver]["kind"] or boxes[taker]["kind"])
        if (calls and giver < taker) or not nx.has_path(graph, taker, giver):
            graph.add_edge(giver, taker)
    heights = {
        number: height
        for height, layer in enumerate(nx.topological_generations(graph))
        for number in layer
    }
    # What takes from nothing stands just above what takes from it, an input or a loaded weight.
    for number in list(heights):
        takers = [heights[taker] for taker in graph.successors(number)]
        if takers and not graph.in_degree(number):
            heights[number] = min(takers) - 1

    layers: list[list[int]] = [[] for _ in range(max(heights.values(), default=-1) + 1)]
    for number, height in sorted(heights.items()):
        layers[height].append(number)
    places: dict[int, float] = {}
    for layer in layers:
        places |= {number: place for place, number in enumerate(layer)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            _order(layer, graph.predecessors if down else graph.successors, places)
    for number, height in heights.items():
        boxes[number] |= {"layer": height, "place": int(places[number])}


def _order(layer: list[int], near: Any, places: dict[int, float]) -> None:
    """Sort a layer by the mean place of the boxes that each is tied to."""

    def mean(number: int) -> float:
        tied = [places[other] for other in near(number)]
        return sum(tied) / len(tied) if tied else places[number]

    for place, number in enumerate(sorted(layer, key=mean)):
        places[number] = place
