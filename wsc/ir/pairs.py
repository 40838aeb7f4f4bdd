"""Arithmetic of 64-bit integers inside maps: each is a pair of 32-bit words.

The words are terms of a map, or numbers where they are known, so that what a known word makes
superfluous is never an instruction. Results are those modulo 2^64. Division and the
conversion to f32 are the algorithms of Warren's "Hacker's Delight" (divlu) and of exact sums
of two floats.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsc.ir.terms import Term
from wsc.isa.types import DType
from wsc.isa.values import evaluate, wrap

_SIGN = -(2**31)
_ALL = -1  # a word of ones


@dataclass(frozen=True, slots=True)
class Word:
    """32 bits: a term of type i32, or a known number, signed."""

    value: Term | int

    def op(self, name: str, *others: Word | int) -> Word:
        """Row ``name`` of the instruction table with this word as its first source."""
        return _apply(name, (self, *(as_word(other) for other in others)))

    def __add__(self, other: Word | int) -> Word:
        return _other_if(self, other, 0) or self.op("add", other)

    def __sub__(self, other: Word | int) -> Word:
        return self if _is(other, 0) else self.op("sub", other)

    def __mul__(self, other: Word | int) -> Word:
        if _is(self, 0) or _is(other, 0):
            return as_word(0)
        return _other_if(self, other, 1) or self.op("mul", other)

    def __and__(self, other: Word | int) -> Word:
        if _is(self, 0) or _is(other, 0):
            return as_word(0)
        return _other_if(self, other, _ALL) or self.op("and", other)

    def __or__(self, other: Word | int) -> Word:
        return _other_if(self, other, 0) or self.op("or", other)

    def __xor__(self, other: Word | int) -> Word:
        return _other_if(self, other, 0) or self.op("xor", other)

    def shl(self, bits: Word | int) -> Word:
        """To the left by ``bits`` modulo 32."""
        return self if _is(bits, 0) or _is(self, 0) else self.op("shl", bits)

    def shr(self, bits: Word | int) -> Word:
        """To the right by ``bits`` modulo 32; the sign comes in."""
        return self if _is(bits, 0) or _is(self, 0) else self.op("shr", bits)

    def shru(self, bits: Word | int) -> Word:
        """To the right by ``bits`` modulo 32; zeros come in."""
        return self if _is(bits, 0) or _is(self, 0) else self.op("shru", bits)

    def eq(self, other: Word | int) -> Word:
        """1 where equal, else 0."""
        return self.op("eq", other)

    def less(self, other: Word | int) -> Word:
        """1 where this is the smaller one, as signed integers."""
        return self.op("lt", other)

    def below(self, other: Word | int) -> Word:
        """1 where this is the smaller one, as unsigned integers."""
        if _is(other, 0):
            return as_word(0)
        return (self ^ _SIGN).less(as_word(other) ^ _SIGN)

    def choose(self, yes: Word | int, no: Word | int) -> Word:
        """``yes`` where this flag is not 0, else ``no``."""
        if isinstance(self.value, int):
            return as_word(yes if self.value else no)
        if as_word(yes) == as_word(no):
            return as_word(yes)
        return self.op("select", yes, no)


@dataclass(frozen=True, slots=True)
class Pair:
    """A 64-bit integer as two words; whether it is signed is for the operation to know."""

    high: Word
    low: Word


def as_word(value: Word | Term | int) -> Word:
    """A term or a number as a word."""
    if isinstance(value, Word):
        return value
    return Word(wrap(value) if isinstance(value, int) else value)


def number(value: int) -> Pair:
    """A known 64-bit integer."""
    return Pair(as_word(value >> 32), as_word(value))


def extended(word: Word, signed: bool) -> Pair:
    """A word as a pair."""
    return Pair(word.shr(31) if signed else as_word(0), word)


def _apply(name: str, args: tuple[Word, ...]) -> Word:
    values = [arg.value for arg in args]
    terms = [value for value in values if isinstance(value, Term)]
    if not terms:
        return Word(int(evaluate(name, DType.I32, *values)))
    return Word(terms[0].body.apply(name, DType.I32, values))


def _is(word: Word | int, value: int) -> bool:
    known = word.value if isinstance(word, Word) else word
    return isinstance(known, int) and known == value


def _other_if(one: Word, other: Word | int, neutral: int) -> Word | None:
    """The operand that is the result if the other one is known to change nothing."""
    if _is(other, neutral):
        return one
    return as_word(other) if _is(one, neutral) else None


# --- sums and products --------------------------------------------------------------


def add(a: Pair, b: Pair) -> Pair:
    """a + b."""
    low = a.low + b.low
    return Pair(a.high + b.high + low.below(b.low), low)


def subtract(a: Pair, b: Pair) -> Pair:
    """a - b."""
    return Pair(a.high - b.high - a.low.below(b.low), a.low - b.low)


def negative(a: Pair) -> Pair:
    """-a."""
    return Pair((a.high ^ _ALL) + a.low.eq(0), as_word(0) - a.low)


def magnitude(a: Pair) -> Pair:
    """|a| of a signed pair, to be read as unsigned."""
    return choose(a.high.less(0), negative(a), a)


def product_of_words(a: Word, b: Word) -> Pair:
    """a * b of unsigned words, by halves."""
    low_a, high_a, low_b, high_b = a & 0xFFFF, a.shru(16), b & 0xFFFF, b.shru(16)
    first, last = low_a * low_b, high_a * high_b
    inner, outer = low_a * high_b, high_a * low_b
    middle = first.shru(16) + (inner & 0xFFFF) + (outer & 0xFFFF)
    high = last + inner.shru(16) + outer.shru(16) + middle.shru(16)
    return Pair(high, middle.shl(16) | (first & 0xFFFF))


def multiply(a: Pair, b: Pair) -> Pair:
    """a * b, signed or unsigned: the low 64 bits are the same."""
    low = product_of_words(a.low, b.low)
    return Pair(low.high + a.low * b.high + a.high * b.low, low.low)


# --- order and choice ---------------------------------------------------------------


def equal(a: Pair, b: Pair) -> Word:
    """1 where equal, else 0."""
    return a.high.eq(b.high) & a.low.eq(b.low)


def less(a: Pair, b: Pair, signed: bool) -> Word:
    """1 where a < b, else 0."""
    before = a.high.less(b.high) if signed else a.high.below(b.high)
    return before | (a.high.eq(b.high) & a.low.below(b.low))


def choose(flag: Word, yes: Pair, no: Pair) -> Pair:
    """``yes`` where the flag is not 0, else ``no``."""
    return Pair(flag.choose(yes.high, no.high), flag.choose(yes.low, no.low))


def bitwise(name: str, a: Pair, b: Pair) -> Pair:
    """``and``, ``or`` or ``xor`` of all bits."""
    rows = {"and": Word.__and__, "or": Word.__or__, "xor": Word.__xor__}
    row = rows[name]
    return Pair(row(a.high, b.high), row(a.low, b.low))


# --- shifts -------------------------------------------------------------------------


def shift_left(a: Pair, bits: Word) -> Pair:
    """a * 2^bits; 0 by 64 bits or more, or by a negative number of them."""
    across = (bits & 31).eq(0).choose(0, a.low.shru(as_word(32) - bits))
    near = Pair(a.high.shl(bits) | across, a.low.shl(bits))
    far = Pair(a.low.shl(bits), as_word(0))
    shifted = choose(bits.below(32), near, far)
    return choose(bits.below(64), shifted, number(0))


def shift_right(a: Pair, bits: Word, signed: bool) -> Pair:
    """a / 2^bits towards minus infinity; by 64 bits or more only the sign is left."""
    sign = a.high.shr(31) if signed else as_word(0)
    top = a.high.shr(bits) if signed else a.high.shru(bits)
    across = (bits & 31).eq(0).choose(0, a.high.shl(as_word(32) - bits))
    near = Pair(top, a.low.shru(bits) | across)
    shifted = choose(bits.below(32), near, Pair(sign, top))
    return choose(bits.below(64), shifted, Pair(sign, sign))


# --- division -----------------------------------------------------------------------


def divide(a: Pair, divisor: Pair) -> tuple[Pair, Pair]:
    """(quotient, remainder) of unsigned pairs; a divisor of 0 stops the run."""
    if isinstance(divisor.high.value, int):
        long = divisor.high.value != 0
        return _by_long(a, divisor) if long else _divide_by_word(a, divisor.low)
    # Both ways are gone; a divisor that is not for the other one is 1 or 2^32 there.
    long = divisor.high.eq(0) ^ 1
    one = _divide_by_word(a, long.choose(1, divisor.low))
    two = _by_long(a, Pair(long.choose(divisor.high, 1), divisor.low))
    return choose(long, two[0], one[0]), choose(long, two[1], one[1])


def _by_long(a: Pair, divisor: Pair) -> tuple[Pair, Pair]:
    """By a divisor of at least 2^32: the quotient is a word, and first guessed by its top bits."""
    by = _leading_zeros(divisor.high)
    top = shift_left(divisor, by).high
    half = shift_right(a, as_word(1), False)
    guess, _ = _by_word(half.high, half.low, top)
    guess = shift_right(shift_left(Pair(as_word(0), guess), by), as_word(31), False).low
    # The guess is right or one too large; one less is right or one too small.
    guess = guess - (guess.eq(0) ^ 1)
    quotient = Pair(as_word(0), guess)
    rest = subtract(a, multiply(quotient, divisor))
    more = less(rest, divisor, False) ^ 1
    rest = choose(more, subtract(rest, divisor), rest)
    return Pair(as_word(0), guess + more), rest


def _divide_by_word(a: Pair, divisor: Word) -> tuple[Pair, Pair]:
    high, rest = a.high.op("divu", divisor), a.high.op("remu", divisor)
    known = divisor.value
    if isinstance(known, int) and 0 < known <= 1 << 16:
        low, rest = _by_half(rest, a.low, divisor)
    else:
        low, rest = _by_word(rest, a.low, divisor)
    return Pair(high, low), Pair(as_word(0), rest)


def _by_half(rest: Word, low: Word, divisor: Word) -> tuple[Word, Word]:
    """(rest, low) / divisor <= 2^16, for rest < divisor: two digits of 16 bits."""
    first = rest.shl(16) | low.shru(16)
    rest = first.op("remu", divisor)
    second = rest.shl(16) | (low & 0xFFFF)
    quotient = first.op("divu", divisor).shl(16) | second.op("divu", divisor)
    return quotient, second.op("remu", divisor)


def _by_word(rest: Word, low: Word, divisor: Word) -> tuple[Word, Word]:
    """(rest, low) / divisor, for rest < divisor: divlu, with a divisor whose top bit is set."""
    by = _leading_zeros(divisor)
    scaled = divisor.shl(by)
    # What crosses from the low word; a shift by 32 would be one by 0.
    across = by.eq(0).choose(0, low.shru(as_word(32) - by))
    top, bottom = rest.shl(by) | across, low.shl(by)
    first, middle = _digit(top, bottom.shru(16), scaled)
    second, last = _digit(middle, bottom & 0xFFFF, scaled)
    return first.shl(16) + second, last.shru(by)


def _leading_zeros(word: Word) -> Word:
    if isinstance(word.value, int):
        return as_word(32 - (word.value & 0xFFFFFFFF).bit_length())
    count = as_word(0)
    for bits in (16, 8, 4, 2, 1):
        step = word.shru(32 - bits).eq(0) * bits
        word, count = word.shl(step), count + step
    return count


def _digit(top: Word, digit: Word, divisor: Word) -> tuple[Word, Word]:
    """(16 bits of quotient, remainder) of (top, digit) and a divisor whose top bit is set."""
    high, low = divisor.shru(16), divisor & 0xFFFF
    guess = top.op("divu", high)
    rest = top - guess * high
    for _ in range(2):  # the guess is at most two too large
        many = guess.below(1 << 16) ^ 1
        beyond = (rest.shl(16) | digit).below(guess * low)
        wrong = (many | beyond) & rest.below(1 << 16)
        guess, rest = guess - wrong, rest + wrong * high
    return guess, top.shl(16) + digit - guess * divisor


# --- floats -------------------------------------------------------------------------


def to_f32(a: Pair, signed: bool) -> Term:
    """The nearest f32, halves to even. One of the words must be a term."""
    size = magnitude(a) if signed else a
    # Below 2^56, with what falls off kept as a bit that only rounding sees.
    large = size.high.shru(24).eq(0) ^ 1
    fallen = (size.low & 0xFF).eq(0) ^ 1
    high = large.choose(size.high.shru(8), size.high)
    low = large.choose(size.high.shl(24) | size.low.shru(8) | fallen, size.low)
    upper = _term(high).cast(DType.F32) * 2.0**32
    middle = _term(low.shru(8)).cast(DType.F32) * 2.0**8
    least = low & 0xFF
    # Beside a high word the last 8 bits are less than half a unit: only whether there are any.
    least = high.eq(0).choose(least, (least.eq(0) ^ 1) * 128)
    total = upper + middle
    error = middle - (total - upper)
    result = total + (error + _term(least).cast(DType.F32))
    result = result * _term(large).select_literals(DType.F32, 256.0, 1.0)
    return _term(a.high).__lt__(0).select(-result, result) if signed else result


def _term(word: Word) -> Term:
    assert isinstance(word.value, Term)
    return word.value


def from_f32(x: Term, signed: bool) -> Pair:
    """An f32 towards zero; what lies beyond the type is its largest or smallest value."""
    size = x.abs()
    upper = (size * 2.0**-32).op("floor")
    # Both are exact: the float has 24 bits.
    lower = size - upper * 2.0**32
    beyond = as_word(size >= (2.0**63 if signed else 2.0**64))
    largest = number(2**63 - 1 if signed else 2**64 - 1)
    whole = choose(beyond, largest, Pair(_unsigned(upper), _unsigned(lower)))
    if not signed:
        return choose(as_word(x < 0.0), negative(whole), whole)
    least = as_word(x <= -(2.0**63))
    below = choose(least, number(-(2**63)), negative(whole))
    return choose(as_word(x < 0.0), below, whole)


def _unsigned(x: Term) -> Word:
    """A float from 0 to 2^32 as an unsigned word, towards zero."""
    far = as_word((x - 2.0**31).cast(DType.I32)) ^ _SIGN
    return as_word(x >= 2.0**31).choose(far, as_word(x.cast(DType.I32)))
