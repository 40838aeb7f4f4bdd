"""Compiled primitives of the slots that go one by one, and lists of who may go on.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import tail_cell
from wsc.runtime.time.compiled import LIBRARY, Machine, kernel


@kernel
def push(s: Machine, fifo: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    cell = tail_cell(s, fifo)
    s.cells[cell].time = visible
    s.cells[cell].control = control
    s.fifos[fifo].count += 1
    s.fifos[fifo].pushed += 1


@kernel
def list_slot(s: Machine, slot: int) -> None:
    """Look at a slot when those with switches are looked at next."""
    if s.switched_listed[slot] == 0:
        now = s.now[0]
        s.switched_listed[slot] = 1
        s.switched[now.switched_which * now.slots + now.switched] = slot
        now.switched += 1


@kernel
def activate_port(s: Machine, port: int) -> None:
    """Look at an edge port when ports are looked at next: it may be able to feed."""
    if s.port_listed[port] == 0:
        now = s.now[0]
        s.port_listed[port] = 1
        s.port_list[now.ports_which * now.port_count + now.ports] = port
        now.ports += 1


# --- what is declared of that -------------------------------------------------------------


@LIBRARY.defines(own.ready)
def ready(s: Machine, slot: int) -> None:
    """Look at the slot; what is a lane is put on the list of stations by what wakes it."""
    if s.slots[slot].guided != 0:
        list_slot(s, slot)


@LIBRARY.defines(own.emptied)
def emptied(s: Machine, slot: int) -> None:
    """A slot without a head finds that out when it is looked at."""


@LIBRARY.defines(own.wake_output)
def wake_output(s: Machine, slot: int) -> None:
    """Buffer and queue of a slot are looked at together."""
    list_slot(s, slot)


@LIBRARY.defines(own.wake_feed)
def wake_feed(s: Machine, queue: int) -> None:
    """Look at the queue's port."""
    activate_port(s, s.queues[queue].port)
