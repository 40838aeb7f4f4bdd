"""What remote stores carry: elements from the sender's SRAM into the receiver's.

How messages go through the dynamic network is in ``wsc.runtime.clocked.messages``.
"""

from __future__ import annotations

from wsc.runtime.clocked import own
from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.messages import has_cell, push_dynamic
from wsc.runtime.clocked.records import SIDES
from wsc.runtime.reference.causes import counts
from wsc.runtime.reference.compiled import LIBRARY, Machine
from wsc.runtime.reference.races import close_message, stored, touch
from wsc.runtime.reference.records import OPERANDS, Does
from wsc.runtime.reference.vectors import load_bits, store_bits
from wsc.runtime.tables import ELEMENT_BYTES


@LIBRARY.defines(own.ramp_has_room)
def ramp_has_room(s: Machine, tile: int, t: int) -> bool:
    """The fifth input buffer of the tile's router."""
    return has_cell(s, tile * SIDES + RAMP, t)


@LIBRARY.defines(own.enter_network)
def enter_network(s: Machine, tile: int, thread: int, value: int, kind: int, visible: int) -> None:
    """The wavelet gets a cell there."""
    push_dynamic(s, tile * SIDES + RAMP, value, kind, visible)


@LIBRARY.defines(own.read_element)
def read_element(s: Machine, tile: int, thread: int, row: int) -> int:
    """The source operand at the unit's indices."""
    send, at = s.rows[row], s.unit_base[thread, 1]
    for d in range(send.rank):
        at += s.unit_index[thread, d] * s.unit_stride[thread, OPERANDS * d + 1]
    kind = s.operands[send.operands].type
    if s.now[0].races != 0:
        touch(s, tile, thread, row, at, ELEMENT_BYTES[kind], Does.READ)
    return load_bits(s, tile * s.now[0].bytes + at, kind)


@LIBRARY.defines(own.element_arrived)
def element_arrived(s: Machine, tile: int, bits: int, last: bool, cell: int) -> None:
    """Write an element into the receiver's SRAM."""
    message = s.arriving[tile]
    store_bits(s, tile * s.now[0].bytes + message.address, message.kind, bits)
    if s.now[0].causes != 0:
        cause = s.message_causes[cell]
        counts(s, tile, message.semaphore, cause.event, cause.time)
    if s.now[0].races != 0:
        size = ELEMENT_BYTES[message.kind]
        stored(s, tile, message.address, size, message.semaphore)
        if last:
            close_message(s, tile)
