"""The instruction table: one row an instruction, and everything else comes from it.

Grammar terminals, printer, verifier, timing class, simulator opcode, code size and
the ISA reference in ``docs/`` are all derived from the rows below. To add an
instruction, add a row and its value function in ``isa/values.py``; a row without a
value function stops the import of ``wsc.isa.values``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from wsc.isa.types import DType

F32, F16, I32 = DType.F32, DType.F16, DType.I32
FLOATS = (F32, F16)
ALL = (F32, F16, I32)


class Category(Enum):
    """Instructions with the same kinds of operands, executed by the same part of a tile."""

    SCALAR = "scalar"  # dst register, then integer operands: i.add r, a, b
    LOAD = "load"  # dst register, [address]
    STORE = "store"  # [address], integer operand
    VECTOR = "vector"  # dst, sources over an iteration space
    SEND = "send"  # remote store through the dynamic network
    CONTROL = "control"  # control wavelet into a color
    SEMAPHORE = "semaphore"  # semaphore, count


class Timing(Enum):
    """Timing classes. The fabric description gives each its cycles."""

    SCALAR = "scalar"
    SCALAR_MULTIPLY = "scalar_multiply"
    SCALAR_DIVIDE = "scalar_divide"
    SCALAR_MEMORY = "scalar_memory"
    BRANCH = "branch"
    CALL = "call"
    MOVE = "move"
    ARITHMETIC = "arithmetic"
    MULTIPLY_ACCUMULATE = "multiply_accumulate"
    DIVIDE = "divide"
    SPECIAL = "special"
    SEND = "send"
    SYNCHRONISE = "synchronise"

    __hash__ = object.__hash__  # that of an Enum calls Python for each look-up


# Classes that compute: a floating-point step that takes the result of the one before waits for it.
COMPUTING = (Timing.ARITHMETIC, Timing.MULTIPLY_ACCUMULATE, Timing.DIVIDE, Timing.SPECIAL)


class Operand(Enum):
    """Element type of one vector operand, relative to the instruction's type T."""

    SAME = "T"
    FLAG = "i32"  # zero or one, whatever T is
    ACCUMULATOR = "f32"  # f32 whatever T is (i32 when T is i32)


class Inner(Enum):
    """The inner loop of an engine that serves a vector instruction."""

    MOVE = "move"  # every bit is kept: no value function is called
    PRODUCTS = "products"  # f32 sums of products, by a loop of their own
    VALUES = "values"  # the value function, element by element


@dataclass(frozen=True, slots=True)
class Instr:
    """One row of the table.

    name: the mnemonic.
    category: what operands it has, and who executes it.
    types: element types T that a vector instruction exists for (suffix ``.T``).
    operands: operand roles, destination first (vectors); count of operands otherwise.
    timing: timing class.
    doc: one line of meaning for the reference.
    accumulates: the destination is also the first argument of the value function.
    on_unit: may be issued asynchronously on a stream unit.
    macs: multiply-accumulates that each step counts, for utilization and bounds.
    inner: the inner loop that serves it.
    """

    name: str
    category: Category
    types: tuple[DType, ...]
    operands: tuple[Operand, ...]
    timing: Timing
    doc: str
    accumulates: bool = False
    on_unit: bool = False
    macs: int = 0
    inner: Inner = Inner.VALUES


_T, _FLAG, _ACC = Operand.SAME, Operand.FLAG, Operand.ACCUMULATOR


def _scalar(name: str, doc: str, timing: Timing = Timing.SCALAR, sources: int = 2) -> Instr:
    return Instr(name, Category.SCALAR, (I32,), (_T,) * (1 + sources), timing, doc)


def _unary(name: str, types: tuple[DType, ...], timing: Timing, doc: str) -> Instr:
    return Instr(name, Category.VECTOR, types, (_T, _T), timing, doc)


def _binary(
    name: str, types: tuple[DType, ...], timing: Timing, doc: str, on_unit: bool = False
) -> Instr:
    return Instr(name, Category.VECTOR, types, (_T, _T, _T), timing, doc, on_unit=on_unit)


def _bits(name: str, operands: tuple[Operand, ...], doc: str) -> Instr:
    return Instr(name, Category.VECTOR, (F32,), operands, Timing.MOVE, doc, inner=Inner.MOVE)


def _compare(name: str, doc: str) -> Instr:
    return Instr(name, Category.VECTOR, ALL, (_FLAG, _T, _T), Timing.ARITHMETIC, doc)


TABLE: tuple[Instr, ...] = (
    # Scalar integer instructions of the main thread: 32-bit registers, wrapping.
    _scalar("i.set", "d = a", sources=1),
    _scalar("i.add", "d = a + b"),
    _scalar("i.sub", "d = a - b"),
    _scalar("i.mul", "d = a * b", Timing.SCALAR_MULTIPLY),
    _scalar("i.div", "d = floor(a / b)", Timing.SCALAR_DIVIDE),
    _scalar("i.mod", "d = a - b * floor(a / b)", Timing.SCALAR_DIVIDE),
    _scalar("i.min", "d = min(a, b)"),
    _scalar("i.max", "d = max(a, b)"),
    _scalar("i.and", "d = a & b"),
    _scalar("i.or", "d = a | b"),
    _scalar("i.xor", "d = a ^ b"),
    _scalar("i.shl", "d = a << (b & 31)"),
    _scalar("i.shr", "d = a >> (b & 31), arithmetic"),
    _scalar("i.index", "d = position a of b; a negative one counts from the end"),
    Instr("i.load", Category.LOAD, (I32,), (_T, _T), Timing.SCALAR_MEMORY, "d = word at address"),
    Instr("i.store", Category.STORE, (I32,), (_T, _T), Timing.SCALAR_MEMORY, "word at address = a"),
    # Vector moves.
    Instr(
        "mov",
        Category.VECTOR,
        ALL,
        (_T, _T),
        Timing.MOVE,
        "d = a",
        on_unit=True,
        inner=Inner.MOVE,
    ),
    Instr("widen", Category.VECTOR, (F16,), (_ACC, _T), Timing.MOVE, "d.f32 = a.f16"),
    Instr(
        "narrow", Category.VECTOR, (F16,), (_T, _ACC), Timing.MOVE, "d.f16 = a.f32, to nearest even"
    ),
    Instr(
        "to_int", Category.VECTOR, FLOATS, (_FLAG, _T), Timing.ARITHMETIC, "d.i32 = a towards zero"
    ),
    Instr(
        "from_int", Category.VECTOR, FLOATS, (_T, _FLAG), Timing.ARITHMETIC, "d = a.i32, to nearest"
    ),
    _bits("bits", (_FLAG, _T), "d.i32 = the 32 bits of a"),
    _bits("from_bits", (_T, _FLAG), "d = the f32 of 32 bits"),
    # The nearest value of a narrower format, halves to even; the result stays f32.
    _unary("to_bf16", (F32,), Timing.ARITHMETIC, "d = a rounded to bf16"),
    _unary("to_e4m3fn", (F32,), Timing.ARITHMETIC, "d = a rounded to E4M3FN, NaN beyond 448"),
    _unary("to_e4m3fnuz", (F32,), Timing.ARITHMETIC, "d = a rounded to E4M3FNUZ, NaN beyond 240"),
    _unary("to_e5m2", (F32,), Timing.ARITHMETIC, "d = a rounded to E5M2, infinite beyond 57344"),
    _unary("to_e5m2fnuz", (F32,), Timing.ARITHMETIC, "d = a rounded to E5M2FNUZ, NaN beyond 57344"),
    _unary("to_e2m1", (F32,), Timing.ARITHMETIC, "d = a rounded to E2M1, at most 6, NaN to 0"),
    Instr(
        "section",
        Category.VECTOR,
        (I32,),
        (_T, _T, _T),
        Timing.MOVE,
        "d = a, a word of the code of section b; another word stops the run",
    ),
    # Vector arithmetic.
    _binary("add", ALL, Timing.ARITHMETIC, "d = a + b", on_unit=True),
    _binary("sub", ALL, Timing.ARITHMETIC, "d = a - b"),
    _binary("mul", ALL, Timing.ARITHMETIC, "d = a * b"),
    _binary("div", ALL, Timing.DIVIDE, "d = a / b; integers towards zero"),
    _binary("mod", ALL, Timing.DIVIDE, "d = remainder with the sign of b"),
    _binary("rem", ALL, Timing.DIVIDE, "d = remainder with the sign of a (C fmod)"),
    _binary("divu", (I32,), Timing.DIVIDE, "d = a / b of unsigned words"),
    _binary("remu", (I32,), Timing.DIVIDE, "d = remainder of unsigned words"),
    _binary("min", ALL, Timing.ARITHMETIC, "d = min(a, b), NaN if either is"),
    _binary("max", ALL, Timing.ARITHMETIC, "d = max(a, b), NaN if either is", on_unit=True),
    _binary("pow", FLOATS, Timing.SPECIAL, "d = a to the power b"),
    Instr(
        "fmac",
        Category.VECTOR,
        FLOATS,
        (_ACC, _T, _T),
        Timing.MULTIPLY_ACCUMULATE,
        "d.f32 += a * b, product and sum rounded to f32",
        accumulates=True,
        macs=1,
        inner=Inner.PRODUCTS,
    ),
    _unary("neg", ALL, Timing.ARITHMETIC, "d = -a"),
    _unary("abs", ALL, Timing.ARITHMETIC, "d = |a|"),
    _unary("sign", ALL, Timing.ARITHMETIC, "d = -1, 0 or 1"),
    _unary("floor", FLOATS, Timing.ARITHMETIC, "d = largest integer not above a"),
    _unary("ceil", FLOATS, Timing.ARITHMETIC, "d = smallest integer not below a"),
    _unary("round", FLOATS, Timing.ARITHMETIC, "d = nearest integer, halves to even"),
    _unary("recip", FLOATS, Timing.DIVIDE, "d = 1 / a"),
    _unary("sqrt", FLOATS, Timing.DIVIDE, "d = square root of a"),
    _unary("exp", FLOATS, Timing.SPECIAL, "d = e to the power a"),
    _unary("expm1", FLOATS, Timing.SPECIAL, "d = e to the power a, less 1, also near 0"),
    _unary("log", FLOATS, Timing.SPECIAL, "d = natural logarithm of a"),
    _unary("log1p", FLOATS, Timing.SPECIAL, "d = natural logarithm of 1 + a, also near 0"),
    _unary("sinh", FLOATS, Timing.SPECIAL, "d = hyperbolic sine of a"),
    _unary("asinh", FLOATS, Timing.SPECIAL, "d = inverse hyperbolic sine of a"),
    _unary("tanh", FLOATS, Timing.SPECIAL, "d = hyperbolic tangent of a"),
    _unary("erf", FLOATS, Timing.SPECIAL, "d = error function of a"),
    _unary("sin", FLOATS, Timing.SPECIAL, "d = sine of a"),
    _unary("cos", FLOATS, Timing.SPECIAL, "d = cosine of a"),
    _unary("atan", FLOATS, Timing.SPECIAL, "d = arc tangent of a"),
    # Comparisons and logic: flags are i32 zeros and ones.
    _compare("lt", "d.i32 = a < b"),
    _compare("le", "d.i32 = a <= b"),
    _compare("eq", "d.i32 = a == b"),
    Instr("isnan", Category.VECTOR, FLOATS, (_FLAG, _T), Timing.ARITHMETIC, "d.i32 = a is NaN"),
    _binary("and", (I32,), Timing.ARITHMETIC, "d = a & b"),
    _binary("or", (I32,), Timing.ARITHMETIC, "d = a | b"),
    _binary("xor", (I32,), Timing.ARITHMETIC, "d = a ^ b"),
    _binary("shl", (I32,), Timing.ARITHMETIC, "d = a << (b & 31)"),
    _binary("shr", (I32,), Timing.ARITHMETIC, "d = a >> (b & 31), arithmetic"),
    _binary("shru", (I32,), Timing.ARITHMETIC, "d = a >> (b & 31), zeros come in"),
    _binary("fit", (I32,), Timing.ARITHMETIC, "d = a where b is not 0, else the run stops"),
    _binary("index", (I32,), Timing.ARITHMETIC, "d = position a of b; negative: from the end"),
    _binary("within", (I32,), Timing.ARITHMETIC, "d = a where 0 <= a < b, else the run stops"),
    Instr("select", Category.VECTOR, ALL, (_T, _FLAG, _T, _T), Timing.ARITHMETIC, "d = c ? a : b"),
    # Networks and synchronisation.
    Instr(
        "send",
        Category.SEND,
        ALL,
        (_T, _T),
        Timing.SEND,
        "store [src] at [dst] in tile (x, y); each word arrived adds 1 to its semaphore",
        on_unit=True,
    ),
    Instr("control", Category.CONTROL, (), (), Timing.MOVE, "send a control wavelet into a color"),
    Instr("wait", Category.SEMAPHORE, (), (), Timing.SYNCHRONISE, "until s >= n, then s -= n"),
    Instr("signal", Category.SEMAPHORE, (), (), Timing.SYNCHRONISE, "s += n"),
)

BY_NAME: dict[str, Instr] = {row.name: row for row in TABLE}
OPCODE: dict[str, int] = {row.name: number for number, row in enumerate(TABLE)}

# Scalar instructions that give what an operator of expressions gives.
OPERATORS = {
    "i.add": "+",
    "i.sub": "-",
    "i.mul": "*",
    "i.div": "/",
    "i.mod": "%",
    "i.min": "min",
    "i.max": "max",
}


def operand_type(role: Operand, instruction_type: DType) -> DType:
    """Element type of an operand in an instruction of type T."""
    if role is Operand.FLAG:
        return DType.I32
    if role is Operand.ACCUMULATOR and instruction_type is not DType.I32:
        return DType.F32
    return instruction_type


# Structured control is part of the language, not of the table of operations; its
# timing classes and code sizes stand here so that no other module repeats them.
CONTROL_TIMING = {"loop": Timing.BRANCH, "if": Timing.BRANCH, "call": Timing.CALL}
