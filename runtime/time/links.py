"""Links that a wavelet takes for more than a cycle, as lanes.

A link that a wavelet takes is free again after whole cycles. What it takes beyond these is a number
of equal parts of a cycle; they add up, and are a cycle more when they have come to one. Both are
counts of a few digits for all tiles of a block, as those of cells are.
"""

from __future__ import annotations

from wsc.runtime.kernels.lanes import Lanes, lanes_at, none, put_at
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.counts import DIGIT, decrease, increase, some
from wsc.runtime.time.records import LINK, REST_DIGITS, place_of
from wsc.runtime.time.tiles import only

SIZE = LINK.itemsize
LINKS = 6  # of a tile
TAKEN, REST = place_of(LINK, "taken0"), place_of(LINK, "rest0")


@kernel
def busy_links(s: Machine, block: int, side: int) -> Lanes:
    """The tiles of a block whose link on a side is taken in this cycle by what went before."""
    return s.links[block * LINKS + side].busy


@kernel
def cross(s: Machine, block: int, side: int, which: Lanes) -> None:
    """Wavelets take the links of some tiles in this cycle."""
    now, number = s.now[0], block * LINKS + side
    if now.link_digits == 0 or not which:
        return
    link = s.links[number]
    if not (link.crossed | link.busy):
        s.taken_list[now.taken_links] = number
        now.taken_links += 1
    link.crossed = link.crossed | which


@kernel
def cross_one(s: Machine, tile: int, side: int) -> None:
    """A wavelet takes the link of one tile."""
    cross(s, s.tile_block[tile], side, only(s.tile_lane[tile]))


@kernel
def add_parts(at: int, which: Lanes, part: int) -> None:
    """Add the parts that a wavelet takes to the counts of some lanes."""
    # A full adder for each digit: the number has a one there for all of these lanes, or none.
    carry = none()
    for digit in range(REST_DIGITS):
        held, more = lanes_at(at + digit * DIGIT), none()
        if (part >> digit) & 1:
            more = which
        put_at(at + digit * DIGIT, held ^ more ^ carry)
        carry = (held & more) | (carry & (held | more))


@kernel
def take_whole(at: int, which: Lanes, parts: int) -> Lanes:
    """Take a cycle's parts from those of some lanes that have come to one: these lanes."""
    # Those for which a subtraction needs nothing from beyond the last digit.
    borrow = none()
    for digit in range(REST_DIGITS):
        held = lanes_at(at + digit * DIGIT)
        borrow = borrow | ~held if (parts >> digit) & 1 else borrow & ~held
    over = which & ~borrow
    if not over:
        return over
    # From these alone it is subtracted.
    borrow = none()
    for digit in range(REST_DIGITS):
        held, less = lanes_at(at + digit * DIGIT), none()
        if (parts >> digit) & 1:
            less = over
        put_at(at + digit * DIGIT, held ^ less ^ borrow)
        borrow = (~held & (less | borrow)) | (less & borrow)
    return over


@kernel
def take_link(s: Machine, number: int) -> None:
    """A cycle of a link is over: it is taken for one less, or for those of who took it now."""
    now, link, at = s.now[0], s.links[number], s.links.ctypes.data + number * SIZE
    crossed, beyond = link.crossed, now.link_cycles - 1
    if link.busy:
        decrease(at + TAKEN, now.link_digits, link.busy)
    # This cycle was the first of those that the wavelet takes; a cycle that its parts and those
    # of the wavelets before have filled comes on top.
    if crossed:
        for digit in range(now.link_digits):
            if (beyond >> digit) & 1:
                held = lanes_at(at + TAKEN + digit * DIGIT)
                put_at(at + TAKEN + digit * DIGIT, held | crossed)
        if now.link_part > 0:
            add_parts(at + REST, crossed, now.link_part)
            over = take_whole(at + REST, crossed, now.link_parts)
            if over:
                increase(at + TAKEN, now.link_digits, over)
        link.crossed = none()
    link.busy = some(at + TAKEN, now.link_digits)


@kernel
def take_links(s: Machine, cycles: int) -> None:
    """So many cycles are over: of the links on the list, those that stay busy stay there."""
    now = s.now[0]
    for _ in range(cycles):
        kept = 0
        for index in range(now.taken_links):
            number = s.taken_list[index]
            take_link(s, number)
            if s.links[number].busy:
                s.taken_list[kept] = number
                kept += 1
        now.taken_links = kept
        if kept == 0:
            return
