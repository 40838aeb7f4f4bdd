"""Causes: what each thread waited for last, and whose deed let it go on.

A *doer* is a unit of a tile (``tile * units + unit``) or, behind all of them, a queue of the edge.
Its time is cut into *events*: one begins with an instruction that it starts, and whenever it goes
on after a wait; it names the event that let it go on, and the cycle in which that one did so.
Waits at one row with one cause are one event, which keeps the last of them. Going back from
cause to cause gives the chain of deeds that a cycle of the run depends on: its critical path.

A wavelet carries the event that sent it. Where it is held up for want of room, by a wavelet before
it in its buffer or by a switch position, it carries from there on what ended that; a free cell
keeps who freed it. What it loses to other colors on a link, and on the dynamic network, is
part of its way.

Every function expects that causes are kept (``now.causes``, the room for events; the oldest
are overwritten).
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import head_cell, tail_cell
from wsc.runtime.reference.compiled import Machine, kernel
from wsc.runtime.reference.races import newest
from wsc.runtime.reference.records import Reason

NO_STATEMENT = -1  # of the edge


@kernel
def note(
    s: Machine,
    who: int,
    row: int,
    statement: int,
    reason: int,
    what: int,
    t: int,
    waited: int,
    cause: int,
    left: int,
) -> None:
    """A doer goes on in cycle t, after a wait of so many cycles that a deed in ``left`` ended."""
    now, last = s.now[0], s.doers[who].event
    if last >= 0 and s.events[last % now.causes].number == last:
        event = s.events[last % now.causes]
        same = event.row == row and event.statement == statement
        same = same and event.reason == reason and event.what == what and reason != Reason.NONE
        # What it has done itself, as in a queue that empties more slowly than it fills it.
        if same and cause == last:
            event.waited += waited
            return
        if same and event.cause == cause:
            event.begin = t
            event.left = left
            event.waited += waited
            return
    number = now.event_count
    now.event_count += 1
    made = s.events[number % now.causes]
    made.number = number
    made.begin = t
    made.cause = cause
    made.left = left
    made.waited = waited
    made.who = who
    made.row = row
    made.statement = statement
    made.reason = reason
    made.what = what
    s.doers[who].event = number


@kernel
def begins(s: Machine, thread: int, row: int, t: int) -> None:
    """A unit starts an instruction, or main another statement, without a wait."""
    last, statement = s.doers[thread].event, s.unit[thread].statement
    if last >= 0:
        event = s.events[last % s.now[0].causes]
        if event.number == last and event.row == row and event.statement == statement:
            return
    note(s, thread, row, statement, Reason.NONE, 0, t, 0, last, t)


@kernel
def issues(s: Machine, thread: int, other: int, row: int, t: int) -> None:
    """Main issues an instruction on a stream unit."""
    note(s, other, row, s.unit[thread].statement, Reason.NONE, 0, t, 0, s.doers[thread].event, t)


@kernel
def looks_again(s: Machine, thread: int) -> None:
    """A unit is woken: keep what it waited for until it is known whether it goes on."""
    if s.unit[thread].reason != Reason.NONE:
        s.doers[thread].reason = s.unit[thread].reason
        s.doers[thread].what = s.unit[thread].what
        s.doers[thread].since = s.unit[thread].since


@kernel
def goes_on(s: Machine, tile: int, thread: int, t: int) -> None:
    """A unit does in cycle t what it may have waited to do."""
    doer = s.doers[thread]
    reason, what, since = doer.reason, doer.what, doer.since
    if reason == Reason.NONE:
        return
    doer.reason = Reason.NONE
    cause, left = -1, t
    if reason == Reason.INPUT:
        cell = head_cell(s, s.slots[what].input)
        cause, left = s.cell_causes[cell].event, s.cell_causes[cell].time
    elif reason == Reason.OUTPUT:
        cell = tail_cell(s, s.slots[what].output)
        cause, left = s.cell_causes[cell].event, s.cell_causes[cell].time
    elif reason == Reason.SEMAPHORE:
        count = tile * s.now[0].semaphores + what
        cause, left = s.count_causes[count].event, s.count_causes[count].time
    elif reason == Reason.UNIT:
        cause = s.doers[tile * s.now[0].units + what].event
    if cause < 0:  # nobody is known: it goes back to what the unit did before
        cause, left = doer.event, since
    row, statement = s.unit[thread].row, s.unit[thread].statement
    note(s, thread, row, statement, reason, what, t, t - since, cause, left)


@kernel
def ends(s: Machine, who: int, t: int) -> None:
    """A doer has nothing to do from cycle t on."""
    s.doers[who].end = t


# --- wavelets ---------------------------------------------------------------------------


@kernel
def sends(s: Machine, who: int, fifo: int, t: int) -> None:
    """A doer has put a wavelet into a FIFO."""
    cell = newest(s, fifo)
    s.cell_causes[cell].event = s.doers[who].event
    s.cell_causes[cell].time = t


@kernel
def frees(s: Machine, fifo: int, t: int, event: int, time: int) -> None:
    """The head of a FIFO is about to be dropped, thanks to an event."""
    cell = head_cell(s, fifo)
    s.cell_causes[cell].event = event
    s.cell_causes[cell].time = time
    s.cell_causes[cell].freed = t
    s.pop_causes[fifo].event = event
    s.pop_causes[fifo].time = time
    s.pop_causes[fifo].freed = t


@kernel
def takes_wavelet(s: Machine, thread: int, fifo: int, t: int) -> None:
    """A unit is about to take the head of an input queue."""
    frees(s, fifo, t, s.doers[thread].event, t)


@kernel
def moves_head(s: Machine, cell: int) -> None:
    """The wavelet in a cell is about to move: until more is known, it is because it came."""
    s.now[0].moving = s.cell_causes[cell].event
    s.now[0].moving_time = s.cell_causes[cell].time


@kernel
def drops_head(s: Machine, fifo: int, t: int) -> None:
    """The head of a FIFO is about to be dropped, because of what moved it last."""
    frees(s, fifo, t, s.now[0].moving, s.now[0].moving_time)


@kernel
def hurries(s: Machine, event: int, time: int, freed: int, t: int) -> bool:
    """Let what a wait for room or for a turn ended stand for the wavelet, if that was just now."""
    if event < 0 or freed != t - 1:
        return False
    s.now[0].moving = event
    s.now[0].moving_time = time
    return True


@kernel
def carries(s: Machine, source: int, cell: int, fifo: int, t: int) -> None:
    """The wavelet in a cell of a FIFO has just been put into another FIFO as well."""
    into = newest(s, fifo)
    moves_head(s, cell)
    if s.cells[cell].time < t:  # it could have moved before
        room, turn = s.cell_causes[into], s.pop_causes[source]
        late = hurries(s, room.event, room.time, room.freed, t)
        late = late or hurries(s, turn.event, turn.time, turn.freed, t)
        if not late and fifo < len_slots(s):
            switch = s.switch_causes[fifo]
            hurries(s, switch.event, switch.time, switch.freed, t)
    s.cell_causes[into].event = s.now[0].moving
    s.cell_causes[into].time = s.now[0].moving_time


@kernel
def len_slots(s: Machine) -> int:
    """FIFOs from 0 on that are router buffers."""
    return s.slot_first[s.now[0].tiles]


@kernel
def switches(s: Machine, slot: int, t: int) -> None:
    """The control wavelet that moves has changed a switch position."""
    s.switch_causes[slot].event = s.now[0].moving
    s.switch_causes[slot].time = s.now[0].moving_time
    s.switch_causes[slot].freed = t


# --- the edge ---------------------------------------------------------------------------


@kernel
def edge_doer(s: Machine, queue: int) -> int:
    """The doer that a queue of the edge is."""
    return s.now[0].tiles * s.now[0].units + queue


@kernel
def feeds_next(s: Machine, queue: int, wanted: int, tensor: int, t: int) -> None:
    """A queue of the edge is about to feed an element of a tensor.

    wanted: the lookup value that it needed, or -1.
    """
    who, slot = edge_doer(s, queue), s.queues[queue].slot
    doer, record = s.doers[who], s.queues[queue].record
    waited = t - doer.since
    room, switch = s.cell_causes[tail_cell(s, slot)], s.switch_causes[slot]
    drained = s.kept_causes[tensor]
    doer.since = t + 1
    doer.end = t + 1
    if waited > 0 and room.event >= 0 and room.freed == t - 1:
        note(s, who, record, NO_STATEMENT, Reason.OUTPUT, slot, t, waited, room.event, room.time)
    elif waited > 0 and switch.event >= 0 and switch.freed == t - 1:
        note(
            s, who, record, NO_STATEMENT, Reason.OUTPUT, slot, t, waited, switch.event, switch.time
        )
    elif wanted >= 0 and s.lookup_causes[wanted].freed == t - 1:
        index = s.lookup_causes[wanted]
        note(s, who, record, NO_STATEMENT, Reason.INPUT, slot, t, waited, index.event, index.time)
    elif waited > 0 and drained.event >= 0 and drained.freed >= t - waited:
        # It is kept, and the last of it has been drained while the edge waited.
        note(
            s, who, record, NO_STATEMENT, Reason.INPUT, slot, t, waited, drained.event, drained.time
        )
    elif doer.event < 0 or s.events[doer.event % s.now[0].causes].row != record:
        begun = t if doer.event < 0 else t - waited
        note(s, who, record, NO_STATEMENT, Reason.NONE, 0, begun, 0, doer.event, begun)


@kernel
def drains_next(s: Machine, queue: int, slot: int, t: int) -> None:
    """A queue of the edge is about to take the head of a router buffer."""
    who, cell = edge_doer(s, queue), head_cell(s, slot)
    doer, record = s.doers[who], s.queues[queue].record
    waited, come = t - doer.since, s.cell_causes[cell]
    doer.since = t + 1
    doer.end = t + 1
    if waited > 0 or doer.event < 0:
        note(s, who, record, NO_STATEMENT, Reason.INPUT, slot, t, waited, come.event, come.time)
    s.now[0].moving = doer.event
    s.now[0].moving_time = t


@kernel
def index_comes(s: Machine, at: int, t: int) -> None:
    """The index value that an edge queue has just taken: who sent it."""
    s.lookup_causes[at].event = s.now[0].moving
    s.lookup_causes[at].time = s.now[0].moving_time
    s.lookup_causes[at].freed = t


@kernel
def element_comes(s: Machine, tensor: int, t: int) -> None:
    """The element that an edge queue has just taken for a tensor: who sent it."""
    s.kept_causes[tensor].event = s.now[0].moving
    s.kept_causes[tensor].time = s.now[0].moving_time
    s.kept_causes[tensor].freed = t


# --- semaphores and messages ------------------------------------------------------------


@kernel
def counts(s: Machine, tile: int, number: int, event: int, time: int) -> None:
    """An event has added to a semaphore."""
    count = tile * s.now[0].semaphores + number
    s.count_causes[count].event = event
    s.count_causes[count].time = time


@kernel
def newest_message(s: Machine, fifo: int) -> int:
    """The cell that a buffer of the dynamic network was filled in last."""
    depth = s.now[0].depth
    return fifo * depth + (s.dynamic_inputs[fifo].head + s.dynamic_inputs[fifo].count - 1) % depth


@kernel
def sends_message(s: Machine, thread: int, fifo: int, t: int) -> None:
    """A unit has put a wavelet of a message into the ramp queue."""
    cell = newest_message(s, fifo)
    s.message_causes[cell].event = s.doers[thread].event
    s.message_causes[cell].time = t


@kernel
def carries_message(s: Machine, cell: int, fifo: int) -> None:
    """A wavelet of a message went from a cell into another buffer."""
    into = newest_message(s, fifo)
    s.message_causes[into].event = s.message_causes[cell].event
    s.message_causes[into].time = s.message_causes[cell].time
