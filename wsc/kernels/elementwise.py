"""Elementwise maps: one vector instruction for each step of the body, no communication."""

from __future__ import annotations

from collections.abc import Callable

from wsc.ir.graph import Arg, Lit, Ref, Step
from wsc.ir.layout import Mesh, View, valid
from wsc.ir.tasks import MapTask
from wsc.isa.expr import Expr, Int, Name
from wsc.isa.table import BY_NAME, Operand, operand_type
from wsc.isa.types import DType
from wsc.isa.values import PARTIAL
from wsc.kernels.asm import Asm, At, Emission, Source
from wsc.kernels.context import Context


def result_type(step: Step) -> DType:
    """Element type of a step's result."""
    return operand_type(BY_NAME[step.op].operands[0], step.dtype)


def temporaries(body: tuple[Step, ...], out: DType) -> list[int]:
    """Where each step's result goes: -1 is the output buffer, k >= 0 the k-th temporary.

    A temporary is free again after the last step that reads it. The output buffer serves
    as a temporary too where the element is of its size; the last step always ends there.
    """
    last_use = {
        arg.step: number
        for number, step in enumerate(body)
        for arg in step.args
        if isinstance(arg, Ref)
    }
    free: list[int] = []
    used = 0
    place: list[int] = []
    out_free = True
    for number, step in enumerate(body):
        for arg in dict.fromkeys(a for a in step.args if isinstance(a, Ref)):
            if last_use[arg.step] == number:
                if place[arg.step] == -1:
                    out_free = True
                else:
                    free.append(place[arg.step])
        final = number == len(body) - 1
        if final or (out_free and result_type(step).bytes == out.bytes):
            place.append(-1)
            out_free = False
        elif free:
            place.append(free.pop())
        else:
            place.append(used)
            used += 1
    return place


def loops(task: MapTask, mesh: Mesh) -> list[tuple[str, Expr]]:
    """The iteration space over a tile's part of the result, by decreasing stride.

    The whole block, also where the last tiles hold less: what lies behind the data is
    never read, and whole blocks are one long row. Not where what lies there could stop the run.
    """
    out = task.out
    exact = any(step.op in PARTIAL and not step.dtype.is_float for step in task.body)
    order = sorted(range(len(out.extents)), key=lambda i: -out.strides[i])
    return [
        (f"d{i}", valid(out.extents[i], mesh) if exact else Int(out.extents[i].length))
        for i in order
    ]


def input_operand(view: View, out: View) -> At:
    """An input over the output's iteration names; dimensions of size one stand still."""
    shift = len(out.extents) - len(view.extents)
    strides = {
        f"d{i + shift}": view.strides[i]
        for i, extent in enumerate(view.extents)
        if extent.size != 1 or out.extents[i + shift].size == 1
    }
    return At(Name(view.buffer), strides)


def emit_map(task: MapTask, context: Context) -> Emission:
    """The body's steps, each over the whole of the tile's block."""
    asm = Asm(context.fabric.dimensions)
    place = temporaries(task.body, task.out.dtype)
    space = loops(task, context.mesh)
    split = frozenset(f"d{i}" for i, extent in enumerate(task.out.extents) if extent.axis)
    dense = {f"d{i}": stride for i, stride in enumerate(task.out.strides)}

    def result(number: int) -> At:
        if place[number] == -1:
            return At(Name(task.out.buffer), dense)
        scale = 4 // task.out.dtype.bytes  # temporaries hold four bytes an element
        return At(Name(task.scratch[place[number]]), {k: s * scale for k, s in dense.items()})

    for number, step in enumerate(task.body):
        sources = [_source(arg, step, k, task, result) for k, arg in enumerate(step.args)]
        asm.vector(step.op, step.dtype, result(number), *sources, dims=space, keep=split)
    names = "_".join(dict.fromkeys(step.op for step in task.body[:3]))
    return Emission(f"map_{names}", asm.body, doc=("Elementwise, each tile on its own block.",))


def _source(
    arg: Arg | Ref | Lit, step: Step, position: int, task: MapTask, result: Callable[[int], At]
) -> Source:
    if isinstance(arg, Arg):
        return input_operand(task.inputs[arg.index], task.out)
    if isinstance(arg, Ref):
        return result(arg.step)
    role = BY_NAME[step.op].operands[position + 1]
    if operand_type(role, step.dtype).is_float and role is not Operand.FLAG:
        return float(arg.value)
    return Int(int(arg.value))
