"""What stopped a run: faults, and who waits for whom when nothing can go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsc.isa.program import Location, edge_places
from wsc.isa.types import Side
from wsc.runtime.image import Image
from wsc.runtime.routes import NOWHERE, OUTSIDE, Scol
from wsc.runtime.schedule import Qcol, side_of_port
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
from wsc.runtime.tables import COUNTED, Col, Ocol
from wsc.runtime.values.build import Traced
from wsc.runtime.values.compiled import Machine
from wsc.runtime.values.records import Fault, Standing
from wsc.runtime.values.tasks import OUT_COLUMN

FABRIC = 1  # kind of an operand


def describe(image: Image, machine: Machine) -> tuple[str, Location]:
    """Message and place of the fault that stopped a run."""
    now = machine.now[0]
    code, row, a = Fault(int(now["fault"])), int(now["fault_row"]), int(now["fault_a"])
    tile = _tile(image, int(now["fault_tile"]))
    if code is Fault.LOOKUP:
        transfer = image.transfers[row]
        number = edge_places(image.program.edge_tensors)[transfer.direction, transfer.tensor]
        rows = image.program.edge_tensors[number].shape[0]
        what = f"lookup in '{transfer.tensor}': index {a} is outside [0, {rows})"
        who, where, nodes = "edge", transfer.where, transfer.nodes
    else:
        who, where = unit_name(int(now["fault_unit"])), image.code.where[row]
        b, name = int(now["fault_b"]), _name(image, row)
        what = f"'{name}': {fault_text(image.program, code.name, name, a, b, b == OUT_COLUMN)}"
        nodes = nodes_of(image.code, int(now["fault_statement"]))
    return sentence(where, f"tile {coordinates(image.program, tile)}, {who}", what, nodes), where


def out_of_memory(image: Image, machine: Machine) -> str:
    """Which wavelets took the last of the memory, if any did."""
    now = machine.now[0]
    if now["fault_a"] < 0:
        return "an instruction's operands would take more memory than the run may take"
    stream = machine.streams[int(now["fault_a"])]
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
    return COUNTED[int(image.code.rows[row, Col.OPCODE])]


# --- who waits --------------------------------------------------------------------------


def deadlock(image: Image, machine: Machine, traced: Traced) -> str:
    """Why a run has not ended although nothing can go on; empty if it has."""
    queues = machine.queues[: int(machine.now["edge_queues"][0])]
    waits = (
        *_threads(image, machine),
        *_units(image, machine),
        *edge_waits(image, queues, "a reader"),
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
                what = f"stream unit {int(image.code.rows[row, Col.UNIT]) - 1} to be free"
            else:
                what = _semaphore(image, machine, first, row, tile)
            text = f"main thread at '{_name(image, row)}' waits for {what}"
            yield Wait(_tile(image, tile), text, image.code.where[row])


def _semaphore(image: Image, machine: Machine, first: int, row: int, tile: int) -> str:
    number = int(image.code.rows[row, Col.SEMAPHORE])
    x, y = divmod(tile, image.program.height)
    has = machine.semaphores[
        (x * int(machine.now["semaphores"][0]) + number) * image.program.height + y
    ]
    ref = image.code.refs[int(image.code.rows[row, Col.AMOUNT])].tolist()
    region = machine.regions[int(machine.threads[first]["region"])].tolist()
    needs = int(image.code.pool[ref[0] + (x - region[0]) * ref[1] + (y - region[1]) * ref[2]])
    frame = first * int(machine.now["registers"][0]) + int(machine.threads[first]["frame"])
    for index in range(ref[3], ref[3] + ref[4]):
        needs += int(machine.regs[frame + int(image.code.registers[index])])
    return f"semaphore s{number}: needs {needs}, has {int(has)}"


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
    row = image.code.rows[int(machine.tasks[task]["row"])]
    x, y = divmod(tile, image.program.height)
    found = ""
    for k in range(1, int(row[Col.COUNT])):
        operand = image.code.operands[int(row[Col.OPERANDS]) + k]
        if operand[Ocol.KIND] != FABRIC:
            continue
        color = int(operand[Ocol.COLOR])
        name = f"a wavelet of color '{image.program.colors[color][0]}'"
        reader = (x * int(machine.now["colors"][0]) + color) * image.program.height + y
        need = int(np.prod(machine.extents[task, : int(operand[Ocol.ADVANCE])]))
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
    readers = np.flatnonzero(machine.source[: image.tiles * colors] >= 0)
    first = machine.streams["first"][machine.source[readers]]
    held = machine.written[first + machine.lane[readers]] - machine.cursor[readers]
    for reader, count in zip(readers[held > 0].tolist(), held[held > 0].tolist(), strict=True):
        y, color = reader % height, reader // height % colors
        tile = y * image.program.width + reader // (height * colors)
        slot = int(image.routes.slot_of[tile * colors + color])
        name = image.program.colors[color][0]
        text = f"{count} of color '{name}' that no instruction takes"
        yield Wait(tile, text, _route(image, slot))


def _undrained(image: Image, machine: Machine) -> Iterator[Wait]:
    """Ports of the edge at which more wavelets have arrived than transfers take."""
    width, height = image.program.width, image.program.height
    first = width * height * int(machine.now["colors"][0])
    for queue in range(int(machine.now["edge_queues"][0])):
        count = _held(machine, first + queue)
        if count == 0:
            continue
        row = image.routes.slots[int(machine.queues[queue, Qcol.SLOT])]
        color = image.program.colors[int(row[Scol.COLOR])][0]
        side = list(Side)[side_of_port(int(machine.queues[queue, Qcol.PORT]), width, height)]
        text = f"router holds {count} of color '{color}', waits for {_why(side, OUTSIDE)}"
        yield Wait(int(row[Scol.TILE]), text, _route(image, int(machine.queues[queue, Qcol.SLOT])))


def _routers(image: Image, machine: Machine) -> Iterator[Wait]:
    """Runs of wavelets that cannot leave a router, or a core."""
    routers = machine.routers[: int(machine.now["slots"][0])]
    for slot in np.nonzero((routers["first"] >= 0) | (routers["out_first"] >= 0))[0].tolist():
        row = image.routes.slots[slot]
        color = image.program.colors[int(row[Scol.COLOR])][0]
        tile = int(row[Scol.TILE])
        count = _count(machine, int(routers[slot]["first"]))
        if count:
            sides = ", ".join(_sides(machine, row, slot)) or "the switch"
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


def _sides(machine: Machine, row: np.ndarray, slot: int) -> Iterator[str]:
    pending = int(machine.routers[slot]["pending"])
    for side in list(Side)[:4]:
        if pending >> side.index & 1:
            yield _why(side, int(row[Scol.NEXT + side.index]))


def _why(side: Side, beyond: int) -> str:
    if beyond == NOWHERE:
        return f"{side.value}, where the neighbour has no route"
    if beyond < 0:
        return f"{side.value}, where no transfer takes it"
    return f"{side.value}, where the neighbour does not accept it"


def _stuck(image: Image, machine: Machine, traced: Traced) -> Iterator[Wait]:
    """Wavelets of colors with one route that reach a side on which they cannot leave."""
    slots = image.routes.slots[: len(traced.origin)]
    known = np.nonzero((traced.stuck != 0) & (traced.origin >= 0))[0]
    for slot in known.tolist():
        if slots[slot, Scol.GUIDED]:
            continue
        count = int(sent(image, machine, traced, traced.origin[slot : slot + 1])[0])
        if count:
            color = image.program.colors[int(slots[slot, Scol.COLOR])][0]
            sides = ", ".join(
                _why(side, int(slots[slot, Scol.NEXT + side.index]))
                for side in list(Side)[:4]
                if int(traced.stuck[slot]) >> side.index & 1
            )
            text = f"router holds {count} of color '{color}', waits for {sides}"
            yield Wait(int(slots[slot, Scol.TILE]), text, _route(image, slot))


def sent(image: Image, machine: Machine, traced: Traced, origins: np.ndarray) -> np.ndarray:
    """Wavelets that began their way at each of some slots: of its core, or of the edge there."""
    slots = image.routes.slots
    y, x = np.divmod(slots[origins, Scol.TILE], image.program.width)
    colors = int(machine.now["colors"][0])
    core = traced.from_core[origins]
    stream = machine.stream_of[x * colors + slots[origins, Scol.COLOR]]
    if len(machine.feeding):
        stream = np.where(core, stream, machine.feeding[traced.from_queue[origins]])
    lanes = machine.streams["first"][stream] + np.where(core, y, 0)
    return np.where(stream >= 0, machine.written[lanes], 0)
