"""The meaning of every scalar and vector instruction, once, for one element.

Constant folding calls these functions as they are; the runtime translates
the same functions to machine code. They are plain Python over scalars and ``math``:

- class ``FLOAT`` (element types f32 and f16): floating operands are f32 values
  (``numpy.float32`` when interpreted), and the caller rounds the result to f32, and for
  an f16 destination then to f16. Transcendental functions are taken in double
  precision, so that the result is the f32 nearest to the true value but for rare ties.
- class ``INT``: operands are 32-bit integers, the caller wraps the result to 32 bits.

Every function is total, but for the rows of ``PARTIAL``: operands outside their domain stop
the run. A row of ``wsc.isa.table`` without a function stops the import, and so does a row whose
result is a float and of which nobody says whether it has a derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from wsc.isa.derivatives import (
    Rule,
    flat,
    of_power,
    remainder,
    same,
    to_chosen,
    to_larger,
    to_smaller,
)
from wsc.isa.limits import CODE_WORD
from wsc.isa.rounding import FORMATS, rounding
from wsc.isa.table import BY_NAME, TABLE, Category, Inner, Instr, Operand, operand_type
from wsc.isa.types import DType

INT32_MAX, INT32_MIN = 2147483647, -2147483648


class Class(Enum):
    """Type class of a value function."""

    FLOAT = "float"
    INT = "int"


def class_of(dtype: DType) -> Class:
    """The type class of an element type."""
    return Class.FLOAT if dtype.is_float else Class.INT


Function = Callable[..., Any]
VALUES: dict[tuple[str, Class], Function] = {}
# Moves: they keep every bit, those of a NaN too. Each other result that is not a number is the
# one canonical NaN of its type.
MOVES = frozenset(row.name for row in TABLE if row.inner is Inner.MOVE)
_BOTH = (Class.FLOAT, Class.INT)


# By name: of each row whose result is a float; see ``wsc.isa.derivatives``.
DERIVATIVES: dict[str, Rule] = {}
# Rows of floats whose result changes with their operand and has no derivative: they look into the
# representation of a number, and no slope follows from that.
WITHOUT: set[str] = set()
_UNSAID: Any = object()


def _value(
    name: str, *classes: Class, derivative: Rule | None = _UNSAID
) -> Callable[[Function], Function]:
    """The value function of a row, for these classes of types. derivative: None for none."""
    if derivative is None:
        WITHOUT.add(name)
    elif derivative is not _UNSAID:
        DERIVATIVES[name] = derivative

    def register(function: Function) -> Function:
        for kind in classes:
            VALUES[name, kind] = function
        return function

    return register


def _total(name: str, *, derivative: Rule | None = _UNSAID) -> Callable[[Function], Function]:
    return _value(name, Class.FLOAT, derivative=derivative)


def _whole(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        for name in names:
            VALUES[name, Class.INT] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class Domain:
    """The operands for which an integer instruction has a value.

    holds: whether a and b are such, compiled with the value functions. refusal: what is wrong
    otherwise, with ``{a}`` and ``{b}`` in it.
    """

    holds: Function
    refusal: str


class DomainError(ArithmeticError):
    """Operands outside an instruction's domain; the message says what is wrong with them."""


# Of the class INT only: a row that is not here has a value for all operands.
PARTIAL: dict[str, Domain] = {}


def _within(holds: Function, refusal: str, *names: str) -> None:
    for name in names:
        PARTIAL[name] = Domain(holds, refusal)


def _not_zero(a: Any, b: Any) -> Any:
    return b != 0


def _is_position(a: Any, b: Any) -> Any:
    return -b <= a < b


def _is_ordinary(a: Any, b: Any) -> Any:
    return 0 <= a < b


def _is_code(a: Any, b: Any) -> Any:
    return a == b + CODE_WORD


_within(_not_zero, "division of {a} by zero", "i.div", "i.mod", "div", "mod", "rem", "divu", "remu")
_within(_not_zero, "an integer needs more than 32 bits here; its low word is {a}", "fit")
_within(_is_position, "index {a} is outside [-{b}, {b})", "i.index", "index")
_within(_is_ordinary, "{a} is outside [0, {b})", "within")
_within(_is_code, "the word {a} came where code of section {b} is taken", "section")


# --- moves and conversions ----------------------------------------------------------


@_whole("i.set")
@_value("widen", Class.FLOAT, derivative=lambda g, d, a: (g.cast_like(a),))
@_value("narrow", Class.FLOAT, derivative=lambda g, d, a: (g.cast_like(a),))
@_value("mov", *_BOTH, derivative=same)
def _mov(a: Any) -> Any:
    return a


@_total("to_int")
def _to_int(a: Any) -> Any:
    if a != a:
        return 0
    if a >= 2147483648.0:
        return INT32_MAX
    if a <= -2147483648.0:
        return INT32_MIN
    return int(a)


@_total("from_int", derivative=flat)
def _from_int(a: Any) -> Any:
    return a * 1.0


@_total("bits")
def _bits(a: Any) -> Any:
    return np.float32(a).view(np.int32)


@_total("from_bits", derivative=None)
def _from_bits(a: Any) -> Any:
    return np.int32(a).view(np.float32)


for _name, _format in FORMATS.items():
    _total(_name, derivative=same)(rounding(_format))


# --- arithmetic ---------------------------------------------------------------------


@_whole("i.add")
@_value("add", *_BOTH, derivative=lambda g, d, a, b: (g, g))
def _add(a: Any, b: Any) -> Any:
    return a + b


@_whole("i.sub")
@_value("sub", *_BOTH, derivative=lambda g, d, a, b: (g, -g))
def _sub(a: Any, b: Any) -> Any:
    return a - b


@_whole("i.mul")
@_value("mul", *_BOTH, derivative=lambda g, d, a, b: (g * b, g * a))
def _mul(a: Any, b: Any) -> Any:
    return a * b


@_total("fmac")
def _fmac(d: Any, a: Any, b: Any) -> Any:
    return d + a * b


@_total("div", derivative=lambda g, d, a, b: (g / b, -(g * d / b)))
def _div(a: Any, b: Any) -> Any:
    if b != 0.0:
        return a / b
    if a != a or a == 0.0:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


@_total("recip", derivative=lambda g, d, a: (-(g * d * d),))
def _recip(a: Any) -> Any:
    if a != 0.0:
        return 1.0 / a
    return math.copysign(math.inf, a)


@_whole("i.div")
def _floor_div(a: Any, b: Any) -> Any:
    return a // b


@_whole("i.mod", "mod")
def _floor_mod(a: Any, b: Any) -> Any:
    return a - b * (a // b)


@_whole("div")
def _truncated_div(a: Any, b: Any) -> Any:
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


@_whole("rem")
def _truncated_rem(a: Any, b: Any) -> Any:
    remainder = abs(a) % abs(b)
    return -remainder if a < 0 else remainder


@_whole("divu")
def _unsigned_div(a: Any, b: Any) -> Any:
    return (a & 0xFFFFFFFF) // (b & 0xFFFFFFFF)


@_whole("remu")
def _unsigned_rem(a: Any, b: Any) -> Any:
    return (a & 0xFFFFFFFF) % (b & 0xFFFFFFFF)


@_total("rem", derivative=remainder)
def _fmod(a: Any, b: Any) -> Any:
    if a != a or b != b or b == 0.0 or abs(a) == math.inf:
        return math.nan
    return math.copysign(abs(a) % abs(b), a)


@_total("mod", derivative=remainder)
def _modulo(a: Any, b: Any) -> Any:
    if a != a or b != b or b == 0.0 or abs(a) == math.inf:
        return math.nan
    remainder = math.copysign(abs(a) % abs(b), a)
    if remainder == 0.0:
        return math.copysign(0.0, b)
    return remainder + b if (remainder < 0.0) != (b < 0.0) else remainder


@_whole("i.min")
@_value("min", *_BOTH, derivative=to_smaller)
def _min(a: Any, b: Any) -> Any:
    if a != a:
        return a
    return b if b < a or b != b else a


@_whole("i.max")
@_value("max", *_BOTH, derivative=to_larger)
def _max(a: Any, b: Any) -> Any:
    if a != a:
        return a
    return b if b > a or b != b else a


@_value("neg", *_BOTH, derivative=lambda g, d, a: (-g,))
def _neg(a: Any) -> Any:
    return -a


@_value("abs", *_BOTH, derivative=lambda g, d, a: (g * a.op("sign"),))
def _abs(a: Any) -> Any:
    return abs(a)


@_value("sign", *_BOTH, derivative=flat)
def _sign(a: Any) -> Any:
    if a > 0:
        return 1
    return -1 if a < 0 else a


# --- rounding -----------------------------------------------------------------------


@_total("floor", derivative=flat)
def _floor(a: Any) -> Any:
    if a != a or abs(a) >= 8388608.0:
        return a * 1.0
    return math.copysign(math.floor(a) * 1.0, a)


@_total("ceil", derivative=flat)
def _ceil(a: Any) -> Any:
    if a != a or abs(a) >= 8388608.0:
        return a * 1.0
    return math.copysign(math.ceil(a) * 1.0, a)


@_total("round", derivative=flat)
def _round(a: Any) -> Any:
    if a != a or abs(a) >= 8388608.0:
        return a * 1.0
    below = math.floor(a)
    rest = a - below
    up = rest > 0.5 or (rest == 0.5 and below % 2 == 1)
    return math.copysign((below + 1 if up else below) * 1.0, a)


# --- special functions --------------------------------------------------------------


@_total("sqrt", derivative=lambda g, d, a: (g * 0.5 / d,))
def _sqrt(a: Any) -> Any:
    return math.sqrt(a * 1.0) if a >= 0.0 else math.nan


@_total("exp", derivative=lambda g, d, a: (g * d,))
def _exp(a: Any) -> Any:
    return math.inf if a > 128.0 else math.exp(a * 1.0)


@_total("expm1", derivative=lambda g, d, a: (g * (d + 1.0),))
def _expm1(a: Any) -> Any:
    return math.inf if a > 128.0 else math.expm1(a * 1.0)


@_total("log", derivative=lambda g, d, a: (g / a,))
def _log(a: Any) -> Any:
    if a > 0.0:
        return math.log(a * 1.0)
    return -math.inf if a == 0.0 else math.nan


@_total("log1p", derivative=lambda g, d, a: (g / (a + 1.0),))
def _log1p(a: Any) -> Any:
    if a > -1.0:
        return math.log1p(a * 1.0)
    return -math.inf if a == -1.0 else math.nan


@_total("sinh", derivative=lambda g, d, a: (g * (d * d + 1.0).op("sqrt"),))
def _sinh(a: Any) -> Any:
    return math.copysign(math.inf, a) if abs(a) > 128.0 else math.sinh(a * 1.0)


@_total("asinh", derivative=lambda g, d, a: (g / (a * a + 1.0).op("sqrt"),))
def _asinh(a: Any) -> Any:
    return math.asinh(a * 1.0)


@_total("pow", derivative=of_power)
def _pow(a: Any, b: Any) -> Any:
    if b == 0.0 or a == 1.0:
        return 1.0
    if a != a or b != b:
        return math.nan
    size = abs(a)
    whole = abs(b) >= 16777216.0 or math.floor(b) == b if abs(b) < math.inf else True
    if a < 0.0 and size < math.inf and not whole:
        return math.nan
    odd = abs(b) < 16777216.0 and whole and abs(b) % 2.0 != 0.0
    if size == 1.0:
        value = 1.0
    elif (size == 0.0 or size == math.inf) or abs(b) == math.inf:
        value = math.inf if (size > 1.0) == (b > 0.0) else 0.0
    elif b * math.log(size * 1.0) > 700.0:
        value = math.inf
    else:
        value = math.pow(size * 1.0, b * 1.0)
    return math.copysign(value, a) if odd else value


@_total("tanh", derivative=lambda g, d, a: (g * (1.0 - d * d),))
def _tanh(a: Any) -> Any:
    return math.tanh(a * 1.0)


@_total("erf", derivative=lambda g, d, a: (g * ((-(a * a)).op("exp") * 2.0 / math.sqrt(math.pi)),))
def _erf(a: Any) -> Any:
    return math.erf(a * 1.0)


@_total("sin", derivative=lambda g, d, a: (g * a.op("cos"),))
def _sin(a: Any) -> Any:
    return math.sin(a * 1.0) if abs(a) < math.inf else math.nan


@_total("cos", derivative=lambda g, d, a: (-(g * a.op("sin")),))
def _cos(a: Any) -> Any:
    return math.cos(a * 1.0) if abs(a) < math.inf else math.nan


@_total("atan", derivative=lambda g, d, a: (g / (a * a + 1.0),))
def _atan(a: Any) -> Any:
    return math.atan(a * 1.0)


# --- comparisons and logic ------------------------------------------------------------


@_value("lt", *_BOTH)
def _lt(a: Any, b: Any) -> Any:
    return 1 if a < b else 0


@_value("le", *_BOTH)
def _le(a: Any, b: Any) -> Any:
    return 1 if a <= b else 0


@_value("eq", *_BOTH)
def _eq(a: Any, b: Any) -> Any:
    return 1 if a == b else 0


@_total("isnan")
def _isnan(a: Any) -> Any:
    return 1 if a != a else 0


@_whole("i.and", "and")
def _and(a: Any, b: Any) -> Any:
    return a & b


@_whole("i.or", "or")
def _or(a: Any, b: Any) -> Any:
    return a | b


@_whole("i.xor", "xor")
def _xor(a: Any, b: Any) -> Any:
    return a ^ b


@_whole("i.shl", "shl")
def _shl(a: Any, b: Any) -> Any:
    return a << (b & 31)


@_whole("i.shr", "shr")
def _shr(a: Any, b: Any) -> Any:
    return a >> (b & 31)


@_whole("shru")
def _shru(a: Any, b: Any) -> Any:
    return (a & 0xFFFFFFFF) >> (b & 31)


@_whole("i.index", "index")
def _index(a: Any, b: Any) -> Any:
    return a + b if a < 0 else a


@_whole("fit", "within", "section")
def _fit(a: Any, b: Any) -> Any:
    return a


@_value("select", *_BOTH, derivative=to_chosen)
def _select(c: Any, a: Any, b: Any) -> Any:
    return a if c != 0 else b


# --- totality and the interpreted form --------------------------------------------------


def classes(row: Instr) -> tuple[Class, ...]:
    """Type classes that a row needs value functions for; none if it computes nothing."""
    if row.category not in (Category.SCALAR, Category.VECTOR):
        return ()
    return tuple(dict.fromkeys(class_of(dtype) for dtype in row.types))


def _missing() -> list[str]:
    wanted = [(row.name, kind) for row in TABLE for kind in classes(row)]
    return [f"{name} ({kind.value})" for name, kind in wanted if (name, kind) not in VALUES]


def _undecided() -> list[str]:
    """Rows whose result is a float, of which nobody says whether it has a derivative."""
    wanted = [
        row.name
        for row in TABLE
        if row.category is Category.VECTOR and Class.FLOAT in classes(row) and not row.accumulates
        if row.operands[0] is not Operand.FLAG
    ]
    return [name for name in wanted if name not in DERIVATIVES and name not in WITHOUT]


if _missing():
    raise ImportError(f"wsc.isa.values: no value function for {', '.join(_missing())}")
if _undecided():
    raise ImportError(f"wsc.isa.values: no derivative of {', '.join(_undecided())}")


def wrap(value: int) -> int:
    """The 32-bit two's complement integer with the low 32 bits of ``value``."""
    return (int(value) + 2**31) % 2**32 - 2**31


def evaluate(name: str, dtype: DType, *args: Any) -> Any:
    """The value of one element, interpreted: what the runtime stores for these operands.

    Args:
        name: a SCALAR or VECTOR row; dtype: its element type T.
        args: the sources (before them the old destination, if the row accumulates).

    Returns:
        An int, or a NumPy scalar of the destination's element type.

    Raises:
        DomainError: the operands of an integer row of ``PARTIAL`` are outside its domain.
    """
    row = BY_NAME[name]
    roles = row.operands if row.accumulates else row.operands[1:]
    carried = [
        np.float32(operand_type(role, dtype).numpy.type(arg))
        if operand_type(role, dtype).is_float
        else int(arg)
        for role, arg in zip(roles, args, strict=True)
    ]
    kind = class_of(dtype)
    domain = PARTIAL.get(name) if kind is Class.INT else None
    if domain is not None and not domain.holds(*carried):
        raise DomainError(domain.refusal.format(a=carried[0], b=carried[1]))
    with np.errstate(all="ignore"):
        result = VALUES[name, kind](*carried)
        target = operand_type(row.operands[0], dtype)
        if target.is_float:
            if result != result and name not in MOVES:
                result = math.nan
            return target.numpy.type(np.float32(result))
    return wrap(result)
