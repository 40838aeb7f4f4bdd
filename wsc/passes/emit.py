"""From placed tasks to a program: kernels, procedures, routes, edge schedule, memory map."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isa.fabric import Fabric
from isa.program import (
    Call,
    If,
    Loop,
    Operand,
    Procedure,
    Program,
    Region,
    Statement,
    Tensor,
    Transfer,
)
from isa.program import Fabric as Queue
from isa.types import DType
from wsc.ir.tasks import Placed, views
from wsc.kernels import emit
from wsc.kernels.context import Context
from wsc.kernels.flows import REGION
from wsc.kernels.library import LIBRARY, called
from wsc.layout import whole
from wsc.passes.route import Routing, flows_of, route
from wsc.passes.share import share

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Emit:
    """Kernels become procedures and calls; flows become routes; buffers become tensors.

    Requires addresses; ensures a program that the verifier accepts.
    """

    fabric: Fabric
    fabric_name: str
    precision: DType
    model: str
    name: str = "emit"

    def apply(self, placed: Placed) -> Program:
        """The program."""
        context = Context(placed.mesh, self.fabric, {t.name: t for t in placed.edge_tensors})
        emissions = [emit(task, context) for task in placed.tasks]
        shared = share(emissions, self.fabric.window)
        procedures = [*library(shared.procedures), *shared.procedures]
        transfers = [transfer for emission in emissions for transfer in emission.transfers]
        routing = route(flows_of([p.body for p in procedures], transfers), self.fabric)
        main = tuple(
            replace(call, node=task.origin)
            for call, task in zip(shared.calls, placed.tasks, strict=True)
        )
        region = Region(REGION, 0, 0, placed.mesh.width, placed.mesh.height, main)
        return Program(
            fabric=self.fabric_name,
            width=placed.mesh.width,
            height=placed.mesh.height,
            precision=self.precision,
            model=self.model,
            edge_tensors=tuple(
                replace(t, file=WEIGHTS_FILE) if t.key else t for t in placed.edge_tensors
            ),
            colors=routing.colors,
            tensors=tensors(placed),
            regions=(region,),
            routes=routing.routes,
            procedures=tuple(recolor_procedure(p, routing) for p in procedures),
            transfers=tuple(recolor_transfer(t, routing) for t in transfers),
        )


def library(procedures: list[Procedure]) -> list[Procedure]:
    """The library procedures that these call, callees first."""
    needed: list[str] = []

    def visit(name: str) -> None:
        for callee in called(LIBRARY[name].body):
            visit(callee)
        if name not in needed:
            needed.append(name)

    for procedure in procedures:
        for name in called(procedure.body):
            visit(name)
    return [LIBRARY[name] for name in needed]


def tensors(placed: Placed) -> tuple[Tensor, ...]:
    """One SRAM symbol for each buffer, with the layout of the first value in it."""
    layouts = {}
    for task in placed.tasks:
        for view in [*views(task)][::-1]:
            layouts.setdefault(view.buffer, view)
    found = []
    for buffer in placed.buffers:
        if buffer.name not in placed.addresses:
            continue
        view = layouts.get(buffer.name)
        words = buffer.bytes // buffer.dtype.bytes
        dims = view.extents if view is not None else (whole(words),)
        address = placed.addresses[buffer.name]
        found.append(Tensor(buffer.name, buffer.dtype, dims, address, buffer.bytes, buffer.node))
    return tuple(found)


def recolor_transfer(transfer: Transfer, routing: Routing) -> Transfer:
    """The transfer with its flow's color."""
    lookup = transfer.lookup
    if lookup is not None:
        lookup = replace(lookup, color=routing.color_of[lookup.color])
    return replace(transfer, color=routing.color_of[transfer.color], lookup=lookup)


def recolor_procedure(procedure: Procedure, routing: Routing) -> Procedure:
    """The procedure with colors in place of flows."""
    return replace(procedure, body=_recolor(procedure.body, routing.color_of))


def _recolor(body: tuple[Statement, ...], colors: dict[str, str]) -> tuple[Statement, ...]:
    return tuple(_recolored(statement, colors) for statement in body)


def _recolored(statement: Statement, colors: dict[str, str]) -> Statement:
    if isinstance(statement, Loop):
        return replace(statement, body=_recolor(statement.body, colors))
    if isinstance(statement, If):
        return replace(
            statement,
            then=_recolor(statement.then, colors),
            otherwise=_recolor(statement.otherwise, colors),
        )
    if isinstance(statement, Call):
        return statement
    color = colors[statement.color] if statement.color is not None else None
    operands = tuple(_queue(operand, colors) for operand in statement.operands)
    return replace(statement, color=color, operands=operands)


def _queue(operand: Operand, colors: dict[str, str]) -> Operand:
    return replace(operand, color=colors[operand.color]) if isinstance(operand, Queue) else operand
