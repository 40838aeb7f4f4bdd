"""Counts of all tiles of a block: a value of lanes for each binary digit, the lowest first.

``at`` is the address of the lowest digit. Adding one to some lanes is what a chain of half adders
does: a digit that was set carries into the next.
"""

from __future__ import annotations

from wsc.runtime.kernels.calls import longs_at
from wsc.runtime.kernels.lanes import Lanes, lanes_at, none, put_at
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.time.compiled import kernel

BYTES = WORD // 8  # of a word
DIGIT = WORDS * BYTES  # bytes of lanes


# --- of all lanes -------------------------------------------------------------------------


@kernel
def increase(at: int, digits: int, which: Lanes) -> Lanes:
    """Add one to the counts of some lanes; those that are beyond the last digit now."""
    carry = which
    for digit in range(digits):
        held = lanes_at(at + digit * DIGIT)
        put_at(at + digit * DIGIT, held ^ carry)
        carry = held & carry
        if not carry:
            break
    return carry


@kernel
def decrease(at: int, digits: int, which: Lanes) -> None:
    """Take one from the counts of some lanes, which are not zero."""
    borrow = which
    for digit in range(digits):
        held = lanes_at(at + digit * DIGIT)
        put_at(at + digit * DIGIT, held ^ borrow)
        borrow = borrow & ~held
        if not borrow:
            break


@kernel
def some(at: int, digits: int) -> Lanes:
    """The lanes whose counts are not zero."""
    held = lanes_at(at)
    for digit in range(1, digits):
        held = held | lanes_at(at + digit * DIGIT)
    return held


@kernel
def exactly_one(at: int, digits: int) -> Lanes:
    """The lanes whose counts are one."""
    low, more = lanes_at(at), none()
    for digit in range(1, digits):
        more = more | lanes_at(at + digit * DIGIT)
    return low & ~more


# --- of one lane --------------------------------------------------------------------------


@kernel
def read_count(at: int, digits: int, lane: int) -> int:
    """The count of a lane."""
    count = 0
    for digit in range(digits):
        words = longs_at(at + digit * DIGIT)
        count |= ((words[lane // WORD] >> (lane % WORD)) & 1) << digit
    return count


@kernel
def write_count(at: int, digits: int, lane: int, count: int) -> None:
    """Write the count of a lane that is zero."""
    for digit in range(digits):
        words = longs_at(at + digit * DIGIT)
        words[lane // WORD] |= ((count >> digit) & 1) << (lane % WORD)


@kernel
def take_count(at: int, digits: int, lane: int) -> int:
    """The count of a lane, which is zero then."""
    count = read_count(at, digits, lane)
    for digit in range(digits):
        words = longs_at(at + digit * DIGIT)
        words[lane // WORD] &= ~(1 << (lane % WORD))
    return count
