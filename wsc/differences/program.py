"""A program as tables: totals, nodes, kernels, and the layout of its tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator

from wsc.cost.predict import Prediction, Unpredictable, predict
from wsc.differences.tables import Fields, Side, Table, Value, added
from wsc.errors import CompileError
from wsc.isa.code_size import block_bytes
from wsc.isa.fabric import Fabric
from wsc.isa.operands import show_extent, show_number
from wsc.isa.printer import listing
from wsc.isa.program import Call, Direction, Kind, Program, Tensor
from wsc.isa.shown import named
from wsc.isa.statements import statements
from wsc.views.inspect import call_counts, direction_bytes, sram_use

PROGRAM = "program"


def program_side(program: Program, fabric: Fabric) -> Side:
    """A program; its cycles are those that the cost model predicts."""
    try:
        prediction, notes = predict(program, fabric), ()
    except Unpredictable as reason:
        prediction, notes = None, (f"its cycles cannot be predicted: {reason}",)
    tables = (
        Table("program", _totals(program, fabric, prediction)),
        Table("nodes", added(_nodes(program, prediction)), "cycles", nodes=_marks(program)),
        Table("kernels", _kernels(program, fabric, prediction), "cycles"),
        Table("tensors in SRAM", dict(_tensors(program)), "bytes"),
        Table("tensors outside", dict(_outside(program)), "bytes"),
    )
    return Side(PROGRAM, tables, notes)


def _totals(program: Program, fabric: Fabric, prediction: Prediction | None) -> dict[str, Fields]:
    use, edge = sram_use(program, fabric), direction_bytes(program)
    totals: dict[str, Value] = {
        "model": program.model,
        "fabric": program.fabric,
        "tiles": f"{program.width}x{program.height}",
        "precision": program.precision.value,
        **{f"set {key}": show_number(value) for key, value in program.settings},
        "cycles": prediction.cycles if prediction else None,
        "utilization": prediction.utilization if prediction else None,
        "energy, uJ": math.fsum(prediction.energy.values()) * 1e-6 if prediction else None,
        "bytes in": edge[Direction.FEED],
        "bytes out": edge[Direction.DRAIN],
        "SRAM data": use.data,
        "SRAM code": use.code,
        "lines": len(listing(program)),
        "colors": len(program.colors),
        "routes": len(program.routes),
    }
    return {name: {"": value} for name, value in totals.items()}


def _nodes(program: Program, prediction: Prediction | None) -> Iterator[tuple[str, Fields]]:
    """What all that is for the same nodes has of everything."""
    for item in prediction.calls if prediction else ():
        if item.call.nodes:
            yield named(item.call.nodes), {"cycles": item.added, "MACs": item.macs}
    for line in listing(program):
        if not line.nodes:
            continue
        fields: dict[str, Value] = {"lines": 1}
        if isinstance(line.source, Tensor):
            fields["bytes"] = line.source.bytes
        if isinstance(line.source, Call):
            fields["kernels"] = line.source.procedure
        yield named(line.nodes), fields


def _marks(program: Program) -> dict[str, tuple[str, ...]]:
    """The nodes of each row by nodes."""
    return {named(line.nodes): line.nodes for line in listing(program) if line.nodes}


def _kernels(program: Program, fabric: Fabric, prediction: Prediction | None) -> dict[str, Fields]:
    cycles: dict[str, int] = {}
    for item in prediction.calls if prediction else ():
        cycles[item.call.procedure] = cycles.get(item.call.procedure, 0) + item.added
    counts = call_counts(program)
    return {
        procedure.name: {
            "cycles": cycles.get(procedure.name) if prediction else None,
            "calls": counts[procedure.name],
            "statements": sum(1 for _ in statements(procedure.body)),
            "code bytes": block_bytes(procedure.body, fabric),
        }
        for procedure in program.procedures
    }


def _tensors(program: Program) -> Iterator[tuple[str, Fields]]:
    for tensor in program.tensors:
        layout = " ".join(show_extent(extent) for extent in tensor.dims)
        yield (
            tensor.name,
            {
                "layout": f"{tensor.dtype.value}[{layout}]",
                "bytes": tensor.bytes,
                "address": tensor.address,
                "node": named(tensor.nodes),
            },
        )


def _outside(program: Program) -> Iterator[tuple[str, Fields]]:
    for tensor in program.edge_tensors:
        shape = ", ".join(map(str, tensor.shape))
        yield (
            tensor.name,
            {
                "kind": tensor.kind.value,
                "type": f"{tensor.dtype.value}[{shape}]",
                "bytes": tensor.bytes if tensor.kind is Kind.WEIGHT else None,
            },
        )


def read_machine(program: Program) -> Fabric:
    """The machine of a program in a dump, which says no folder."""
    from wsc.isa.fabric import FabricError
    from wsc.isa.machine import machine_of

    try:
        return machine_of(program).sized(program.width, program.height)
    except FabricError as error:
        raise CompileError(str(error)) from None
