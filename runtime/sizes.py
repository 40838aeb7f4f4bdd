"""How much memory the tables of a run will take, found before they are made."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.statements import instructions
from wsc.isa.table import BY_NAME, Category
from wsc.isa.turns import plain_transfers
from wsc.isa.types import Side
from wsc.runtime.clocked.records import (
    APPOINTMENT,
    BUFFER,
    DYNAMIC_CELL,
    LOCK,
    MESSAGE,
    OUTPUT,
    UNIT,
)
from wsc.runtime.engine import CHECKING, TIME, VALUES
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.memory import require_memory
from wsc.runtime.observations.records import SEMAPHORE, TALLY
from wsc.runtime.reference.records import CELL, TILE
from wsc.runtime.routes import Fcol, guarded
from wsc.runtime.schedule import Rcol
from wsc.runtime.tables import MAX_DIMS
from wsc.runtime.time.records import (
    CLAIM,
    DEEPEST_BUFFER,
    DUE,
    FARTHEST,
    GROUP,
    GROUPS,
    HEADING,
    LEAST_GROUPS,
    LINK,
    MEMBER,
    MESSAGE_CELL,
    MESSAGE_INPUT,
    MESSAGE_OUTPUT,
    PASSAGE,
    STATION,
    message_cycles,
    most_headers,
    way_cycles,
)
from wsc.runtime.values.records import ROUTER, THREAD

_WORD = 8  # the tables of a run are int64


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the tables of a run grow with.

    units: threads of a tile, main included. slots: colors with a route, over all tiles.
    queues: of the cores. cells: wavelets that all FIFOs hold. pool: values of static operands.
    records: of the edge's schedule. lookups: index values that it waits for.
    """

    tiles: int
    units: int
    colors: int
    slots: int
    queues: int
    cells: int
    pool: int
    records: int
    lookups: int
    sends: bool
    data_bytes: int


def expected_sizes(program: Program, fabric: Fabric, data_bytes: int) -> Sizes:
    """The sizes that a program will have: guards are evaluated, static operands are left out."""
    tiles = program.width * program.height
    slots = queues = cells = 0
    deep = {"input": max(fabric.input_queues), "output": max(fabric.output_queues)}
    for route in program.routes:
        region = program.region(route.region)
        count = int(guarded(program, region, route.guard, route.where).sum())
        inward = any(Side.RAMP in position.send for position in route.positions)
        outward = any(position.receive is Side.RAMP for position in route.positions)
        slots += count
        queues += count * (inward + outward)
        depth = fabric.router_buffer_depth + fabric.link_stages + fabric.turn_cycles
        depth += inward * deep["input"] + outward * deep["output"]
        cells += count * depth
    records = lookups = 0
    for transfer in plain_transfers(program):
        region = program.region(transfer.region)
        records += max(region.width, region.height)
        if transfer.lookup is not None:
            lookups += transfer.lookup.count * (transfer.repeat[1] if transfer.repeat else 1)
    operations = [
        op
        for body in (
            *(region.main for region in program.regions),
            *(procedure.body for procedure in program.procedures),
        )
        for op in instructions(body)
    ]
    units = [op.asynchronous.unit + 1 for op in operations if op.asynchronous is not None]
    return Sizes(
        tiles=tiles,
        units=max(units, default=0) + 1,
        colors=max(len(program.colors), 1),
        slots=slots,
        queues=queues,
        cells=cells,
        pool=0,
        records=records,
        lookups=lookups,
        sends=any(BY_NAME[op.name].category is Category.SEND for op in operations),
        data_bytes=data_bytes,
    )


def image_bytes(sizes: Sizes) -> int:
    """Bytes of a loaded program, its weights apart."""

    each_tile = 4 * (4 + sizes.colors + 1)  # place, region, entry; slots by color
    tables = 4 * 17 * sizes.slots + 4 * sizes.pool + _WORD * len(Rcol) * sizes.records
    return sizes.tiles * each_tile + tables + _WORD * 8 * (sizes.slots + sizes.queues)


def state_bytes(sizes: Sizes, fabric: Fabric) -> int:
    """Bytes of a run's state with a clock, without SRAM, traces and the race check."""

    nests = (fabric.call_depth + 1) * fabric.loop_depth
    # A unit: its record; slots, bases and held bits of operands; indices, extents and strides.
    each_unit = UNIT.itemsize + _WORD * (3 * 4 + (2 + 4) * MAX_DIMS)
    each_tile = (
        TILE.itemsize
        + APPOINTMENT.itemsize
        + TALLY.itemsize
        + sizes.units * each_unit
        + _WORD * 2 * fabric.call_depth
        + 4 * nests
        + SEMAPHORE.itemsize * fabric.semaphores
        + 4 * fabric.registers
        + 6
        + _WORD * (1 + 2)  # turns, due, active
    )
    if sizes.sends:
        each_tile += 5 * BUFFER.itemsize + MESSAGE.itemsize + LOCK.itemsize
        each_tile += 5 * OUTPUT.itemsize + _WORD * (5 + 2) + 2  # counts of links, lists
        each_tile += 5 * fabric.dynamic_places * DYNAMIC_CELL.itemsize
    # A row of the table; wavelets moved, turns lost, and cycles waited.
    each_slot = 4 * 16 + (2 * 6 + 2) * _WORD
    fifos = _WORD * len(Fcol) * (sizes.slots + sizes.queues)
    lookups = 2 * _WORD * sizes.lookups
    return (
        sizes.tiles * each_tile
        + each_slot * sizes.slots
        + fifos
        + CELL.itemsize * sizes.cells
        + lookups
    )


def lane_bytes(sizes: Sizes, program: Program, fabric: Fabric) -> int:
    """Bytes that the time engine adds to a state: tiles as lanes."""

    blocks = -(-program.width // WORD) * -(-program.height // WORDS)
    lanes = WORD * WORDS // 8
    # Of a ramp and of the way between routers: powers of two of cycles, longer than they take.
    rings = (2 * 16 + way_cycles(fabric)) * lanes
    each_station = STATION.itemsize + 6 * CLAIM.itemsize + rings + _WORD * (3 + 6)
    each_station += 5 * _WORD * (WORDS + 2)  # what neighbours look at
    groups = LEAST_GROUPS + GROUPS * sizes.units * blocks
    each_group = GROUP.itemsize + DUE * lanes + _WORD
    each_tile = _WORD * 2 + MEMBER.itemsize * sizes.units
    each_slot = 4 * _WORD + 1
    # The dynamic network as lanes, where its buffers and ways are short enough for them.
    messages = 0
    if sizes.sends and fabric.dynamic_places <= DEEPEST_BUFFER:
        messages = fabric.dynamic_places * MESSAGE_CELL.itemsize + MESSAGE_INPUT.itemsize
        messages += min(message_cycles(fabric), 2 * FARTHEST) * lanes
        messages += MESSAGE_OUTPUT.itemsize + 5 * PASSAGE.itemsize + 3 * _WORD * (WORDS + 2)
        each_tile += 5 * (most_headers(fabric) * HEADING.itemsize + 1)
    return (
        blocks * 5 * messages
        + blocks * 6 * (LINK.itemsize + _WORD)
        + each_station * min(sizes.colors * blocks, sizes.slots)
        + each_group * groups
        + each_tile * sizes.tiles
        + each_slot * sizes.slots
    )


def values_bytes(sizes: Sizes) -> int:
    """Bytes of the values engine's state, SRAM apart, that every run takes.

    Tasks, registers and streams take more as the run goes; streams say so when there is no more.
    """

    each_queue = 3 * _WORD + 1  # stream, lane and cursor, and whether it is there
    queues = sizes.tiles * sizes.colors * each_queue
    return queues + sizes.slots * ROUTER.itemsize + sizes.tiles * THREAD.itemsize


def edge_bytes(program: Program) -> int:
    """Bytes of inputs and outputs in the fabric's types."""
    return sum(tensor.bytes for tensor in program.edge_tensors if not tensor.kind.stored)


def require_for_program(
    program: Program, fabric: Fabric, data_bytes: int, engine: str, limit: int | None
) -> None:
    """Refuse, before it is loaded, a program that could not run on an engine."""
    sizes = expected_sizes(program, fabric, data_bytes)
    require_memory(parts_of(sizes, fabric, program, engine), limit)


def parts_of(sizes: Sizes, fabric: Fabric, program: Program, engine: str) -> dict[str, int]:
    """Bytes that an engine takes for a program, by what they are for."""
    sram = sizes.tiles * sizes.data_bytes
    if engine == VALUES:
        rest = values_bytes(sizes)
    else:
        rest = state_bytes(sizes, fabric)
        rest += lane_bytes(sizes, program, fabric) if engine != CHECKING else 0
    if engine == TIME:
        return {"the program": image_bytes(sizes), "the state": rest}
    return {
        "the program": image_bytes(sizes),
        f"the SRAM of {sizes.tiles:,} tiles": sram,
        "the rest of the state": rest + edge_bytes(program),
    }
