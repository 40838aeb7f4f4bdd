"""What the time engine has not (``wsc.runtime.clocked.own``): values, races and causes.

Wavelets have no contents here. So most of what is declared is nothing at all; what was loaded into
registers, where it decides anything, comes from a run for values. Who may go on is defined in
``basics``, and what crosses the edge in ``edge``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.records import Fault
from wsc.runtime.time.compiled import LIBRARY, Machine

# --- what a run for values has loaded -----------------------------------------------------


@LIBRARY.defines(own.load_word)
def load_word(s: Machine, tile: int, row: int, address: int) -> int:
    """What was loaded in the run for values, if that decides anything here."""
    if s.deciding[row] == 0:
        return 0
    place = s.tile[tile].record
    if place >= s.record_first[tile + 1]:
        fault(s, Fault.RECORD, tile, 0, row, 0, 0)
        return 0
    s.tile[tile].record = place + 1
    return int(s.record[place])


# --- no values ----------------------------------------------------------------------------


@LIBRARY.defines(own.store_word)
def store_word(s: Machine, tile: int, row: int, address: int, value: int) -> None:
    """There is no SRAM."""


@LIBRARY.defines(own.capture_place)
def capture_place(s: Machine, thread: int, row: int) -> int:
    """One row for most instructions, which stays in the host's cache: time needs no address."""
    return thread if s.profiles[row].indexed != 0 else s.now[0].tiles * s.now[0].units


@LIBRARY.defines(own.hold)
def hold(s: Machine, tile: int, thread: int, number: int, operand: int) -> None:
    """Nothing is computed with it."""


@LIBRARY.defines(own.execute)
def execute(s: Machine, tile: int, row: int, thread: int) -> None:
    """Nothing is computed."""


@LIBRARY.defines(own.read_element)
def read_element(s: Machine, tile: int, thread: int, row: int) -> int:
    """An element without contents."""
    return 0


@LIBRARY.defines(own.element_arrived)
def element_arrived(s: Machine, tile: int, bits: int, last: bool, cell: int) -> None:
    """There is no SRAM."""


@LIBRARY.defines(own.keep_element)
def keep_element(s: Machine, slot: int, queue: int, t: int) -> None:
    """There are no outputs."""


@LIBRARY.defines(own.keep_index)
def keep_index(s: Machine, slot: int, queue: int, place: int, t: int) -> bool:
    """When it came is all that counts: which row is fed takes no other time."""
    return True


# --- no races, no causes ------------------------------------------------------------------


@LIBRARY.defines(own.queue_used)
def queue_used(s: Machine, tile: int, thread: int, row: int, slot: int, puts: bool) -> None:
    """The reference engine alone looks for races."""


@LIBRARY.defines(own.signalled)
def signalled(s: Machine, tile: int, semaphore: int, count: int, t: int) -> None:
    """The reference engine alone looks for races and keeps causes."""


@LIBRARY.defines(own.count_taken)
def count_taken(s: Machine, tile: int, row: int, semaphore: int, count: int, t: int) -> None:
    """The reference engine alone looks for races and keeps causes."""


@LIBRARY.defines(own.leaves_statement)
def leaves_statement(s: Machine, tile: int) -> None:
    """There is no SRAM to capture."""


@LIBRARY.defines(own.main_ended)
def main_ended(s: Machine, main: int, t: int) -> None:
    """The reference engine alone keeps causes."""


@LIBRARY.defines(own.switch_turned)
def switch_turned(s: Machine, slot: int, t: int) -> None:
    """The reference engine alone keeps causes."""


@LIBRARY.defines(own.head_dropped)
def head_dropped(s: Machine, fifo: int, t: int) -> None:
    """The reference engine alone keeps causes."""


@LIBRARY.defines(own.open_message)
def open_message(s: Machine, thread: int, row: int) -> int:
    """Messages have no numbers here."""
    return 0


@LIBRARY.defines(own.header_arrived)
def header_arrived(s: Machine, tile: int, header: int) -> None:
    """Messages have no numbers here."""


@LIBRARY.defines(own.message_sent)
def message_sent(s: Machine, tile: int, thread: int, buffer: int, t: int) -> None:
    """The reference engine alone keeps causes."""


@LIBRARY.defines(own.message_passed)
def message_passed(s: Machine, cell: int, buffer: int) -> None:
    """The reference engine alone keeps causes."""
