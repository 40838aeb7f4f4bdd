"""Reductions: local over the tile's part, then over rows or columns of the mesh."""

from __future__ import annotations

import math

from wsc.ir.graph import Reduction
from wsc.ir.layout import dense_strides, local_size, storage_order, valid
from wsc.ir.tasks import ReduceTask
from wsc.isa.expr import Expr, Int, Name
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import Context
from wsc.kernels.contract import base_offset, label_strides
from wsc.kernels.library import LINES

OPS = {Reduction.SUM: "add", Reduction.MAX: "max", Reduction.MIN: "min", Reduction.PROD: "mul"}
INTEGER_LIMITS = {Reduction.MAX: -(2**31), Reduction.MIN: 2**31 - 1}


def neutral(kind: Reduction, dtype: DType) -> float | int:
    """The value that changes nothing."""
    if kind in (Reduction.SUM, Reduction.PROD):
        one = 1 if kind is Reduction.PROD else 0
        return float(one) if dtype.is_float else one
    if not dtype.is_float:
        return INTEGER_LIMITS[kind]
    return -math.inf if kind is Reduction.MAX else math.inf


def emit_reduce(task: ReduceTask, context: Context) -> Emission:
    """Local partial results, then an all-reduce over each mesh axis that was summed."""
    asm = Asm(context.fabric.dimensions)
    dtype = task.out.dtype
    wide = DType.F32 if task.accumulator else dtype
    target = task.accumulator or task.out.buffer
    room = local_size(task.out.extents)
    flat = At(Name(target), {"i": wide.bytes})
    asm.fill(Name(target), wide, neutral(task.kind, wide), room)
    _local(task, context, asm, target, wide)
    negated = task.kind is Reduction.MIN
    if task.axes and negated:
        _reverse(asm, wide, flat, room)
    op = "max" if negated else OPS[task.kind]
    for axis in task.axes:
        name = f"{LINES[axis].name}_all_{op}_{wide.value}"
        asm.call(name, buffer=Name(target), count=room)
    if task.axes and negated:
        _reverse(asm, wide, flat, room)
    if task.accumulator:
        out = At(Name(task.out.buffer), {"i": dtype.bytes})
        asm.vector("narrow", dtype, out, flat, dims=[("i", room)])
    over = " and ".join(LINES[axis].name + "s" for axis in task.axes)
    doc = (f"Reduce each tile's part{', then over ' + over if over else ''}.",)
    return Emission(f"reduce_{task.kind.value}", asm.body, doc=doc)


def _reverse(asm: Asm, dtype: DType, flat: At, room: int) -> None:
    """Turn the order around, so that a minimum is a maximum; -2^31 has no negative."""
    if dtype.is_float:
        asm.vector("neg", dtype, flat, flat, dims=[("i", room)])
    else:
        asm.vector("xor", dtype, flat, flat, Int(-1), dims=[("i", room)])


def _local(task: ReduceTask, context: Context, asm: Asm, target: str, wide: DType) -> None:
    strides = dense_strides(task.out.extents, wide, storage_order(task.out.extents))
    outs = {label: s for label, s in zip(task.labels, strides, strict=True) if label}
    source = At(
        Name(task.value.buffer) + base_offset(task.index, task.value),
        label_strides(task.index, task.value.strides),
    )
    total = At(Name(target), outs)
    sizes = dict(task.extents)
    counts: dict[str, Expr] = {label: Int(size) for label, size in sizes.items()}
    for label, extent in zip(task.labels, task.out.extents, strict=True):
        if label:
            counts[label] = Int(extent.length)
    for entry, extent in zip(task.index, task.value.extents, strict=True):
        if extent.axis and len(entry.terms) == 1 and entry.terms[0][0] not in outs:
            counts[entry.terms[0][0]] = valid(extent, context.mesh)
    order = sorted(sizes, key=lambda label: (label not in outs, -source.strides.get(label, 0)))
    dims = [(label, counts[label]) for label in order]
    keep = frozenset(
        label for label, extent in zip(task.labels, task.out.extents, strict=True) if extent.axis
    )
    if task.kind is Reduction.SUM and task.value.dtype is DType.F16:
        asm.vector("fmac", DType.F16, total, source, 1.0, dims=dims, keep=keep)
    else:
        asm.vector(OPS[task.kind], wide, total, total, source, dims=dims, keep=keep)
