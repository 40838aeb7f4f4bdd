"""Reports: what stopped a run, and who waits for whom when nothing can move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsc.isa.program import Location, edge_places
from wsc.isa.types import Side
from wsc.runtime.image import Image
from wsc.runtime.observations.records import Fault, Mode, Observations, Reason
from wsc.runtime.routes import NOWHERE, OUTSIDE, Scol
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
from wsc.runtime.tables import COUNTED


def finished(image: Image, seen: Observations) -> bool:
    """Whether every thread, unit and transfer has ended and no wavelet is left."""
    halted = (seen.unit["mode"][:: seen.units] == Mode.HALT).all()
    modes = seen.unit["mode"]
    idle = ((modes == Mode.HALT) | (modes == Mode.IDLE)).all()
    return bool(halted and idle and drained(seen))


def drained(seen: Observations) -> bool:
    """Whether every transfer has ended and no wavelet is left."""
    return bool(
        seen.now["queues_left"][0] == 0 and not seen.fifos.count.any() and not seen.held.any()
    )


# --- deadlock ---------------------------------------------------------------------------


def report(image: Image, seen: Observations, cycle: int) -> str:
    """Who waits for whom, grouped: equal waits of several tiles share a line."""
    head = f"deadlock in cycle {cycle}: nothing can move any more"
    waits = (
        *_units(image, seen),
        *edge_waits(image, seen.queues, seen.awaited, "room in the router"),
        *_wavelets(image, seen),
    )
    return grouped(image.program, head, waits)


def _color(image: Image, seen: Observations, slot: int) -> str:
    return image.program.colors[int(seen.slots.color[slot])][0]


def _units(image: Image, seen: Observations) -> Iterator[Wait]:
    units = seen.units
    for me in np.nonzero(seen.unit["reason"] != Reason.NONE)[0].tolist():
        tile, unit = divmod(me, units)
        row = int(seen.unit["row"][me])
        name = COUNTED[int(image.code.records.opcode[row])]
        who = unit_name(unit)
        what = waits_for(image, seen, tile, me)
        yield Wait(tile, f"{who} at '{name}' waits for {what}", image.code.where[row])


def waits_for(image: Image, seen: Observations, tile: int, me: int) -> str:
    """What a unit that waits is waiting for, in words."""
    reason, what = int(seen.unit["reason"][me]), int(seen.unit["what"][me])
    if reason == Reason.INPUT:
        queue = seen.slots.input[what]
        left = _left_waiting(seen, tile, "reader", bool(seen.fifos.count[queue]), me)
        return f"a wavelet of color '{_color(image, seen, what)}'{left}"
    if reason == Reason.OUTPUT:
        queue = seen.slots.output[what]
        room = bool(seen.fifos.count[queue] < seen.fifos.depth[queue])
        left = _left_waiting(seen, tile, "writer", room, me)
        return f"room in the output queue of color '{_color(image, seen, what)}'{left}"
    if reason == Reason.SEMAPHORE:
        at = tile * image.fabric.semaphores + what
        has = int(seen.semaphores["value"][at] + seen.semaphores["added"][at])
        return f"semaphore s{what}: needs {int(seen.unit['need'][me])}, has {has}"
    if reason == Reason.UNIT:
        return f"stream unit {what - 1} to be free"
    return "room in the dynamic network"


def _left_waiting(seen: Observations, tile: int, user: str, there: bool, me: int) -> str:
    """What to add if two threads are at one end of a queue; ``there``: what one waits for is.

    A queue wakes the one that came to it last.
    """
    units = seen.units
    waits = seen.unit[["reason", "what"]][tile * units : (tile + 1) * units]
    if not there and (waits == seen.unit[["reason", "what"]][me]).sum() < 2:
        return ""
    return f", which has one {user} at a time and was used by two (a check for races names them)"


def _wavelets(image: Image, seen: Observations) -> Iterator[Wait]:
    """Routers whose head cannot move, and queues that no one reads."""
    units = seen.unit[seen.unit["reason"] == Reason.INPUT]
    wanted = set(units["what"].tolist())
    for slot in range(int(image.routes.slot_first[-1])):
        tile, color = int(seen.slots.tile[slot]), _color(image, seen, slot)
        where = image.program.routes[int(image.routes.route_of[slot])].where
        held = int(seen.fifos.count[slot])
        if held:
            sides = ", ".join(_blocked(seen, slot)) or "the switch"
            yield Wait(tile, f"router holds {held} of color '{color}', waits for {sides}", where)
        queue = int(seen.slots.input[slot])
        if queue >= 0 and seen.fifos.count[queue] and slot not in wanted:
            count = int(seen.fifos.count[queue])
            yield Wait(tile, f"{count} of color '{color}' that no instruction takes", where)
        queue = int(seen.slots.output[slot])
        if queue >= 0 and seen.fifos.count[queue]:
            count = int(seen.fifos.count[queue])
            text = f"{count} of color '{color}' wait for the router to accept from the core"
            yield Wait(tile, text, where)


def _blocked(seen: Observations, slot: int) -> Iterator[str]:
    pending = int(seen.slots.pending[slot])
    if not pending and not seen.slots.guided[slot]:
        pending = int(seen.positions.send[seen.slots.first[slot]])
    for side in Side:
        if not pending >> side.index & 1:
            continue
        if side is Side.RAMP:
            yield "the core's input queue"
            continue
        beyond = int(seen.slots.next[slot, side.index])
        if beyond == NOWHERE:
            yield f"{side.value}, where the neighbour has no route"
        elif beyond == OUTSIDE or beyond <= -2:
            yield f"{side.value}, where no transfer takes it"
        elif seen.fifos.count[beyond] >= seen.fifos.depth[beyond]:
            yield f"{side.value}, where the neighbour's buffer is full"
        else:
            yield f"{side.value}, where the neighbour does not accept it"


# --- faults -----------------------------------------------------------------------------


def describe_fault(image: Image, seen: Observations) -> tuple[str, Location]:
    """Message and place of the fault that stopped a run."""
    now = seen.now[0]
    code, tile, unit = Fault(int(now["error"])), int(now["error_tile"]), int(now["error_unit"])
    row, value = int(now["error_row"]), int(now["error_value"])
    if code is Fault.LOOKUP:
        transfer = image.transfers[row]
        number = edge_places(image.program.edge_tensors)[transfer.direction, transfer.tensor]
        rows = image.program.edge_tensors[number].shape[0]
        what = f"lookup in '{transfer.tensor}': index {value} is outside [0, {rows})"
        who, where, nodes = "edge", transfer.where, transfer.nodes
    else:
        who = unit_name(unit)
        where = image.code.where[row]
        name = COUNTED[int(image.code.records.opcode[row])]
        bound = int(now["error_bound"])
        outward = bound == Scol.OUTPUT
        text = fault_text(image.program, code.name, name, value, bound, outward)
        what = f"'{name}': {text}"
        statement = int(seen.unit["statement"][tile * seen.units + unit])
        nodes = nodes_of(image.code, statement)
    at = f"tile {coordinates(image.program, tile)}, {who}, cycle {int(now['now'])}"
    return sentence(where, at, what, nodes), where
