"""Lanes: 512 bits, one for each of as many tiles, on which one operation works at once.

A value of lanes has eight words of 64 lanes. Kernels combine such values with ``&``, ``|``, ``^``
and ``~``; one is true if any lane of it is set. A field of a record is of lanes if its type is
``words.FIELD``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from wsc.runtime.kernels.translate import INT, INT_BYTES, LANES, Intrinsic, Value
from wsc.runtime.kernels.words import WORD, WORDS


class Lanes:
    """The type of such values, for annotations: kernels alone have values of it."""

    def __and__(self, other: Lanes) -> Lanes:
        raise NotImplementedError

    def __or__(self, other: Lanes) -> Lanes:
        raise NotImplementedError

    def __xor__(self, other: Lanes) -> Lanes:
        raise NotImplementedError

    def __invert__(self) -> Lanes:
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise NotImplementedError


def _spread(count: int) -> Any:
    return LANES([count] * WORDS)


def _none(_build: Any, _given: Sequence[Value]) -> Value:
    return Value(LANES, _spread(0))


def _at(build: Any, given: Sequence[Value]) -> Value:
    place = build.inttoptr(given[0].code, ir.PointerType())
    return Value(LANES, build.load(place, typ=LANES, align=INT_BYTES))


def _put_at(build: Any, given: Sequence[Value]) -> Value:
    place = build.inttoptr(given[0].code, ir.PointerType())
    return Value(LANES, build.store(given[1].code, place, align=INT_BYTES))


def _word(build: Any, given: Sequence[Value]) -> Value:
    return Value(INT, build.extract_element(given[0].code, given[1].code))


def _one(build: Any, given: Sequence[Value]) -> Value:
    bit = build.shl(INT(1), given[1].code)
    return Value(LANES, build.insert_element(_spread(0), bit, given[0].code))


def _lowest(build: Any, given: Sequence[Value]) -> Value:
    return Value(INT, build.cttz(given[0].code, ir.IntType(1)(1)))


def _up(build: Any, given: Sequence[Value]) -> Value:
    here, before = given[0].code, given[1].code
    return Value(
        LANES, build.or_(build.shl(here, _spread(1)), build.lshr(before, _spread(WORD - 1)))
    )


def _down(build: Any, given: Sequence[Value]) -> Value:
    here, after = given[0].code, given[1].code
    return Value(
        LANES, build.or_(build.lshr(here, _spread(1)), build.shl(after, _spread(WORD - 1)))
    )


none: Any = Intrinsic("none", _none)
"""Lanes of which none is set."""
lanes_at: Any = Intrinsic("lanes_at", _at)
"""The lanes at an address: eight words."""
put_at: Any = Intrinsic("put_at", _put_at)
"""Write lanes to an address: (address, lanes)."""
word: Any = Intrinsic("word", _word)
"""A word of lanes: (lanes, number of the word)."""
one: Any = Intrinsic("one", _one)
"""Lanes of which one is set: (number of the word, bit)."""
lowest: Any = Intrinsic("lowest", _lowest)
"""The lowest set bit of a word that is not zero."""
up: Any = Intrinsic("up", _up)
"""Lanes moved to the next higher bit of each word: (lanes, those that carry into the lowest)."""
down: Any = Intrinsic("down", _down)
"""Lanes moved to the next lower bit of each word: (lanes, those that carry into the highest)."""
