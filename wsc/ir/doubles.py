"""Arithmetic of IEEE 754 doubles inside maps: each is the pair of words of its 64 bits.

Sums, products, quotients and roots are those of IEEE 754 to the bit, rounded to nearest, halves to
even; subnormal numbers, infinities and zeros of both signs are there. Every NaN that is computed
is the one quiet NaN.

Between its bits and its rounding a number is *rough*: a head and a size M, which are
(-1)^sign * M / 2^63 * 2^(exponent - 1023). M is an unsigned pair whose lowest bit is also
set for whatever lies below it, *normal* where its highest bit is set; the head is
2 * exponent + sign. Exponents far outside of those of a double stand for what is no finite number
other than zero.

The functions are the parts of an operation: ``wsc.frontend.exact.arithmetic`` makes a map of each,
so that what several of them need is computed once.
"""

from __future__ import annotations

from wsc.ir import pairs
from wsc.ir.pairs import Pair, Word, as_word
from wsc.ir.terms import Term
from wsc.isa.types import DType

_SIGN = -(2**31)
_MAGNITUDE = 2**31 - 1
_INFINITY = 0x7FF00000
_NAN = 0x7FF80000
_BIAS, _TOP = 1023, 2047
# Exponents of what is no finite number other than zero, so far apart that sums and differences of
# two exponents still tell them apart.
_OF_ZERO, _OF_INFINITY, _OF_NAN = -20000, 10000, 100000
_FAR = 5000  # no finite number other than zero has an exponent of this magnitude
_SURELY_NAN = 50000


def make_head(exponent: Word, sign: Word) -> Word:
    """The head of a rough number."""
    return exponent.shl(1) | sign


def _exponent(head: Word) -> Word:
    return head.shr(1)


# --- shifts ---------------------------------------------------------------------------


def _at_least(word: Word, least: int) -> Word:
    return word.op("max", least)


def _at_most(word: Word, most: int) -> Word:
    return word.op("min", most)


def _across_right(high: Word, low: Word, bits: Word) -> Word:
    """The low word of a shift to the right by 0 to 31 bits."""
    return low.shru(bits) | high.shl(1).shl(as_word(31) - bits)


def shifted(a: Pair, bits: Word) -> Pair:
    """a / 2^bits for 0 to 63 bits; the lowest bit is also set for what falls off."""
    far = bits.below(32)
    high, low = far.choose(a.high, 0), far.choose(a.low, a.high)
    near = bits & 31
    lost = far.choose(0, a.low) | low.shl(1).shl(as_word(31) - near)
    return Pair(high.shru(near), _across_right(high, low, near) | (lost.eq(0) ^ 1))


def _shift_left(a: Pair, bits: int) -> Pair:
    """a * 2^bits modulo 2^64, for 1 to 31 bits."""
    return Pair(a.high.shl(bits) | a.low.shru(32 - bits), a.low.shl(bits))


def _leading_zeros(word: Word) -> Word:
    """How many bits of a word stand above its first one; 31 of zero."""
    half = word.shru(1)
    # Without the bit below its first one no rounding reaches the next power of two.
    top = _term(half & (half.shru(1) ^ -1))
    return as_word(157) - as_word((top.cast(DType.F32) + 0.5).op("bits")).shru(23)


def zeros_above(a: Pair) -> Word:
    """How many bits of a pair stand above its first one; at most 63."""
    far = a.high.eq(0)
    return _leading_zeros(far.choose(a.low, a.high)) + far.shl(5)


def raised(a: Pair, bits: Word) -> Pair:
    """a * 2^bits for 0 to 63 bits, none of which is lost."""
    near, far = bits & 31, bits.shru(5)
    high, low = far.choose(a.low, a.high), far.choose(0, a.low)
    return Pair(high.shl(near) | low.shru(1).shru(as_word(31) - near), low.shl(near))


def _term(word: Word) -> Term:
    assert isinstance(word.value, Term)
    return word.value


# --- bits to rough numbers and back ---------------------------------------------------


def _field(a: Pair) -> Word:
    return a.high.shru(20) & _TOP


def _mantissa(a: Pair) -> Pair:
    """The 53 bits of a number, the hidden one among them."""
    hidden = _field(a).eq(0) ^ 1
    return Pair((a.high & 0xFFFFF) | hidden.shl(20), a.low)


def rough_size(a: Pair) -> Pair:
    """The size of a double as a rough number; that of a subnormal one is not normal."""
    return _shift_left(_mantissa(a), 11)


def rough_head(a: Pair, zeros: Word) -> Word:
    """The head of a double whose size has so many zeros above, and is made normal."""
    field = _field(a)
    special = is_nan(a).choose(_OF_NAN, _OF_INFINITY)
    exponent = field.eq(_TOP).choose(special, _at_least(field, 1) - zeros)
    return make_head(is_zero(a).choose(_OF_ZERO, exponent), a.high.shru(31))


def lowered_head(head: Word, zeros: Word) -> Word:
    """The head of a number whose size is made normal."""
    return head - zeros.shl(1)


def settled(head: Word, size: Pair) -> Pair:
    """A normal size with the bits that a subnormal number has."""
    return shifted(size, _at_most(_at_least(as_word(1) - _exponent(head), 0), 63))


def rounded(head: Word, size: Pair) -> Pair:
    """The nearest double of a settled number, halves to even."""
    exponent = _exponent(head)
    kept = Pair(size.high.shru(11), _across_right(size.high, size.low, as_word(11)))
    # Above one half, or one half and the last bit is odd.
    up = as_word(0x400).less((size.low & 0x7FF) + (kept.low & 1))
    # The hidden bit, and what rounding carries out of the mantissa, count in the exponent.
    base = _at_most(_at_least(exponent - 1, 0), _TOP).shl(20)
    bits = pairs.add(Pair(base + kept.high, kept.low), Pair(as_word(0), up))
    finite = exponent.less(_TOP)
    high = finite.choose(bits.high, _INFINITY) | head.shl(31)
    number = exponent.less(_SURELY_NAN)
    return Pair(number.choose(high, _NAN), finite.choose(bits.low, 0))


# --- kinds ----------------------------------------------------------------------------


def is_zero(a: Pair) -> Word:
    """1 where a is zero, of either sign."""
    return (a.high.shl(1) | a.low).eq(0)


def is_nan(a: Pair) -> Word:
    """1 where a is not a number."""
    return as_word(_INFINITY).less((a.high & _MAGNITUDE) | (a.low.eq(0) ^ 1))


def is_infinite(a: Pair) -> Word:
    """1 where a is infinite, of either sign."""
    return (a.high & _MAGNITUDE).eq(_INFINITY) & a.low.eq(0)


def quiet(a: Pair) -> Pair:
    """a, and the one quiet NaN where it is not a number."""
    return pairs.choose(is_nan(a), Pair(as_word(_NAN), as_word(0)), a)


# --- signs and order ------------------------------------------------------------------


def negative(a: Pair) -> Pair:
    """-a."""
    return Pair(a.high ^ _SIGN, a.low)


def magnitude(a: Pair) -> Pair:
    """|a|."""
    return Pair(a.high & _MAGNITUDE, a.low)


def sign(a: Pair) -> Pair:
    """-1, 0 or 1; NaN of NaN."""
    one = Pair((a.high & _SIGN) | 0x3FF00000, as_word(0))
    return quiet(pairs.choose(is_zero(a) | is_nan(a), a, one))


def _key(a: Pair) -> Pair:
    """A signed pair whose order is that of numbers; a zero below zero comes before the other."""
    mask = a.high.shr(31)
    return Pair(a.high ^ (mask & _MAGNITUDE), a.low ^ mask)


def _without_sign_of_zero(a: Pair) -> Pair:
    return Pair(is_zero(a).choose(0, a.high), a.low)


def less(a: Pair, b: Pair) -> Word:
    """1 where a < b."""
    numbers = (is_nan(a) | is_nan(b)) ^ 1
    one, other = (_key(_without_sign_of_zero(x)) for x in (a, b))
    return pairs.less(one, other, True) & numbers


def at_most(a: Pair, b: Pair) -> Word:
    """1 where a <= b."""
    numbers = (is_nan(a) | is_nan(b)) ^ 1
    one, other = (_key(_without_sign_of_zero(x)) for x in (a, b))
    return (pairs.less(other, one, True) ^ 1) & numbers


def equal(a: Pair, b: Pair) -> Word:
    """1 where a == b."""
    both = is_zero(a) & is_zero(b)
    return (pairs.equal(a, b) | both) & (is_nan(a) ^ 1)


def larger(a: Pair, b: Pair) -> Pair:
    """The larger one; NaN if either is."""
    return _with_nan(a, b, pairs.choose(pairs.less(_key(a), _key(b), True), b, a))


def smaller(a: Pair, b: Pair) -> Pair:
    """The smaller one; NaN if either is."""
    return _with_nan(a, b, pairs.choose(pairs.less(_key(b), _key(a), True), b, a))


def _with_nan(a: Pair, b: Pair, result: Pair) -> Pair:
    return pairs.choose(is_nan(a) | is_nan(b), Pair(as_word(_NAN), as_word(0)), result)


# --- sums -----------------------------------------------------------------------------


def swaps(a: Pair, b: Pair) -> Word:
    """1 where b has the larger magnitude."""
    return pairs.less(magnitude(a), magnitude(b), True)


def distance(a: Pair, b: Pair) -> Word:
    """By how many bits the smaller one of both is moved to the right, at most 63."""
    one, other = (_at_least(_field(x), 1) for x in (a, b))
    return _at_most((one - other).op("abs"), 63)


def term(a: Pair) -> Pair:
    """The bits of a number in a sum: one is left free for the carry, ten are below the last."""
    return _shift_left(_mantissa(a), 10)


def total(big: Pair, small: Pair, a: Pair, b: Pair) -> Pair:
    """The size of a + b from their terms, the one of the larger magnitude first."""
    opposite = (a.high ^ b.high).shru(31)
    mask = as_word(0) - opposite
    # Minus a term is all its bits turned over, plus one.
    turned = Pair(small.high ^ mask, small.low ^ mask)
    return pairs.add(pairs.add(big, turned), Pair(as_word(0), opposite))


def sum_head(a: Pair, b: Pair, swap: Word, size: Pair) -> Word:
    """The head of a + b."""
    big, small = pairs.choose(swap, b, a), pairs.choose(swap, a, b)
    opposite = (a.high ^ b.high).shru(31)
    nothing = (size.high | size.low).eq(0)
    undefined = is_nan(big) | (is_infinite(small) & opposite)
    exponent = nothing.choose(_OF_ZERO, _at_least(_field(big), 1) + 1)
    exponent = _field(big).eq(_TOP).choose(undefined.choose(_OF_NAN, _OF_INFINITY), exponent)
    # What cancels is a zero that is not below zero.
    return make_head(exponent, (nothing & opposite).choose(0, big.high.shru(31)))


# --- products -------------------------------------------------------------------------

_DIGIT = 14  # four digits are 56 bits; sums of four products of two digits fit a word
_ONES = 2**_DIGIT - 1


def _digits(a: Pair) -> list[Word]:
    """The upper 56 bits as digits, the lowest one first."""
    return [
        a.low.shru(8) & _ONES,
        (a.high.shl(10) | a.low.shru(22)) & _ONES,
        a.high.shru(4) & _ONES,
        a.high.shru(18),
    ]


def _column(x: list[Word], y: list[Word], place: int, carry: Word) -> Word:
    """All products of digits that count at one place."""
    for i in range(max(place - 3, 0), min(place, 3) + 1):
        carry = carry + x[i] * y[place - i]
    return carry


def product_below(a: Pair, b: Pair) -> Word:
    """The column at place 3 of a product; its lowest bit is also set for what lies below it."""
    x, y = _digits(a), _digits(b)
    column, below = as_word(0), as_word(0)
    for place in range(3):
        column = _column(x, y, place, column.shru(_DIGIT))
        below = below | (column & _ONES)
    return _column(x, y, 3, column.shru(_DIGIT)) | (below.eq(0) ^ 1)


def product_size(a: Pair, b: Pair, below: Word) -> Pair:
    """The size of a product of normal numbers of 53 bits, from what stands below."""
    x, y = _digits(a), _digits(b)
    fourth = _column(x, y, 4, below.shru(_DIGIT))
    fifth = _column(x, y, 5, fourth.shru(_DIGIT))
    last = _column(x, y, 6, fifth.shru(_DIGIT))
    # A product has 112 bits; 64 of them are kept, the others are one bit.
    high = last.shl(4) | (fifth & _ONES).shru(10)
    low = fifth.shl(22) | (fourth & _ONES).shl(8) | (below & _ONES).shru(6)
    return Pair(high, low | ((below & 0x3F).eq(0) ^ 1))


def product_head(a: Word, b: Word) -> Word:
    """The head of a * b from those of normal numbers."""
    total = _exponent(a) + _exponent(b)
    # An infinity and a zero.
    undefined = (total + (-_OF_ZERO - _OF_INFINITY) + _FAR).below(2 * _FAR)
    return make_head(undefined.choose(_OF_NAN, total - (_BIAS - 1)), (a ^ b) & 1)


# --- quotients and roots --------------------------------------------------------------
#
# Both find digits from the highest one on, each the nearest integer of an estimate in f32. What is
# left is exact, has a sign, and corrects the next digit; the last digit is right or one too large.

QUOTIENT_BITS, QUOTIENT_DIGITS = 19, 3
ROOT_BITS, ROOT_DIGITS = 15, 2


def _times(digit: Word, a: Pair) -> Pair:
    """A signed word times a pair, modulo 2^64."""
    product = pairs.product_of_words(digit, a.low)
    # As an unsigned word a negative digit is 2^32 too large.
    return Pair(product.high + digit * a.high - (digit.shr(31) & a.low), product.low)


def _to_float(a: Pair) -> Term:
    """A signed pair in f32, to some 22 bits."""
    low = _term(a.low.shru(8)).cast(DType.F32) * 256.0
    return _term(a.high).cast(DType.F32) * 2.0**32 + low


def _nearest(x: Term) -> Word:
    return as_word(x.op("round").cast(DType.I32))


def integer(a: Pair) -> Pair:
    """The 53 bits of a normal rough number as an integer."""
    return Pair(a.high.shru(11), _across_right(a.high, a.low, as_word(11)))


def quotient_digit(rest: Pair, divisor: Pair) -> Word:
    """The next ``QUOTIENT_BITS`` bits of rest / divisor, as a signed number."""
    return _nearest(_to_float(rest) / _to_float(divisor) * 2.0**QUOTIENT_BITS)


def quotient_rest(rest: Pair, divisor: Pair, digit: Word) -> Pair:
    """What is left after a digit."""
    return pairs.subtract(_shift_left(rest, QUOTIENT_BITS), _times(digit, divisor))


def quotient_size(digits: list[Word], rest: Pair) -> Pair:
    """The rough size of a quotient from its digits and what is left after them."""
    first, second, last = digits
    last = last - rest.high.shru(31)
    total = pairs.add(Pair(second.shr(13), second.shl(19)), Pair(last.shr(31), last))
    total = _shift_left(pairs.add(Pair(first.shl(6), as_word(0)), total), 5)
    return Pair(total.high, total.low | ((rest.high | rest.low).eq(0) ^ 1))


def quotient_head(a: Word, b: Word) -> Word:
    """The head of a / b from those of normal rough numbers."""
    one, other = _exponent(a), _exponent(b)
    same = one.eq(other) & (one + _FAR).below(2 * _FAR).eq(0)
    undefined = same | as_word(_SURELY_NAN).less(one.op("max", other))
    exponent = undefined.choose(_OF_NAN, one - other + (_BIAS + 1))
    return make_head(exponent, (a ^ b) & 1)


def radicand(head: Word, size: Pair) -> Pair:
    """The integer of 53 or 54 bits whose root is to be taken: its exponent is even."""
    odd = (_exponent(head) + 1) & 1
    bits = integer(size)
    return pairs.choose(odd, _shift_left(bits, 1), bits)


def root_start(square: Pair) -> Word:
    """The upper 20 bits of a root of 27."""
    return _nearest(_to_float(square).sqrt() * 2.0**-7).shl(7)


def root_first_rest(square: Pair, root: Word) -> Pair:
    """What the square of the first digits leaves."""
    return pairs.subtract(square, pairs.product_of_words(root, root))


def root_digit(rest: Pair, root: Pair) -> Word:
    """The next ``ROOT_BITS`` bits of a root, as a signed number."""
    return _nearest(_to_float(rest) / _to_float(root) * 2.0 ** (ROOT_BITS - 1))


def root_next(root: Pair, digit: Word) -> Pair:
    """A root with one digit more."""
    return pairs.add(_shift_left(root, ROOT_BITS), Pair(digit.shr(31), digit))


def root_rest(rest: Pair, root: Pair, digit: Word) -> Pair:
    """What is left after a digit."""
    twice = pairs.add(_shift_left(root, ROOT_BITS + 1), Pair(digit.shr(31), digit))
    return pairs.subtract(_shift_left(rest, 2 * ROOT_BITS), _times(digit, twice))


def root_size(root: Pair, rest: Pair) -> Pair:
    """The rough size of a root from all its digits and what is left after them."""
    below = rest.high.shr(31)
    size = _shift_left(pairs.add(root, Pair(below, below)), 7)
    return Pair(size.high, size.low | ((rest.high | rest.low).eq(0) ^ 1))


def root_head(a: Word) -> Word:
    """The head of a root from that of a normal rough number."""
    exponent, below = _exponent(a), a & 1
    undefined = below & as_word(-_FAR).less(exponent)
    half = (exponent - _BIAS).shr(1) + _BIAS
    finite = (exponent + _FAR).below(2 * _FAR)
    exponent = undefined.choose(_OF_NAN, finite.choose(half, exponent))
    return make_head(exponent, below)


# --- other types ----------------------------------------------------------------------


def from_f32(x: Term) -> Pair:
    """An f32 as a double: exact."""
    # A subnormal one is made normal first.
    tiny = as_word(x.abs() < 2.0**-126)
    bits = as_word(_term(tiny).select(x * 2.0**64, x).op("bits"))
    field = bits.shru(23) & 0xFF
    exponent = field.eq(0xFF).choose(_TOP, field + (_BIAS - 127) - tiny.shl(6))
    exponent = field.eq(0).choose(0, exponent)
    high = (bits & _SIGN) | exponent.shl(20) | (bits.shru(3) & 0xFFFFF)
    return quiet(Pair(high, bits.shl(29)))


def to_f32(a: Pair, odd: bool = False) -> Term:
    """The nearest f32, halves to even.

    odd: the one towards zero instead, with its last bit set if it is not exact: rounded again to
    fewer bits it gives what the double gives.
    """
    size = _shift_left(_mantissa(a), 11)
    exponent = _field(a) - (_BIAS - 127)
    word = size.high | (size.low.eq(0) ^ 1)
    # A subnormal number has fewer bits; what falls off counts in the lowest one.
    bits = _at_most(_at_least(as_word(1) - exponent, 0), 31)
    shifted = word.shru(bits) | (word.shl(1).shl(as_word(31) - bits).eq(0) ^ 1)
    kept = shifted.shru(8)
    rest = shifted & 0xFF
    if odd:
        kept, up = kept | (rest.eq(0) ^ 1), as_word(0)
    else:
        up = as_word(0x80).less(rest + (kept & 1))
    base = _at_most(_at_least(exponent - 1, 0), 0xFF).shl(23)
    finite = exponent.less(0xFF)
    result = finite.choose(base + kept + up, 0x7F800000) | (a.high & _SIGN)
    word = is_nan(a).choose(0x7FC00000, result)
    term = _term(word)
    return term.body.apply("from_bits", DType.F32, (term,))


def integer_size(a: Pair, signed: bool) -> Pair:
    """The size of a 64-bit integer."""
    return pairs.magnitude(a) if signed else a


def integer_head(a: Pair, signed: bool) -> Word:
    """The head of a 64-bit integer."""
    exponent = (a.high | a.low).eq(0).choose(_OF_ZERO, _BIAS + 63)
    return make_head(exponent, a.high.shru(31) if signed else as_word(0))


def to_integer(a: Pair, bits: int, signed: bool) -> Pair:
    """A double towards zero, as an integer of 32 or 64 bits.

    What lies beyond is the type's largest or smallest value, and NaN is 0. Negative ones become
    unsigned modulo 2^64.
    """
    exponent, below = _field(a), a.high.shru(31)
    size = _shift_left(_mantissa(a), 11)
    distance = _at_most(_at_least(as_word(_BIAS + 63) - exponent, 0), 63)
    far = distance.below(32)
    high, low = far.choose(size.high, 0), far.choose(size.low, size.high)
    near = distance & 31
    whole = Pair(high.shru(near), _across_right(high, low, near))
    whole = pairs.choose(exponent.less(_BIAS) | is_nan(a), pairs.number(0), whole)
    whole = pairs.choose(below, pairs.negative(whole), whole)
    most = bits - 1 if signed else bits
    beyond = as_word(_BIAS + most - 1).less(exponent) & (is_nan(a) ^ 1)
    least = pairs.number(-(2**most) if signed else 0)
    limit = pairs.choose(below, least, pairs.number(2**most - 1))
    return pairs.choose(beyond, limit, whole)
