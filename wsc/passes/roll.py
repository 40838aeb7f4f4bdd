"""Calls that repeat with arguments that go on evenly become one loop.

The steps of a recurrence are unrolled in the graph, and placed one behind the other. What is left
of each step in the code is its calls. Where the same calls come again and again, and every number
in their arguments is either the same or a constant further on from turn to turn, one turn in a
loop says as much: registers of main hold what goes on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from wsc.isa.code_size import block_bytes, calls
from wsc.isa.expr import Binary, Expr, ExprLike, Int, Name, NotAffine, expr
from wsc.isa.fabric import Fabric
from wsc.isa.program import Call, Loop, Procedure, Statement, Transfer, assigned
from wsc.kernels.asm import Asm
from wsc.kernels.registers import compact
from wsc.passes.periods import LEAST, Run, numbered, runs

TURN = "turn"  # what counts the turns of a loop, or of an entry of the edge's schedule


def rolled(
    main: Sequence[Call], procedures: Sequence[Procedure], addresses: Mapping[str, int],
    fabric: Fabric,
) -> tuple[Statement, ...]:  # fmt: skip
    """The calls, with loops in place of those that repeat.

    Each tile makes the same calls with the same values as before, in the same order.
    addresses: what the names of buffers stand for.
    """
    numbers = _Numbers(main, addresses)
    room = fabric.registers - _deepest(procedures)
    found: list[Statement] = []
    end = 0
    for run in runs(numbers.ids, numbers.steady):
        loop = _loop(main, numbers, run, fabric.dimensions)
        here = main[run.start : run.end]
        if loop is None or len(assigned((loop,))) > min(room, fabric.window):
            continue
        if block_bytes((loop,), fabric) < block_bytes(tuple(here), fabric):
            found += [*main[end : run.start], loop]
            end = run.end
    return (*found, *main[end:])


class _Numbers:
    """The numbers in the arguments of each call, apart from the form of those arguments."""

    def __init__(self, main: Sequence[Call], addresses: Mapping[str, int]) -> None:
        self.addresses = addresses
        taken = [self._take(call) for call in main]
        self.ids = numbered(form for form, _ in taken)
        most = max((len(numbers) for _, numbers in taken), default=0)
        self.table: npt.NDArray[np.int64] = np.zeros((len(main), most), np.int64)
        for row, (_, numbers) in zip(self.table, taken, strict=True):
            row[: len(numbers)] = numbers

    def _take(self, call: Call) -> tuple[Hashable, list[int]]:
        numbers: list[int] = []

        def form(node: Expr) -> Hashable:
            if isinstance(node, Binary):
                return (node.op, form(node.left), form(node.right))
            value = _number(node, self.addresses)
            if value is None:
                return node
            numbers.append(value)
            return 0

        forms = tuple((name, form(value)) for name, value in call.arguments)
        return (call.procedure, call.node, forms), numbers

    def steady(self, period: int) -> npt.NDArray[np.bool_]:
        """Whether the numbers of calls i, i + period, i + 2*period are equally far apart."""
        table = self.table
        first, middle, last = table[: -2 * period], table[period:-period], table[2 * period :]
        return (last - middle == middle - first).all(axis=1)


def _number(leaf: Expr, addresses: Mapping[str, int]) -> int | None:
    """The value of a literal or of a buffer's name."""
    if isinstance(leaf, Int):
        return leaf.value
    return addresses.get(leaf.name) if isinstance(leaf, Name) else None


class _Turn(Asm):
    """A loop's body in the making: what it has computed once in a turn it does not again."""

    def __init__(self, max_dims: int) -> None:
        super().__init__(max_dims)
        self.known: dict[Expr, Expr] = {}

    def value(self, value: ExprLike) -> Expr:
        """An operand with the value of an expression."""
        node = expr(value)
        if node not in self.known:
            self.known[node] = super().value(node)
        return self.known[node]


def _loop(main: Sequence[Call], numbers: _Numbers, run: Run, max_dims: int) -> Loop | None:
    """One loop for a run; None if no instruction computes what its arguments need."""
    asm = _Turn(max_dims)
    try:
        with asm.loop(TURN, run.count) as turn:
            for place in range(run.start, run.start + run.period):
                here, following = numbers.table[place], numbers.table[place + run.period]
                steps = iter((following - here).tolist())
                going = _Going(asm, turn, numbers.addresses, steps)
                arguments = {name: going.on(value) for name, value in main[place].arguments}
                values = tuple((name, asm.value(value)) for name, value in arguments.items())
                asm.add(replace(main[place], arguments=values))
    except NotAffine:
        return None
    (loop,) = compact(asm.body, asm.registers)
    assert isinstance(loop, Loop)
    return loop


@dataclass(slots=True)
class _Going:
    """Makes the arguments of the first turn those of any turn.

    steps: for each number, in their order, how far it goes on from turn to turn.
    """

    asm: Asm
    turn: Name
    addresses: Mapping[str, int]
    steps: Iterator[int]

    def on(self, node: Expr) -> Expr:
        """The expression in turn ``turn``."""
        if isinstance(node, Binary):
            left = self.on(node.left)
            return Binary(node.op, left, self.on(node.right))
        if _number(node, self.addresses) is None:
            return node
        step = next(self.steps)
        return node if step == 0 else node + self.asm.value(self.turn * step)


def repeated(transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """The edge's schedule, with one entry in place of many equal ones behind each other."""
    found: list[Transfer] = []
    for transfer, same in groupby(transfers):
        count = len(list(same))
        once = transfer.repeat is None and transfer.lookup is None
        if once and count >= LEAST and all(dim.name != TURN for dim in transfer.dims):
            found.append(replace(transfer, repeat=(TURN, count)))
        else:
            found += [transfer] * count
    return tuple(found)


def _deepest(procedures: Sequence[Procedure]) -> int:
    """Registers that the windows of a call take at most, with all that it calls."""
    bodies = {procedure.name: procedure for procedure in procedures}
    known: dict[str, int] = {}

    def words(name: str) -> int:
        if name not in known:
            procedure = bodies[name]
            own = len({*procedure.parameters, *assigned(procedure.body)})
            inner = (words(call.procedure) for call in calls(procedure.body))
            known[name] = own + max(inner, default=0)
        return known[name]

    return max((words(name) for name in bodies), default=0)
