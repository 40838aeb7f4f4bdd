"""What each engine with a clock does in its own way: declared here, defined in its room.

The reference engine moves values and looks for races, and visits router by router. The time engine
has neither values nor races, and steps the routers of many tiles at once. All the rest of a core,
of the edge and of the dynamic network is the same for both, and is in this room.
"""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, declared

# --- who may go on ------------------------------------------------------------------------


@declared
def ready(s: Machine, slot: int) -> None:
    """The head of a router's input buffer may be able to move."""


@declared
def emptied(s: Machine, slot: int) -> None:
    """A router's input buffer has no head any more."""


@declared
def wake_output(s: Machine, slot: int) -> None:
    """The head of a core's output queue may be able to enter the router."""


@declared
def wake_feed(s: Machine, queue: int) -> None:
    """An edge queue may be able to feed."""


@declared
def wake_drain(s: Machine, queue: int) -> None:
    """An edge queue takes wavelets from now on: the head of its router's buffer may leave."""


# --- the core -----------------------------------------------------------------------------


@declared
def capture_place(s: Machine, thread: int, row: int) -> int:
    """Where extents, indices, addresses and strides of a unit's instruction are kept.

    The unit's row of these tables; or that behind all units, if nobody looks at them once steps and
    cycles are known.
    """
    raise NotImplementedError


@declared
def hold(s: Machine, tile: int, thread: int, number: int, operand: int) -> None:
    """Keep the value of an operand that is neither in memory nor in a queue.

    number: of the operand in its instruction. operand: its row of the operand table.
    """


@declared
def load_word(s: Machine, tile: int, row: int, address: int) -> int:
    """What ``i.load`` finds at an address of the tile's SRAM."""
    raise NotImplementedError


@declared
def store_word(s: Machine, tile: int, row: int, address: int, value: int) -> None:
    """What ``i.store`` does at an address of the tile's SRAM."""


@declared
def execute(s: Machine, tile: int, row: int, thread: int) -> None:
    """Do all steps of an instruction without queues."""


@declared
def goes_ahead(s: Machine, tile: int, main: int, row: int, t: int) -> bool:
    """Whether the main thread may be at a row in cycle t before all others are in that cycle."""
    raise NotImplementedError


@declared
def unit_started(s: Machine, tile: int, main: int, thread: int, row: int, t: int) -> None:
    """The main thread has issued an instruction on a stream unit in cycle t."""


@declared
def starts(s: Machine, thread: int, row: int, t: int) -> None:
    """A unit starts an instruction, or the main thread another statement, in cycle t."""


@declared
def queue_used(s: Machine, tile: int, thread: int, row: int, slot: int, puts: bool) -> None:
    """An instruction that takes wavelets from a queue, or ``puts`` some into one, begins."""


@declared
def signalled(s: Machine, tile: int, semaphore: int, count: int, t: int) -> None:
    """The main thread has added to a semaphore in cycle t."""


@declared
def count_taken(s: Machine, tile: int, row: int, semaphore: int, count: int, t: int) -> None:
    """The main thread takes a count from a semaphore in cycle t."""


@declared
def leaves_statement(s: Machine, tile: int) -> None:
    """The main thread is about to go on with another statement of main, or to end."""


@declared
def main_ended(s: Machine, main: int, t: int) -> None:
    """The main thread has ended: it does nothing from cycle t on."""


# --- routers ------------------------------------------------------------------------------


@declared
def switch_turned(s: Machine, slot: int, t: int) -> None:
    """The control wavelet at the head of an input buffer has changed its switch."""


@declared
def head_dropped(s: Machine, fifo: int, t: int) -> None:
    """The head of a FIFO has left on all sides, and is about to be dropped."""


# --- the dynamic network ------------------------------------------------------------------


@declared
def open_message(s: Machine, thread: int, row: int) -> int:
    """What the first header of a message carries above its target."""
    raise NotImplementedError


@declared
def ramp_has_room(s: Machine, tile: int, t: int) -> bool:
    """Whether the ramp queue of a tile has a free cell in cycle t."""
    raise NotImplementedError


@declared
def enter_network(s: Machine, tile: int, thread: int, value: int, kind: int, visible: int) -> None:
    """Append a wavelet of a unit's message to the ramp queue of its tile.

    visible: cycle from which it can leave that.
    """


@declared
def read_element(s: Machine, tile: int, thread: int, row: int) -> int:
    """The bits of the next element of a message, from the sender's SRAM."""
    raise NotImplementedError


@declared
def header_arrived(s: Machine, tile: int, header: int) -> None:
    """The first header of a message has reached its core."""


@declared
def element_arrived(s: Machine, tile: int, bits: int, last: bool, cell: int) -> None:
    """An element has reached its core; ``arriving`` of the tile says where it goes.

    cell: of the dynamic network, that it was in.
    """


@declared
def message_sent(s: Machine, tile: int, thread: int, buffer: int, t: int) -> None:
    """A unit has put a wavelet of a message into the ramp queue in cycle t."""


@declared
def message_passed(s: Machine, cell: int, buffer: int) -> None:
    """A wavelet of a message has gone from a cell into another input buffer."""


# --- the edge -----------------------------------------------------------------------------


@declared
def enter_fabric(s: Machine, queue: int, control: int, visible: int, t: int) -> None:
    """Put the next wavelet of an edge queue into the router's input buffer, in cycle t.

    control: what it asks for, 0 for data. visible: cycle from which it can be seen there.
    """


@declared
def left_fabric(s: Machine, slot: int, side: int, t: int) -> None:
    """The head of a router's input buffer has left over the edge on a side, in cycle t."""


@declared
def keep_element(s: Machine, slot: int, queue: int, t: int) -> None:
    """The head of a router's input buffer leaves the fabric as an element of a tensor."""


@declared
def keep_index(s: Machine, slot: int, queue: int, place: int, t: int) -> bool:
    """The head of a router's input buffer leaves the fabric as a value of a lookup.

    place: where it goes in the tables of lookups. False if there is no such row: a fault is noted.
    """
    raise NotImplementedError
