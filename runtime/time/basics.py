"""Compiled primitives of the slots that go one by one, and lists of who may go on.

Order of visits never shows: a full cell of a FIFO carries the cycle from which its wavelet
can be seen, an empty one the cycle from which it can be filled again, so that what is freed
in this cycle does not look free before the next.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, tail_cell
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import Qcol
from wsc.runtime.time.compiled import Machine, kernel

MOST_VISITS = 200_000  # before the loop returns, whatever the cycle: an interrupt must be heard


@kernel
def push(s: Machine, f: int, control: int, visible: int) -> None:
    """Append a wavelet that can be seen from cycle ``visible`` on."""
    fifos = s.fifos
    cell = tail_cell(s, f)
    s.cells[cell].time = visible
    s.cells[cell].control = control
    fifos[f, Fcol.COUNT] += 1
    fifos[f, Fcol.PUSHED] += 1


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


@kernel
def wake_upstream(s: Machine, slot: int) -> None:
    """A router buffer has room or accepts from another side: whoever feeds it may move."""
    slots = s.slots
    position = slots[slot, Scol.FIRST] + slots[slot, Scol.POSITION]
    side = s.positions[position, 0]
    if side == RAMP:
        list_slot(s, slot)
        return
    before = slots[slot, Scol.NEXT + side]
    if before >= 0:
        list_slot(s, before)
    elif -(1 << 30) < before <= -2:
        activate_port(s, s.queues[-2 - before, Qcol.PORT])
