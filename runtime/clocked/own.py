"""What each engine with a clock does in its own way: declared here, defined in its room.

The reference engine moves values and looks for races, and lists who is to be visited in the next
cycle. The time engine has neither values nor races, and puts who may go on on its stacks. All the
rest of a core, of the edge and of the dynamic network is the same for both, and is in this room.
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


# --- the core -----------------------------------------------------------------------------


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
def unit_started(s: Machine, tile: int, main: int, thread: int, row: int) -> None:
    """The main thread has issued an instruction on a stream unit."""


@declared
def queue_used(s: Machine, tile: int, thread: int, row: int, slot: int, puts: bool) -> None:
    """An instruction that takes wavelets from a queue, or ``puts`` some into one, begins."""


@declared
def signalled(s: Machine, tile: int, semaphore: int, count: int) -> None:
    """The main thread has added to a semaphore."""


@declared
def waited(s: Machine, tile: int, row: int, semaphore: int, count: int) -> None:
    """The main thread has taken a count from a semaphore."""


# --- the dynamic network ------------------------------------------------------------------


@declared
def open_message(s: Machine, thread: int, row: int) -> int:
    """What the first header of a message carries above its target."""
    raise NotImplementedError


@declared
def read_element(s: Machine, tile: int, thread: int, row: int) -> int:
    """The bits of the next element of a message, from the sender's SRAM."""
    raise NotImplementedError


@declared
def header_arrived(s: Machine, tile: int, header: int) -> None:
    """The first header of a message has reached its core."""


@declared
def element_arrived(s: Machine, tile: int, bits: int, last: bool) -> None:
    """An element has reached its core; ``arriving`` of the tile says where it goes."""


# --- the edge -----------------------------------------------------------------------------


@declared
def enter_fabric(s: Machine, queue: int, control: int, visible: int, t: int) -> None:
    """Put the next wavelet of an edge queue into the router's input buffer, in cycle t.

    control: what it asks for, 0 for data. visible: cycle from which it can be seen there.
    """


@declared
def keep_element(s: Machine, slot: int, queue: int) -> None:
    """The head of a router's input buffer has left the fabric as an element of a tensor."""


@declared
def keep_index(s: Machine, slot: int, shape: int, place: int, t: int) -> bool:
    """The head of a router's input buffer has left the fabric as a value of a lookup.

    place: where it goes in the tables of lookups. False if there is no such row: a fault is noted.
    """
    raise NotImplementedError
