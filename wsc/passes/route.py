"""Routing: the flows that kernels use become routes and colors.

Two flows interfere when both pass through some tile, where each needs its own route, or
when they go opposite ways; an interference graph is colored, and flows that do not interfere
may share a color. A flow's own
paths must not close a cycle: a channel dependency graph shows that, or names the cycle. What
gets a color is a strand of a flow (``wsc/flows/flow.py``), and the strand knows with which
others it conflicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

import networkx as nx

from wsc.errors import CompileError
from wsc.flows import COLLECT, COLUMN_CAST, SCATTER, STRANDS, WEIGHTS, Strand
from wsc.isa.fabric import Fabric
from wsc.isa.program import (
    Op,
    Operand,
    Procedure,
    Program,
    Queue,
    Region,
    Route,
    Statement,
    Transfer,
)
from wsc.isa.statements import colors_of, rewrite
from wsc.isa.turns import changed, each_transfer
from wsc.isa.types import DType
from wsc.passes.stage import Pass


@dataclass(frozen=True, slots=True)
class AssignColors(Pass[Program, Program]):
    """Flows that never meet share a color, and no flow waits for itself.

    Requires a program in which each flow has a color of its name; ensures that its colors
    are within the fabric's, and that a color keeps one direction along each axis.
    """

    fabric: Fabric
    name: ClassVar[str] = "route"

    def apply(self, stage: Program) -> Program:
        """The program with colors in place of flows."""
        program = stage
        routing = route([name for name, _ in program.colors], self.fabric)
        return program.with_(
            colors=routing.colors,
            routes=routing.routes,
            regions=tuple(recolor_region(region, routing) for region in program.regions),
            procedures=tuple(recolor_procedure(p, routing) for p in program.procedures),
            transfers=changed(program.transfers, lambda t: recolor_transfer(t, routing)),
        )

    def broken(self, before: Program, after: Program) -> Iterator[str]:
        """What does not hold of the things that the class ensures."""
        known = {name for name, number in after.colors if 0 <= number < self.fabric.colors}
        used = {route.color for route in after.routes}
        for procedure in after.procedures:
            used |= colors_of(procedure.body)
        for transfer, _ in each_transfer(after.transfers):
            used.add(transfer.color)
        for color in sorted(used - known):
            yield f"'{color}' is none of the {self.fabric.colors} colors of the fabric"


SHALLOW = 0.5  # words a cycle at a port, which a queue of two words keeps up with
SHARED = "_or_"  # between the names of strands, in the name of a color that they share


@dataclass(frozen=True, slots=True)
class Routing:
    """Colors by number, routes, and the color that each strand got."""

    colors: tuple[tuple[str, int], ...]
    routes: tuple[Route, ...]
    color_of: dict[str, str]


def flows_of(bodies: Iterable[tuple[Statement, ...]], transfers: Iterable[Transfer]) -> list[str]:
    """Names of the strands that instructions and transfers use, in the library's order."""
    used = {color for body in bodies for color in colors_of(body)}
    for transfer in transfers:
        used.add(transfer.color)
        if transfer.lookup is not None:
            used.add(transfer.lookup.color)
    return [name for name in STRANDS if name in used]


def route(names: list[str], fabric: Fabric) -> Routing:
    """Routes and colors for the named strands of flows.

    Raises:
        CompileError: more colors are needed than the fabric has, or a flow is cyclic.
    """
    strands = _deepest_first([STRANDS[name] for name in names], fabric)
    for strand in strands:
        circle = strand.circle(*strand.flow.sample)
        if circle is not None:
            tiles = " -> ".join(f"({x},{y})" for x, y in circle)
            raise CompileError(f"flow '{strand.name}' waits for itself in the cycle {tiles}")
    number = _color(strands)
    needed = max(number.values(), default=-1) + 1
    if needed > fabric.colors:
        raise CompileError(
            f"routing needs {needed} colors, but fabric '{fabric.name}' has {fabric.colors}; "
            f"the flows are {', '.join(names)}"
        )
    groups: dict[int, list[str]] = {}
    for strand in strands:
        groups.setdefault(number[strand], []).append(strand.name)
    color_of = {name: SHARED.join(group) for group in groups.values() for name in group}
    colors = tuple((SHARED.join(group), key) for key, group in sorted(groups.items()))
    return Routing(colors, routes_of(names, color_of), color_of)


def _deepest_first(strands: list[Strand], fabric: Fabric) -> list[Strand]:
    """Strands in the order in which they get their colors: the ramp's first queues are the deepest.

    A queue of two words lets two of them pass in three cycles. That is enough for what comes in
    parts from the edge, where its bandwidth gives a port no more: a deeper queue is then for what
    goes to all tiles of a column.
    """
    widest = fabric.io_bytes_per_cycle / DType.F16.bytes / fabric.width
    if widest > SHALLOW:
        return strands
    slow, soon = (SCATTER, COLLECT), (WEIGHTS, COLUMN_CAST)

    def place(strand: Strand) -> int:
        return 2 if strand.flow in slow else 0 if strand.flow in soon else 1

    return sorted(strands, key=place)


def routes_of(names: list[str], color_of: Mapping[str, str] | None = None) -> tuple[Route, ...]:
    """The routes of flows, each in its color (by default one of its own name)."""
    colors = color_of or {}
    found = [STRANDS[name].routes(colors.get(name, name)) for name in names]
    return tuple(dict.fromkeys(route for routes in found for route in routes))


def _color(strands: list[Strand]) -> dict[Strand, int]:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(strands)
    graph.add_edges_from(pair for pair in combinations(strands, 2) if pair[0].conflicts(pair[1]))
    in_order: Any = _as_listed  # the stub knows names of strategies only
    return nx.greedy_color(graph, strategy=in_order)


def _as_listed(graph: nx.Graph, _colors: object) -> list[Strand]:
    """Strands get their colors in the library's order."""
    return list(graph.nodes)


def recolor_transfer(transfer: Transfer, routing: Routing) -> Transfer:
    """The transfer with its flow's color."""
    lookup = transfer.lookup
    if lookup is not None:
        lookup = replace(lookup, color=routing.color_of[lookup.color])
    return replace(transfer, color=routing.color_of[transfer.color], lookup=lookup)


def recolor_procedure(procedure: Procedure, routing: Routing) -> Procedure:
    """The procedure with colors in place of flows."""
    return replace(procedure, body=_recolor(procedure.body, routing.color_of))


def recolor_region(region: Region, routing: Routing) -> Region:
    """The region with colors in place of flows, in its main."""
    return replace(region, main=_recolor(region.main, routing.color_of))


def _recolor(body: tuple[Statement, ...], colors: dict[str, str]) -> tuple[Statement, ...]:
    def own(statement: Statement) -> Statement:
        if not isinstance(statement, Op):
            return statement
        color = None if statement.color is None else colors[statement.color]
        operands = tuple(_queue(operand, colors) for operand in statement.operands)
        return replace(statement, color=color, operands=operands)

    return rewrite(body, own=own)


def _queue(operand: Operand, colors: dict[str, str]) -> Operand:
    return replace(operand, color=colors[operand.color]) if isinstance(operand, Queue) else operand
