"""What stopped a run: faults, and who waits for whom when nothing can go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsc.isa.program import Location, edge_places
from wsc.isa.types import Side
from wsc.runtime.image import Image
from wsc.runtime.routes import NOWHERE, OUTSIDE
from wsc.runtime.schedule import QUEUE, side_of_port
from wsc.runtime.stops import (
    Wait,
    coordinates,
    edge_waits,
    fault_text,
    grouped,
    nodes_of,
    sentence,
    unit_name,
)
from wsc.runtime.tables import COUNTED, FABRIC, REFERENCE, by_name
from wsc.runtime.values.build import Traced
from wsc.runtime.values.compiled import Machine
from wsc.runtime.values.records import Fault, Standing
from wsc.runtime.values.streams import next_unread
from wsc.runtime.values.tasks import NO_OUTPUT


def describe(image: Image, machine: Machine) -> tuple[str, Location]:
    """Message and place of the fault that stopped a run."""
    now = machine.now[0]
    code, row, value = Fault(int(now["fault"])), int(now["fault_row"]), int(now["fault_value"])
    tile = _tile(image, int(now["fault_tile"]))
    if code is Fault.LOOKUP:
        transfer = image.transfers[row]
        number = edge_places(image.program.edge_tensors)[transfer.direction, transfer.tensor]
        rows = image.program.edge_tensors[number].shape[0]
        what = f"lookup in '{transfer.tensor}': index {value} is outside [0, {rows})"
        who, where, nodes = "edge", transfer.where, transfer.nodes
    else:
        who, where = unit_name(int(now["fault_unit"])), image.code.where[row]
        bound, name = int(now["fault_bound"]), _name(image, row)
        outward = bound == NO_OUTPUT
        text = fault_text(image.program, code.name, name, value, bound, outward)
        what = f"'{name}': {text}"
        nodes = nodes_of(image.code, int(now["fault_statement"]))
    return sentence(where, f"tile {coordinates(image.program, tile)}, {who}", what, nodes), where


def out_of_memory(image: Image, machine: Machine) -> str:
    """Which wavelets took the last of the memory, if any did."""
    now = machine.now[0]
    if now["fault_value"] < 0:
        return "an instruction's operands would take more memory than the run may take"
    stream = machine.streams[int(now["fault_value"])]
    color = image.program.colors[int(stream["color"])][0]
    held = 4 * int(now["end_of_storage"] - now["memory"])
    return (
        f"wavelets that wait to be read would take more than the {held >> 20:,} MiB that the run "
        f"may take; those of color '{color}' from column {int(stream['column'])} are not read"
    )


def _tile(image: Image, number: int) -> int:
    """The number by rows of a tile that has this one by columns."""
    x, y = divmod(number, image.program.height)
    return y * image.program.width + x


def _name(image: Image, row: int) -> str:
    return COUNTED[int(image.code.records.opcode[row])]


# --- who waits --------------------------------------------------------------------------


def deadlock(image: Image, machine: Machine, traced: Traced) -> str:
    """Why a run has not ended although nothing can go on; empty if it has."""
    queues = by_name(machine.queues[: int(machine.now["edge_queues"][0])], QUEUE)
    waits = (
        *_threads(image, machine),
        *_units(image, machine),
        *edge_waits(image, queues, machine.awaited, "a reader"),
        *_unread(image, machine),
        *_undrained(image, machine),
        *_routers(image, machine),
        *_stuck(image, machine, traced),
    )
    if not waits:
        return ""
    return grouped(image.program, "deadlock: nothing can move any more", waits)


def _threads(image: Image, machine: Machine) -> Iterator[Wait]:
    """Main threads that have not ended."""
    height, units = image.program.height, int(machine.now["units"][0])
    begins = machine.threads["end"] > 0
    for first in np.nonzero(begins & (machine.threads["state"] != Standing.HALTED))[0].tolist():
        thread = machine.threads[first]
        state, row = int(thread["state"]), int(thread["row"])
        if state == Standing.TASK:
            row = int(machine.tasks[first * units]["row"])
        for tile in range(first, first - first % height + int(thread["end"])):
            if state == Standing.TASK:
                what = _wanted(image, machine, first * units, tile)
            elif state == Standing.UNIT:
                what = f"stream unit {int(image.code.records.unit[row]) - 1} to be free"
            else:
                what = _semaphore(image, machine, first, row, tile)
            text = f"main thread at '{_name(image, row)}' waits for {what}"
            yield Wait(_tile(image, tile), text, image.code.where[row])


def _semaphore(image: Image, machine: Machine, first: int, number: int, tile: int) -> str:
    """What a semaphore has in a tile, and what a thread's row of the code needs there."""
    row, now = image.code.records[number], machine.now[0]
    x, y = divmod(tile, image.program.height)
    has = machine.semaphores[(x * now["semaphores"] + row.semaphore) * now["height"] + y]
    # The static part in this tile, and the registers of the thread.
    of, here = by_name(image.code.refs, REFERENCE)[row.amount], machine.threads[tile]
    needs = int(image.code.pool[of.pool + here["x"] * of.by_x + here["y"] * of.by_y])
    window = first * now["registers"] + machine.threads[first]["frame"]
    for register in image.code.registers[of.first : of.first + of.count]:
        needs += int(machine.regs[window + register])
    return f"semaphore s{int(row.semaphore)}: needs {needs}, has {int(has)}"


def _units(image: Image, machine: Machine) -> Iterator[Wait]:
    """Tasks of stream units."""
    height, units = image.program.height, int(machine.now["units"][0])
    for at in np.nonzero(machine.owner)[0].tolist():
        unit, y = at // height % units, at % height
        tile = at // (height * units) * height + y
        task = (tile - y + int(machine.owner[at]) - 1) * units + unit
        row = int(machine.tasks[task]["row"])
        what = _wanted(image, machine, task, tile)
        text = f"{unit_name(unit)} at '{_name(image, row)}' waits for {what}"
        yield Wait(_tile(image, tile), text, image.code.where[row])


def _wanted(image: Image, machine: Machine, task: int, tile: int) -> str:
    """The first queue that has too few wavelets for an instruction."""
    row = image.code.records[int(machine.tasks[task]["row"])]
    x, y = divmod(tile, image.program.height)
    found = ""
    for k in range(1, int(row.count)):
        operand = image.code.operand_records[int(row.operands) + k]
        if operand.kind != FABRIC:
            continue
        color = int(operand.color)
        name = f"a wavelet of color '{image.program.colors[color][0]}'"
        reader = (x * int(machine.now["colors"][0]) + color) * image.program.height + y
        need = int(np.prod(machine.extents[task, : int(operand.advance)]))
        if _held(machine, reader) < need:
            return name
        found = found or name
    return found or "room for what it sends"


def _held(machine: Machine, reader: int) -> int:
    """Wavelets that wait for a reader."""
    stream = int(machine.source[reader])
    if stream < 0:
        return 0
    lane = int(machine.streams[stream]["first"]) + int(machine.lane[reader])
    return int(machine.written[lane] - machine.cursor[reader])


def _route(image: Image, slot: int) -> Location:
    return image.program.routes[int(image.routes.route_of[slot])].where


def _unread(image: Image, machine: Machine) -> Iterator[Wait]:
    """Queues of cores that hold something that no instruction takes."""
    height, colors = image.program.height, int(machine.now["colors"][0])
    reader = next_unread(machine, 0)
    while reader >= 0:
        count = _held(machine, reader)
        y, color = reader % height, reader // height % colors
        tile = y * image.program.width + reader // (height * colors)
        slot = int(image.routes.slot_of[tile * colors + color])
        name = image.program.colors[color][0]
        text = f"{count} of color '{name}' that no instruction takes"
        yield Wait(tile, text, _route(image, slot))
        reader = next_unread(machine, reader + 1)


def _undrained(image: Image, machine: Machine) -> Iterator[Wait]:
    """Ports of the edge at which more wavelets have arrived than transfers take."""
    width, height = image.program.width, image.program.height
    first = width * height * int(machine.now["colors"][0])
    for queue in range(int(machine.now["edge_queues"][0])):
        count = _held(machine, first + queue)
        if count == 0:
            continue
        port, slot = machine.queues[queue][["port", "slot"]].tolist()
        row = image.routes.records[slot]
        color = image.program.colors[int(row.color)][0]
        side = list(Side)[side_of_port(port, width, height)]
        text = f"router holds {count} of color '{color}', waits for {_why(side, OUTSIDE)}"
        yield Wait(int(row.tile), text, _route(image, slot))


def _routers(image: Image, machine: Machine) -> Iterator[Wait]:
    """Runs of wavelets that cannot leave a router, or a core."""
    routers = machine.routers[: int(machine.now["slots"][0])]
    for slot in np.nonzero((routers["first"] >= 0) | (routers["out_first"] >= 0))[0].tolist():
        row = image.routes.records[slot]
        color = image.program.colors[int(row.color)][0]
        tile = int(row.tile)
        count = _count(machine, int(routers[slot]["first"]))
        if count:
            sides = ", ".join(_sides(machine, row.next, slot)) or "the switch"
            text = f"router holds {count} of color '{color}', waits for {sides}"
            yield Wait(tile, text, _route(image, slot))
        count = _count(machine, int(routers[slot]["out_first"]))
        if count:
            text = f"{count} of color '{color}' wait for the router to accept from the core"
            yield Wait(tile, text, _route(image, slot))


def _count(machine: Machine, run: int) -> int:
    """Wavelets of a list of runs."""
    total = 0
    while run >= 0:
        total += max(int(machine.runs[run]["count"]), 1)
        run = int(machine.runs[run]["next"])
    return total


def _sides(machine: Machine, beyond: np.ndarray, slot: int) -> Iterator[str]:
    pending = int(machine.routers[slot]["pending"])
    for side in list(Side)[:4]:
        if pending >> side.index & 1:
            yield _why(side, int(beyond[side.index]))


def _why(side: Side, beyond: int) -> str:
    if beyond == NOWHERE:
        return f"{side.value}, where the neighbour has no route"
    if beyond < 0:
        return f"{side.value}, where no transfer takes it"
    return f"{side.value}, where the neighbour does not accept it"


def _stuck(image: Image, machine: Machine, traced: Traced) -> Iterator[Wait]:
    """Wavelets of colors with one route that reach a side on which they cannot leave."""
    slots = image.routes.records[: len(traced.origin)]
    known = (traced.stuck != 0) & (traced.origin >= 0) & (slots.guided == 0)
    for slot in np.flatnonzero(known).tolist():
        count = int(sent(image, machine, traced, traced.origin[slot : slot + 1])[0])
        if count:
            color = image.program.colors[int(slots.color[slot])][0]
            sides = ", ".join(
                _why(side, int(slots.next[slot, side.index]))
                for side in list(Side)[:4]
                if int(traced.stuck[slot]) >> side.index & 1
            )
            text = f"router holds {count} of color '{color}', waits for {sides}"
            yield Wait(int(slots.tile[slot]), text, _route(image, slot))


def sent(image: Image, machine: Machine, traced: Traced, origins: np.ndarray) -> np.ndarray:
    """Wavelets that began their way at each of some slots: of its core, or of the edge there."""
    slots = image.routes.records
    y, x = np.divmod(slots.tile[origins], image.program.width)
    colors = int(machine.now["colors"][0])
    core = traced.from_core[origins]
    stream = machine.stream_of[x * colors + slots.color[origins]]
    if len(machine.feeding):
        stream = np.where(core, stream, machine.feeding[traced.from_queue[origins]])
    lanes = machine.streams["first"][stream] + np.where(core, y, 0)
    return np.where(stream >= 0, machine.written[lanes], 0)
