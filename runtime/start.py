"""The first state of a run: what engines with a clock have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.table import Timing
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.observations.records import (
    NEVER,
    PASS,
    SEMAPHORE,
    STATEMENT,
    TALLY,
    Mode,
    Observations,
)
from wsc.runtime.observations.tracing import trace_tables
from wsc.runtime.runs import Options
from wsc.runtime.schedule import Qcol
from wsc.runtime.tables import COUNTED, MAX_DIMS

OPERANDS = 4
Tables = dict[str, np.ndarray]
Record = np.dtype[np.void]


def numbers(image: Image, units: int, options: Options) -> dict[str, int]:
    """Numbers of the fabric and of the run, by the names of their fields."""
    fabric, program, schedule = image.fabric, image.program, image.schedule
    ports = 2 * (program.width + program.height)
    queues = int((schedule.queues[:, Qcol.END] > 0).sum())
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
    }


def cores(image: Image, units: int, tile_type: Record, unit_type: Record) -> Tables:
    """Tiles and units in their first state."""
    fabric, tiles = image.fabric, image.tiles
    tile = np.zeros(tiles, tile_type)
    tile["x"], tile["y"], tile["region"] = image.tile_x, image.tile_y, image.tile_region
    tile["pc"] = np.maximum(image.entry, 0)
    tile["statement"] = tile["bucket"] = tile["passing"] = -1
    for number, region in enumerate(image.program.regions):
        tile["passing"][image.tile_region == number] = image.code.first_passes[region.name]
    unit = np.zeros((tiles, units), unit_type)
    runs = image.tile_region != NO_REGION
    unit["wake"] = NEVER
    unit["mode"][runs, 0], unit["wake"][runs, 0] = Mode.FETCH, 0
    unit["mode"][~runs, 0] = Mode.HALT
    threads = tiles * units
    return {
        "tile": tile,
        "unit": unit.reshape(-1),
        "unit_slot": np.full((threads, OPERANDS), -1, np.int64),
        "unit_base": np.zeros((threads, OPERANDS), np.int64),
        "unit_index": np.zeros((threads, MAX_DIMS), np.int64),
        "unit_extent": np.zeros((threads, MAX_DIMS), np.int64),
        "unit_stride": np.zeros((threads, OPERANDS * MAX_DIMS), np.int64),
        "regs": np.zeros(tiles * fabric.registers + 1, np.int32),
        "frames": np.zeros(tiles * fabric.call_depth * 2, np.int64),
        "loops": np.zeros(tiles * (fabric.call_depth + 1) * fabric.loop_depth, np.int64),
        "semaphores": np.zeros(tiles * fabric.semaphores, SEMAPHORE),
    }


def edge(image: Image) -> Tables:
    """The schedule of the edge, and its ports in their first state."""
    schedule = image.schedule
    ports = len(schedule.port_first) - 1
    return {
        "records": schedule.records,
        "shapes": schedule.shapes,
        "queues": schedule.queues.copy(),
        "port_first": schedule.port_first,
        "port_turn": np.full(ports, -1, np.int64),
        "request_in": np.full(ports, -1, np.int64),
        "request_out": np.full(ports, -1, np.int64),
        "lookups": schedule.lookups,
        "lookup_count": np.zeros(len(schedule.lookups), np.int64),
        "lookup_time": np.zeros(int(schedule.lookups[:, 1].sum()) + 1, np.int64),
    }


def messages(image: Image, buffer: Record, lock: Record, message: Record) -> Tables:
    """The dynamic network, empty; without tiles if nothing is sent."""
    moving = image.tiles if image.code.sends else 0
    cells = moving * 5 * image.fabric.dynamic_places + 1
    dyn = np.zeros(max(moving * 5, 1), buffer)
    dyn["popped"] = dyn["output"] = -1
    locks = np.zeros(max(moving, 1), lock)
    locks["unit"] = locks["released"] = -1
    return {
        "dyn": dyn,
        "dyn_value": np.zeros(cells, np.int64),
        "dyn_kind": np.zeros(cells, np.int8),
        "dyn_time": np.zeros(cells, np.int64),
        "dyn_hold": np.full((max(moving, 1), 10), -1, np.int8),
        "dyn_message": np.zeros(max(moving, 1), message),
        "dyn_lock": locks,
        "dyn_active": np.zeros(2 * max(moving, 1), np.int64),
        "dyn_links": np.zeros((max(moving, 1), 5), np.int64),
    }


def counts(image: Image, units: int, options: Options) -> Tables:
    """Counters at zero, and room for the trace."""
    code, slots = image.code, len(image.routes.slots)
    statements = np.zeros(max(len(code.statements), 1), STATEMENT)
    passes = np.zeros(len(code.passes) + 1, PASS)
    statements["start"] = passes["start"] = NEVER
    traced, trace, _ = trace_tables(image, units, options)
    return {
        "counted": np.zeros(len(COUNTED), np.int64),
        "counters": np.zeros(image.tiles, TALLY),
        "statements": statements,
        "passes": passes,
        "moves": np.zeros((slots, 6), np.int64),
        "lost": np.zeros((slots, 6), np.int64),
        "traced": traced,
        "trace": trace,
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
        passes=machine.passes,
        moves=machine.moves,
        lost=machine.lost,
        dyn_links=machine.dyn_links,
        counted=machine.counted,
        semaphores=machine.semaphores,
        slots=machine.slots,
        fifos=machine.fifos,
        queues=machine.queues,
        positions=machine.positions,
        held=machine.dyn["count"],
        traced=machine.traced,
        trace=machine.trace,
    )
