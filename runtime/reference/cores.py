"""One cycle of the cores: all units that are due; and the words of SRAM that a main thread uses.

The main thread itself is in ``wsc.runtime.clocked.threads``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import schedule, unlink
from wsc.runtime.clocked.instructions import resume
from wsc.runtime.clocked.threads import sequence, stopped
from wsc.runtime.reference.basics import shuffle
from wsc.runtime.reference.causes import looks_again
from wsc.runtime.reference.compiled import LIBRARY, Machine, kernel
from wsc.runtime.reference.races import touch
from wsc.runtime.reference.records import NEVER, WHEEL, Does, Mode
from wsc.runtime.reference.units import step_unit

# --- words of SRAM ------------------------------------------------------------------------


@LIBRARY.defines(own.load_word)
def load_word(s: Machine, tile: int, row: int, address: int) -> int:
    """The word there."""
    if s.now[0].races != 0:
        touch(s, tile, tile * s.now[0].units, row, address, 4, Does.READ)
    return s.sram[(tile * s.now[0].bytes + address) >> 2]


@LIBRARY.defines(own.store_word)
def store_word(s: Machine, tile: int, row: int, address: int, value: int) -> None:
    """Overwrite the word there."""
    if s.now[0].races != 0:
        touch(s, tile, tile * s.now[0].units, row, address, 4, Does.WRITE)
    s.sram[(tile * s.now[0].bytes + address) >> 2] = value


# --- all that is due in a cycle -----------------------------------------------------------


@kernel
def list_due(s: Machine, t: int) -> int:
    """List the tiles that have a unit to visit in cycle t: how many."""
    count, tile = 0, s.wheel[t & (WHEEL - 1)]
    while tile >= 0:
        s.due[count] = tile
        count += 1
        tile = s.appointments[tile].next
    return count


@kernel
def visit_core(s: Machine, tile: int, t: int) -> None:
    """What the units of a tile do in cycle t.

    Stream units come first: one that is done is free, and has signalled, for the main thread in
    this cycle. That is the one order within a cycle that shows.
    """
    main = tile * s.now[0].units
    for unit in range(1, s.now[0].units):
        while s.unit[main + unit].wake <= t and not stopped(s, tile, t):
            step_unit(s, tile, unit, main + unit, t)
    while s.unit[main].wake <= t and not stopped(s, tile, t):
        if s.now[0].causes != 0:
            looks_again(s, main)
        resume(s, tile, 0, main, t)
        if s.unit[main].mode == Mode.FETCH:
            sequence(s, tile, main, t)
        else:
            step_unit(s, tile, 0, main, t)
    # The tile is due again when the first of its units has something to do.
    soonest = NEVER
    for unit in range(s.now[0].units):
        soonest = min(soonest, s.unit[main + unit].wake)
    if soonest < NEVER and s.now[0].error == 0:
        schedule(s, tile, max(soonest, t + 1))


@kernel
def core_phase(s: Machine, t: int) -> None:
    """One cycle of all cores that are due."""
    now = s.now[0]
    count = list_due(s, t)
    now.visits += count
    if now.shuffle != 0:
        shuffle(s.due.ctypes.data, 0, count, now.shuffle + t)
    for index in range(count):
        tile = s.due[index]
        unlink(s, tile)
        visit_core(s, tile, t)
