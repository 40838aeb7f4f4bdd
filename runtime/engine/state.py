"""The state of a run: fresh arrays for an image, its inputs and its outputs."""

from __future__ import annotations

import math

import numpy as np

import wsc.runtime.tables
from wsc.isa.program import Kind as Edge
from wsc.isa.storage import STORAGE
from wsc.runtime.engine import Options, bits
from wsc.runtime.engine.forms import forms
from wsc.runtime.engine.layout import NEVER, WHEEL, B, C, D, G, K, L, Mode, P, State, T, U
from wsc.runtime.engine.observe import observers
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.schedule import Qcol

LINE = 64  # bytes of a cache line


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """An int64 array that begins with a cache line, so that a row of eight lies in one."""
    size = math.prod(shape) * 8
    raw = np.zeros(size + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(np.int64).reshape(shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins with a cache line."""
    raw = np.empty(array.nbytes + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def make_state(
    image: Image, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray], options: Options
) -> State:
    """Fresh state for a run; the arrays of the image that a run changes are copied."""
    tiles, fabric, code = image.tiles, image.fabric, image.code
    units = code.units + 1
    sram = np.zeros(tiles * image.data_bytes, dtype=np.uint8)
    ports = len(image.schedule.port_first) - 1
    moving = tiles if code.sends else 0
    cells = moving * 5 * fabric.dynamic_buffer_depth
    waiting = int(image.schedule.lookups[:, 1].sum()) + 1
    statements = np.zeros((max(len(code.statements), 1), len(P)), dtype=np.int64)
    statements[:, P.START] = NEVER
    passes = np.zeros((len(code.passes) + 1, 2), dtype=np.int64)
    passes[:, 0] = NEVER
    dyn = np.zeros((max(moving * 5, 1), len(D)), dtype=np.int64)
    dyn[:, D.POPPED] = dyn[:, D.OUTPUT] = -1
    g = _globals(image, options, units)
    return State(
        g=g,
        rows=_wide(code.rows), operands=_wide(code.operands), refs=_wide(code.refs),
        lists=_wide(code.lists), registers=_wide(code.registers), pool=code.pool,
        reals=code.reals, timing=image.timing, regions=_wide(image.regions),
        tile=_tiles(image), unit=_units(image, units),
        regs=np.zeros(tiles * fabric.registers + 1, np.int32),
        frames=np.zeros(tiles * fabric.call_depth * 2, np.int64),
        loops=np.zeros(tiles * (fabric.call_depth + 1) * fabric.loop_depth, np.int64),
        semaphores=np.zeros((tiles * fabric.semaphores, 3), np.int64),
        bytes=sram, f32=sram.view(np.float32), i32=sram.view(np.int32), u16=sram.view(np.uint16),
        half=bits.HALF,
        slots=aligned(image.routes.slots), slot_first=_wide(image.routes.slot_first),
        slot_of=_wide(image.routes.slot_of), positions=_wide(image.routes.positions),
        fifos=aligned(image.routes.fifos),
        cells=zeros((image.routes.cells, 2)),
        turns=np.full((tiles, 6), -1, np.int8),
        wheel=np.full(WHEEL, -1, np.int64), due=np.zeros((1, tiles), np.int64),
        active=np.zeros((2, tiles), np.int64),
        records=image.schedule.records, shapes=image.schedule.shapes,
        queues=image.schedule.queues.copy(), port_first=image.schedule.port_first,
        port_mask=np.zeros(ports, np.int64), port_turn=np.full(ports, -1, np.int64),
        port_listed=np.zeros(ports, np.int8), port_active=np.zeros((2, ports), np.int64),
        request_in=np.full(ports, -1, np.int64), request_out=np.full(ports, -1, np.int64),
        lookups=image.schedule.lookups,
        lookup_count=np.zeros(len(image.schedule.lookups), np.int64),
        lookup_value=np.zeros(waiting, np.int64), lookup_time=np.zeros(waiting, np.int64),
        tensors=_tensors(image, inputs, outputs),
        dyn=dyn, dyn_value=np.zeros(cells + 1, np.int64), dyn_kind=np.zeros(cells + 1, np.int8),
        dyn_time=np.zeros(cells + 1, np.int64),
        dyn_hold=np.full((max(moving, 1), 10), -1, np.int8),
        dyn_message=np.zeros((max(moving, 1), 4), np.int64),
        dyn_lock=np.full((max(moving, 1), 2), -1, np.int64),
        dyn_active=np.zeros((2, max(moving, 1)), np.int64),
        counted=np.zeros(len(wsc.runtime.tables.COUNTED), np.int64),
        counters=np.zeros((tiles, len(C)), np.int64), statements=statements,
        passes=passes,
        moves=np.zeros((len(image.routes.slots), 6), np.int64),
        lost=np.zeros((len(image.routes.slots), 6), np.int64),
        link=np.zeros((0, int(L.SIZE)), np.int64), origins=np.zeros((0, 2), np.int64),
        streams=np.zeros((max(len(image.program.colors), 1), len(K)), np.int64),
        quiet=np.zeros(0, np.int64), occupied=np.zeros((0, 2), np.int64),
        stream=np.zeros(0, np.int64), stream_slots=np.zeros(0, np.int64),
        stream_queues=np.zeros(0, np.int64),
        port_owner=np.zeros(0, np.int64), port_safe=np.zeros(0, np.int64),
        tasks=np.zeros(0, np.int64), late=np.zeros(0, np.int64), late_first=np.zeros(0, np.int64),
        queued=np.zeros(0, np.int8), events=np.zeros(0, np.int64),
        nodes=np.zeros((0, 3), np.int64), port_due=np.zeros(0, np.int64),
        port_free=np.zeros(0, np.int64), forms=forms(image), near=np.zeros((1, 1), np.int32),
        unrest=np.zeros(0, np.int64), branches=np.zeros((0, int(B.SIZE)), np.int64),
        values=np.zeros(0, np.int64),
        dyn_links=np.zeros((max(moving, 1), 5), np.int64),
        **observers(image, options, g),
    )  # fmt: skip


def _wide(table: np.ndarray) -> np.ndarray:
    return np.array(table, dtype=np.int64)


def _globals(image: Image, options: Options, units: int) -> np.ndarray:
    fabric, program = image.fabric, image.program
    g = np.zeros(int(G.SIZE), dtype=np.int64)
    g[G.NOW] = g[G.CREDIT_TIME] = g[G.LAST] = -1
    g[G.TURN_IN] = g[G.TURN_OUT] = 2 * (program.width + program.height) - 1
    g[G.QUEUES_LEFT] = int((image.schedule.queues[:, Qcol.END] > 0).sum())
    g[G.SEED] = 0 if options.delays is None else options.delays * 2 + 1
    g[G.SHUFFLE] = 0 if options.shuffle is None else options.shuffle * 2 + 1
    g[G.WIDTH], g[G.HEIGHT] = program.width, program.height
    g[G.RAMP], g[G.IO] = fabric.ramp_latency, fabric.io_bytes_per_cycle
    g[G.UNITS], g[G.WINDOW], g[G.REGISTERS] = units, fabric.window, fabric.registers
    g[G.CALLS], g[G.LOOPS], g[G.SEMAPHORES] = (
        fabric.call_depth,
        fabric.loop_depth,
        fabric.semaphores,
    )
    g[G.BYTES], g[G.COLORS] = image.data_bytes, max(len(program.colors), 1)
    g[G.ISSUE], g[G.DEPTH] = fabric.issue_cycles, fabric.dynamic_buffer_depth
    g[G.TILES] = image.tiles
    g[G.QUEUES] = g[G.QUEUES_LEFT]
    g[G.LIMIT] = NEVER
    g[G.PORT_COUNT] = 2 * (program.width + program.height)
    return g


def _tiles(image: Image) -> np.ndarray:
    tile = np.zeros((image.tiles, len(T)), dtype=np.int64)
    tile[:, T.X], tile[:, T.Y], tile[:, T.REGION] = image.tile_x, image.tile_y, image.tile_region
    tile[:, T.PC] = np.maximum(image.entry, 0)
    tile[:, T.STATEMENT] = tile[:, T.BUCKET] = tile[:, T.PASS] = -1
    for number, region in enumerate(image.program.regions):
        tile[image.tile_region == number, T.PASS] = image.code.first_passes[region.name]
    return tile


def _units(image: Image, units: int) -> np.ndarray:
    unit = np.zeros((image.tiles, units, int(U.SIZE)), dtype=np.int64)
    unit[:, :, U.WAKE] = NEVER
    unit[:, :, U.SLOT : U.SLOT + 4] = -1
    runs = image.tile_region != NO_REGION
    unit[runs, 0, U.MODE] = Mode.FETCH
    unit[runs, 0, U.WAKE] = 0
    unit[~runs, 0, U.MODE] = Mode.HALT
    return unit.reshape(-1, int(U.SIZE))


def _tensors(
    image: Image, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Address, storage code and fabric type of every edge tensor."""
    table = np.zeros((max(len(image.program.edge_tensors), 1), 3), dtype=np.int64)
    for number, tensor in enumerate(image.program.edge_tensors):
        if tensor.kind is Edge.WEIGHT:
            held = image.weights[tensor.name]
            data, storage = held.data, held.storage
        else:
            data = (inputs if tensor.kind is Edge.INPUT else outputs)[tensor.name]
            storage = STORAGE.index(data.dtype)
        assert data.size == math.prod(tensor.shape) or tensor.drawn is not None
        kind = wsc.runtime.tables.TYPE_INDEX[tensor.dtype]
        table[number] = data.ctypes.data, storage, kind
    return table
