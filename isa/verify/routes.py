"""Checks of the static network: every route leads somewhere, is fed, and waits in no circle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wsc.isa.program import Direction, Region, Route
from wsc.isa.types import Side
from wsc.isa.verify.context import NEIGHBOURS, SIDES, Bits, Context, Mask, bit, first
from wsc.isa.verify.graph import Indices, find_cycle

Grid = npt.NDArray[np.int32]
Shifts = dict[Side, tuple[tuple[slice, slice], tuple[slice, slice]]]

# For each side: the tiles that have a neighbour there, and those neighbours.
SHIFT: Shifts = {
    Side.NORTH: ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    Side.SOUTH: ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    Side.WEST: ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    Side.EAST: ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
}


@dataclass
class Network:
    """The routes of each color over the whole rectangle.

    paths[color][side]: for a wavelet that enters on ``side``, the sides that it may leave
    on, as bits, for every tile (row, column). owner[color]: the number of the route that
    holds in each tile, plus one. leaves[color]: the sides on which a wavelet from any side may
    leave, as bits, where that has been asked for.
    """

    paths: dict[str, dict[Side, Bits]] = field(default_factory=dict[str, dict[Side, Bits]])
    owner: dict[str, Grid] = field(default_factory=dict[str, Grid])
    leaves: dict[str, Bits] = field(default_factory=dict[str, Bits])

    def receives(self, color: str, side: Side) -> Mask:
        """Where the color may be accepted from a side."""
        return self.paths[color][side] != 0

    def sends(self, color: str, side: Side) -> Mask:
        """Where the color may leave on a side. All routes are laid out by then."""
        if color not in self.leaves:
            self.leaves[color] = np.bitwise_or.reduce(list(self.paths[color].values()))
        return (self.leaves[color] & bit(side)) != 0


def build(context: Context) -> Network:
    """Lay all routes out over the tiles; report tiles with two routes for a color."""
    network = Network()
    shape = (context.program.height, context.program.width)
    for number, route in enumerate(context.program.routes):
        region = context.regions[route.region]
        color = route.color
        if color not in network.paths:
            network.paths[color] = {side: np.zeros(shape, np.uint8) for side in SIDES}
            network.owner[color] = np.zeros(shape, np.int32)
        area = context.tiles(region)
        owner = network.owner[color][area]
        mask = np.broadcast_to(context.guard(route.guard, region, route), owner.shape)
        _add(context, network, number, route, region, mask)
    return network


def _add(
    context: Context, network: Network, number: int, route: Route, region: Region, mask: Mask
) -> None:
    area = context.tiles(region)
    owner = network.owner[route.color][area]
    twice = mask & (owner != 0)
    if twice.any():
        x, y = first(twice)
        other = context.program.routes[int(owner[y, x]) - 1]
        line = f" (line {other.where.line})" if other.where.line else ""
        context.say(
            f"tile {region.left + x},{region.top + y} has a route for '{route.color}' "
            f"already{line}",
            route,
            route.color,
        )
    owner[mask] = number + 1
    if not route.positions or not all(position.send for position in route.positions):
        context.say(f"a route of '{route.color}' sends nowhere", route)
    for position in route.positions:
        if position.receive in position.send and position.receive is not Side.RAMP:
            side = position.receive.value
            context.say(f"a route of '{route.color}' sends back to {side}", route, side)
        union = sum({bit(side) for side in position.send})
        network.paths[route.color][position.receive][area][mask] |= np.uint8(union)


def ends(context: Context, network: Network) -> None:
    """Every send side leads to a tile or a drain that takes it, and every receive side is fed."""
    shape = (context.program.height, context.program.width)
    edge = _edge(context, shape)
    for color in network.paths:
        for side in NEIGHBOURS:
            here, there = SHIFT[side]
            sends, receives = network.sends(color, side), network.receives(color, side)
            takes, gives = edge[Direction.DRAIN, color, side], edge[Direction.FEED, color, side]
            takes[here] |= network.receives(color, side.opposite)[there]
            gives[here] |= network.sends(color, side.opposite)[there]
            _report(context, network, color, side, sends & ~takes, "leads to")
            _report(context, network, color, side, receives & ~gives, "is fed by")


class _Edges(dict[tuple[Direction, str, Side], Mask]):
    """Where the edge feeds or drains a color; nowhere unless a transfer says so."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape

    def __missing__(self, key: tuple[Direction, str, Side]) -> Mask:
        self[key] = np.zeros(self.shape, bool)
        return self[key]


def _edge(context: Context, shape: tuple[int, int]) -> _Edges:
    edges = _Edges(shape)
    for transfer in context.transfers:
        region = context.regions[transfer.region]
        area = context.tiles(region)
        mask = np.broadcast_to(
            context.guard(transfer.guard, region, transfer), (region.height, region.width)
        )
        port = boundary(transfer.side)
        edges[transfer.direction, transfer.color, transfer.side][area][port] |= mask[port]
        if transfer.lookup:
            rows = transfer.lookup
            if 0 <= rows.port < side_length(region, rows.side):
                drained = edges[Direction.DRAIN, rows.color, rows.side][area]
                line = drained[boundary(rows.side)]
                line[(0, rows.port) if line.shape[0] == 1 else (rows.port, 0)] = True
    return edges


def boundary(side: Side) -> tuple[slice, slice]:
    """The tiles of an area along one of its sides, as one row or column."""
    every = slice(None)
    return {
        Side.NORTH: (slice(0, 1), every),
        Side.SOUTH: (slice(-1, None), every),
        Side.WEST: (every, slice(0, 1)),
        Side.EAST: (every, slice(-1, None)),
    }[side]


def side_length(region: Region, side: Side) -> int:
    """How many tiles a region has along a side."""
    return region.width if side in (Side.NORTH, Side.SOUTH) else region.height


def _report(
    context: Context, network: Network, color: str, side: Side, wrong: Mask, relation: str
) -> None:
    """One problem for each route that is wrong somewhere."""
    owner = network.owner[color]
    for number in np.unique(owner[wrong]).tolist():
        route = context.program.routes[number - 1]
        x, y = first(wrong & (owner == number))
        dx, dy = side.step
        inside = 0 <= x + dx < context.program.width and 0 <= y + dy < context.program.height
        leads = relation == "leads to"
        if inside:
            does = "does not receive it from" if leads else "does not send it to"
            what = f"tile {x + dx},{y + dy}, which {does} {side.opposite.value}"
        else:
            what = f"the edge, where no {'drain takes' if leads else 'feed sends'} it"
        verb = "leads" if leads else "comes from"
        context.say(
            f"'{color}' of tile {x},{y} {verb}{' to' if leads else ''} {what}", route, side.value
        )


def queues(context: Context, network: Network) -> None:
    """No tile has more colors at its ramp than queues, in either direction."""
    shape = (context.program.height, context.program.width)
    inputs, outputs = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for color in network.paths:
        inputs += network.sends(color, Side.RAMP)
        outputs += network.receives(color, Side.RAMP)
    for counts, limit, word in (
        (inputs, len(context.fabric.input_queues), "input"),
        (outputs, len(context.fabric.output_queues), "output"),
    ):
        over = counts > limit
        if over.any():
            x, y = first(over)
            test = network.sends if word == "input" else network.receives
            names = [color for color in network.paths if test(color, Side.RAMP)[y, x]]
            context.say(
                f"tile {x},{y} needs {counts[y, x]} {word} queues, for {', '.join(names)}, and "
                f"fabric '{context.fabric.name}' has {limit}",
                context.program.routes[int(network.owner[names[-1]][y, x]) - 1],
            )


def circles(context: Context, network: Network) -> None:
    """No color's routes lead round in a circle, where each wavelet waits for the next."""
    width = context.program.width
    for color in network.paths:
        if not _may_turn(network, color):
            continue
        nodes, tails, heads = edges_of(network, color)
        cycle = find_cycle(nodes, tails, heads)
        if cycle:
            tiles = [node % (nodes // len(SIDES)) for node in cycle]
            y, x = divmod(tiles[0], width)
            shown = show_tiles(tiles, width)
            route = context.program.routes[int(network.owner[color][y, x]) - 1]
            context.say(f"'{color}' runs in a circle: tiles {shown}", route, color)


def _may_turn(network: Network, color: str) -> bool:
    """A circle uses all four directions.

    It comes back to where it began, so each way along an axis needs the other; and no route
    sends back where it received from, so a turn from one way to the other needs both axes.
    """
    return all(network.sends(color, side).any() for side in NEIGHBOURS)


def ways(network: Network, colors: list[str]) -> set[Side]:
    """The sides on which any of the colors leaves any tile, the ramp aside."""
    return {side for side in NEIGHBOURS for color in colors if network.sends(color, side).any()}


def edges_of(network: Network, color: str, base: int = 0) -> tuple[int, Indices, Indices]:
    """The waits of a color: nodes are (side of entry, tile), numbered from ``base``."""
    paths = network.paths[color]
    height, width = next(iter(paths.values())).shape
    area = height * width
    tails: list[Indices] = []
    heads: list[Indices] = []
    for entry, leaves in paths.items():
        for side in NEIGHBOURS:
            here, there = SHIFT[side]
            takes = network.receives(color, side.opposite)[there]
            y, x = np.nonzero(((leaves[here] & bit(side)) != 0) & takes)
            if y.size:
                dx, dy = side.step
                y, x = y + (side is Side.NORTH), x + (side is Side.WEST)
                tails.append(base + entry.index * area + y * width + x)
                heads.append(base + side.opposite.index * area + (y + dy) * width + x + dx)
    nothing = np.zeros(0, np.int64)
    joined = [np.concatenate([nothing, *parts]) for parts in (tails, heads)]
    return len(SIDES) * area, joined[0], joined[1]


def show_tiles(tiles: list[int], width: int) -> str:
    """``0,0 -> 4,0 -> ...`` with the first tile again at the end: the corners of a closed walk."""
    points = [(tile % width, tile // width) for tile in tiles]
    around = zip([points[-1], *points[:-1]], points, [*points[1:], points[0]], strict=True)
    corners = [here for before, here, after in around if _step(before, here) != _step(here, after)]
    names = [f"{x},{y}" for x, y in corners or points[:1]]
    if len(names) > 12:
        names = [*names[:6], "...", *names[-5:]]
    return " -> ".join([*names, names[0]])


def _step(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    return two[0] - one[0], two[1] - one[1]
