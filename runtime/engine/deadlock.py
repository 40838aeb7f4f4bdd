"""Reports: what stopped a run, and who waits for whom when nothing can move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsc.isa.program import Location, edge_places
from wsc.isa.types import Side
from wsc.runtime.engine.layout import Fault, G, Mode, Reason, State, U
from wsc.runtime.image import Image
from wsc.runtime.routes import NOWHERE, OUTSIDE, Fcol, Scol
from wsc.runtime.schedule import DRAIN, FEED, Hcol, Qcol, Rcol
from wsc.runtime.stops import Wait, coordinates, fault_text, grouped, node_of, sentence, unit_name
from wsc.runtime.tables import COUNTED, Col


def finished(image: Image, state: State) -> bool:
    """Whether every thread, unit and transfer has ended and no wavelet is left."""
    halted = (state.unit[:: state.g[G.UNITS], U.MODE] == Mode.HALT).all()
    modes = state.unit[:, U.MODE]
    idle = ((modes == Mode.HALT) | (modes == Mode.IDLE)).all()
    return bool(halted and idle and drained(state))


def drained(state: State) -> bool:
    """Whether every transfer has ended and no wavelet is left."""
    return bool(
        state.g[G.QUEUES_LEFT] == 0
        and not state.fifos[:, Fcol.COUNT].any()
        and not state.dyn[:, 1].any()
    )


# --- deadlock ---------------------------------------------------------------------------


def report(image: Image, state: State, cycle: int) -> str:
    """Who waits for whom, grouped: equal waits of several tiles share a line."""
    head = f"deadlock in cycle {cycle}: nothing can move any more"
    waits = (*_units(image, state), *_edge(image, state), *_wavelets(image, state))
    return grouped(image.program, head, waits)


def _color(image: Image, state: State, slot: int) -> str:
    return image.program.colors[int(state.slots[slot, Scol.COLOR])][0]


def _units(image: Image, state: State) -> Iterator[Wait]:
    units = int(state.g[G.UNITS])
    for me in np.nonzero(state.unit[:, U.REASON] != Reason.NONE)[0].tolist():
        tile, unit = divmod(me, units)
        row = int(state.unit[me, U.ROW])
        name = COUNTED[int(state.rows[row, 1])]
        who = unit_name(unit)
        what = _reason(image, state, tile, me)
        yield Wait(tile, f"{who} at '{name}' waits for {what}", image.code.where[row])


def _reason(image: Image, state: State, tile: int, me: int) -> str:
    reason, what = int(state.unit[me, U.REASON]), int(state.unit[me, U.WHAT])
    if reason == Reason.INPUT:
        queue = state.slots[what, Scol.INPUT]
        left = _left_waiting(state, tile, "reader", bool(state.fifos[queue, Fcol.COUNT]), me)
        return f"a wavelet of color '{_color(image, state, what)}'{left}"
    if reason == Reason.OUTPUT:
        queue = state.slots[what, Scol.OUTPUT]
        room = bool(state.fifos[queue, Fcol.COUNT] < state.fifos[queue, Fcol.DEPTH])
        left = _left_waiting(state, tile, "writer", room, me)
        return f"room in the output queue of color '{_color(image, state, what)}'{left}"
    if reason == Reason.SEMAPHORE:
        at = tile * int(state.g[G.SEMAPHORES]) + what
        has = int(state.semaphores[at, 0] + state.semaphores[at, 1])
        return f"semaphore s{what}: needs {int(state.unit[me, U.NEED])}, has {has}"
    if reason == Reason.UNIT:
        return f"stream unit {what - 1} to be free"
    return "room in the dynamic network"


def _left_waiting(state: State, tile: int, user: str, there: bool, me: int) -> str:
    """What to add if two threads are at one end of a queue; ``there``: what one waits for is.

    A queue wakes the one that came to it last.
    """
    units = int(state.g[G.UNITS])
    waits = state.unit[tile * units : (tile + 1) * units, [U.REASON, U.WHAT]]
    if not there and (waits == state.unit[me, [U.REASON, U.WHAT]]).all(axis=1).sum() < 2:
        return ""
    return f", which has one {user} at a time and was used by two (a check for races names them)"


def _edge(image: Image, state: State) -> Iterator[Wait]:
    """Transfers that are not done."""
    for queue in state.queues[state.queues[:, Qcol.RECORD] < state.queues[:, Qcol.END]]:
        slot = int(queue[Qcol.SLOT])
        shape = state.shapes[state.records[queue[Qcol.RECORD], Rcol.SHAPE]]
        transfer = image.program.transfers[int(shape[Hcol.TRANSFER])]
        color = _color(image, state, slot)
        direction = int(shape[Hcol.DIRECTION])
        if direction == FEED and shape[Hcol.LOOKUP] >= 0:
            what = f"the feed of '{transfer.tensor}' waits for index values or room"
        elif direction == FEED:
            what = f"the feed of '{transfer.tensor}' waits for room in the router"
        elif direction == DRAIN:
            what = f"the drain into '{transfer.tensor}' waits for wavelets"
        else:
            what = f"the lookup in '{transfer.tensor}' waits for index values"
        tile = int(state.slots[slot, Scol.TILE])
        yield Wait(tile, f"{what} (color '{color}')", transfer.where)


def _wavelets(image: Image, state: State) -> Iterator[Wait]:
    """Routers whose head cannot move, and queues that no one reads."""
    units = state.unit[state.unit[:, U.REASON] == Reason.INPUT]
    wanted = set(units[:, U.WHAT].tolist())
    for slot in range(int(state.slot_first[-1])):
        tile, color = int(state.slots[slot, Scol.TILE]), _color(image, state, slot)
        where = image.program.routes[int(image.routes.route_of[slot])].where
        held = int(state.fifos[slot, Fcol.COUNT])
        if held:
            sides = ", ".join(_blocked(state, slot)) or "the switch"
            yield Wait(tile, f"router holds {held} of color '{color}', waits for {sides}", where)
        queue = int(state.slots[slot, Scol.INPUT])
        if queue >= 0 and state.fifos[queue, Fcol.COUNT] and slot not in wanted:
            count = int(state.fifos[queue, Fcol.COUNT])
            yield Wait(tile, f"{count} of color '{color}' that no instruction takes", where)
        queue = int(state.slots[slot, Scol.OUTPUT])
        if queue >= 0 and state.fifos[queue, Fcol.COUNT]:
            count = int(state.fifos[queue, Fcol.COUNT])
            text = f"{count} of color '{color}' wait for the router to accept from the core"
            yield Wait(tile, text, where)


def _blocked(state: State, slot: int) -> Iterator[str]:
    pending = int(state.slots[slot, Scol.PENDING])
    if not pending and not state.slots[slot, Scol.GUIDED]:
        pending = int(state.positions[state.slots[slot, Scol.FIRST], 1])
    for side in Side:
        if not pending >> side.index & 1:
            continue
        if side is Side.RAMP:
            yield "the core's input queue"
            continue
        beyond = int(state.slots[slot, Scol.NEXT + side.index])
        if beyond == NOWHERE:
            yield f"{side.value}, where the neighbour has no route"
        elif beyond == OUTSIDE or beyond <= -2:
            yield f"{side.value}, where no transfer takes it"
        elif state.fifos[beyond, Fcol.COUNT] >= state.fifos[beyond, Fcol.DEPTH]:
            yield f"{side.value}, where the neighbour's buffer is full"
        else:
            yield f"{side.value}, where the neighbour does not accept it"


# --- faults -----------------------------------------------------------------------------


def describe_fault(image: Image, state: State) -> tuple[str, Location]:
    """Message and place of the fault that stopped a run."""
    g = state.g
    code, tile, unit = Fault(int(g[G.ERROR])), int(g[G.ERROR_TILE]), int(g[G.ERROR_UNIT])
    row, a, b = int(g[G.ERROR_ROW]), int(g[G.ERROR_A]), int(g[G.ERROR_B])
    if code is Fault.LOOKUP:
        transfer = image.program.transfers[row]
        number = edge_places(image.program.edge_tensors)[transfer.direction, transfer.tensor]
        rows = image.program.edge_tensors[number].shape[0]
        what = f"lookup in '{transfer.tensor}': index {a} is outside [0, {rows})"
        who, where, node = "edge", transfer.where, transfer.node
    else:
        who = unit_name(unit)
        where = image.code.where[row]
        name = COUNTED[int(state.rows[row, Col.OPCODE])]
        what = f"'{name}': {fault_text(image.program, code.name, name, a, b, b == Scol.OUTPUT)}"
        statement = int(state.unit[tile * int(g[G.UNITS]) + unit, U.STATEMENT])
        node = node_of(image.code, statement)
    at = f"tile {coordinates(image.program, tile)}, {who}, cycle {int(g[G.NOW])}"
    return sentence(where, at, what, node), where
