"""Names: every one that is used is defined once, where it may be used.

The parser runs this on what it built, and the verifier on programs that no parser saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from wsc.isa import expr as ex
from wsc.isa.diagnostics import MOST, Diagnostic, Source, nearest
from wsc.isa.limits import MOST_TRANSFERS
from wsc.isa.operands import IDENTIFIER
from wsc.isa.printer import print_statement, print_transfer
from wsc.isa.program import (
    NOWHERE,
    Call,
    If,
    Kind,
    Location,
    Loop,
    Mem,
    Op,
    Procedure,
    Program,
    Queue,
    Route,
    Scalar,
    Statement,
    Transfer,
    TransferLoop,
)
from wsc.isa.statements import assigned, calls
from wsc.isa.table import BY_NAME, Category
from wsc.isa.turns import expand

Places = Mapping[tuple[str, str], Location]


def check_names(program: Program, source: Source, places: Places) -> list[Diagnostic]:
    """All problems with names.

    places: where constants and colors, which are not objects of their own, are defined.
    """
    return _Names(program, source, places).run()


class _Names:
    def __init__(self, program: Program, source: Source, places: Places) -> None:
        self.program = program
        self.source = source
        self.places = places
        self.found: list[Diagnostic] = []
        self.played = 0  # entries in all turns of the schedule's loops
        self.colors = {name for name, _ in program.colors}
        self.regions = {region.name for region in program.regions}
        self.edge = {tensor.name for tensor in program.edge_tensors}
        self.procedures = {procedure.name: procedure for procedure in program.procedures}
        self.named = {  # the names of calls in the main of each region, of two alike the first
            region.name: {call.name for call in calls(region.main)} - {""}
            for region in reversed(program.regions)
        }
        self.static = {
            **dict.fromkeys(ex.RESERVED, "coordinate"),
            **{name: "constant" for name, _ in program.constants},
            **{tensor.name: "tensor" for tensor in program.tensors},
        }

    def run(self) -> list[Diagnostic]:
        self._definitions()
        for route in self.program.routes:
            self._route(route)
        for procedure in self.program.procedures:
            self._procedure(procedure)
            for call in calls(procedure.body):
                if call.name:
                    message = f"a call of a main may have a name, and '{procedure.name}' is none"
                    self.say(message, call.where, call.name, print_statement(call))
        for region in self.program.regions:
            self._scope(region.main, ())
            self._unique("call", [(c.name, c.where) for c in calls(region.main) if c.name])
        self._unique("table", [(name, NOWHERE) for name, _ in self.program.names])
        for item in self.program.transfers:
            if isinstance(item, Transfer):
                self._transfer(item, None)
            else:
                self._rounds(item)
        return sorted(self.found, key=lambda item: (item.location.line, item.location.column))

    def say(self, message: str, where: Location, word: str = "", fallback: str = "") -> None:
        self.found.append(self.source.diagnostic(message, where, word, fallback))

    # Definitions.

    def _definitions(self) -> None:
        program, place = self.program, self.places
        constants = [(n, place.get(("constant", n), NOWHERE)) for n, _ in program.constants]
        colors = [(n, place.get(("color", n), NOWHERE)) for n, _ in program.colors]
        tensors = [(tensor.name, tensor.where) for tensor in program.tensors]
        self._unique("constant", constants)
        self._unique("color", colors)
        self._unique("tensor", tensors, {name for name, _ in program.constants})
        self._unique("region", [(region.name, region.where) for region in program.regions])
        self._unique("procedure", [(p.name, p.where) for p in program.procedures])
        fed = [tensor for tensor in program.edge_tensors if tensor.kind is not Kind.OUTPUT]
        shown = [tensor for tensor in program.edge_tensors if tensor.kind is Kind.OUTPUT]
        for tensors in (fed, shown):
            self._unique("edge tensor", [(item.name, item.where) for item in tensors], free=True)
        # An output may be an input, and then has its name.
        others = {tensor.name: tensor for tensor in fed if tensor.kind is not Kind.INPUT}
        for tensor in shown:
            if tensor.name in others:
                what = "a weight" if others[tensor.name].kind is Kind.WEIGHT else "what is kept"
                message = f"the output '{tensor.name}' has the name of {what}"
                self.say(message, tensor.where, tensor.name)

    def _unique(
        self,
        kind: str,
        names: Iterable[tuple[str, Location]],
        taken: Iterable[str] = (),
        free: bool = False,
    ) -> None:
        """Each name once. free: any text will do, since it can be put in quotes."""
        seen, others = set[str](), set(taken)
        for name, where in names:
            if name in seen:
                self.say(f"the {kind} '{name}' is defined twice", where, name)
            elif name in others:
                self.say(f"the {kind} '{name}' has the name of a constant", where, name)
            elif not free:
                self._plain(kind, name, where)
            seen.add(name)

    def _plain(self, kind: str, name: str, where: Location) -> None:
        if name in ex.RESERVED:
            reserved = "x and y are the tile's coordinates, W and H the region's size"
            self.say(f"'{name}' is taken and can be no {kind}: {reserved}", where, name)
        elif not IDENTIFIER.fullmatch(name):
            self.say(f"the {kind} '{name}' is not named by letters, digits and _", where)

    def _local(self, kind: str, name: str, where: Location, taken: Mapping[str, str]) -> None:
        """A name that is defined within a procedure, an instruction or a transfer."""
        if name in taken and name not in ex.RESERVED:
            self.say(f"the {kind} '{name}' has the name of a {taken[name]}", where, name)
        else:
            self._plain(kind, name, where)

    # Uses.

    def _known(
        self, kind: str, name: str, known: Collection[str], where: Location, of: str
    ) -> None:
        if name not in known:
            self.say(f"there is no {kind} '{name}'{self._nearest(name, known)}", where, name, of)

    def _nearest(self, name: str, known: Collection[str]) -> str:
        """As ``nearest``, for the first of many problems: most of them are never shown."""
        return nearest(name, known) if len(self.found) < 2 * MOST else ""

    def _expression(
        self, node: ex.Expr, allowed: Mapping[str, str], where: Location, of: str
    ) -> None:
        for name in dict.fromkeys(ex.names(node)):
            if name not in allowed:
                message = (
                    f"'{name}' is not a constant, tensor, register or iteration name here"
                    f"{self._nearest(name, allowed)}"
                )
                self.say(message, where, name, of)

    def _route(self, route: Route) -> None:
        of = f"route {route.color} in {route.region}"
        self._known("color", route.color, self.colors, route.where, of)
        self._known("region", route.region, self.regions, route.where, of)
        if route.guard is not None:
            self._expression(route.guard, self.static, route.where, of)

    def _rounds(self, loop: TransferLoop) -> None:
        """A loop of the schedule: the turns are few enough to look at, and its entries right."""
        self._local("counter", loop.register, loop.where, self.static)
        self.played += loop.count * max(len(loop.body), 1)
        if loop.count < 0 or self.played > MOST_TRANSFERS:
            message = f"with {loop.count} turns here, loops play more than {MOST_TRANSFERS} entries"
            self.say(message, loop.where, str(loop.count))
            return
        for transfer in loop.body:
            self._transfer(transfer, loop)

    def _edge(self, transfer: Transfer, loop: TransferLoop | None, of: str) -> None:
        """The edge tensor of a transfer, in a loop that of each turn."""
        if loop is None:
            self._known("edge tensor", transfer.tensor, self.edge, transfer.where, of)
            return
        tables = dict(self.program.names)
        for turn in range(loop.count):
            name = expand(transfer.tensor, loop.register, turn, tables)
            if name not in self.edge:
                message = f"there is no edge tensor '{name}' for turn {turn}"
                message += self._nearest(name, self.edge)
                self.say(message, transfer.where, transfer.tensor, of)
                return

    def _transfer(self, transfer: Transfer, loop: TransferLoop | None) -> None:
        where, of = transfer.where, print_transfer(transfer)
        self._known("color", transfer.color, self.colors, where, of)
        self._known("region", transfer.region, self.regions, where, of)
        self._edge(transfer, loop, of)
        if transfer.call and transfer.region in self.regions:
            self._known("call", transfer.call, self.named[transfer.region], where, of)
        outer = dict(self.static)
        if loop is not None:
            outer[loop.register] = "counter"
        if transfer.guard is not None:
            self._expression(transfer.guard, outer, where, of)
        if transfer.repeat:
            self._local("iteration name", transfer.repeat[0], where, outer)
            outer[transfer.repeat[0]] = "repetition"
        inner = dict(outer)
        if transfer.lookup:
            self._known("color", transfer.lookup.color, self.colors, where, of)
            self._local("row name", transfer.lookup.row, where, inner)
            inner[transfer.lookup.row] = "row name"
        for dim in transfer.dims:
            self._expression(dim.extent, outer, where, of)
            self._local("iteration name", dim.name, where, inner)
            inner[dim.name] = "iteration name"
        self._expression(transfer.offset, inner, where, of)

    def _procedure(self, procedure: Procedure) -> None:
        counts = Counter(procedure.parameters)
        for name in sorted(name for name in counts if counts[name] > 1):
            self.say(f"the parameter '{name}' is given twice", procedure.where, name)
        for name in procedure.parameters:
            self._local("parameter", name, procedure.where, self.static)
        self._scope(procedure.body, procedure.parameters)

    def _scope(self, body: tuple[Statement, ...], parameters: tuple[str, ...]) -> None:
        places = assigned(body)
        for name, where in places.items():
            if name not in parameters:
                self._local("register", name, where, self.static)
        registers = dict.fromkeys(chain(parameters, places), "register")
        self._block(body, {**self.static, **registers})

    def _block(self, body: tuple[Statement, ...], names: Mapping[str, str]) -> None:
        for statement in body:
            if isinstance(statement, Op):
                self._op(statement, names)
            elif isinstance(statement, Loop):
                self._expression(
                    statement.count, names, statement.where, f"loop {statement.register}"
                )
                self._block(statement.body, names)
            elif isinstance(statement, If):
                for side in (statement.left, statement.right):
                    self._expression(side, names, statement.where, "if")
                self._block(statement.then, names)
                self._block(statement.otherwise, names)
            else:
                self._call(statement, names)

    def _call(self, call: Call, names: Mapping[str, str]) -> None:
        where, of = call.where, print_statement(call)
        self._known("procedure", call.procedure, self.procedures, where, of)
        given = Counter(name for name, _ in call.arguments)
        for _, value in call.arguments:
            self._expression(value, names, where, of)
        procedure = self.procedures.get(call.procedure)
        if procedure is None:
            return
        for name in given:
            if name not in procedure.parameters:
                close = self._nearest(name, procedure.parameters)
                self.say(f"'{procedure.name}' has no parameter '{name}'{close}", where, name, of)
            elif given[name] > 1:
                self.say(f"the argument '{name}' is given twice", where, name, of)
        for name in procedure.parameters:
            if name not in given:
                message = f"the argument '{name}' of '{procedure.name}' is missing"
                self.say(message, where, procedure.name, of)

    def _op(self, op: Op, names: Mapping[str, str]) -> None:
        if op.name not in BY_NAME:
            self.say(f"there is no instruction '{op.name}'{nearest(op.name, BY_NAME)}", op.where)
            return
        shape_known = len(op.operands) >= 2 or BY_NAME[op.name].category is not Category.STORE
        of = print_statement(op) if shape_known and (op.operands or op.color) else op.name
        inner = dict(names)
        for dim in op.dims:
            self._expression(dim.extent, names, op.where, of)
            if inner.get(dim.name) == "iteration name":
                message = f"the iteration name '{dim.name}' is given twice"
                self.say(message, op.where, dim.name, of)
            else:
                self._local("iteration name", dim.name, op.where, inner)
            inner[dim.name] = "iteration name"
        for expression in op.target or ():
            self._expression(expression, names, op.where, of)
        if op.color is not None:
            self._known("color", op.color, self.colors, op.where, of)
        for operand in op.operands:
            if isinstance(operand, Mem):
                self._expression(operand.address, inner, op.where, of)
            elif isinstance(operand, Scalar):
                self._expression(operand.value, names, op.where, of)
            elif isinstance(operand, Queue):
                self._known("color", operand.color, self.colors, op.where, of)
                for name in operand.dims or ():
                    iteration = [dim.name for dim in op.dims]
                    self._known("iteration name", name, iteration, op.where, of)
