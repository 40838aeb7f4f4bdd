"""Which calls of main take what others left: the network as the text has it.

A call reads and writes tensors in SRAM, and takes from the edge or gives to it what the transfers
that name it move. Both are read off the text: the names in the addresses of instructions, through
parameters and registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from wsc.isa.expr import Expr, names
from wsc.isa.program import (
    Call,
    Direction,
    Loop,
    Mem,
    Op,
    Procedure,
    Program,
    Scalar,
    Statement,
    Tensor,
)
from wsc.isa.statements import blocks
from wsc.isa.table import BY_NAME, Category
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
    """Tensors of SRAM that a call reads as it finds them, and those that it writes.

    What a call first writes and then reads is its own: sums that begin at zero, parts of a product.
    """

    read: set[str] = field(default_factory=set[str])
    written: set[str] = field(default_factory=set[str])

    def reads(self, names: frozenset[str]) -> None:
        """Note that these are read now."""
        self.read |= names - self.written

    def writes(self, names: frozenset[str]) -> None:
        """Note that these are written now."""
        self.written |= names


def dataflow(program: Program) -> list[Flow]:
    """Every flow between two different calls of a region and over the edge, once.

    What a call reads was left in those bytes by the calls that wrote there last, under this name
    of a tensor or another one: what a turn of a loop leaves to the next one has two names. Of a
    compiled program only tensors of nodes count: the others are scratch, which calls use one after
    the other.
    """
    procedures = {procedure.name: procedure for procedure in program.procedures}
    compiled = any(tensor.nodes for tensor in program.tensors)
    tensors = {tensor.name: tensor for tensor in program.tensors if tensor.nodes or not compiled}
    there = frozenset(tensors)
    touched: list[_Touched] = []
    for _, call in all_calls(program):
        found = _Touched()
        _call(call, {}, there, procedures, found)
        touched.append(found)

    flows: dict[Flow, None] = {}
    transfers = call_transfers(program)
    for number in range(len(touched)):
        for transfer in transfers.get(number, ()):
            if transfer.direction is Direction.FEED:
                flows[Flow(None, number, transfer.tensor)] = None
    first = 0
    for region in program.regions:
        order, first = _order(region.main, first)
        held = _Held(tensors)
        for number in order:
            for giver, tensor in held.givers(touched[number]):
                if giver != number:
                    flows[Flow(giver, number, tensor)] = None
            held.write(number, touched[number])
    for number in range(len(touched)):
        for transfer in transfers.get(number, ()):
            if transfer.direction is Direction.DRAIN:
                flows[Flow(number, None, transfer.tensor)] = None
    return list(flows)


def _order(body: Iterable[Statement], number: int) -> tuple[list[int], int]:
    """The numbers of the calls in statements as they run, two turns of each loop; the next number.

    number: of the first call. A second turn shows all that one turn can leave to another.
    """
    order: list[int] = []
    for statement in body:
        if isinstance(statement, Call):
            order.append(number)
            number += 1
        inside: list[int] = []
        for block in blocks(statement):
            found, number = _order(block, number)
            inside += found
        order += inside * 2 if isinstance(statement, Loop) else inside
    return order, number


class _Held:
    """Which tensor each byte of a tile holds, and which calls wrote the tensor."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._names = list(tensors)
        self._places = {name: place for place, name in enumerate(self._names)}
        size = max((tensor.address + tensor.bytes for tensor in tensors.values()), default=0)
        self._owners = np.full(size, -1)
        self._writers: dict[str, list[int]] = {}

    def _bytes(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        return self._owners[tensor.address : tensor.address + tensor.bytes]

    def givers(self, touched: _Touched) -> Iterator[tuple[int, str]]:
        """The calls that left what a call reads, and each tensor.

        Of a tensor that the call writes too, only what is there under its own name: the rest are
        sums that begin in the call, where a guard tells the first part from the others.
        """
        for name in sorted(touched.read):
            for owner in np.unique(self._bytes(name)).tolist():
                known = owner >= 0
                own = owner == self._places[name]
                if known and (own or name not in touched.written):
                    yield from ((giver, name) for giver in self._writers[self._names[owner]])

    def write(self, number: int, touched: _Touched) -> None:
        """A call has written. Parts of one tensor may have several writers."""
        for name in touched.written:
            own = self._bytes(name)
            # What was there before is gone, or has gone through this call.
            if (own != self._places[name]).all() or name in touched.read:
                self._writers[name] = []
            if number not in self._writers.setdefault(name, []):
                self._writers[name].append(number)
            own[:] = self._places[name]


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
    # A register may be set in one turn and used in the next one, above the line that sets it: what
    # registers hold is found first.
    _statements(body, held, tensors, procedures, _Touched())
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
    operands = [
        _tensors(operand.address, held, tensors) if isinstance(operand, Mem) else NOTHING
        for operand in op.operands
    ]
    if row.category is Category.LOAD:
        sources, written = operands, NOTHING
    else:
        sources = operands if row.accumulates else operands[1:]
        written = operands[0] if operands else NOTHING
    for touched in sources:
        found.reads(touched)
    found.writes(written)
    if op.register is not None and row.category is not Category.LOAD:
        values = [item.value for item in op.operands if isinstance(item, Scalar)]
        held[op.register] = held.get(op.register, NOTHING).union(
            *(_tensors(value, held, tensors) for value in values)
        )


def _tensors(node: Expr, held: Named, tensors: frozenset[str]) -> frozenset[str]:
    """The tensors that an expression is about. A parameter hides a tensor of its name."""
    return NOTHING.union(
        *(held[name] if name in held else frozenset({name}) & tensors for name in names(node))
    )
