"""Blocks, stations and lanes: where each tile and each slot is in the tables of a run for time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.isa.types import Side
from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.routers import EDGE_QUEUES, INTO_ROUTER
from wsc.runtime.image import Image
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.routes import NOWHERE, POSITION, SLOT
from wsc.runtime.runs import Options
from wsc.runtime.tables import Records, by_name, zeros
from wsc.runtime.time.records import DEEPEST, DIGITS, FARTHEST, STATION

SIDES = ("north", "east", "south", "west")


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a fabric is divided into blocks, numbered by rows.

    columns, count: of blocks. block, lane: of each tile. corner: first tile of each block. pitch:
    words between columns of blocks in a table that neighbours look at, with a word of nothing at
    both ends. plane: words of a color there, with a column of nothing on both sides.
    """

    columns: int
    count: int
    block: np.ndarray
    lane: np.ndarray
    corner: np.ndarray
    pitch: int
    plane: int

    @staticmethod
    def of(width: int, height: int) -> Blocks:
        """The blocks of a fabric of so many tiles."""
        columns, rows = -(-width // WORD), -(-height // WORDS)
        y, x = np.divmod(np.arange(width * height), width)
        pitch = rows * WORDS + 2
        first_row = np.arange(rows).repeat(columns) * WORDS
        return Blocks(
            columns=columns,
            count=columns * rows,
            block=y // WORDS * columns + x // WORD,
            lane=y % WORDS * WORD + x % WORD,
            corner=first_row * width + np.tile(np.arange(columns) * WORD, rows),
            pitch=pitch,
            plane=(columns + 2) * pitch,
        )


def laned_colors(image: Image, options: Options) -> np.ndarray:
    """Colors whose routers and queues are lanes: those without switches.

    Delays are drawn for each wavelet, a long queue's count has too many digits, and a long way to
    the next router has too many cycles: then none is.
    """
    far = image.fabric.hop_cycles + image.fabric.turn_cycles > FARTHEST
    deep = image.routes.depths.max(initial=0) > DEEPEST
    if far or deep or options.delays is not None:
        return np.zeros(len(image.program.colors), bool)
    slots = image.routes.records[: int(image.routes.slot_first[-1])]
    laned = np.ones(len(image.program.colors), bool)
    laned[slots.color[slots.guided != 0]] = False
    return laned


def set_lanes(words: np.ndarray, row: np.ndarray, lane: np.ndarray) -> None:
    """Set lanes in the values of some rows of a table. words: [row, line]."""
    bits = np.left_shift(np.int64(1), lane % WORD)
    np.bitwise_or.at(words, (row, lane // WORD), bits)


class Stations:
    """The table of stations, and where each slot is in it.

    slots: records of the run's slots. laned: slots whose router buffers and queues are lanes.
    first: of each slot, its first position. station, lane: of each slot.
    """

    def __init__(self, image: Image, table: np.ndarray, blocks: Blocks) -> None:
        """table: slots of the run, whose field ``guided`` says what is no lane."""
        self.slots: Records = by_name(table, SLOT)[: int(image.routes.slot_first[-1])]
        self.laned = self.slots.guided == 0
        self.first: Records = by_name(image.routes.positions, POSITION)[self.slots.first]
        # A station for each color that a block has, in the order of the colors in a tile.
        colors = [number for _, number in image.program.colors]
        order = np.argsort(colors, kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        key = blocks.block[self.slots.tile] * max(len(order), 1) + rank[self.slots.color]
        keys, self.station = np.unique(key, return_inverse=True)
        self.lane = blocks.lane[self.slots.tile]
        self.table = zeros(max(len(keys), 1), STATION)
        if len(keys):
            self._describe(keys // len(order), order[keys % len(order)], blocks)
            self._routes(image)
            self._cells(image)

    def _describe(self, block: np.ndarray, color: np.ndarray, blocks: Blocks) -> None:
        """Which color and block each station is, and its neighbours."""
        row, column = np.divmod(block, blocks.columns)
        self.table["block"], self.table["color"] = block, color
        first_column = (column + 1) * blocks.pitch
        self.table["first"] = color * blocks.plane + first_column + 1 + row * WORDS
        self.table["listed"] = -1
        of_place = {
            place: station
            for station, place in enumerate(
                zip(color.tolist(), row.tolist(), column.tolist(), strict=True)
            )
        }
        for name, side in zip(SIDES, list(Side)[:4], strict=True):
            dx, dy = side.step
            self.table[name] = [of_place.get((c, y + dy, x + dx), -1) for c, y, x in of_place]

    def _routes(self, image: Image) -> None:
        """Where tiles send and receive."""
        slots, laned, first = self.slots, self.laned, self.first
        np.bitwise_or.at(self.table["ways"], self.station, self._links_used(image))
        stuck = laned & (first.send == 0)
        for side in range(4):
            beyond = slots.next[:, side]
            sends = laned & (first.send >> side & 1 == 1)
            # Into the neighbour's buffer, if that receives from here; or over the edge to a port.
            inside = sends & (beyond >= 0)
            opposite = first.accept[np.where(inside, beyond, 0)] == (side + 2) & 3
            leaves = sends & (beyond <= EDGE_QUEUES) & (beyond != NOWHERE)
            takes = (inside & opposite) | leaves
            self.set("leaves", leaves)
            self.set(f"to_{SIDES[side]}", takes)
            stuck |= sends & ~takes
            # What has come from the other axis turns here, and is longer under way.
            turns = (first.accept != RAMP) & ((first.accept ^ side) & 1 == 1)
            bent = np.zeros(len(slots), bool)
            bent[beyond[inside & opposite & turns]] = True
            self.set("bent", bent)
            comes = laned & (first.accept == side)
            np.bitwise_or.at(self.table["sources"], self.station[comes], 1 << side)
        self.set("stuck", stuck)
        self.set("to_core", laned & (first.send >> RAMP & 1 == 1))
        self.set("from_core", laned & (first.accept == RAMP))

    def _links_used(self, image: Image) -> np.ndarray:
        """The links that a slot uses in some position of its switch: a mask."""
        slots, positions = self.slots, by_name(image.routes.positions, POSITION)
        used = np.where(slots.output >= 0, 1 << INTO_ROUTER, 0)
        for step in range(int(slots.positions.max(initial=0))):
            has = slots.positions > step
            place = np.where(has, slots.first + step, 0)
            used |= np.where(has, positions.send[place], 0)
        return used

    def _cells(self, image: Image) -> None:
        """The cells of buffers and queues, all free."""
        depths = image.routes.depths
        self._set_count("free", self.laned, depths[: len(self.slots)])
        for name, fifo in (("in_free", self.slots.input), ("out_free", self.slots.output)):
            self._set_count(name, self.laned & (fifo >= 0), depths[np.maximum(fifo, 0)])

    # --- lanes as columns of slots ----------------------------------------------------------

    def set(self, name: str, which: np.ndarray) -> None:
        """Set the lanes of some slots in a field."""
        set_lanes(self._words(name), self.station[which], self.lane[which])

    def get(self, name: str) -> np.ndarray:
        """A field's lane of each slot: 0 or 1."""
        return self._words(name)[self.station, self.lane // WORD] >> (self.lane % WORD) & 1

    def count(self, name: str) -> np.ndarray:
        """A count of each slot, from its digits."""
        counts = np.zeros(len(self.slots), np.int64)
        for digit in range(DIGITS):
            counts += self.get(f"{name}{digit}") << digit
        return counts

    def _set_count(self, name: str, which: np.ndarray, counts: np.ndarray) -> None:
        for digit in range(DIGITS):
            self.set(f"{name}{digit}", which & (counts >> digit & 1 == 1))

    def _words(self, name: str) -> np.ndarray:
        return self.table[name].view(np.int64)
