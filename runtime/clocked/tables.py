"""The first state of a run, and what it leaves: what engines with a clock have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.table import TABLE, Timing
from wsc.isa.types import DType
from wsc.runtime.clocked.records import (
    APPOINTMENT,
    BUFFER,
    DYNAMIC_CELL,
    FRAME,
    LOCK,
    MESSAGE,
    NEVER,
    OPERANDS,
    OUTPUT,
    SIDES,
    TRAIT,
    UNIT,
    WHEEL,
    Counts,
    Mode,
    Reason,
)
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.observations.records import (
    SEMAPHORE,
    STATEMENT,
    STAY,
    TALLY,
    Observations,
)
from wsc.runtime.observations.tracing import trace_tables, trace_window, traced_statements
from wsc.runtime.routes import FIFO, POSITION, SLOT
from wsc.runtime.runs import Options
from wsc.runtime.schedule import LOOKUP, QUEUE, RECORD, SHAPE
from wsc.runtime.tables import (
    COUNTED,
    MAX_DIMS,
    OPERAND,
    REFERENCE,
    REGION,
    ROW,
    TIMING,
    TYPE_INDEX,
    Kind,
    as_records,
    by_name,
    zeros,
)

Tables = dict[str, np.ndarray]
Record = np.dtype[np.void]
F16 = TYPE_INDEX[DType.F16]


def numbers(image: Image, units: int, options: Options) -> dict[str, int]:
    """Numbers of the fabric and of the run, by the names of their fields."""
    fabric, program, schedule = image.fabric, image.program, image.schedule
    ports = 2 * (program.width + program.height)
    queues = int((by_name(schedule.queues, QUEUE).end > 0).sum())
    return {
        "now": -1,
        "credit_time": -1,
        "last": -1,
        "turn_in": ports - 1,
        "turn_out": ports - 1,
        "queues_left": queues,
        "queues": queues,
        "port_count": ports,
        "seed": 0 if options.delays is None else options.delays * 2 + 1,
        "width": program.width,
        "height": program.height,
        "tiles": image.tiles,
        "ramp": fabric.ramp_latency,
        "io": fabric.io_bytes_per_cycle,
        "units": units,
        "registers": fabric.registers,
        "calls": fabric.call_depth,
        "loops": fabric.loop_depth,
        "semaphores": fabric.semaphores,
        "bytes": image.data_bytes,
        "colors": max(len(program.colors), 1),
        "issue": fabric.issue_cycles,
        "depth": fabric.dynamic_places,
        "stages": fabric.link_stages,
        "hop": fabric.hop_cycles,
        "turn": fabric.turn_cycles,
        "link_cycles": fabric.link_millicycles // 1000,
        "link_rest": fabric.link_millicycles % 1000,
        "taken": fabric.branch_taken_cycles,
        "jump": max(fabric.branch_taken_cycles - fabric.timing[Timing.BRANCH].startup, 0),
        "back": fabric.branch_back_cycles,
        "dependent": fabric.dependent_cycles,
        "conflict": fabric.sram_conflict_millicycles,
        "banks": fabric.sram_banks,
        "bank_bytes": fabric.sram_bank_bytes,
        "trace": trace_tables(image, units, options)[2],
        **trace_window(options),
    }


def code(image: Image) -> Tables:
    """The rows of the code, what they name, and the fabric's numbers for them."""
    held = image.code
    return {
        "rows": as_records(held.rows, ROW),
        "operands": as_records(held.operands, OPERAND),
        "refs": as_records(held.refs, REFERENCE),
        "lists": held.lists,
        "registers": held.registers,
        "pool": held.pool,
        "timing": as_records(image.timing, TIMING),
        "regions": as_records(image.regions, REGION),
        "traits": _traits(image),
    }


def _traits(image: Image) -> np.ndarray:
    """What each step of each vector instruction adds to counters."""
    rows, sizes = image.code.records, image.code.step_bytes()
    table = np.zeros(max(len(rows), 1), TRAIT)
    for number in np.flatnonzero(rows.kind == Kind.VECTOR).tolist():
        row = rows[number]
        macs, counts = TABLE[row.opcode].macs, Counts.ELEMENTS
        if macs:
            counts = Counts.MACS_F16 if row["dtype"] == F16 else Counts.MACS_F32
        table[number] = counts, macs, sizes[number]
    return table


def routers(image: Image) -> Tables:
    """Slots and FIFOs in their first state."""
    routes = image.routes
    slots = zeros(len(routes.slots), SLOT)
    slots[:] = as_records(routes.slots, SLOT)
    return {
        "slots": slots,
        "slot_first": routes.slot_first,
        "slot_of": routes.slot_of,
        "positions": as_records(routes.positions, POSITION),
        "fifos": as_records(routes.fifos(), FIFO),
    }


def cores(image: Image, units: int, tile_type: Record) -> Tables:
    """Tiles and units in their first state; tile_type: the engine's record of a tile."""
    fabric, tiles = image.fabric, image.tiles
    tile = zeros(tiles, tile_type)
    tile["x"], tile["y"], tile["region"] = image.tile_x, image.tile_y, image.tile_region
    tile["pc"] = np.maximum(image.entry, 0)
    tile["statement"] = tile["stay"] = -1
    for number, region in enumerate(image.program.regions):
        tile["stay"][image.tile_region == number] = image.code.first_stays[region.name]
    unit = zeros(tiles * units, UNIT).reshape(tiles, units)
    runs = image.tile_region != NO_REGION
    unit["wake"] = NEVER
    unit["mode"][runs, 0], unit["wake"][runs, 0] = Mode.FETCH, 0
    unit["mode"][~runs, 0] = Mode.HALT
    appointments = np.zeros(tiles, APPOINTMENT)
    appointments["bucket"] = -1
    # Of what is captured there is a row more: see ``own.capture_place``.
    threads, captured = tiles * units, tiles * units + 1
    return {
        "tile": tile,
        "unit": unit.reshape(-1),
        "unit_slot": np.full((threads, OPERANDS), -1, np.int64),
        "unit_base": np.zeros((captured, OPERANDS), np.int64),
        "unit_index": np.zeros((captured, MAX_DIMS), np.int64),
        "unit_extent": np.zeros((captured, MAX_DIMS), np.int64),
        "unit_stride": np.zeros((captured, OPERANDS * MAX_DIMS), np.int64),
        "regs": np.zeros(tiles * fabric.registers + 1, np.int32),
        "frames": np.zeros(tiles * fabric.call_depth, FRAME),
        "loops": np.zeros(tiles * (fabric.call_depth + 1) * fabric.loop_depth, np.int32),
        "semaphores": np.zeros(tiles * fabric.semaphores, SEMAPHORE),
        "wheel": np.full(WHEEL, -1, np.int64),
        "appointments": appointments,
        "due": np.zeros(tiles, np.int64),
    }


def edge(image: Image) -> Tables:
    """The schedule of the edge, and its ports in their first state."""
    schedule = image.schedule
    ports = len(schedule.port_first) - 1
    short = [tensor.dtype is DType.F16 for tensor in image.program.edge_tensors]
    return {
        "short": np.array([*short, False], np.int8),
        "records": as_records(schedule.records, RECORD),
        "shapes": as_records(schedule.shapes, SHAPE),
        "queues": as_records(schedule.queues.copy(), QUEUE),
        "port_first": schedule.port_first,
        "port_turn": np.full(ports, -1, np.int64),
        "request_in": np.full(ports, -1, np.int64),
        "request_out": np.full(ports, -1, np.int64),
        "lookups": as_records(schedule.lookups, LOOKUP),
        "lookup_count": np.zeros(len(schedule.lookups), np.int64),
        "lookup_time": np.zeros(int(schedule.lookups[:, 1].sum()) + 1, np.int64),
        "awaited": schedule.awaited.copy(),
    }


def messages(image: Image) -> Tables:
    """The dynamic network, empty; without tiles if nothing is sent."""
    moving = image.tiles if image.code.sends else 0
    cells = moving * SIDES * image.fabric.dynamic_places + 1
    inputs = zeros(max(moving * SIDES, 1), BUFFER)
    inputs["popped"] = inputs["output"] = -1
    outputs = np.zeros(max(moving * SIDES, 1), OUTPUT)
    outputs["holder"] = outputs["served"] = -1
    locks = np.zeros(max(moving, 1), LOCK)
    locks["unit"] = locks["released"] = -1
    return {
        "dynamic_inputs": inputs,
        "dynamic_cells": np.zeros(cells, DYNAMIC_CELL),
        "dynamic_outputs": outputs,
        "dynamic_active": np.zeros(2 * max(moving, 1), np.int64),
        "dynamic_waiting": np.zeros(max(moving, 1), np.int8),
        "dynamic_listed": np.zeros(max(moving, 1), np.int8),
        "ramp_locks": locks,
        "arriving": np.zeros(max(moving, 1), MESSAGE),
        "dynamic_links": np.zeros((max(moving, 1), SIDES), np.int64),
    }


def counts(image: Image, units: int, options: Options) -> Tables:
    """Counters at zero, and room for the trace."""
    code, slots = image.code, len(image.routes.slots)
    statements = np.zeros(max(len(code.statements), 1), STATEMENT)
    stays = np.zeros(len(code.stays) + 1, STAY)
    statements["start"] = stays["start"] = NEVER
    traced, trace, _ = trace_tables(image, units, options)
    return {
        "counted": np.zeros(len(COUNTED), np.int64),
        "counters": np.zeros(image.tiles, TALLY),
        "statements": statements,
        "stays": stays,
        "moves": np.zeros((slots, 6), np.int64),
        "lost": np.zeros((slots, 6), np.int64),
        "stalls": np.zeros((slots, 2), np.int64),
        "waits": np.zeros((len(code.rows), len(Reason)), np.int64),
        "traced": traced,
        "trace": trace,
        "traced_statements": traced_statements(image, options),
    }


def observe(machine: Any) -> Observations:
    """What a run leaves, as it stands; it goes on with the run."""
    return Observations(
        units=int(machine.now["units"][0]),
        now=machine.now,
        tile=machine.tile,
        unit=machine.unit,
        counters=machine.counters,
        statements=machine.statements,
        stays=machine.stays,
        moves=machine.moves,
        lost=machine.lost,
        stalls=machine.stalls,
        waits=machine.waits,
        dynamic_links=machine.dynamic_links,
        counted=machine.counted,
        semaphores=machine.semaphores,
        slots=by_name(machine.slots, SLOT),
        fifos=by_name(machine.fifos, FIFO),
        queues=by_name(machine.queues, QUEUE),
        awaited=machine.awaited,
        positions=by_name(machine.positions, POSITION),
        held=machine.dynamic_inputs["count"],
        traced=machine.traced,
        trace=machine.trace,
        traced_statements=machine.traced_statements,
    )
