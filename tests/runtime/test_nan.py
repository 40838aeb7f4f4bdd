"""What is not a number: arithmetic gives one NaN in every engine, and a move keeps every bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import program, wide_io
from wsc.isa.table import BY_NAME, TABLE, Category, Operand
from wsc.isa.types import DType
from wsc.isa.values import MOVES, Class, classes, evaluate

# Quiet with a payload, negative, signalling, and numbers of which arithmetic makes a NaN.
BITS = {
    DType.F32: [0x7FC12345, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 0, 0x3F800000],
    DType.F16: [0x7E12, 0xFE01, 0x7C01, 0x7C00, 0xFC00, 0, 0x3C00],
}
ONE_NAN = {DType.F32: 0x7FC00000, DType.F16: 0x7E00}
ROWS = [
    (row.name, dtype)
    for row in TABLE
    if row.category is Category.VECTOR and Class.FLOAT in classes(row)
    for dtype in row.types
    if dtype.is_float
]


def words(dtype: DType) -> np.dtype:
    return np.dtype(f"u{dtype.bytes}")


def pairs(dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """Every two of the values."""
    some = np.array(BITS[dtype], words(dtype)).view(dtype.numpy)
    return np.repeat(some, len(some)), np.tile(some, len(some))


def one_row(name: str, dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """What both engines make of the pairs, and what the value function does; as bits."""
    row = BY_NAME[name]
    kinds = [
        {Operand.SAME: dtype, Operand.FLAG: DType.I32, Operand.ACCUMULATOR: DType.F32}[role]
        for role in row.operands
    ]
    into = kinds[0]
    sources = kinds if row.accumulates else kinds[1:]
    a, b = pairs(dtype)
    given: list[np.ndarray] = []
    for index, kind in enumerate(sources):
        values = (a, b, b[::-1])[index]
        if kind is DType.I32:
            values = np.resize(np.array(BITS[DType.F32], np.uint32).view(np.int32), len(a))
        elif kind is not dtype:
            values = np.resize(pairs(kind)[0], len(a))
        given.append(np.ascontiguousarray(values))
    letters = "abc"[: len(sources)]
    lines = [
        f'input {letter} : {kind.value}[{len(a)}] "{kind.numpy.name}"\ncolor {letter} = {index}\n'
        f"tensor m_{letter} : {kind.value}[{len(a)}] at {512 * index} size {kind.bytes * len(a)}\n"
        f"route {letter} in all : W -> RAMP\nfeed {letter} in all side W from {letter}[i] for "
        f"i:{len(a)}"
        for index, (letter, kind) in enumerate(zip(letters, sources, strict=True))
    ]
    main = [
        f"mov.{kind.value} [m_{letter} + {kind.bytes}*i], <{letter}> for i:{len(a)}"
        for letter, kind in zip(letters, sources, strict=True)
    ]
    shown = [
        f"[m_{letter} + {kind.bytes}*i]" for letter, kind in zip(letters, sources, strict=True)
    ]
    result = shown[0] if row.accumulates else f"[r + {into.bytes}*i]"
    operands = ", ".join([result, *shown[1 if row.accumulates else 0 :]])
    body = "\n".join(
        [
            *lines,
            f'output o : {into.value}[{len(a)}] "{into.numpy.name}"\ncolor out = 7',
            f"tensor r : {into.value}[{len(a)}] at 2048 size {into.bytes * len(a)}",
            "region all at 0,0 size 1x1\nroute out in all : RAMP -> E\nmain all",
            *main,
            f"{name}.{dtype.value} {operands} for i:{len(a)}",
            f"mov.{into.value} <out>, {result} for i:{len(a)}\nend",
            f"drain out in all side E from o[i] for i:{len(a)}",
        ]
    )
    inputs = dict(zip(letters, given, strict=True))
    ended = assert_agree(program(f"{body}\n", "1x1"), inputs, fabric=wide_io())
    assert not ended.error
    want = [evaluate(name, dtype, *(array[i] for array in given)) for i in range(len(a))]
    bits = words(into)
    return ended.outputs["o"].view(bits), np.array(want, into.numpy).view(bits)


@pytest.mark.parametrize(
    ("name", "dtype"), ROWS, ids=lambda value: str(getattr(value, "value", value))
)
def test_each_instruction(name: str, dtype: DType) -> None:
    got, want = one_row(name, dtype)
    assert got.tolist() == want.tolist()
    row = BY_NAME[name]
    if row.operands[0] is not Operand.FLAG and name not in MOVES:
        into = DType.F32 if row.operands[0] is Operand.ACCUMULATOR or got.itemsize == 4 else dtype
        wrong = np.isnan(got.view(into.numpy)) & (got != ONE_NAN[into])
        assert not wrong.any()


def test_moves_keep_every_bit() -> None:
    for name, dtype in (("mov", DType.F32), ("mov", DType.F16), ("bits", DType.F32)):
        got, _ = one_row(name, dtype)
        assert got.tolist() == pairs(dtype)[0].view(words(dtype)).tolist()


STREAMS = """
input a : f32[49] "float32"
input b : f32[49] "float32"
output sums : f32[49] "float32"
output products : f32[49] "float32"
output passed : f32[49] "float32"
color a = 0
color b = 1
color out = 2
tensor m : f32[49] at 0 size 196
tensor p : f32[49] at 196 size 196
tensor d : f32[49] at 392 size 196
region all at 0,0 size 1x1
route a in all : W -> RAMP
route b in all : N -> RAMP
route out in all : RAMP -> E
feed a in all side W from a[i] repeat r:3 for i:49
feed b in all side N from b[i] for i:49
main all
  mov.f32 [m + 4*i], <b> for i:49
  add.f32 <out>, <a>, [m + 4*i] for i:49
  fmac.f32 [p + 4*i], [m + 4*i], <a: k> for k:7, i:7
  fmac.f32 [p + 28 + 4*i], <a>, [m + 28 + 4*i] for i:42
  mov.f32 <out>, [p + 4*i] for i:49
  fmac.f32 [d + 4*i], [m + 4*i], inf for i:49
  async 0 -> s0: add.f32 <out>, <a>, [d + 4*i] for i:49
  wait s0, 1
end
drain out in all side E from sums[i] for i:49
drain out in all side E from products[i] for i:49
drain out in all side E from passed[i] for i:49
"""


def test_streams_and_sums_of_products() -> None:
    a, b = pairs(DType.F32)
    ended = assert_agree(program(STREAMS, "1x1"), {"a": a, "b": b})
    assert not ended.error
    for values in ended.outputs.values():
        assert set(values[np.isnan(values)].view(np.uint32).tolist()) == {0x7FC00000}
