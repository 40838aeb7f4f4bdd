"""Bytes of SRAM that code takes: each region's main, and the procedures that it can reach."""

from __future__ import annotations

from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Loop, Mem, Op, Program, Statement
from wsc.isa.statements import calls
from wsc.isa.table import BY_NAME, Form


def code_bytes(program: Program, fabric: Fabric) -> dict[str, int]:
    """Region name -> bytes of code in each of its tiles.

    The fabric gives the bytes of an instruction, of each memory descriptor, iteration
    name and argument; loops, branches and calls count as scalar instructions.
    A call to a procedure that does not exist counts as a call and nothing more.
    """
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    sizes = {name: block_bytes(body, fabric) for name, body in bodies.items()}
    return {
        region.name: block_bytes(region.main, fabric)
        + sum(sizes[name] for name in reachable(region.main, bodies))
        for region in program.regions
    }


def block_bytes(body: tuple[Statement, ...], fabric: Fabric) -> int:
    """Bytes of statements, called procedures not counted."""
    return sum(_statement_bytes(statement, fabric) for statement in body)


def reachable(
    body: tuple[Statement, ...], bodies: dict[str, tuple[Statement, ...]]
) -> dict[str, None]:
    """The procedures that statements can reach, each once, in the order of discovery."""
    found: dict[str, None] = {}
    todo = [call.procedure for call in calls(body)]
    while todo:
        name = todo.pop(0)
        if name in bodies and name not in found:
            found[name] = None
            todo += [call.procedure for call in calls(bodies[name])]
    return found


def _statement_bytes(statement: Statement, fabric: Fabric) -> int:
    if isinstance(statement, Op):
        return _op_bytes(statement, fabric)
    if isinstance(statement, Call):
        return fabric.scalar_bytes + fabric.argument_bytes * len(statement.arguments)
    if isinstance(statement, Loop):
        return fabric.scalar_bytes + block_bytes(statement.body, fabric)
    both = block_bytes(statement.then, fabric) + block_bytes(statement.otherwise, fabric)
    # An else costs the jump over it.
    return fabric.scalar_bytes * (2 if statement.otherwise else 1) + both


def _op_bytes(op: Op, fabric: Fabric) -> int:
    if BY_NAME[op.name].form not in (Form.VECTOR, Form.SEND):
        return fabric.scalar_bytes
    descriptors = sum(isinstance(operand, Mem) for operand in op.operands)
    return (
        fabric.vector_bytes
        + fabric.descriptor_bytes * descriptors
        + fabric.dimension_bytes * len(op.dims)
    )
