"""The value functions against NumPy, interpreted and compiled."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.oracle import of_row
from wsc.isa.rounding import FORMATS, half_encoding
from wsc.isa.table import BY_NAME, OPCODE, TABLE, Category, Inner, Operand, Timing
from wsc.isa.types import DType
from wsc.isa.values import PARTIAL, VALUES, Class, DomainError, classes, evaluate

REALS = [0.0, -0.0, 0.5, -0.5, 1.0, 1.5, 2.5, -2.5, 3.7, -7.25, 1e-3, 60.0, -90.0, 1e9, 3e38]
SPECIAL = [math.inf, -math.inf, math.nan]
WHOLE = [0, 1, -1, 2, -2, 7, -7, 31, 33, 1000, -12345, 2**31 - 1, -(2**31)]

# Rows of floats that no step of a map is made of.
BY_HAND: dict[str, Callable[..., Any]] = {
    "fmac": lambda d, a, b: d + a * b,
    "to_bf16": lambda a: a.astype(ml_dtypes.bfloat16),
    "to_e4m3fn": lambda a: a.astype(ml_dtypes.float8_e4m3fn),
    "to_e4m3fnuz": lambda a: a.astype(ml_dtypes.float8_e4m3fnuz),
    "to_e5m2": lambda a: a.astype(ml_dtypes.float8_e5m2),
    "to_e5m2fnuz": lambda a: a.astype(ml_dtypes.float8_e5m2fnuz),
    "to_e2m1": lambda a: np.float32(0) if np.isnan(a) else a.astype(ml_dtypes.float4_e2m1fn),
}
NO_NUMBER = {"to_int"}  # of what is beyond the integers, NumPy gives whatever the processor does
FLOATS = sorted(name for name, kind in VALUES if kind is Class.FLOAT and name not in NO_NUMBER)
INT_ORACLE: dict[str, Callable[..., Any]] = {
    "mov": lambda a: a,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": lambda a, b: math.trunc(a / b) if abs(a) < 2**52 else a // b,
    "mod": lambda a, b: a % b,
    "rem": np.fmod,
    "min": np.minimum,
    "max": np.maximum,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": lambda a, b: a << (b & 31),
    "shr": lambda a, b: a >> (b & 31),
    "divu": lambda a, b: np.uint32(a) // np.uint32(b),
    "remu": lambda a, b: np.uint32(a) % np.uint32(b),
    "shru": lambda a, b: np.uint32(a) >> np.uint32(b & 31),
    "fit": lambda a, b: a,
    "select": lambda c, a, b: np.where(c != 0, a, b),
    "index": lambda a, b: range(b)[a],
    "within": lambda a, b: a,
}
# Double precision is the measure of what is no arithmetic.
DOUBLE = {row.name for row in TABLE if row.timing is Timing.SPECIAL} | {"sqrt"}


def float_oracle(name: str) -> Callable[..., Any]:
    return BY_HAND[name] if name in BY_HAND else of_row(name)


def arity(name: str) -> int:
    row = BY_NAME[name]
    return len(row.operands) - (0 if row.accumulates else 1)


def samples(name: str, kind: Class) -> list[tuple]:
    pool = REALS + SPECIAL if kind is Class.FLOAT else WHOLE
    count = arity(name)
    if count == 1:
        return [(a,) for a in (WHOLE if name in ("from_int", "from_bits") else pool)]
    if count == 2:
        return [(a, b) for a in pool for b in pool]
    first = [0, 1, -3] if name == "select" else pool[:9]
    return [(a, b, c) for a in first for b in pool[:9] for c in pool[:9]]


def outside(name: str, args: tuple) -> bool:
    """Whether an integer row has no value for these operands."""
    return name in PARTIAL and not PARTIAL[name].holds(*args)


def test_every_row_has_a_function() -> None:
    for row in TABLE:
        for kind in classes(row):
            assert (row.name, kind) in VALUES
        assert bool(classes(row)) == (row.category in (Category.SCALAR, Category.VECTOR))


def float_args(name: str, args: tuple, dtype: DType) -> tuple:
    row = BY_NAME[name]
    roles = row.operands if row.accumulates else row.operands[1:]
    return tuple(
        np.int64(arg)
        if role is Operand.FLAG
        else np.float32(arg if role is Operand.ACCUMULATOR else dtype.numpy.type(arg))
        for role, arg in zip(roles, args, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, id=f"{name}-{dtype.value}")
        for name in FLOATS
        for dtype in BY_NAME[name].types
        if dtype.is_float
    ],
)
def test_float_rows_agree_with_numpy(name: str, dtype: DType) -> None:
    row = BY_NAME[name]
    with np.errstate(all="ignore"):
        for args in samples(name, Class.FLOAT):
            if name == "pow" and args == (-math.inf, 0.5):
                continue  # NumPy takes a square root here; C's pow gives inf, and so do we
            got = evaluate(name, dtype, *args)
            carried = float_args(name, args, dtype)
            if name in DOUBLE:
                carried = tuple(np.float64(arg) for arg in carried)
            want = float_oracle(name)(*carried)
            if row.operands[0] is Operand.FLAG:
                assert got == int(want), (name, args)
                continue
            want = np.float32(want)
            if row.operands[0] is Operand.SAME:
                want = dtype.numpy.type(want)
            assert np.array_equal(got, want, equal_nan=True), (name, args, got, want)


@pytest.mark.parametrize("name", sorted(INT_ORACLE))
def test_integer_rows_agree_with_numpy(name: str) -> None:
    for args in samples(name, Class.INT):
        if outside(name, args):
            with pytest.raises(DomainError):
                evaluate(name, DType.I32, *args)
            continue
        wide = INT_ORACLE[name](*(np.int64(arg) for arg in args))
        want = np.int64(wide).astype(np.int32)
        assert evaluate(name, DType.I32, *args) == want, (name, args)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_neighbourhood_rounds_as_ml_dtypes_does(name: str) -> None:
    """Every value of the format, the middles between them, and what lies just beside these."""
    rows = float_oracle(name)
    form = FORMATS[name]
    span = 127 if name == "to_bf16" else 20
    digits = np.arange(2**form.digits, 2 ** (form.digits + 1), 1 if form.digits < 7 else 9)
    grid = (digits[:, None] * 2.0 ** np.arange(-span - 8, span - 7)).ravel()
    half = grid * (1 + 2.0 ** -(form.digits + 1))
    with np.errstate(all="ignore"):
        tried = np.concatenate([grid, half]).astype(np.float32)
        beside = [np.nextafter(tried, np.float32(to)) for to in (0, math.inf)]
        for value in np.concatenate([tried, *beside, -tried]):
            want = np.float32(rows(value))
            got = evaluate(name, DType.F32, value)
            assert np.array_equal(got, want, equal_nan=True), (value, got, want)
            assert math.isnan(want) or np.signbit(got) == np.signbit(want), (value, got, want)


def test_to_int_saturates() -> None:
    cases = {1.9: 1, -1.9: -1, 1e20: 2**31 - 1, -1e20: -(2**31), math.nan: 0}
    for value, want in cases.items():
        assert evaluate("to_int", DType.F32, value) == want


def compiled(name: str, kind: Class, args: tuple[Any, ...]) -> Any:
    """What the compiled form of a value function makes of some operands, as engines call it."""
    from wsc.runtime.kernels.operations import operations

    opcode, whole = OPCODE[name], kind is Class.INT
    address = int(operations({(opcode, whole)})[opcode, int(whole)])
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(address)
    words = np.zeros(4, np.int32)
    roles = TABLE[opcode].operands if TABLE[opcode].accumulates else TABLE[opcode].operands[1:]
    for place, (arg, role) in enumerate(zip(args, roles, strict=False), 1):
        integral = whole or role is Operand.FLAG
        words[place] = arg if integral else np.float32(arg).view(np.int32)
    base = words.ctypes.data
    call(base, base + 4, base + 8, base + 12, 1)
    integral = whole or TABLE[opcode].operands[0] is Operand.FLAG
    return words[0] if integral else words[:1].view(np.float32)[0]


def test_compiled_equals_interpreted() -> None:
    with np.errstate(all="ignore"):
        for row in TABLE:
            for kind in classes(row):
                if row.inner is Inner.MOVE:
                    continue  # a loop of its own moves words as they are
                for args in samples(row.name, kind)[::3]:
                    if kind is Class.INT and outside(row.name, args):
                        continue
                    if kind is Class.INT:
                        want = evaluate(row.name, DType.I32, *args)
                        assert compiled(row.name, kind, args) == want, (row.name, args)
                        continue
                    dtype = row.types[0]
                    got = compiled(row.name, kind, float_args(row.name, args, dtype))
                    want = evaluate(row.name, dtype, *args)
                    typed = np.asarray(want).dtype.type(got)
                    assert np.array_equal(typed, want, equal_nan=True), (row.name, args)


def half_bits(value: float) -> int:
    return half_encoding(int(np.float32(value).view(np.int32)))


def test_f16_conversions_are_exact() -> None:
    from wsc.runtime.values.build import HALF

    every = np.arange(65536, dtype=np.uint16)
    values = every.view(np.float16)
    assert np.array_equal(HALF, values.astype(np.float32), equal_nan=True)
    for bits, value in zip(every.tolist(), HALF.tolist(), strict=True):
        if not math.isnan(value):
            assert half_bits(value) == bits
    with np.errstate(all="ignore"):
        middles = (HALF[:-1].astype(np.float64) + HALF[1:]) / 2
    rng = np.random.default_rng(1)
    spread = rng.normal(size=20000) * 10.0 ** rng.uniform(-9, 6, 20000)
    with np.errstate(all="ignore"):
        tried = np.concatenate([middles, spread, [65519.9, 65520.0, 2.0**-25, 2.0**-25.1]])
        tried = tried[~np.isnan(tried)].astype(np.float32)
        for number, want in zip(tried, tried.astype(np.float16).view(np.uint16), strict=True):
            assert half_bits(float(number)) == want, number
    assert math.isnan(HALF[half_bits(math.nan)])
