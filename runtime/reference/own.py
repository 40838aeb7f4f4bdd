"""What the reference engine notes while the shared kernels run: races, causes, and captures.

Values, and who is visited next, are declared in ``wsc.runtime.clocked.own`` as well; they are
defined where they belong: in ``basics``, ``cores``, ``vectors``, ``messages`` and ``edge``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.messages import TARGET_BITS
from wsc.runtime.reference.captures import capture_words
from wsc.runtime.reference.causes import (
    begins,
    carries_message,
    counts,
    drops_head,
    ends,
    goes_on,
    issues,
    sends_message,
    switches,
)
from wsc.runtime.reference.compiled import LIBRARY, Machine
from wsc.runtime.reference.races import added, begin_message, issued, taken, use_queue

# --- cores --------------------------------------------------------------------------------


@LIBRARY.defines(own.starts)
def starts(s: Machine, thread: int, row: int, t: int) -> None:
    """A new event, unless the unit goes on with the same."""
    if s.now[0].causes != 0:
        begins(s, thread, row, t)


@LIBRARY.defines(own.goes_ahead)
def goes_ahead(s: Machine, tile: int, main: int, row: int, t: int) -> bool:
    """All of the machine is in one cycle."""
    return False


@LIBRARY.defines(own.unit_started)
def unit_started(s: Machine, tile: int, main: int, thread: int, row: int, t: int) -> None:
    """The unit knows what main has done so far, and main is what let it start."""
    if s.now[0].races != 0:
        issued(s, tile, main, thread, row)
    if s.now[0].causes != 0:
        goes_on(s, tile, main, t)
        issues(s, main, thread, row, t)


@LIBRARY.defines(own.queue_used)
def queue_used(s: Machine, tile: int, thread: int, row: int, slot: int, puts: bool) -> None:
    """An instruction is at a queue from its start on, also while it waits there."""
    if s.now[0].races != 0:
        use_queue(s, tile, thread, row, slot, puts)


@LIBRARY.defines(own.signalled)
def signalled(s: Machine, tile: int, semaphore: int, count: int, t: int) -> None:
    """What was added, and by whom."""
    if s.now[0].races != 0:
        added(s, tile, semaphore, count)
    if s.now[0].causes != 0:
        counts(s, tile, semaphore, s.doers[tile * s.now[0].units].event, t)


@LIBRARY.defines(own.count_taken)
def count_taken(s: Machine, tile: int, row: int, semaphore: int, count: int, t: int) -> None:
    """Main goes on, and knows of what must have been counted for that."""
    if s.now[0].races != 0:
        taken(s, tile, row, semaphore, count)
    if s.now[0].causes != 0:
        goes_on(s, tile, tile * s.now[0].units, t)


@LIBRARY.defines(own.leaves_statement)
def leaves_statement(s: Machine, tile: int) -> None:
    """Keep the words that are asked for of this pass."""
    if s.now[0].captures != 0:
        capture_words(s, tile)


@LIBRARY.defines(own.main_ended)
def main_ended(s: Machine, main: int, t: int) -> None:
    """The last event of main ends."""
    if s.now[0].causes != 0:
        ends(s, main, t)


# --- routers ------------------------------------------------------------------------------


@LIBRARY.defines(own.switch_turned)
def switch_turned(s: Machine, slot: int, t: int) -> None:
    """Who sent the control wavelet lets others go on."""
    if s.now[0].causes != 0:
        switches(s, slot, t)


@LIBRARY.defines(own.head_dropped)
def head_dropped(s: Machine, fifo: int, t: int) -> None:
    """What let the wavelet go on has made room."""
    if s.now[0].causes != 0:
        drops_head(s, fifo, t)


# --- the dynamic network ------------------------------------------------------------------


@LIBRARY.defines(own.open_message)
def open_message(s: Machine, thread: int, row: int) -> int:
    """The message's number, by which its sender's clock is found where it arrives."""
    return begin_message(s, thread, row) if s.now[0].races != 0 else 0


@LIBRARY.defines(own.header_arrived)
def header_arrived(s: Machine, tile: int, header: int) -> None:
    """Note the number of the message that this core now receives."""
    if s.now[0].races != 0:
        s.race_current[tile] = header >> TARGET_BITS


@LIBRARY.defines(own.message_sent)
def message_sent(s: Machine, tile: int, thread: int, buffer: int, t: int) -> None:
    """The unit goes on, and its wavelet carries by whose deed."""
    if s.now[0].causes != 0:
        goes_on(s, tile, thread, t)
        sends_message(s, thread, buffer, t)


@LIBRARY.defines(own.message_passed)
def message_passed(s: Machine, cell: int, buffer: int) -> None:
    """The wavelet carries on who sent it."""
    if s.now[0].causes != 0:
        carries_message(s, cell, buffer)
