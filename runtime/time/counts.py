"""Counts of all tiles of a block: a value of lanes for each binary digit, the lowest first."""

from __future__ import annotations

from wsc.runtime.kernels.lanes import Lanes, lanes_at, put_at
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.time.compiled import kernel

BYTES = WORD // 8  # of a word
DIGIT = WORDS * BYTES  # bytes of lanes


@kernel
def increase(at: int, digits: int, which: Lanes) -> Lanes:
    """Add one to the counts of some lanes; those that are beyond the last digit now.

    at: address of the lowest digit.
    """
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
