"""One cycle of the static network: ramps, links and switch positions."""

from __future__ import annotations

from wsc.isa.types import Control
from wsc.runtime.clocked.basics import RAMP, control_in, delay, moved, pop, room, wake_unit
from wsc.runtime.clocked.routers import first_after, lose, occupy, takes, under_way
from wsc.runtime.reference.basics import activate, push, ready, value_in, wake_upstream
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.races import pass_on
from wsc.runtime.reference.records import NEVER
from wsc.runtime.routes import NOWHERE, OUTSIDE, Fcol, Scol
from wsc.runtime.schedule import Qcol
from wsc.runtime.tables import CONTROL_INDEX

ADVANCE = CONTROL_INDEX[Control.ADVANCE]
RESET = CONTROL_INDEX[Control.RESET]
INTO_ROUTER = 5  # column of links and turns for core -> router


@kernel
def serve(s: Machine, slot: int, side: int, t: int) -> None:
    """The head has left on one side; when it was the last one, the buffer moves on."""
    slots, fifos = s.slots, s.fifos
    slots[slot, Scol.PENDING] &= ~(1 << side)
    if slots[slot, Scol.PENDING] == 0:
        head = fifos[slot, Fcol.OFFSET] + fifos[slot, Fcol.HEAD]
        if control_in(s, head) != 0:
            if control_in(s, head) == RESET:
                slots[slot, Scol.POSITION] = 0
            fifos[slot, Fcol.OPEN] = t + 1
        drop(s, slot, t)


@kernel
def drop(s: Machine, slot: int, t: int) -> None:
    """Pop a router buffer and wake whoever feeds it."""
    pop(s, slot, t)
    if s.fifos[slot, Fcol.COUNT] == 0:
        s.tile[s.slots[slot, Scol.TILE]].ready &= ~(1 << s.slots[slot, Scol.BIT])
    wake_upstream(s, slot)


@kernel
def rise(s: Machine, tile: int, t: int) -> None:
    """The link from the core into the router."""
    slots, fifos = s.slots, s.fifos
    rising = s.tile[tile].rising
    first = s.slot_first[tile]
    wanted = 0
    bit = 0
    while (rising >> bit) != 0:
        if (rising >> bit) & 1:
            slot = first + bit
            queue = slots[slot, Scol.OUTPUT]
            if queue < 0 or fifos[queue, Fcol.COUNT] == 0:
                s.tile[tile].rising &= ~(1 << bit)
            elif s.cells[fifos[queue, Fcol.OFFSET] + fifos[queue, Fcol.HEAD]].time <= t:
                position = slots[slot, Scol.FIRST] + slots[slot, Scol.POSITION]
                if room(s, slot, t) and s.positions[position, 0] == RAMP:
                    wanted |= 1 << bit
                elif fifos[slot, Fcol.POPPED] != t:
                    s.tile[tile].rising &= ~(1 << bit)
        bit += 1
    if wanted == 0:
        return
    bit = first_after(wanted, s.turns[tile, INTO_ROUTER])
    s.turns[tile, INTO_ROUTER] = bit
    lose(s, first, wanted & ~(1 << bit), INTO_ROUTER)
    slot = first + bit
    queue = slots[slot, Scol.OUTPUT]
    head = fifos[queue, Fcol.OFFSET] + fifos[queue, Fcol.HEAD]
    control = control_in(s, head)
    extra = delay(s.now[0].seed, slot * 8 + INTO_ROUTER, fifos[slot, Fcol.PUSHED])
    push(s, slot, value_in(s, head), control, t + s.now[0].ramp + extra)
    if s.now[0].races != 0:
        pass_on(s, head, slot)
    if control != 0:
        fifos[slot, Fcol.OPEN] = NEVER
    pop(s, queue, t)
    s.moves[slot, INTO_ROUTER] += 1
    ready(s, slot)
    if slots[slot, Scol.WRITER] >= 0:
        wake_unit(s, tile, slots[slot, Scol.WRITER], t + 1)
    moved(s, t)


@kernel
def can_leave(s: Machine, slot: int, side: int, control: int, t: int) -> int:
    """1: the head can leave on this side; 0: it cannot; 2: it may in the next cycle."""
    slots, fifos = s.slots, s.fifos
    if side == RAMP:
        if control != 0:
            return 1
        queue = slots[slot, Scol.INPUT]
        if room(s, queue, t):
            return 1
        return 2 if fifos[queue, Fcol.POPPED] == t else 0
    beyond = slots[slot, Scol.NEXT + side]
    if beyond >= 0:
        if s.link[slots[slot, Scol.TILE] * 6 + side].free > t:
            return 2
        if room(s, beyond, t):
            position = slots[beyond, Scol.FIRST] + slots[beyond, Scol.POSITION]
            return 1 if s.positions[position, 0] == (side + 2) & 3 else 0
        return 2 if fifos[beyond, Fcol.POPPED] == t else 0
    if beyond == NOWHERE:
        return 0
    if control != 0:
        return 1
    if beyond == OUTSIDE:
        return 0
    return 1 if takes(s, -2 - beyond) else 0


@kernel
def deliver(s: Machine, tile: int, slot: int, side: int, t: int) -> None:
    """Move the head over one link; over the edge it only asks for bandwidth."""
    slots, fifos = s.slots, s.fifos
    head = fifos[slot, Fcol.OFFSET] + fifos[slot, Fcol.HEAD]
    control = control_in(s, head)
    beyond = slots[slot, Scol.NEXT + side] if side != RAMP else 0
    if side == RAMP:
        if control == 0:
            queue = slots[slot, Scol.INPUT]
            extra = delay(s.now[0].seed, slot * 8 + RAMP, fifos[queue, Fcol.PUSHED])
            visible = t + s.now[0].ramp + extra
            push(s, queue, value_in(s, head), 0, visible)
            if s.now[0].races != 0:
                pass_on(s, head, queue)
            if slots[slot, Scol.READER] >= 0:
                front = fifos[queue, Fcol.OFFSET] + fifos[queue, Fcol.HEAD]
                # A reader that found its wavelet may wait for another queue by now.
                seen = max(s.cells[front].time, t + 1)
                wake_unit(s, tile, slots[slot, Scol.READER], seen)
    elif beyond >= 0:
        extra = delay(s.now[0].seed, beyond * 8 + side, fifos[beyond, Fcol.PUSHED])
        push(s, beyond, value_in(s, head), control, t + under_way(s, slot, side) + extra)
        occupy(s, tile * 6 + side, t)
        if s.now[0].races != 0:
            pass_on(s, head, beyond)
        if control != 0:
            fifos[beyond, Fcol.OPEN] = NEVER
        ready(s, beyond)
    elif control == 0:
        port = s.queues[-2 - beyond, Qcol.PORT]
        s.request_out[port] = slot
        s.now[0].requests += 1
        return
    s.turns[tile, side] = slots[slot, Scol.BIT]
    s.moves[slot, side] += 1
    serve(s, slot, side, t)
    moved(s, t)


@kernel
def visit(s: Machine, tile: int, t: int) -> None:
    """Decide and move for one router."""
    slots, fifos = s.slots, s.fifos
    first = s.slot_first[tile]
    mask = s.tile[tile].ready
    north, east, south, west, ramp = 0, 0, 0, 0, 0
    bit = -1
    while (mask >> (bit + 1)) != 0:
        bit += 1
        if (mask >> bit) & 1 == 0:
            continue
        slot = first + bit
        head = fifos[slot, Fcol.OFFSET] + fifos[slot, Fcol.HEAD]
        if s.cells[head].time > t:
            continue
        control = control_in(s, head)
        if slots[slot, Scol.PENDING] == 0:
            if control == ADVANCE and slots[slot, Scol.POSITION] < slots[slot, Scol.POSITIONS] - 1:
                slots[slot, Scol.POSITION] += 1
                fifos[slot, Fcol.OPEN] = t + 1
                drop(s, slot, t)
                moved(s, t)
                continue
            position = slots[slot, Scol.FIRST] + slots[slot, Scol.POSITION]
            slots[slot, Scol.PENDING] = s.positions[position, 1]
        pending = slots[slot, Scol.PENDING]
        hope = 0
        for side in range(5):
            if (pending >> side) & 1:
                answer = can_leave(s, slot, side, control, t)
                hope |= answer
                if answer == 1:
                    one = 1 << bit
                    if side == 0:
                        north |= one
                    elif side == 1:
                        east |= one
                    elif side == 2:
                        south |= one
                    elif side == 3:
                        west |= one
                    else:
                        ramp |= one
        if hope == 0:
            s.tile[tile].ready &= ~(1 << bit)
    for side in range(5):
        wanted = north
        if side == 1:
            wanted = east
        elif side == 2:
            wanted = south
        elif side == 3:
            wanted = west
        elif side == 4:
            wanted = ramp
        if wanted != 0:
            bit = first_after(wanted, s.turns[tile, side])
            lose(s, first, wanted & ~(1 << bit), side)
            deliver(s, tile, first + bit, side, t)


@kernel
def router_phase(s: Machine, current: int, count: int, t: int) -> None:
    """One cycle of all routers on the current list."""
    for index in range(count):
        tile = s.active[current * s.now[0].tiles + index]
        s.tile[tile].listed = 0
        if s.tile[tile].rising != 0:
            rise(s, tile, t)
        if s.tile[tile].ready != 0:
            visit(s, tile, t)
        if s.tile[tile].ready != 0 or s.tile[tile].rising != 0:
            activate(s, tile)
