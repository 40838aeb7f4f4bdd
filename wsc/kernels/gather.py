"""Gather with indices that the fabric computed: each tile picks from its own part of the data."""

from __future__ import annotations

from isa.expr import Expr, Int, Name
from wsc.ir.tasks import GatherTask
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import Context
from wsc.layout import valid


def emit_gather(task: GatherTask, context: Context) -> Emission:
    """A loop over the indices; each copies one slice of the data."""
    asm = Asm(context.fabric.dimensions)
    picked = len(task.indices.extents)
    rest = [i for i in range(len(task.data.extents)) if i != task.axis]
    position = {i: i if i < task.axis else i - 1 + picked for i in rest}
    dims: list[tuple[str, Expr]] = [
        (f"d{i}", valid(task.data.extents[i], context.mesh)) for i in rest
    ]
    count = task.indices.local_size
    step = task.out.strides[task.axis + picked - 1] if picked else 0
    size, stride = task.data.extents[task.axis].size, task.data.strides[task.axis]
    with asm.loop("pick", count) as pick:
        row = asm.load("row", Name(task.indices.buffer) + asm.let("word", pick * 4))
        with asm.when(row, "<", 0):
            asm.set(row, row + size)
        source = asm.let("source", row * stride)
        target = asm.let("target", pick * step)
        asm.vector(
            "mov", task.out.dtype,
            At(Name(task.out.buffer) + target,
               {f"d{i}": task.out.strides[position[i]] for i in rest}),
            At(Name(task.data.buffer) + source, {f"d{i}": task.data.strides[i] for i in rest}),
            dims=dims or [("d", Int(1))],
        )  # fmt: skip
    return Emission("gather", asm.body, doc=("Pick slices by index, each tile from its part.",))
