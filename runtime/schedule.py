"""The edge's schedule as tables: for each port and color a queue of strided records.

A record covers a run of repetitions with one shape and evenly spaced bases, so a regular
repeat costs one record however large its count, and a ragged one a record a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from wsc.isa.expr import Expr, Int, NotAffine
from wsc.isa.limits import MOST_CASES, MOST_NUMBER, MOST_WORD
from wsc.isa.program import Direction, EdgeTensor, Kind, Program, Region, Transfer, edge_places
from wsc.isa.spans import Span, elements, show_address, spanned, split_offset
from wsc.isa.turns import plain_transfers
from wsc.isa.types import Side
from wsc.runtime.errors import LoadError, place
from wsc.runtime.memory import require_memory
from wsc.runtime.routes import Routes, Scol, region_tiles
from wsc.runtime.static import static_environment, static_value
from wsc.runtime.tables import CONTROL_INDEX, MAX_DIMS, Records, as_records, by_name, record_type

FEED, DRAIN, INDEX = 0, 1, 2
MOST_SHAPES = 1 << 18  # that the repetitions of a transfer have: each is a row made in Python


class Rcol(IntEnum):
    """Columns of the record table (int64)."""

    BASE = 0  # element offset of the first repetition
    REPEAT = 1
    STEP = 2  # offset from one repetition to the next
    SHAPE = 3
    LAST = 4  # the transfer's last record: the final control follows
    BEFORE = 5  # repetitions of the transfer before this record


class Hcol(IntEnum):
    """Columns of the shape table (int64)."""

    RANK = 0
    TENSOR = 1
    DIRECTION = 2  # FEED, DRAIN, or INDEX: values of a lookup leave the fabric
    THEN = 3
    FINAL = 4
    TRANSFER = 5
    LOOKUP = 6  # number of the lookup, or -1
    ROWS = 7  # values of the lookup in each repetition
    STRIDE = 8  # elements between rows
    EXTENT = 9  # MAX_DIMS columns
    STEP = 9 + MAX_DIMS  # MAX_DIMS columns


class Qcol(IntEnum):
    """Columns of the table of edge queues (int64): a port and color, and a cursor."""

    PORT = 0
    SLOT = 1
    BIT = 2  # place among the queues of its port
    RECORD = 3
    END = 4
    REPEAT = 5
    ROW = 6
    STATE = 7  # 0 data, 1 control after a repetition, 2 final control
    INDEX = 8  # MAX_DIMS columns


RECORD = record_type(Rcol, np.int64, len(Rcol))
SHAPE = record_type(Hcol, np.int64, Hcol.STEP + MAX_DIMS)
QUEUE = record_type(Qcol, np.int64, Qcol.INDEX + MAX_DIMS)
LOOKUP = np.dtype([("first", np.int64), ("values", np.int64), ("rows", np.int64)])


@dataclass(slots=True)
class Schedule:
    """lookups: first value, values, size of dimension 0. ports: their first queue.

    awaited: for each edge tensor, the elements that must be drained before the edge feeds any: of
    what is kept all of them, of others none.
    """

    records: np.ndarray
    shapes: np.ndarray
    queues: np.ndarray
    port_first: np.ndarray
    lookups: np.ndarray
    awaited: np.ndarray
    elements: int

    def shape_of(self, record: int) -> Records:
        """The shape of a record, with names."""
        number = as_records(self.records, RECORD)["shape"][record]
        return by_name(self.shapes, SHAPE)[number]


@dataclass(slots=True)
class _Entry:
    """Records of one transfer, before they are sorted into queues."""

    ports: np.ndarray
    slots: np.ndarray
    records: np.ndarray


def port_number(side: int, place_on_side: np.ndarray, width: int, height: int) -> np.ndarray:
    """Ports are numbered N, E, S, W, each by x or y."""
    first = (0, width, width + height, 2 * width + height)[side]
    return first + place_on_side


class Scheduler:
    """Turns transfers into records."""

    def __init__(
        self, program: Program, routes: Routes, region_slots: np.ndarray, limit: int | None
    ) -> None:
        self.program, self.routes, self.limit = program, routes, limit
        self.transfers = plain_transfers(program)
        self.slot_of = region_slots
        self.colors = {name: index for index, (name, _) in enumerate(program.colors)}
        self.tensors = edge_places(program.edge_tensors)
        self.shapes: list[tuple[int, ...]] = []
        self.known: dict[tuple[int, ...], int] = {}
        self.lookups: list[tuple[int, int, int]] = []
        self.entries: list[_Entry] = []
        self.elements = 0

    def add(self, number: int, transfer: Transfer) -> None:
        """Append the records of one transfer."""
        counts = [transfer.repeat[1] if transfer.repeat else 0]
        counts.append(transfer.lookup.count if transfer.lookup else 0)
        if not all(0 <= count <= MOST_WORD for count in counts):
            raise LoadError(f"{place(transfer.where)}a count is not in 0 to {MOST_WORD}")
        region = self.program.region(transfer.region)
        env = static_environment(self.program, region)
        tiles, along, local = self._boundary(region, transfer.side, transfer)
        if transfer.guard is not None:
            held = np.asarray(static_value(transfer.guard, env, transfer.where)) != 0
            held = np.broadcast_to(held, (region.height, region.width))[local]
        else:
            held = np.ones(len(tiles), dtype=bool)
        tiles, along = tiles[held], along[held]
        local = (local[0][held], local[1][held])
        lookup = self._lookup(number, transfer, region)
        if not len(tiles):
            return
        slots = self._slots(tiles, transfer.color, transfer)
        ports = port_number(transfer.side.index, along, self.program.width, self.program.height)
        env["x"], env["y"] = local[1][:, None], local[0][:, None]
        records = self._records(number, transfer, env, len(tiles), lookup)
        order = np.repeat(np.arange(len(tiles)), records.shape[1])
        self.entries.append(_Entry(ports[order], slots[order], records.reshape(-1, len(Rcol))))

    def _boundary(
        self, region: Region, side: Side, transfer: Transfer
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        grid = region_tiles(self.program, region)
        row = {Side.NORTH: 0, Side.SOUTH: region.height - 1}.get(side)
        column = {Side.WEST: 0, Side.EAST: region.width - 1}.get(side)
        at_edge = {
            Side.NORTH: region.top == 0,
            Side.SOUTH: region.top + region.height == self.program.height,
            Side.WEST: region.left == 0,
            Side.EAST: region.left + region.width == self.program.width,
        }
        if not at_edge.get(side, False):
            raise LoadError(
                f"{place(transfer.where)}side {side.value} of region '{region.name}' "
                "is not an edge of the fabric"
            )
        if row is not None:
            ys, xs = np.full(region.width, row), np.arange(region.width)
            return grid[row], xs + region.left, (ys, xs)
        ys, xs = np.arange(region.height), np.full(region.height, column)
        return grid[:, column], ys + region.top, (ys, xs)

    def _slots(self, tiles: np.ndarray, color: str, transfer: Transfer) -> np.ndarray:
        if color not in self.colors:
            raise LoadError(f"{place(transfer.where)}no color '{color}'")
        slots = self.slot_of[tiles, self.colors[color]]
        if (slots < 0).any():
            tile = int(tiles[int((slots < 0).argmax())])
            width = self.program.width
            raise LoadError(
                f"{place(transfer.where)}color '{color}' has no route in tile "
                f"({tile % width}, {tile // width}), where a transfer uses it"
            )
        return slots

    def _lookup(self, number: int, transfer: Transfer, region: Region) -> int:
        """Queue the index values of a lookup at their port; the lookup's number or -1."""
        lookup = transfer.lookup
        if lookup is None:
            return -1
        tiles, along, _ = self._boundary(region, lookup.side, transfer)
        if not 0 <= lookup.port < len(tiles):
            raise LoadError(
                f"{place(transfer.where)}no port {lookup.port} on side {lookup.side.value}"
            )
        count = lookup.count * (transfer.repeat[1] if transfer.repeat else 1)
        made = len(self.lookups)
        first = sum(entry[1] for entry in self.lookups)
        rows = self._tensor(transfer).shape[0]
        self.lookups.append((first, count, rows))
        shape = self._shape(number, INDEX, [count], [1], (0, 0), (made, 0, 0))
        one = slice(lookup.port, lookup.port + 1)
        slots = self._slots(tiles[one], lookup.color, transfer)
        ports = port_number(lookup.side.index, along[one], self.program.width, self.program.height)
        record = np.array([[0, 1, 0, shape, 1, 0]], dtype=np.int64)
        self.entries.append(_Entry(ports, slots, record))
        return made

    def _tensor(self, transfer: Transfer) -> EdgeTensor:
        """The edge tensor that a transfer names."""
        return self.program.edge_tensors[self.tensors[transfer.direction, transfer.tensor]]

    def _shape(
        self,
        number: int,
        direction: int,
        extents: list[int],
        steps: list[int],
        controls: tuple[int, int],
        lookup: tuple[int, int, int],
    ) -> int:
        pad = [0] * (MAX_DIMS - len(extents))
        transfer = self.transfers[number]
        tensor = self.tensors[transfer.direction, transfer.tensor]
        key = (
            len(extents),
            tensor,
            direction,
            *controls,
            number,
            *lookup,
            *extents,
            *pad,
            *steps,
            *pad,
        )
        if key not in self.known:
            self.known[key] = len(self.shapes)
            self.shapes.append(key)
        return self.known[key]

    # --- records of the data ------------------------------------------------------------

    def _records(
        self, number: int, transfer: Transfer, env: dict[str, object], ports: int, lookup: int
    ) -> np.ndarray:
        """All records of a transfer, [ports, records of each, columns]."""
        name, count = transfer.repeat or ("", 1)
        dims = tuple(dim.name for dim in transfer.dims)
        row = (transfer.lookup.row,) if transfer.lookup else ()
        if len(dims) > MAX_DIMS:
            raise LoadError(f"{place(transfer.where)}more than {MAX_DIMS} iteration names")
        try:
            affine, ragged = split_offset(transfer)
        except NotAffine as error:
            raise LoadError(f"{place(transfer.where)}{error}") from error
        step: Expr = Int(0)
        if ragged:  # the name is evaluated, row by row, with the rest
            if ports * count > MOST_CASES:
                raise LoadError(
                    f"{place(transfer.where)}the repetitions differ, and {count} at each of "
                    f"{ports} ports are more than the {MOST_CASES} that are looked at one by one"
                )
            columns = len(Rcol) + 2 * (len(dims) + 1) + 4
            require_memory({"the edge's schedule": 8 * ports * count * columns}, self.limit)
            env = env | {name: np.arange(max(count, 1), dtype=np.int64)[None, :]}
        else:
            step = affine.strides.get(name, step)

        def value(node: Expr) -> np.ndarray:
            result = np.asarray(static_value(node, env, transfer.where), dtype=np.int64)
            return np.broadcast_to(result, (ports, max(count, 1) if ragged else 1))

        base, zero = value(affine.static), Int(0)
        extents = [np.maximum(value(dim.extent), 0) for dim in transfer.dims]
        steps = [value(affine.strides.get(dim, zero)) for dim in dims]
        stride = value(affine.strides.get(row[0], zero)) if row else value(zero)
        rows = transfer.lookup.count if transfer.lookup else 1
        spaced = value(step)
        moved: list[tuple[Any, Any]] = [*zip(extents, steps, strict=True)]
        moved.append((min(count, 1) if ragged else count, spaced))
        if row:
            moved.append((self._tensor(transfer).shape[0], stride))
        if elements((*extents, rows, count)) > MOST_NUMBER:
            raise LoadError(f"{place(transfer.where)}a port moves more than {MOST_NUMBER} elements")
        self._check(transfer, spanned(base, moved))
        total = np.ones(base.shape)
        for extent in extents:
            total = total * extent
        self.elements += int(total.sum()) * rows * (1 if ragged else count)
        table = np.stack([*extents, *steps, stride], axis=-1)
        shapes = self._shapes(number, transfer, table, len(dims), (lookup, rows))
        if not ragged:
            fields = [base, np.full_like(base, count), spaced, shapes, np.ones_like(base)]
            return np.stack([*fields, np.zeros_like(base)], axis=-1)
        records = _runs(base, shapes)
        records[..., Rcol.REPEAT] *= min(count, 1)
        return records

    def _shapes(
        self,
        number: int,
        transfer: Transfer,
        table: np.ndarray,
        rank: int,
        lookup: tuple[int, int],
    ) -> np.ndarray:
        direction = FEED if transfer.direction is Direction.FEED else DRAIN
        controls = (CONTROL_INDEX[transfer.then], CONTROL_INDEX[transfer.final])
        flat = table.reshape(-1, table.shape[-1])
        unique, inverse = _distinct(flat)
        if len(unique) > MOST_SHAPES:
            raise LoadError(
                f"{place(transfer.where)}the repetitions have {len(unique)} different forms, "
                f"and there may be {MOST_SHAPES}"
            )
        numbers = [
            self._shape(
                number,
                direction,
                list(row[:rank]),
                list(row[rank : 2 * rank]),
                controls,
                (lookup[0], lookup[1], row[-1]),
            )
            for row in unique.tolist()
        ]
        return np.array(numbers, dtype=np.int64)[inverse].reshape(table.shape[:-1])

    def _check(self, transfer: Transfer, span: Span) -> None:
        """Refuse a transfer that leaves its tensor."""
        size = math.prod(self._tensor(transfer).shape)
        wrong = span.beyond(size)
        if wrong.any():
            low = show_address(int(span.least[wrong].min()))
            high = show_address(int(span.greatest[wrong].max()))
            raise LoadError(
                f"{place(transfer.where)}the transfer takes elements {low} to {high} of "
                f"'{transfer.tensor}', which has {size}"
            )

    # --- queues ---------------------------------------------------------------------------

    def finish(self) -> Schedule:
        """Sort the records into queues, in the order of the text, and link the routes."""
        empty = np.zeros(0, dtype=np.int64)
        ports = np.concatenate([empty, *(entry.ports for entry in self.entries)])
        slots = np.concatenate([empty, *(entry.slots for entry in self.entries)])
        none = np.zeros((0, len(Rcol)), dtype=np.int64)
        records = np.concatenate([none, *(entry.records for entry in self.entries)])
        key = ports * (len(self.routes.slots) + 1) + slots
        order = np.argsort(key, kind="stable")
        ports, slots, records, key = ports[order], slots[order], records[order], key[order]
        starts = np.nonzero(np.diff(key, prepend=-1))[0]
        queues = np.zeros((len(starts), Qcol.INDEX + MAX_DIMS), dtype=np.int64)
        count = 2 * (self.program.width + self.program.height)
        first = np.zeros(count + 1, dtype=np.int64)
        if len(starts):
            queues[:, Qcol.PORT], queues[:, Qcol.SLOT] = ports[starts], slots[starts]
            queues[:, Qcol.RECORD] = starts
            queues[:, Qcol.END] = np.append(starts[1:], len(records))
            np.cumsum(np.bincount(ports[starts], minlength=count), out=first[1:])
            queues[:, Qcol.BIT] = np.arange(len(starts)) - first[ports[starts]]
            side = side_of_port(ports[starts], self.program.width, self.program.height)
            self.routes.slots[slots[starts], Scol.NEXT + side] = -2 - np.arange(len(starts))
        lookups = np.array(self.lookups or [(0, 0, 0)], dtype=np.int64)
        shapes = np.array(self.shapes or [(0,) * (Hcol.STEP + MAX_DIMS)], dtype=np.int64)
        if not len(records):
            records = np.zeros((1, len(Rcol)), dtype=np.int64)
        if not len(queues):
            queues = np.zeros((1, Qcol.INDEX + MAX_DIMS), dtype=np.int64)
        awaited = [
            math.prod(tensor.shape) if tensor.kind is Kind.KEPT else 0
            for tensor in self.program.edge_tensors
        ]
        there = np.array([*awaited, 0], np.int64)
        return Schedule(records, shapes, queues, first, lookups, there, self.elements)


def side_of_port(ports: Any, width: int, height: int) -> Any:
    """The numbers of the sides on which ports are; the reverse of ``port_number``."""
    return np.searchsorted([width, width + height, 2 * width + height], ports, side="right")


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows of a table, and for each row which of them it is.

    They are told apart by a sum of their entries with odd factors, which may wrap; the few
    tables for which that is not enough are sorted row by row, which takes a hundred times as long.
    """
    factors = np.array([0x1E3779B97F4A7C15 + 2 * k for k in range(rows.shape[1])], dtype=np.int64)
    keys = (rows * factors * (rows + factors)).sum(axis=1)
    _, chosen, inverse = np.unique(keys, return_index=True, return_inverse=True)
    unique = rows[chosen]
    if not np.array_equal(unique[inverse], rows):
        unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    return unique, inverse.ravel()


def _runs(base: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Join repetitions of equal shape and even spacing; cut alike at every port."""
    ports, count = base.shape
    step = np.diff(base, axis=1)
    joined = (np.diff(shapes, axis=1) == 0).all(axis=0)
    # A run ends where the shape changes, or the spacing; its first step is free.
    even = np.ones(max(count - 1, 0), dtype=bool)
    even[1:] = (step[:, 1:] == step[:, :-1]).all(axis=0)
    starts = [0]
    for here in (np.nonzero(~(joined & even))[0] + 1).tolist():
        if not joined[here - 1] or here - 1 > starts[-1]:
            starts.append(here)
    first = np.array(starts)
    length = np.diff(np.append(first, count))
    records = np.zeros((ports, len(first), len(Rcol)), dtype=np.int64)
    records[..., Rcol.BASE] = base[:, first]
    records[..., Rcol.REPEAT] = length
    if count > 1:
        records[..., Rcol.STEP] = step[:, np.minimum(first, count - 2)] * (length > 1)
    records[..., Rcol.SHAPE] = shapes[:, first]
    records[..., -1, Rcol.LAST] = 1
    records[..., Rcol.BEFORE] = first
    return records


def build_schedule(program: Program, routes: Routes, limit: int | None = None) -> Schedule:
    """The schedule of every port; links the routes that leave the fabric to their queues.

    limit: bytes that it may take; None stands for what the machine has free.

    Raises:
        LoadError: a side that is no edge, a color without route there, or a transfer
            that leaves its tensor.
        MemoryLimit: the repetitions of a transfer differ, and there is no room for all of them.
    """
    tiles = program.width * program.height
    slot_of = routes.slot_of.reshape(tiles, -1)
    scheduler = Scheduler(program, routes, slot_of, limit)
    for number, transfer in enumerate(scheduler.transfers):
        scheduler.add(number, transfer)
    return scheduler.finish()
