"""The tables of a run whose tiles are lanes, and what they say of slots when it stands."""

from __future__ import annotations

import math

import numpy as np

from wsc.isa.types import Side
from wsc.runtime.clocked.routers import INTO_ROUTER
from wsc.runtime.clocked.tables import (
    Tables,
    code,
    cores,
    counts,
    edge,
    messages,
    numbers,
    routers,
)
from wsc.runtime.image import Image
from wsc.runtime.kernels.operations import domains, operations
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.record import Record
from wsc.runtime.routes import NOWHERE, Fcol, Scol
from wsc.runtime.runs import Options
from wsc.runtime.tables import Col, Kind, as_columns
from wsc.runtime.time.compiled import Machine
from wsc.runtime.time.forms import forms
from wsc.runtime.time.links import LINKS
from wsc.runtime.time.records import (
    CELL,
    CLAIM,
    DEEPEST,
    DIGITS,
    DUE,
    EIGHT,
    FARTHEST,
    GROUP,
    GROUPS,
    LEAST_GROUPS,
    LINK,
    RUN,
    STATION,
    TILE,
    way_cycles,
)

RAMP = Side.RAMP.index
FIRST_QUEUE = -2  # the neighbour of a slot that sends over the edge is this minus a queue
SIDES = ("north", "east", "south", "west")


class Lanes:
    """The tables of a run, and where each slot is in them."""

    def __init__(self, image: Image, record: Record | None, options: Options) -> None:
        tables = _shared(image, record, options)
        self.slots: np.ndarray = as_columns(tables["slots"], np.int32)
        count = int(image.routes.slot_first[-1])
        mine = self.slots[:count]
        laned = _laned_colors(image, options)
        mine[:, Scol.GUIDED] = ~laned[mine[:, Scol.COLOR]]
        # Blocks, and the lane of each tile.
        width, height = image.program.width, image.program.height
        columns, rows = -(-width // WORD), -(-height // WORDS)
        x, y = np.arange(image.tiles) % width, np.arange(image.tiles) // width
        block = y // WORDS * columns + x // WORD
        lane = y % WORDS * WORD + x % WORD
        # Stations: colors in blocks, in the order of the colors in a tile.
        order = np.argsort([number for _, number in image.program.colors], kind="stable")
        rank = np.empty(len(laned), np.int64)
        rank[order] = np.arange(len(order))
        blocks = columns * rows
        tile, color = mine[:, Scol.TILE], mine[:, Scol.COLOR]
        key = block[tile] * max(len(laned), 1) + rank[color]
        keys, station = np.unique(key, return_inverse=True)
        self.stations = np.zeros(max(len(keys), 1), STATION)
        self.station, self.lane = station, lane[tile]
        pitch = rows * WORDS + 2
        plane = (columns + 2) * pitch
        if len(keys):
            self._describe(keys // len(laned), order[keys % len(laned)], columns, pitch, plane)
            self._routes(image, mine)
        now, units = tables["now"], int(tables["now"]["units"][0])
        now["stations"] = len(self.stations)
        now["pitch"], now["plane"], now["ring"] = pitch, plane, _ring(image)
        now["digits"] = int(image.routes.depths.max(initial=1)).bit_length()
        self.way = way_cycles(image.fabric)
        now["way"] = self.way
        for name, number in _link_numbers(image).items():
            now[name] = number
        self.machine = Machine(
            tables
            | self._tables(image, mine, blocks, units)
            | {
                "stations": self.stations,
                "slot_station": np.append(station, 0).astype(np.int64),
                "corner": np.arange(rows).repeat(columns) * WORDS * width
                + np.tile(np.arange(columns), rows) * WORD,
                "tile_block": block,
                "tile_lane": lane,
                "rooms": np.zeros(plane * max(len(laned), 1), np.int64),
                "sent": np.zeros(4 * plane * max(len(laned), 1), np.int64),
            }
        )

    def _describe(
        self, block: np.ndarray, color: np.ndarray, columns: int, pitch: int, plane: int
    ) -> None:
        """Which color and block each station is, and its neighbours."""
        stations = self.stations
        row, column = block // columns, block % columns
        stations["block"], stations["color"] = block, color
        stations["first"] = color * plane + (column + 1) * pitch + 1 + row * WORDS
        stations["listed"] = -1
        place = {
            (c, b): n for n, (c, b) in enumerate(zip(color.tolist(), block.tolist(), strict=True))
        }
        for name, side in zip(SIDES, list(Side)[:4], strict=True):
            dx, dy = side.step
            stations[name] = [
                place.get((c, (r + dy) * columns + k + dx), -1) if 0 <= k + dx < columns else -1
                for c, r, k in zip(color.tolist(), row.tolist(), column.tolist(), strict=True)
            ]

    def _routes(self, image: Image, slots: np.ndarray) -> None:
        """Where tiles send and receive, and the cells of their queues."""
        routes, stations = image.routes, self.stations
        used = np.zeros(len(slots), np.int64)
        for step in range(int(slots[:, Scol.POSITIONS].max(initial=0))):
            has = slots[:, Scol.POSITIONS] > step
            row = routes.positions[np.where(has, slots[:, Scol.FIRST] + step, 0)]
            used |= np.where(has, row[:, 1], 0)
        used |= np.where(slots[:, Scol.OUTPUT] >= 0, 1 << INTO_ROUTER, 0)
        np.bitwise_or.at(stations["ways"], self.station, used)
        laned = slots[:, Scol.GUIDED] == 0
        receive, send = routes.positions[slots[:, Scol.FIRST]].T
        stuck = laned & (send == 0)
        for side in range(4):
            sends, beyond = laned & (send >> side & 1 == 1), slots[:, Scol.NEXT + side]
            inside = sends & (beyond >= 0)
            accepts = inside & (receive[np.where(inside, beyond, 0)] == (side + 2) & 3)
            leaves = sends & (beyond <= FIRST_QUEUE) & (beyond != NOWHERE)
            self._set("leaves", leaves)
            accepts |= leaves
            bends = laned & (receive != RAMP) & ((receive ^ side) & 1 == 1)
            bent = np.zeros(len(slots), bool)
            bent[beyond[inside & accepts & bends]] = True
            self._set("bent", bent)
            self._set(f"to_{SIDES[side]}", accepts)
            stuck |= sends & ~accepts
            comes = laned & (receive == side)
            np.bitwise_or.at(stations["sources"], self.station[comes], 1 << side)
        self._set("stuck", stuck)
        self._set("to_core", laned & (send >> RAMP & 1 == 1))
        self._set("from_core", laned & (receive == RAMP))
        self._count("free", laned, routes.depths[: len(slots)])
        for name, column in (("in_free", Scol.INPUT), ("out_free", Scol.OUTPUT)):
            fifo = slots[:, column]
            self._count(name, laned & (fifo >= 0), routes.depths[np.maximum(fifo, 0)])

    def _tables(self, image: Image, slots: np.ndarray, blocks: int, units: int) -> Tables:
        """Lists, claims and groups, all empty."""
        stations, tiles = self.stations, image.tiles
        ring = _ring(image)
        first, members = _members(stations, blocks)
        most = min(LEAST_GROUPS + GROUPS * units * blocks, tiles * units + 1)
        groups = np.zeros(most, GROUP)
        groups["next"] = np.append(np.arange(1, most), -1)
        ports = len(image.schedule.port_first) - 1
        return {
            "claims": np.zeros(len(stations) * LINKS, CLAIM),
            "rising": np.zeros(len(stations) * ring, EIGHT),
            "falling": np.zeros(len(stations) * ring, EIGHT),
            "coming": np.zeros(len(stations) * self.way, EIGHT),
            "links": np.zeros(blocks * LINKS, LINK),
            "taken_list": np.zeros(blocks * LINKS, np.int64),
            "members": members,
            "members_first": first,
            "edges": _edges(image, blocks),
            "wanting": np.zeros(blocks, np.int64),
            "wanting_blocks": np.zeros(blocks, np.int64),
            "listing": np.zeros(2 * len(stations), np.int64),
            "claimants": np.zeros(len(stations), np.int64),
            "switched": np.zeros(2 * len(self.slots), np.int64),
            "switched_listed": np.zeros(len(self.slots), np.int8),
            "groups": groups,
            "group_first": np.full(blocks * units, -1, np.int64),
            "live": np.zeros(most, np.int64),
            "due_lanes": np.zeros(most * DUE, EIGHT),
            "joined": np.zeros(tiles * units, np.int64),
            "port_listed": np.zeros(ports, np.int8),
            "port_list": np.zeros(2 * ports, np.int64),
        }

    # --- lanes as tables of slots -----------------------------------------------------------

    def _words(self, name: str) -> np.ndarray:
        return self.stations[name].view(np.int64)

    def _set(self, name: str, which: np.ndarray) -> None:
        """Set the lanes of some slots in a field."""
        lane = self.lane[which]
        bits = np.left_shift(np.int64(1), lane % WORD)
        np.bitwise_or.at(self._words(name), (self.station[which], lane // WORD), bits)

    def _get(self, name: str) -> np.ndarray:
        """A field's lane of each slot: 0 or 1."""
        return self._words(name)[self.station, self.lane // WORD] >> (self.lane % WORD) & 1

    def _count(self, name: str, which: np.ndarray, counts: np.ndarray) -> None:
        for digit in range(DIGITS):
            self._set(f"{name}{digit}", which & (counts >> digit & 1 == 1))

    def _counted(self, name: str) -> np.ndarray:
        return sum(self._get(f"{name}{digit}") << digit for digit in range(DIGITS))  # type: ignore[return-value]

    def show(self) -> None:
        """Write counts of wavelets and pending sides to the tables that others look at."""
        slots = self.slots[: len(self.station)]
        laned, fifos = slots[:, Scol.GUIDED] == 0, as_columns(self.machine.fifos, np.int64)
        if not laned.any():
            return
        put, taken, fed = (self._get(name) for name in ("put", "taken", "fed"))
        held = fifos[: len(slots), Fcol.DEPTH] - self._counted("free") + fed + self._arriving()
        fifos[: len(slots), Fcol.COUNT][laned] = held[laned]
        for column, name, more in ((Scol.INPUT, "in_free", -taken), (Scol.OUTPUT, "out_free", put)):
            has = laned & (slots[:, column] >= 0)
            fifo = slots[has, column]
            held = fifos[fifo, Fcol.DEPTH] - self._counted(name)[has] + more[has]
            fifos[fifo, Fcol.COUNT] = held
        send = self.machine.positions[slots[:, Scol.FIRST]]["send"]
        had = sum(self._get(f"had_{name}") << side for side, name in enumerate((*SIDES, "core")))
        slots[laned, Scol.PENDING] = np.where(had != 0, send & ~had, 0)[laned]

    def _arriving(self) -> np.ndarray:
        """1 for the slots to which a neighbour sent a wavelet in the last cycle."""
        slots, sent = self.slots[: len(self.station)], self.machine.sent
        sides = len(sent) // 4
        receive = self.machine.positions[slots[:, Scol.FIRST]]["accept"]
        first = self.stations["first"][self.station] + self.lane // WORD
        arriving = np.zeros(len(slots), np.int64)
        for side in range(4):
            beyond = slots[:, Scol.NEXT + side]
            comes = np.nonzero((receive == side) & (beyond >= 0) & (slots[:, Scol.GUIDED] == 0))[0]
            sender = beyond[comes]
            words = sent[((side + 2) & 3) * sides + first[sender]]
            arriving[comes] = words >> (self.lane[sender] % WORD) & 1
        return arriving

    def count_moves(self) -> None:
        """Wavelets of the slots that are lanes, from how many came to the root of each tree."""
        slots, machine = self.slots[: len(self.station)], self.machine
        laned = slots[:, Scol.GUIDED] == 0
        fifos = as_columns(machine.fifos, np.int64)
        first = machine.positions[slots[:, Scol.FIRST]]
        receive, send = first["accept"], first["send"]
        held = fifos[: len(slots), Fcol.COUNT]
        pushed = fifos[: len(slots), Fcol.PUSHED]
        pending = np.where(slots[:, Scol.PENDING] != 0, slots[:, Scol.PENDING], send)
        rises = laned & (receive == RAMP) & (slots[:, Scol.OUTPUT] >= 0)
        queue = slots[rises, Scol.OUTPUT]
        pushed[rises] = fifos[queue, Fcol.PUSHED] - fifos[queue, Fcol.COUNT]
        machine.moves[: len(slots), INTO_ROUTER][rises] = pushed[rises]
        roots = rises.copy()
        for side in range(4):
            roots |= laned & (receive == side) & (slots[:, Scol.NEXT + side] <= -2)
        front = np.nonzero(roots)[0]
        while len(front):
            following: list[np.ndarray] = []
            for side in range(5):
                sends = front[send[front] >> side & 1 == 1]
                served = pending[sends] >> side & 1 == 0
                left = pushed[sends] - held[sends] + served
                machine.moves[sends, side] = left
                if side < 4:
                    beyond = slots[sends, Scol.NEXT + side]
                    takes = (beyond >= 0) & (receive[np.maximum(beyond, 0)] == (side + 2) & 3)
                    pushed[beyond[takes]] = left[takes]
                    following.append(beyond[takes])
            front = np.concatenate(following)


def _shared(image: Image, record: Record | None, options: Options) -> Tables:
    """The tables in which tiles and slots are not lanes; those that a run changes are copied."""
    units, routes = image.code.units + 1, image.routes
    now = np.zeros(1, RUN)
    for name, value in numbers(image, units, options).items():
        now[name] = value
    now["slots"] = len(routes.slots)
    tables: Tables = {
        "now": now,
        "forms": forms(image),
        **_code(image, record),
        **cores(image, units, TILE),
        **routers(image),
        "cells": np.zeros(max(routes.cells, 1), CELL),
        **edge(image),
        **messages(image),
        **counts(image, units, options),
    }
    tables["tile"]["record"] = tables["record_first"][:-1]
    return tables


def _code(image: Image, record: Record | None) -> dict[str, np.ndarray]:
    """The code, what its integer instructions do, and what was loaded where data decide."""
    rows = image.code.rows
    scalar = rows[rows[:, Col.KIND] == Kind.SCALAR, Col.OPCODE]
    wanted = {(opcode, True) for opcode in np.unique(scalar).tolist()}
    if record is None:
        deciding, loaded = np.zeros(len(rows), np.int8), np.zeros(1, np.int32)
        first = np.zeros(image.tiles + 1, np.int64)
    else:
        deciding, loaded, first = record.deciding, np.append(record.loaded, 0), record.first
    return {
        **code(image),
        "operations": operations(wanted),
        "domains": domains(wanted),
        "words": np.zeros(4, np.int32),
        "deciding": deciding,
        "record": loaded.astype(np.int32),
        "record_first": first,
    }


def _laned_colors(image: Image, options: Options) -> np.ndarray:
    """Colors whose routers and queues are lanes: those without switches.

    Delays are drawn for each wavelet, a long queue's count has too many digits, and a long way to
    the next router has too many cycles: then none is.
    """
    far = image.fabric.hop_cycles + image.fabric.turn_cycles > FARTHEST
    deep = image.routes.depths.max(initial=0) > DEEPEST
    if far or deep or options.delays is not None:
        return np.zeros(len(image.program.colors), bool)
    slots = image.routes.slots[: int(image.routes.slot_first[-1])]
    laned = np.ones(len(image.program.colors), bool)
    laned[slots[slots[:, Scol.GUIDED] != 0, Scol.COLOR]] = False
    return laned


def _ring(image: Image) -> int:
    """Cycles that the ring of a ramp looks ahead: a power of two."""
    return 1 << int(image.fabric.ramp_latency).bit_length()


def _link_numbers(image: Image) -> dict[str, int]:
    """How long a wavelet takes a link: see ``links``; no digits if no longer than a cycle."""
    whole, rest = divmod(image.fabric.link_millicycles, 1000)
    parts = math.gcd(rest, 1000)
    return {
        "link_digits": (whole - 1 + (rest > 0)).bit_length(),
        "link_parts": 1000 // parts,
        "link_part": rest // parts,
    }


def _members(stations: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """The stations that could use each link of a block, in the order of their colors."""
    first, members = [0], list[int]()
    by_block: dict[int, list[int]] = {}
    for station, block in enumerate(stations["block"].tolist()):
        by_block.setdefault(block, []).append(station)
    ways = stations["ways"].tolist()
    for block in range(blocks):
        for side in range(LINKS):
            members += [n for n in by_block.get(block, ()) if ways[n] >> side & 1]
            first.append(len(members))
    return np.array(first), np.array([*members, 0])


def _edges(image: Image, blocks: int) -> np.ndarray:
    """The tiles of each block whose link on a side leads over the edge of the fabric."""
    width, height = image.program.width, image.program.height
    columns = -(-width // WORD)
    edges = np.zeros((blocks, LINKS, WORDS), np.int64)
    for x, y, side in (
        *((x, 0, Side.NORTH) for x in range(width)),
        *((width - 1, y, Side.EAST) for y in range(height)),
        *((x, height - 1, Side.SOUTH) for x in range(width)),
        *((0, y, Side.WEST) for y in range(height)),
    ):
        block = y // WORDS * columns + x // WORD
        edges[block, side.index, y % WORDS] |= np.left_shift(np.int64(1), x % WORD)
    return edges.reshape(-1).view(EIGHT)
