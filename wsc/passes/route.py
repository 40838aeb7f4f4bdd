"""Routing: the flows that kernels use become routes and colors.

Two flows interfere when both pass through some tile, where each needs its own route, or
when they go opposite ways; an interference graph is colored, and flows that do not interfere
may share a color. A flow's own
paths must not close a cycle: a channel dependency graph shows that, or names the cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import networkx as nx

from wsc.errors import CompileError
from wsc.isa.expr import evaluate
from wsc.isa.fabric import Fabric
from wsc.isa.program import (
    Op,
    Operand,
    Procedure,
    Program,
    Queue,
    Route,
    Statement,
    Transfer,
)
from wsc.isa.statements import colors_of, rewrite
from wsc.isa.turns import changed, each_transfer
from wsc.isa.types import Side
from wsc.kernels.flows import FLOWS, REGION, SHARED, Flow
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


SAMPLE = 8  # flows are patterns of x, y, W, H; a small mesh shows all of their cases


@dataclass(frozen=True, slots=True)
class Routing:
    """Colors by number, routes, and the color that each flow got."""

    colors: tuple[tuple[str, int], ...]
    routes: tuple[Route, ...]
    color_of: dict[str, str]


def flows_of(bodies: Iterable[tuple[Statement, ...]], transfers: Iterable[Transfer]) -> list[str]:
    """Names of the flows that instructions and transfers use, in the library's order."""
    used = {color for body in bodies for color in colors_of(body)}
    for transfer in transfers:
        used.add(transfer.color)
        if transfer.lookup is not None:
            used.add(transfer.lookup.color)
    return [name for name in FLOWS if name in used]


Table = dict[tuple[int, int], tuple[tuple[Side, tuple[Side, ...]], ...]]


def route_table(flow: Flow, width: int, height: int) -> Table:
    """Tile -> switch positions of a flow, on a mesh of the given size."""
    table: Table = {}
    for y in range(height):
        for x in range(width):
            env = {"x": x, "y": y, "W": width, "H": height}
            for path in flow.paths:
                if path.guard is None or evaluate(path.guard, env):
                    table[x, y] = tuple((p.receive, p.send) for p in path.positions)
    return table


def opposite(one: Table, two: Table) -> bool:
    """Two flows go opposite ways along an axis.

    They do not share a color, so that a color keeps one direction along each axis:
    wavelets that only go on can close no circle of waits, on any mesh.
    """
    first, second = (
        {side for positions in table.values() for _, sends in positions for side in sends}
        for table in (one, two)
    )
    return any(side is not Side.RAMP and side.opposite in second for side in first)


def find_cycle(table: Table) -> list[tuple[int, int]] | None:
    """A cycle of tiles in which a wavelet could wait for itself, or None."""
    graph: nx.DiGraph = nx.DiGraph()
    for (x, y), positions in table.items():
        for _, sends in positions:
            for side in sends:
                if side is not Side.RAMP:
                    dx, dy = side.step
                    graph.add_edge((x, y), (x + dx, y + dy))
    try:
        return [edge[0] for edge in nx.find_cycle(graph)]
    except nx.NetworkXNoCycle:
        return None


@lru_cache(maxsize=256)
def _sampled(flow: Flow) -> tuple[Table, list[tuple[int, int]] | None]:
    """A flow's table and cycle on the mesh of the sample: programs share their flows."""
    table = route_table(flow, SAMPLE, SAMPLE)
    return table, find_cycle(table)


def route(names: list[str], fabric: Fabric) -> Routing:
    """Routes and colors for the named flows.

    Raises:
        CompileError: more colors are needed than the fabric has, or a flow is cyclic.
    """
    sampled = {name: _sampled(FLOWS[name]) for name in names}
    tables = {name: table for name, (table, _) in sampled.items()}
    for name, (_, cycle) in sampled.items():
        if cycle is not None:
            tiles = " -> ".join(f"({x},{y})" for x, y in cycle)
            raise CompileError(f"flow '{name}' waits for itself in the cycle {tiles}")
    number = _color(tables)
    needed = max(number.values(), default=-1) + 1
    if needed > fabric.colors:
        raise CompileError(
            f"routing needs {needed} colors, but fabric '{fabric.name}' has {fabric.colors}; "
            f"the flows are {', '.join(names)}"
        )
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(number[name], []).append(name)
    color_of = {name: SHARED.join(group) for group in groups.values() for name in group}
    colors = tuple((SHARED.join(group), key) for key, group in sorted(groups.items()))
    return Routing(colors, routes_of(names, color_of), color_of)


def routes_of(names: list[str], color_of: Mapping[str, str] | None = None) -> tuple[Route, ...]:
    """The routes of flows, each in its color (by default one of its own name)."""
    routes = (
        Route(color_of[name] if color_of else name, REGION, path.guard, path.positions)
        for name in names
        for path in FLOWS[name].paths
    )
    return tuple(dict.fromkeys(routes))


def _color(tables: dict[str, Table]) -> dict[str, int]:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(tables)
    items = list(tables.items())
    for i, (first, one) in enumerate(items):
        for second, two in items[i + 1 :]:
            if one.keys() & two.keys() or opposite(one, two):
                graph.add_edge(first, second)
    in_order: Any = _as_listed  # the stub knows names of strategies only
    return nx.greedy_color(graph, strategy=in_order)


def _as_listed(graph: nx.Graph, _colors: object) -> list[str]:
    """Flows get their colors in the library's order."""
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
