"""Routes as tables: a compact list of color slots for each tile, and who is next to whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import product

import numpy as np

from wsc.isa.fabric import Fabric
from wsc.isa.program import Program, Region, Route
from wsc.isa.turns import each_transfer
from wsc.isa.types import Control, Side
from wsc.runtime.errors import LoadError, place
from wsc.runtime.static import static_environment, static_value
from wsc.runtime.tables import Records, by_name, record_type

MAX_ROUTES = 62  # colors with a route in one tile: bits of a machine word, its sign left alone
NOWHERE, OUTSIDE = -(1 << 30), -1  # neighbours: no route there; over the edge, no transfer


class Scol(IntEnum):
    """Columns of the slot table (int32); a slot is a color with a route in some tile."""

    TILE = 0
    COLOR = 1  # index into the program's colors
    BIT = 2  # place among the slots of its tile, in the order of color numbers
    FIRST = 3  # first row of the position table
    POSITIONS = 4
    POSITION = 5  # current switch position
    PENDING = 6  # sides that the head wavelet has still to be delivered on
    INPUT = 7  # FIFO of the core's input queue, or -1
    OUTPUT = 8  # FIFO of the core's output queue, or -1
    READER = 9  # unit that waits for a wavelet, or -1
    WRITER = 10  # unit that waits for room, or -1
    NEXT = 11  # 4 columns: slot beyond N, E, S, W; NOWHERE; OUTSIDE; or -2 - edge queue
    GUIDED = 15  # the color has switch positions or control wavelets somewhere


class Fcol(IntEnum):
    """Columns of the FIFO table (int64)."""

    HEAD = 0
    COUNT = 1
    DEPTH = 2
    OFFSET = 3  # first cell
    POPPED = 4  # cycle of the last pop
    PUSHED = 5  # wavelets that ever entered
    OPEN = 6  # cycle from which it accepts (a control wavelet closes it)


SLOT = record_type(Scol, np.int32, Scol.GUIDED + 1)
FIFO = record_type(Fcol, np.int64, len(Fcol))
POSITION = np.dtype([("accept", np.int32), ("send", np.int32)])  # a side, and a mask of sides


@dataclass(slots=True)
class Routes:
    """slot_first[tile] .. slot_first[tile + 1]: its slots. slot_of[tile, color]: slot or -1.

    route_of[slot]: row of ``Program.routes``. depths: wavelets that each FIFO has room for: one
    for the router of each slot, then the queues of the core where a route needs them.
    """

    slots: np.ndarray
    route_of: np.ndarray
    slot_first: np.ndarray
    slot_of: np.ndarray
    positions: np.ndarray  # receive side, mask of send sides
    depths: np.ndarray

    @property
    def cells(self) -> int:
        """Wavelets that all FIFOs have room for."""
        return int(self.depths.sum())

    def fifos(self) -> np.ndarray:
        """The FIFOs, all of them empty, as the engines with a clock keep them."""
        fifos = np.zeros((len(self.depths), len(Fcol)), dtype=np.int64)
        fifos[:, Fcol.DEPTH] = self.depths
        fifos[:, Fcol.OFFSET] = np.cumsum(self.depths) - self.depths
        fifos[:, Fcol.POPPED] = -1
        return fifos

    def way(self, slot: int, position: int) -> str:
        """Where a slot receives and sends in a position of its switch, as the text has it."""
        receive, send = self.positions[int(self.records.first[slot]) + position].tolist()
        receives = next(side.value for side in Side if side.index == receive)
        ways = ", ".join(side.value for side in Side if send >> side.index & 1)
        return f"{receives} -> {ways}"

    @property
    def records(self) -> Records:
        """The slots, with names."""
        return by_name(self.slots, SLOT)


def region_tiles(program: Program, region: Region) -> np.ndarray:
    """Tile numbers (y * width + x in the program's rectangle) of a region, [rows, columns]."""
    rows = np.arange(region.top, region.top + region.height)[:, None]
    columns = np.arange(region.left, region.left + region.width)[None, :]
    return rows * program.width + columns


def guarded(program: Program, region: Region, guard: object, where: object) -> np.ndarray:
    """Where a static guard holds, [rows, columns]."""
    env = static_environment(program, region)
    value = 1 if guard is None else static_value(guard, env, where)  # type: ignore[arg-type]
    return np.broadcast_to(np.asarray(value) != 0, (region.height, region.width))


def guided_colors(program: Program, sent: frozenset[int]) -> frozenset[int]:
    """Colors with switch positions, or with control wavelets of the edge or (``sent``) of cores."""
    index = {name: number for number, (name, _) in enumerate(program.colors)}
    switched = {index[route.color] for route in program.routes if len(route.positions) > 1}
    none = (Control.NONE, Control.NONE)
    fed = {index[t.color] for t, _ in each_transfer(program.transfers) if (t.then, t.final) != none}
    return sent | switched | fed


def build_routes(program: Program, fabric: Fabric, sent: frozenset[int]) -> Routes:
    """Evaluate every route for all tiles; ``sent``: colors on which cores send control wavelets.

    Raises:
        LoadError: two routes for one tile and color, or more routes in a tile or queues than
            there can be.
    """
    tiles, colors = program.width * program.height, len(program.colors)
    route_of = np.full((tiles, max(colors, 1)), -1, dtype=np.int32)
    index = {name: number for number, (name, _) in enumerate(program.colors)}
    positions: list[tuple[int, int]] = []
    firsts: list[int] = []
    for number, route in enumerate(program.routes):
        if route.color not in index:
            raise LoadError(f"{place(route.where)}no color '{route.color}'")
        region = program.region(route.region)
        chosen = region_tiles(program, region)[guarded(program, region, route.guard, route.where)]
        taken = route_of[chosen, index[route.color]] >= 0
        if taken.any():
            tile = int(chosen[taken][0])
            raise LoadError(
                f"{place(route.where)}color '{route.color}' has two routes in tile "
                f"({tile % program.width}, {tile // program.width})"
            )
        route_of[chosen, index[route.color]] = number
        firsts.append(len(positions))
        positions += [_position(route, place) for place in range(len(route.positions))]
    order = np.argsort([number for _, number in program.colors], kind="stable")
    slots, route, first, slot_of = _slots(route_of, order, tiles)
    _check_count(np.diff(first), program.width)
    _routes_of(slots, route, program, firsts)
    guided = np.array(sorted(guided_colors(program, sent)), dtype=np.int32)
    slots[:, Scol.GUIDED] = np.isin(slots[:, Scol.COLOR], guided)
    _neighbours(slots, slot_of, program)
    table = np.array(positions or [(0, 0)], dtype=np.int32)
    depths = _depths(slots, first, table, program, fabric)
    return Routes(np.ascontiguousarray(slots), route, first, slot_of.ravel(), table, depths)


def _check_count(counts: np.ndarray, width: int) -> None:
    if counts.max() > MAX_ROUTES:
        tile = int(counts.argmax())
        raise LoadError(
            f"tile ({tile % width}, {tile // width}) has routes for {counts[tile]} colors; "
            f"the runtime takes at most {MAX_ROUTES} in a tile"
        )


def _position(route: Route, number: int) -> tuple[int, int]:
    position = route.positions[number]
    return position.receive.index, sum(1 << side.index for side in set(position.send))


def _slots(
    route_of: np.ndarray, order: np.ndarray, tiles: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    ordered = route_of[:, order] if len(order) else route_of
    tile, rank = np.nonzero(ordered >= 0)
    # Column by column while they are made; a wafer has millions of slots.
    slots = np.zeros((max(len(tile), 1), 16), dtype=np.int32, order="F")
    slots[:, Scol.READER] = slots[:, Scol.WRITER] = -1
    slots[:, Scol.INPUT] = slots[:, Scol.OUTPUT] = -1
    first = np.zeros(tiles + 1, dtype=np.int32)
    np.cumsum(np.bincount(tile, minlength=tiles), out=first[1:])
    slot_of = np.full(route_of.shape, -1, dtype=np.int32)
    if len(tile):
        slots[:, Scol.TILE] = tile
        slots[:, Scol.COLOR] = order[rank]
        slots[:, Scol.BIT] = np.arange(len(tile)) - first[tile]
        slot_of[tile, order[rank]] = np.arange(len(tile))
    return slots, ordered[tile, rank], first, slot_of


def _routes_of(slots: np.ndarray, route: np.ndarray, program: Program, firsts: list[int]) -> None:
    if program.routes and len(route):
        counts = np.array([len(route.positions) for route in program.routes], dtype=np.int32)
        slots[:, Scol.FIRST] = np.array(firsts, dtype=np.int32)[route]
        slots[:, Scol.POSITIONS] = counts[route]


def _neighbours(slots: np.ndarray, slot_of: np.ndarray, program: Program) -> None:
    x, y = slots[:, Scol.TILE] % program.width, slots[:, Scol.TILE] // program.width
    for side in list(Side)[:4]:
        dx, dy = side.step
        nx, ny = x + dx, y + dy
        inside = (nx >= 0) & (nx < program.width) & (ny >= 0) & (ny < program.height)
        beyond = slot_of[np.where(inside, ny * program.width + nx, 0), slots[:, Scol.COLOR]]
        beyond = np.where(beyond < 0, NOWHERE, beyond)
        slots[:, Scol.NEXT + side.index] = np.where(inside, beyond, OUTSIDE)


def _stages(slots: np.ndarray, positions: np.ndarray, fabric: Fabric) -> np.ndarray:
    """Wavelets that can be on the way to the buffer of each slot, beside those in it.

    Each cycle of a hop, and of a turn, is a place that holds one also while it waits.
    """
    stages = np.zeros(len(slots), dtype=np.int64)
    if fabric.link_stages + fabric.turn_cycles == 0:
        return stages
    count = int(slots[:, Scol.POSITIONS].max(initial=0))
    for number, step in product(range(count), range(count)):
        # Position ``number`` of a slot, fed by position ``step`` of the one beyond its side.
        here = slots[:, Scol.POSITIONS] > number
        side = positions[np.where(here, slots[:, Scol.FIRST] + number, 0), 0].astype(np.int64)
        here &= side != Side.RAMP.index
        side = np.where(here, side, 0)
        beyond = slots[np.arange(len(slots)), Scol.NEXT + side]
        here &= beyond >= 0
        beyond = np.where(here, beyond, 0)
        here &= slots[beyond, Scol.POSITIONS] > step
        came, sent = positions[np.where(here, slots[beyond, Scol.FIRST] + step, 0)].T
        here &= sent >> (side + 2) % 4 & 1 == 1
        turns = (came != Side.RAMP.index) & ((came ^ side) & 1 == 1)
        ways = fabric.link_stages + np.where(turns, fabric.turn_cycles, 0)
        stages = np.maximum(stages, np.where(here, ways, 0))
    return stages


def _depths(
    slots: np.ndarray, first: np.ndarray, positions: np.ndarray, program: Program, fabric: Fabric
) -> np.ndarray:
    """The depth of each FIFO; notes in the slots which of them are queues of the core."""
    ramp = Side.RAMP.index
    to_core = np.zeros(len(slots), dtype=bool)
    from_core = np.zeros(len(slots), dtype=bool)
    most = int(slots[:, Scol.POSITIONS].max(initial=0))
    for step in range(most):
        has = slots[:, Scol.POSITIONS] > step
        row = np.where(has, slots[:, Scol.FIRST] + step, 0)
        to_core |= has & (positions[:, 1] >> ramp & 1 == 1)[row]
        from_core |= has & (positions[:, 0] == ramp)[row]
    depths = [fabric.router_buffer_depth + _stages(slots, positions, fabric)]
    made = len(slots)
    for mask, column, queues, what in (
        (to_core, Scol.INPUT, fabric.input_queues, "input"),
        (from_core, Scol.OUTPUT, fabric.output_queues, "output"),
    ):
        chosen = np.flatnonzero(mask)
        # How many of them a slot has before it in its tile.
        before = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(mask, out=before[1:])
        number = np.arange(len(chosen)) - before[first[slots[chosen, Scol.TILE]]]
        if len(chosen) and number.max() >= len(queues):
            tile = int(slots[chosen[number.argmax()], Scol.TILE])
            raise LoadError(
                f"tile ({tile % program.width}, {tile // program.width}) needs "
                f"{number.max() + 1} {what} queues; fabric '{fabric.name}' has {len(queues)}"
            )
        slots[chosen, column] = made + np.arange(len(chosen))
        depths.append(np.array(queues)[number] if len(chosen) else np.zeros(0, dtype=int))
        made += len(chosen)
    return np.concatenate(depths)
