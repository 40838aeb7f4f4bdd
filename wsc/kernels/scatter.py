"""Scatter to indices that the fabric computed: each tile places in its own part of the data."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from wsc.ir.layout import View, room, start, valid
from wsc.ir.tasks import ScatterTask
from wsc.isa.expr import Expr, Int, Name
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import Context
from wsc.kernels.reduce import OPS


def emit_scatter(task: ScatterTask, context: Context) -> Emission:
    """Copy the data, then a loop over the indices; each places one slice of the updates.

    A negative index counts from the end; one that lies outside stops the run or is passed over.
    """
    asm = Asm(context.fabric.dimensions)
    data, out, updates, axis = task.data, task.out, task.updates, task.axis
    each = list(range(len(out.extents)))
    space: list[tuple[str, Expr]] = [
        (f"d{i}", Int(e.length) if i == axis else valid(e, context.mesh))
        for i, e in enumerate(out.extents)
    ]

    def at(view: View, base: Expr, dims: list[int]) -> At:
        return At(base, {f"d{i}": view.strides[i] for i in dims})

    if data is None:
        asm.fill(Name(out.buffer), out.dtype, 0, out.local_size)
    elif data.buffer != out.buffer:
        asm.vector(
            "mov",
            out.dtype,
            at(out, Name(out.buffer), each),
            at(data, Name(data.buffer), each),
            dims=space,
        )
    rest = [i for i in each if i != axis]
    dims = [space[i] for i in rest] or [("d", Int(1))]
    with asm.loop("pick", updates.extents[axis].size) as pick:
        row = asm.load("row", Name(task.indices.buffer) + asm.let("word", pick * 4))
        with _inside(asm, task, row):
            place = Name(out.buffer) + asm.let("target", row * out.strides[axis])
            update = Name(updates.buffer) + asm.let("source", pick * updates.strides[axis])
            target, source = at(out, place, rest), at(updates, update, rest)
            if task.kind is None:
                asm.vector("mov", out.dtype, target, source, dims=dims)
            else:
                asm.vector(OPS[task.kind], out.dtype, target, target, source, dims=dims)
    doc = ("Place slices by index, each tile in its part.",)
    return Emission("scatter", asm.body, doc=doc)


@contextmanager
def _inside(asm: Asm, task: ScatterTask, row: Name) -> Generator[None]:
    """What is done with a row that is a position of the axis, from 0 on, and is in the tile."""
    extent = task.out.extents[task.axis]
    if task.skips:
        with asm.when(row, "<", 0):
            asm.set(row, row + extent.size)
    elif not task.ordinary:
        asm.position(row, extent.size)
    if extent.axis is not None or extent.length < extent.size:
        asm.set(row, row - start(extent))
        with asm.when(row, ">=", 0), asm.when(row, "<", room(extent)):
            yield
    elif task.skips:
        with asm.when(row, ">=", 0), asm.when(row, "<", extent.size):
            yield
    else:
        yield
