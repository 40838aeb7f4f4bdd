"""Gather with indices that the fabric computed: each tile picks from its own part of the data."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from wsc.ir.layout import Mesh, valid
from wsc.ir.tasks import GatherTask
from wsc.isa.expr import Expr, ExprLike, Int, Name
from wsc.kernels.asm import Asm, At, Emission
from wsc.kernels.context import Context


@dataclass(frozen=True, slots=True)
class Pick:
    """A loop over indices: how many a tile has, and bytes from one to the next (index, out)."""

    count: Expr
    index: int
    out: int


def picks(task: GatherTask, mesh: Mesh) -> list[Pick]:
    """The loops over the tile's indices, outermost first; those that walk on as one are one."""
    found: list[Pick] = []
    for number, extent in enumerate(task.indices.extents):
        if extent.size == 1:
            continue
        step = task.out.strides[task.axis + number]
        pick = Pick(valid(extent, mesh), task.indices.strides[number], step)
        before = found[-1] if found else None
        if (
            before is not None
            and isinstance(pick.count, Int)
            and isinstance(before.count, Int)
            and before.index == pick.index * pick.count.value
            and before.out == pick.out * pick.count.value
        ):
            found[-1] = Pick(Int(before.count.value * pick.count.value), pick.index, pick.out)
        else:
            found.append(pick)
    return found


def emit_gather(task: GatherTask, context: Context) -> Emission:
    """Loops over the tile's indices; each copies one slice of the data."""
    asm = Asm(context.fabric.dimensions)
    picked = len(task.indices.extents)
    rest = [i for i in range(len(task.data.extents)) if i != task.axis]
    position = {i: i if i < task.axis else i - 1 + picked for i in rest}
    dims: list[tuple[str, Expr]] = [
        (f"d{i}", valid(task.data.extents[i], context.mesh)) for i in rest
    ]
    size, stride = task.data.extents[task.axis].size, task.data.strides[task.axis]
    word: ExprLike = 0
    target: ExprLike = 0
    with ExitStack() as loops:
        for pick in picks(task, context.mesh):
            number = loops.enter_context(asm.loop("pick", pick.count))
            word = asm.let("word", number * pick.index + word)
            target = asm.let("target", number * pick.out + target)
        row = asm.load("row", Name(task.indices.buffer) + word)
        if not task.ordinary:
            asm.position(row, size)
        source = asm.let("source", row * stride)
        asm.vector(
            "mov",
            task.out.dtype,
            At(
                Name(task.out.buffer) + target,
                {f"d{i}": task.out.strides[position[i]] for i in rest},
            ),
            At(Name(task.data.buffer) + source, {f"d{i}": task.data.strides[i] for i in rest}),
            dims=dims or [("d", Int(1))],
        )
    return Emission("gather", asm.body, doc=("Pick slices by index, each tile from its part.",))
