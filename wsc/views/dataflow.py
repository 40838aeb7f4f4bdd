"""Which calls of main take what others left: the network as the text has it.

A call reads and writes tensors in SRAM, and takes from the edge or gives to it what the transfers
that name it move. Both are read off the text: the names in the addresses of instructions, through
parameters and registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wsc.isa.expr import Expr, names
from wsc.isa.program import Call, Direction, Loop, Mem, Op, Procedure, Program, Scalar, Statement
from wsc.isa.statements import blocks
from wsc.isa.table import BY_NAME, Form
from wsc.isa.turns import plain_transfers
from wsc.views.streams import all_calls, call_transfers

Named = Mapping[str, frozenset[str]]
"""Parameter or register -> the tensors whose addresses are in it."""

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes from one call to another, or over the edge.

    giver, taker: numbers of calls (``wsc.views.streams.all_calls``); None for the edge. tensor: of
    SRAM between calls, of the edge else.
    """

    giver: int | None
    taker: int | None
    tensor: str


@dataclass(slots=True)
class _Touched:
    """Tensors of SRAM that a call reads and writes."""

    read: set[str] = field(default_factory=set[str])
    written: set[str] = field(default_factory=set[str])


def dataflow(program: Program) -> list[Flow]:
    """Every flow between two different calls and over the edge, once, by taker and tensor.

    A call takes a tensor from the calls before it that write the tensor, back to the last one that
    reads it as well: what was there before has gone through that one. Where no call before it
    writes the tensor, calls behind it do, in the turn before of a loop that holds both. Of a compiled program
    only tensors of nodes count: the others are scratch, which calls use one after the other.
    """
    procedures = {procedure.name: procedure for procedure in program.procedures}
    compiled = any(tensor.nodes for tensor in program.tensors)
    tensors = frozenset(tensor.name for tensor in program.tensors if tensor.nodes or not compiled)
    calls = [call for _, call in all_calls(program)]
    touched: list[_Touched] = []
    for call in calls:
        found = _Touched()
        _call(call, {}, tensors, procedures, found)
        touched.append(found)

    writers: dict[str, list[int]] = {}
    for number, found in enumerate(touched):
        for tensor in found.written:
            writers.setdefault(tensor, []).append(number)

    flows: dict[Flow, None] = {}
    transfers = call_transfers(program)
    played = plain_transfers(program)
    for number, found in enumerate(touched):
        for tensor in sorted(found.read):
            every = writers.get(tensor, [])
            before = [giver for giver in every if giver < number]
            for giver in reversed(before or every):
                if giver != number:
                    flows[Flow(giver, number, tensor)] = None
                if tensor in touched[giver].read:
                    break
        for place in transfers.get(number, ()):
            moved = played[place]
            if moved.direction is Direction.FEED:
                flows[Flow(None, number, moved.tensor)] = None
            else:
                flows[Flow(number, None, moved.tensor)] = None
    return list(flows)


def _call(
    call: Call,
    known: Named,
    tensors: frozenset[str],
    procedures: Mapping[str, Procedure],
    found: _Touched,
) -> None:
    """Note what a call touches; the calls in its procedure included."""
    given = {name: _tensors(value, known, tensors) for name, value in call.arguments}
    _body(procedures[call.procedure].body, given, tensors, procedures, found)


def _body(
    body: Iterable[Statement],
    known: Named,
    tensors: frozenset[str],
    procedures: Mapping[str, Procedure],
    found: _Touched,
) -> None:
    """Note what statements touch. known: of the parameters; registers add to it."""
    held = dict(known)
    # A register may be set in one turn and used in the next one, above the line that sets it.
    for _ in range(2):
        _statements(body, held, tensors, procedures, found)


def _statements(
    body: Iterable[Statement],
    held: dict[str, frozenset[str]],
    tensors: frozenset[str],
    procedures: Mapping[str, Procedure],
    found: _Touched,
) -> None:
    for statement in body:
        if isinstance(statement, Op):
            _op(statement, held, tensors, found)
        elif isinstance(statement, Call):
            _call(statement, held, tensors, procedures, found)
        elif isinstance(statement, Loop):
            held.setdefault(statement.register, NOTHING)
        for block in blocks(statement):
            _statements(block, held, tensors, procedures, found)


def _op(op: Op, held: dict[str, frozenset[str]], tensors: frozenset[str], found: _Touched) -> None:
    """Note what an instruction touches: its first operand is where the result goes."""
    row = BY_NAME[op.name]
    for place, operand in enumerate(op.operands):
        if not isinstance(operand, Mem):
            continue
        touched = _tensors(operand.address, held, tensors)
        if place == 0 and row.form is not Form.LOAD:
            found.written |= touched
            if not row.accumulates:
                continue
        found.read |= touched
    if op.register is not None and row.form is not Form.LOAD:
        values = [item.value for item in op.operands if isinstance(item, Scalar)]
        held[op.register] = held.get(op.register, NOTHING).union(
            *(_tensors(value, held, tensors) for value in values)
        )


def _tensors(node: Expr, held: Named, tensors: frozenset[str]) -> frozenset[str]:
    """The tensors that an expression is about. A parameter hides a tensor of its name."""
    return NOTHING.union(
        *(held[name] if name in held else frozenset({name}) & tensors for name in names(node))
    )
