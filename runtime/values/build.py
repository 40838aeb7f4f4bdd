"""The state of a fresh run, made from a loaded image."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wsc.isa.drawing import draw
from wsc.isa.program import Kind as Edge
from wsc.isa.rounding import HALF_NAN
from wsc.isa.table import TABLE, Inner
from wsc.isa.types import DType
from wsc.runtime.code import Code
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.kernels.operations import domains, operations
from wsc.runtime.memory import addressable_bytes, available_bytes
from wsc.runtime.routes import POSITION, SLOT
from wsc.runtime.schedule import (
    FEED,
    LOOKUP,
    QUEUE,
    RECORD,
    SHAPE,
    side_of_port,
)
from wsc.runtime.tables import (
    COUNTED,
    DTYPES,
    MAX_DIMS,
    OPERAND,
    REFERENCE,
    REGION,
    ROW,
    TYPE_INDEX,
    Kind,
    as_records,
)
from wsc.runtime.values.bands import parted
from wsc.runtime.values.compiled import Machine
from wsc.runtime.values.produce import PLAIN_HALVES, PLAIN_WORDS, is_made, made_code
from wsc.runtime.values.records import (
    ADDEND,
    FLAT,
    FRAME,
    INPUT,
    JOB,
    MIRROR,
    MOST_LISTED,
    MOST_OPERANDS,
    NOTE,
    OUTPUT,
    PLACED,
    ROUTER,
    RUN,
    RUNNING,
    SIDES,
    STREAM,
    TASK,
    TENSOR,
    THREAD,
    TURN,
    UNKNOWN,
)
from wsc.runtime.weights import DRAWN, Mapped

HALF = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
SCRATCH = 4096  # words for each operand, at least
AHEAD = 1 << 16  # words that a producer is ahead of its readers at most, while others can go on
BAND_AHEAD = 1 << 18  # and where bands run side by side, so that they seldom wait for each other
PORTION = 1 << 27  # steps of an instruction, in all rows of tiles, that are done at a time
PORTION_ROWS = 1 << 20  # and rows of steps, where these are done one after the other
RAMP = 4
CLASSES = 48  # sizes of blocks
MOST_STORAGE = 1 << 36  # words
RUNS = 4096  # of routers, to begin with
NOTES = 1024  # of loaded words, to begin with
I32 = TYPE_INDEX[DType.I32]


@dataclass(slots=True)
class Traced:
    """Where the wavelets of every route come from.

    origin: by slot, the slot where its wavelets begin; -1 where none can, and for guided colors.
    from_core: whether a core can begin there. from_queue: the edge's queue that begins there, or
    -1. stuck: by slot, sides that no wavelet can leave on; 0 for guided colors.
    """

    origin: np.ndarray
    from_core: np.ndarray
    from_queue: np.ndarray
    stuck: np.ndarray


class Made(NamedTuple):
    """A stream that is to be, by the fields of its record; ``STREAM`` says what they mean."""

    lanes: int
    queue: int
    color: int
    column: int
    guided: bool
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots that exist, each field of their records by itself; ``SLOT`` says what they mean.

    A wafer has millions, and mostly one field is looked at. guided is a truth value, and next
    [side, slot].
    """

    tile: np.ndarray
    color: np.ndarray
    first: np.ndarray
    input: np.ndarray
    output: np.ndarray
    guided: np.ndarray
    next: np.ndarray


BLOCK = 1 << 14  # slots whose records stay in the caches of the host while they are taken apart


def slots_of(image: Image) -> np.ndarray:
    """The slots that exist; the table has one row where there is none."""
    return image.routes.slots[: int(image.routes.slot_first[-1])]


def taken_apart(table: np.ndarray) -> Slots:
    """The fields of slots that the builder looks at, each in an array."""
    columns = np.empty(table.shape[::-1], table.dtype)
    for start in range(0, len(table), BLOCK):
        columns[:, start : start + BLOCK] = table[start : start + BLOCK].T
    fields = (SLOT.fields or {}).items()
    offsets = {name: place[1] // table.itemsize for name, place in fields}
    tile, color, first, into, out, guided = (
        columns[offsets[name]] for name in ("tile", "color", "first", "input", "output", "guided")
    )
    beyond = columns[offsets["next"] : offsets["next"] + SIDES]
    return Slots(tile, color, first, into, out, guided != 0, beyond)


def queues_of(image: Image) -> np.ndarray:
    """The edge's queues that exist, as records."""
    queues = as_records(image.schedule.queues, QUEUE)
    return queues[: int((queues["end"] > 0).sum())]


def trace(image: Image, slots: Slots) -> Traced:
    """Follow the routes of every slot back to where they begin; guided colors do not count."""
    width, height = image.program.width, image.program.height
    count = len(slots.tile)
    first = as_records(image.routes.positions, POSITION)[slots.first]
    receive, send = first["accept"], first["send"]
    from_core = receive == RAMP
    # The edge's queue at each slot, if its port is the side that the slot receives from.
    queue = np.full(count, -1)
    for number, row in enumerate(queues_of(image)):
        if side_of_port(int(row["port"]), width, height) == receive[row["slot"]]:
            queue[row["slot"]] = number
    begins = (from_core | (queue >= 0)) & ~slots.guided
    parent = np.arange(count)
    for side in range(SIDES):
        mine = np.flatnonzero((receive == side) & ~begins & ~slots.guided)
        before = slots.next[side, mine]
        # The slot before must be there, and send to this side.
        sends = (before >= 0) & (send[before] >> (side + 2 & 3) & 1 == 1)
        parent[mine[sends]] = before[sends]
    # Twice as far with each turn, for those that have not arrived. A route that leads round in a
    # circle has no beginning.
    going = np.flatnonzero(parent != np.arange(count))
    for _ in range(max(count, 2).bit_length()):
        here = parent[going]
        farther = parent[here]
        parent[going] = farther
        going = going[farther != here]
        if not len(going):
            break
    origin = np.where(begins[parent], parent, -1)
    return Traced(origin, from_core, queue, _stuck(slots, send, receive))


def _stuck(slots: Slots, send: np.ndarray, receive: np.ndarray) -> np.ndarray:
    """Sides on which nothing can leave: no route beyond, no transfer, or it does not accept."""
    found = np.zeros(len(slots.tile), dtype=np.int64)
    for side in range(SIDES):
        sends = np.flatnonzero((send >> side & 1 == 1) & ~slots.guided)
        beyond = slots.next[side, sends]
        refused = (beyond > -2) | (beyond < -(1 << 29))
        inside = beyond >= 0
        refused[inside] = receive[beyond[inside]] != (side + 2) & 3
        found[sends[refused]] |= 1 << side
    return found


class Builder:
    """Makes the tables of a run one after the other."""

    def __init__(
        self,
        image: Image,
        inputs: dict[str, np.ndarray],
        outputs: dict[str, np.ndarray],
        max_memory: int | None,
        deciding: np.ndarray,
        bands: int = 1,
    ) -> None:
        self.image, self.inputs, self.outputs = image, inputs, outputs
        self.bands = parted(image.program.width, bands)
        self.deciding = deciding
        self.width, self.height = image.program.width, image.program.height
        self.colors = max(len(image.program.colors), 1)
        self.slots = slots_of(image)
        self.fields = taken_apart(self.slots)
        self.queues = queues_of(image)
        self.traced = trace(image, self.fields)
        self.streams: list[Made] = []
        self.kept: list[np.ndarray] = []  # converted tensors
        self.mirrors: list[tuple[int, int]] = []
        self.max_memory = max_memory

    def machines(self) -> list[Machine]:
        """The tables, for each band; what tiles, streams and the edge have is in all of them."""
        tables = self._tables()
        count = len(self.bands) - 1
        made = [tables, *(tables | self._own(tables["now"]) for _ in range(count - 1))]
        now = made[0]["now"][0].copy()
        storage = (now["end_of_storage"] - now["free"]) // count
        for band, mine in enumerate(made):
            own = mine["now"]
            own["first_column"], own["end_column"] = self.bands[band], self.bands[band + 1]
            own["buffers"] = band * MOST_OPERANDS * now["scratch"]
            own["free"] = now["free"] + band * storage
            own["end_of_storage"] = own["free"] + storage
            own["runs_used"] = band * self._own_runs()
            own["run_room"] = own["runs_used"] + self._own_runs()
        return [Machine(mine) for mine in made]

    def _own_runs(self) -> int:
        """Runs of routers that each band has, to begin with."""
        return RUNS + 2 * self.height

    def _own(self, now: np.ndarray) -> dict[str, np.ndarray]:
        """What every band has for itself."""
        return {
            "now": now.copy(),
            "notes": np.zeros(NOTES, NOTE),
            "counted": np.zeros(len(COUNTED), np.int64),
            "free_storage": np.zeros(CLASSES, np.int64),
            "listed": np.zeros(len(self.slots) + 1, np.int64),
            "job": np.zeros(1, JOB),
            "placed": np.zeros(MOST_OPERANDS, PLACED),
            "count": np.zeros(MAX_DIMS, np.int64),
            "step": np.zeros((MOST_OPERANDS, MAX_DIMS), np.int64),
            "index": np.zeros(MAX_DIMS, np.int64),
            "addends": np.zeros(MOST_LISTED, ADDEND),
            "turns": np.zeros(MAX_DIMS, TURN),
        }

    def _tables(self) -> dict[str, np.ndarray]:
        """The tables of the first band."""
        image, code = self.image, self.image.code
        tiles = self.width * self.height
        units = code.units + 1
        now = np.zeros(1, RUNNING)
        words = self._memory(now)
        streams = self._streams()
        fabric = image.fabric
        tables = self._tasks(tiles, units)
        rows = code.rows
        wanted = wanted_operations(image.code)
        self._start(now, units)
        return dict(
            **self._own(now),
            words=words,
            reals=words.view(np.float32),
            halves=words.view(np.uint16),
            half=HALF,
            rows=as_records(rows, ROW),
            operands=as_records(code.operands, OPERAND),
            refs=as_records(code.refs, REFERENCE),
            lists=code.lists,
            registers=code.registers,
            pool=code.pool,
            literals=literals(code.reals),
            operations=operations(wanted),
            domains=domains(wanted),
            step_bytes=code.step_bytes(),
            regions=as_records(image.regions, REGION),
            deciding=self.deciding,
            threads=self._threads(),
            regs=sparse(tiles * fabric.registers, np.int32),
            loops=sparse(tiles * (fabric.call_depth + 1) * fabric.loop_depth, np.int64),
            frames=sparse(tiles * fabric.call_depth, FRAME),
            **tables,
            **streams,
            semaphores=np.zeros(tiles * fabric.semaphores, np.int64),
            dirty=np.ones(self.width, np.int64),
            slots=as_records(self.slots, SLOT) if len(self.slots) else np.zeros(1, SLOT),
            slot_of=image.routes.slot_of,
            positions=as_records(image.routes.positions, POSITION),
            runs=np.zeros((len(self.bands) - 1) * self._own_runs(), RUN),
            moves=sparse(len(self.slots) + 1, np.int64, SIDES + 2),
            passes=sparse(len(self.slots) + 1, np.int64, SIDES),
            lines=np.zeros(self.colors * (self.width + self.height), np.int64),
            records=as_records(image.schedule.records, RECORD),
            shapes=as_records(image.schedule.shapes, SHAPE),
            queues=self._queues(),
            tensors=self._tensors(),
            lookups=as_records(image.schedule.lookups, LOOKUP),
            lookup_count=np.zeros(len(image.schedule.lookups), np.int64),
            lookup_value=np.zeros(int(image.schedule.lookups[:, 1].sum()) + 1, np.int64),
            awaited=image.schedule.awaited.copy(),
        )

    def _start(self, now: np.ndarray, units: int) -> None:
        fabric = self.image.fabric
        now["width"], now["height"], now["units"] = self.width, self.height, units
        now["colors"], now["semaphores"] = self.colors, fabric.semaphores
        now["registers"], now["calls"] = fabric.registers, fabric.call_depth
        now["loops"], now["free_run"] = fabric.loop_depth, -1
        now["ahead"] = AHEAD if len(self.bands) == 2 else BAND_AHEAD
        now["loop_words"] = (fabric.call_depth + 1) * fabric.loop_depth
        now["portion"], now["portion_rows"] = PORTION, PORTION_ROWS
        now["edge_queues"] = len(self.queues)
        now["slots"], now["note_room"] = len(self.slots), NOTES
        now["mirrors"] = len(self.mirrors)

    def _queues(self) -> np.ndarray:
        """The edge's queues, whose cursors the run moves."""
        if not len(self.queues):
            return np.zeros(1, QUEUE)
        return self.queues.copy()

    # --- memory ---------------------------------------------------------------------------

    def _memory(self, now: np.ndarray) -> np.ndarray:
        """One array for scratch, SRAM and storage; pages that are not used take no memory.

        Scratch is there for each band.
        """
        scratch = max(SCRATCH, self.height)
        words = self.image.data_bytes // 4
        sram = self.width * self.height * words
        buffers = (len(self.bands) - 1) * MOST_OPERANDS * scratch
        start = -(-(buffers + sram) // 64) * 64
        room = available_bytes() if self.max_memory is None else self.max_memory
        storage = MOST_STORAGE if room is None else max(room // 4 - start, 1 << 16)
        # The array takes addresses for all that there is room for. Where these are counted, others
        # want some as well.
        addresses = addressable_bytes()
        if addresses is not None:
            storage = max(min(storage, addresses // 8 - start), 1 << 16)
        now["scratch"], now["words"], now["bytes"] = scratch, words, self.image.data_bytes
        now["memory"], now["free"] = buffers, start
        now["end_of_storage"] = start + storage
        return np.zeros(start + storage, np.int32)

    def _tensors(self) -> np.ndarray:
        """Address of every edge tensor, and how it is held."""
        program = self.image.program
        table = np.zeros(max(len(program.edge_tensors), 1), TENSOR)
        for number, tensor in enumerate(program.edge_tensors):
            code, half = PLAIN_WORDS, tensor.dtype is DType.F16
            if tensor.kind.stored:
                held = self.image.weights[tensor.name]
                if is_made(held):
                    data, code = held.data, made_code(held.storage, half)
                else:
                    data = fabric_words(held)
            else:
                data = (self.inputs if tensor.kind is Edge.INPUT else self.outputs)[tensor.name]
            self.kept.append(data)
            table["address"][number] = data.ctypes.data
            table["held"][number] = code or (PLAIN_HALVES if half else PLAIN_WORDS)
        return table

    # --- threads and tasks ------------------------------------------------------------------

    def _threads(self) -> np.ndarray:
        """One thread for the rows of each column that belong to one region."""
        threads = np.zeros(self.width * self.height, THREAD)
        grid = (self.height, self.width)
        threads["statement"] = -1
        threads["x"] = self.image.tile_x.reshape(grid).T.ravel()
        threads["y"] = self.image.tile_y.reshape(grid).T.ravel()
        for number, region in enumerate(self.image.program.regions):
            first = np.arange(region.left, region.left + region.width) * self.height + region.top
            threads["end"][first] = region.top + region.height
            threads["row"][first] = self.image.code.entries[region.name]
            threads["region"][first] = number
            threads["top"][first] = min(self.image.fabric.window, self.image.fabric.registers)
        assert NO_REGION == -1
        return threads

    def _tasks(self, tiles: int, units: int) -> dict[str, np.ndarray]:
        count = tiles * units
        return {
            "tasks": sparse(count, TASK),
            "extents": sparse(count, np.int64, MAX_DIMS),
            "strides": sparse(count, np.int64, MOST_OPERANDS * MAX_DIMS),
            "bases": sparse(count, np.int64, MOST_OPERANDS),
            "scalars": sparse(count, np.int32, MOST_OPERANDS),
            "owner": np.zeros(count, np.int64),
            "busy": np.zeros(self.width * units, np.int64),
        }

    # --- streams ----------------------------------------------------------------------------

    def _streams(self) -> dict[str, np.ndarray]:
        """Streams, and who reads which."""
        slots, colors, height = self.fields, self.colors, self.height
        color, guided = slots.color, slots.guided
        y, x = np.divmod(slots.tile, self.width)
        block = x.astype(np.int64) * colors + color
        place = block * height + y
        total = self.width * colors * height
        queues_there = np.zeros(total, np.uint8)
        takes, gives = slots.input >= 0, slots.output >= 0
        queues_there[place] = INPUT * takes + OUTPUT * gives
        # What cores of a column send on a color is one stream, with a lane for each row.
        stream_of = np.full(self.width * colors, -1, np.int64)
        led = self._marked(block[guided])
        for item in np.flatnonzero(self._marked(block[gives])).tolist():
            made = Made(height, -1, item % colors, item // colors, bool(led[item]))
            stream_of[item] = self._stream(made)
        # So is what arrives there on a color whose routes change.
        receives = np.flatnonzero(guided & takes)
        arrivals = np.full(self.width * colors, -1, np.int64)
        for item in np.flatnonzero(self._marked(block[receives])).tolist():
            arrivals[item] = self._stream(Made(height, -1, item % colors, item // colors, False))
        source = np.full(total + len(self.queues), -1, np.int64)
        lane = np.zeros(total + len(self.queues), np.int64)
        feeding = np.full(len(self.queues), -1, np.int64)
        directions = self._directions()
        at_port = self.queues["slot"]
        for queue, slot in enumerate(at_port.tolist()):
            if FEED in directions[queue]:
                made = Made(1, queue, int(color[slot]), int(x[slot]), bool(guided[slot]))
                feeding[queue] = self._stream(made)
            if guided[slot] and directions[queue] != {FEED}:
                left = Made(1, -1, int(color[slot]), int(x[slot]), False)
                source[total + queue] = self._stream(left)
        # On other colors a core reads what the origin of its route sends.
        origin = self.traced.origin
        known = np.flatnonzero((origin >= 0) & takes)
        stream, which = self._sent_from(origin[known], stream_of[block[origin[known]]], feeding, y)
        source[place[known]], lane[place[known]] = stream, which
        source[place[receives]] = arrivals[block[receives]]
        lane[place[receives]] = y[receives]
        # And so does the edge where a route leaves the fabric.
        drained = [
            number
            for number, row in enumerate(self.queues)
            if directions[number] != {FEED} and origin[row["slot"]] >= 0 and self._leaves(row)
        ]
        ends = origin[at_port[drained]]
        stream, which = self._sent_from(ends, stream_of[block[ends]], feeding, y)
        places = total + np.array(drained, np.int64)
        source[places], lane[places] = stream, which
        source = self._mirror(source, total)
        lane = np.append(lane, np.zeros(len(self.mirrors), np.int64))
        readers, firsts, counts = self._readers(source, total)
        table = np.zeros(max(len(self.streams), 1), STREAM)
        if self.streams:
            for name, values in zip(Made._fields, zip(*self.streams, strict=True), strict=True):
                table[name] = values
            table["first"] = np.cumsum(table["lanes"]) - table["lanes"]
            table["readers"], table["reader_count"] = firsts, counts
        routers = np.zeros(len(self.slots) + 1, ROUTER)
        for name in ("first", "last", "out_first", "out_last", "arrival", "leap"):
            routers[name] = -1
        routers["arrival"][: len(self.slots)] = arrivals[block]
        routers["straight"] = UNKNOWN
        return {
            "streams": table,
            "written": np.zeros(int(table["lanes"].sum()) + 1, np.int64),
            "stream_of": stream_of,
            "queues_there": queues_there,
            "source": source,
            "lane": lane,
            "cursor": np.zeros(len(source), np.int64),
            "readers": readers,
            "mirrors": np.array(self.mirrors or [(-1, -1)], MIRROR),
            "feeding": feeding,
            "routers": routers,
        }

    def _marked(self, blocks: np.ndarray) -> np.ndarray:
        """Which blocks, a column and a color each, are among some."""
        marked = np.zeros(self.width * self.colors, bool)
        marked[blocks] = True
        return marked

    def _sent_from(
        self, origin: np.ndarray, of_core: np.ndarray, feeding: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Streams, and lanes of them, that begin at some slots.

        of_core: those that the cores there send. y: the row of each slot.
        """
        core = self.traced.from_core[origin]
        stream = of_core
        if len(feeding):
            stream = np.where(core, of_core, feeding[self.traced.from_queue[origin]])
        return np.where(core | (len(feeding) > 0), stream, -1), np.where(core, y[origin], 0)

    def _stream(self, made: Made) -> int:
        """The number of one more stream."""
        self.streams.append(made)
        return len(self.streams) - 1

    def _mirror(self, source: np.ndarray, total: int) -> np.ndarray:
        """Have readers in other bands than their stream's read from a mirror of it.

        source: of each queue of a core (the first ``total``) and of the edge, the stream that it
        reads. Returns the same with mirrors, and behind them the streams that mirrors repeat.
        """
        band = np.repeat(np.arange(len(self.bands) - 1), np.diff(self.bands))
        makes = band[np.array([stream.column for stream in self.streams], np.int64)]
        reads = np.nonzero(source[:total] >= 0)[0]
        here = band[reads // (self.colors * self.height)]
        away = here != makes[source[reads]]
        pairs = np.stack([source[reads[away]], here[away]], axis=1)
        wanted, which = np.unique(pairs, axis=0, return_inverse=True)
        made = np.zeros(len(wanted), np.int64)
        for number, (stream, where) in enumerate(wanted.tolist()):
            of = self.streams[stream]
            repeats = Made(of.lanes, -1, of.color, self.bands[where], guided=False, mirror=True)
            made[number] = self._stream(repeats)
            self.mirrors.append((int(made[number]), stream))
        source = source.copy()
        source[reads[away]] = made[which.ravel()]
        return np.append(source, wanted[:, 0])

    def _directions(self) -> list[set[int]]:
        """Directions of the records of each queue."""
        schedule = self.image.schedule
        shapes = as_records(schedule.records, RECORD)["shape"]
        direction = as_records(schedule.shapes, SHAPE)["direction"][shapes]
        return [set(direction[row["record"] : row["end"]].tolist()) for row in self.queues]

    def _leaves(self, queue: np.void) -> bool:
        """Whether the route at a queue's port sends out there."""
        side = side_of_port(int(queue["port"]), self.width, self.height)
        first = self.fields.first[queue["slot"]]
        route = as_records(self.image.routes.positions, POSITION)[first]
        return bool(route["send"] >> side & 1)

    def _readers(self, source: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, and width + queues and mirrors, that read each stream."""
        reads = np.nonzero(source >= 0)[0]
        who = np.where(
            reads < total, reads // (self.colors * self.height), self.width + reads - total
        )
        most = self.width + len(self.queues) + len(self.mirrors)
        stream, reader = np.divmod(np.unique(source[reads] * most + who), most)
        counts = np.bincount(stream, minlength=len(self.streams)).astype(np.int64)
        return np.append(reader, 0), np.cumsum(counts) - counts, counts


def sparse(rows: int, kind: Any, columns: int = FLAT) -> np.ndarray:
    """A table of zeros, of which few rows will be used; the others take no memory.

    Threads and tasks use the rows of their first tiles. With pages of their usual size, of 2 MiB
    where the system likes them so, that would take, and clear, all of the table.
    """
    shape = rows if columns == FLAT else (rows, columns)
    size = np.dtype(kind).itemsize * rows * max(columns, 1)
    memory = mmap.mmap(-1, max(size, 1))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, kind, rows * max(columns, 1)).reshape(shape)


def wanted_operations(code: Code) -> set[tuple[int, bool]]:
    """Operations that a program's instructions need; moves and sums of products have their own."""
    rows = code.records
    computing = rows[np.isin(rows.kind, (Kind.VECTOR, Kind.SCALAR))]
    whole = (computing["dtype"] == I32) | (computing.kind == Kind.SCALAR)
    pairs = set(zip(computing.opcode.tolist(), whole.tolist(), strict=True))
    return {pair for pair in pairs if TABLE[pair[0]].inner is Inner.VALUES}


def literals(reals: np.ndarray) -> np.ndarray:
    """The bits of floating literals in each element type."""
    table = np.zeros((len(reals), len(DTYPES)), np.int32)
    with np.errstate(all="ignore"):
        single = one_nan(reals.astype(np.float32))
        table[:, TYPE_INDEX[DType.F32]] = single.view(np.int32)
        table[:, TYPE_INDEX[DType.F16]] = halves(single).astype(np.int32)
        table[:, I32] = np.nan_to_num(reals).astype(np.int64).astype(np.int32)
    return table


def halves(single: np.ndarray) -> np.ndarray:
    """The f16 encodings of f32 values, as the machine narrows them: there is one NaN."""
    with np.errstate(all="ignore"):
        short = single.astype(np.float16).view(np.uint16)
    return np.where(np.isnan(single), HALF_NAN, short).astype(np.uint16)


def one_nan(single: np.ndarray) -> np.ndarray:
    """The same f32 values, with the canonical NaN in place of any."""
    return np.where(np.isnan(single), np.float32(np.nan), single)


def fabric_words(mapped: Mapped) -> np.ndarray:
    """A tensor of the store in the type in which it travels; what has it already is not copied."""
    data, kind = mapped.data, mapped.tensor.dtype
    if mapped.storage == DRAWN:
        key, (mean, deviation) = int(data[0]), data[1:].view(np.float64).tolist()
        data = draw(key, 0, math.prod(mapped.tensor.shape), mean, deviation)
    assert data.size == math.prod(mapped.tensor.shape)
    if data.dtype == kind.numpy:
        return data if data.flags.aligned else data.copy()  # compiled loops load whole vectors
    with np.errstate(all="ignore"):
        if kind is DType.I32:
            return (data.astype(np.int64) if data.dtype.kind == "f" else data).astype(np.int32)
        wide = data if data.dtype.kind == "f" else data.astype(np.float64)
        single = wide.astype(np.float32)
    return one_nan(single) if kind is DType.F32 else halves(single)
