"""Programs as flat tables: one instruction a row, once for each region.

Structured loops and ifs become branches, procedures become register windows, and every
operand becomes a *reference*: a static part, kept in a pool as a constant, a row, a
column or a rectangle of values, plus registers. ``wsc.runtime.tables`` has the columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from wsc.isa.counted import MainStatement
from wsc.isa.expr import Expr, Int, NotAffine, show, split
from wsc.isa.fabric import Fabric as Machine
from wsc.isa.program import (
    Call,
    If,
    Location,
    Loop,
    Mem,
    Op,
    Operand,
    Procedure,
    Program,
    Queue,
    Real,
    Region,
    Scalar,
    Statement,
)
from wsc.isa.statements import assigned
from wsc.isa.table import BY_NAME, CONTROL_TIMING, OPCODE, TABLE, Category, operand_type
from wsc.isa.types import DType
from wsc.runtime.errors import LoadError, place
from wsc.runtime.static import Pool, static_environment, static_value
from wsc.runtime.stays import stays_of
from wsc.runtime.tables import (
    CLASS_INDEX,
    CONTROL_INDEX,
    COUNTED,
    ELEMENT_BYTES,
    MAX_DIMS,
    MEMORY,
    OPERAND,
    RELATIONS,
    ROW,
    TYPE_INDEX,
    Col,
    Kind,
    Ocol,
    Records,
    by_name,
)

MOST_ROWS = 1 << 24  # the race check numbers them in 24 bits


@dataclass(slots=True)
class Code:
    """The flat program. See ``Col`` and ``Ocol`` for the columns."""

    rows: np.ndarray
    operands: np.ndarray
    refs: np.ndarray  # pool base, x stride, y stride, first register, registers
    lists: np.ndarray  # references of dims, strides and arguments
    registers: np.ndarray
    pool: np.ndarray
    reals: np.ndarray
    entries: dict[str, int]
    procedures: tuple[list[int], list[str]]  # first rows in order, and names; mains have none
    statements: tuple[MainStatement, ...]
    stays: np.ndarray  # the statement of each stay at one, region by region
    first_stays: dict[str, int]  # region -> its first one; -1 where ``stays_of`` knows none
    where: list[Location]
    units: int
    sends: bool

    @property
    def records(self) -> Records:
        """The rows, with names."""
        return by_name(self.rows, ROW)

    @property
    def operand_records(self) -> Records:
        """The operands, with names."""
        return by_name(self.operands, OPERAND)

    def step_bytes(self) -> np.ndarray:
        """Bytes of SRAM that a step of each row reads and writes: of vector instructions.

        What is accumulated in memory is read and written.
        """
        rows, operands = self.records, by_name(self.operands, OPERAND)
        sizes = np.where(operands.kind == MEMORY, ELEMENT_BYTES[operands.type], 0)
        before = np.append(0, np.cumsum(sizes))
        found = np.zeros(len(rows), np.int64)
        vector = np.flatnonzero(rows.kind == Kind.VECTOR)
        first, opcodes = rows.operands[vector], rows.opcode[vector]
        found[vector] = before[first + rows["count"][vector]] - before[first]
        accumulates = np.array([row.accumulates for row in TABLE])[opcodes]
        found[vector] += np.where(accumulates, sizes[first], 0)
        return found


def window(parameters: Iterable[str], body: Iterable[Statement]) -> tuple[str, ...]:
    """Registers of a procedure: its parameters, then what it assigns or loops over."""
    return tuple(dict.fromkeys([*parameters, *assigned(body)]))


@dataclass(slots=True)
class _Scope:
    """Where a row stands: register window and loop nest of its procedure."""

    registers: dict[str, int]
    nest: int = 0
    statement: int = -1


@dataclass(slots=True)
class _Tables:
    rows: list[list[int]] = field(default_factory=list)
    operands: list[list[int]] = field(default_factory=list)
    refs: list[list[int]] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    registers: list[int] = field(default_factory=list)
    reals: list[float] = field(default_factory=list)
    where: list[Location] = field(default_factory=list)
    statements: list[MainStatement] = field(default_factory=list)
    calls: int = 0  # among these


def _head(statement: Statement) -> str:
    """The head of a statement, for people."""
    if isinstance(statement, Op):
        return statement.name
    if isinstance(statement, Call):
        return f"call {statement.procedure}"
    if isinstance(statement, Loop):
        return f"loop {statement.register}: {show(statement.count)}"
    return "if"


class Coder:
    """Flattens the code of one region into tables that all regions share."""

    def __init__(
        self, program: Program, machine: Machine, region: Region, tables: _Tables, pool: Pool
    ) -> None:
        self.machine, self.region, self.tables, self.pool = machine, region, tables, pool
        self.procedures = {procedure.name: procedure for procedure in program.procedures}
        self.colors = {name: index for index, (name, _) in enumerate(program.colors)}
        self.env = static_environment(program, region)
        self.cache: dict[tuple[Expr, tuple[int, ...]], int] = {}
        self.starts: dict[str, int] = {}
        self.calls: list[tuple[int, str]] = []

    def region_code(self) -> int:
        """Emit main and every procedure that it reaches; the row where main starts."""
        entry = len(self.tables.rows)
        names = window((), self.region.main)
        if len(names) > self.machine.registers:
            raise LoadError(
                f"main of '{self.region.name}' uses {len(names)} registers; "
                f"a tile of fabric '{self.machine.name}' has {self.machine.registers}"
            )
        main = _Scope(self._window(self.region.name, names))
        self._block(self.region.main, main, top=True)
        self._row(Kind.END, NO_PLACE)
        done = 0
        while done < len(self.calls):
            row, name = self.calls[done]
            done += 1
            if name not in self.starts:
                self._procedure(self.procedures[name])
            self.tables.rows[row][Col.BRANCH] = self.starts[name]
        return entry

    def _procedure(self, procedure: Procedure) -> None:
        self.starts[procedure.name] = len(self.tables.rows)
        names = window(procedure.parameters, procedure.body)
        self._block(procedure.body, _Scope(self._window(procedure.name, names)))
        self._row(Kind.RETURN, procedure.where)

    def _window(self, owner: str, names: tuple[str, ...]) -> dict[str, int]:
        if len(names) > self.machine.window:
            raise LoadError(
                f"'{owner}' uses {len(names)} registers; "
                f"a window of fabric '{self.machine.name}' has {self.machine.window}"
            )
        return {name: index for index, name in enumerate(names)}

    # --- rows -------------------------------------------------------------------

    def _row(self, kind: Kind, where: Location, **columns: int) -> int:
        row = [0] * len(Col)
        row[Col.KIND] = kind
        row[Col.DONE] = row[Col.LEVEL] = row[Col.STATEMENT] = -1
        for name, value in columns.items():
            row[Col[name]] = value
        self.tables.rows.append(row)
        self.tables.where.append(where)
        return len(self.tables.rows) - 1

    def _block(self, body: Iterable[Statement], scope: _Scope, top: bool = False) -> None:
        for statement in body:
            if top:
                scope.statement = self._report(statement)
            if isinstance(statement, Op):
                self._op(statement, scope)
            elif isinstance(statement, Loop):
                self._loop(statement, scope, top)
            elif isinstance(statement, If):
                self._if(statement, scope, top)
            else:
                self._call(statement, scope)

    def _report(self, statement: Statement) -> int:
        line = MainStatement(self.region.name, _head(statement), (), statement.where)
        if isinstance(statement, Call):
            procedure, call = statement.procedure, self.tables.calls
            line = replace(line, nodes=statement.nodes, procedure=procedure, call=call)
            self.tables.calls += 1
        self.tables.statements.append(line)
        return len(self.tables.statements) - 1

    def _loop(self, loop: Loop, scope: _Scope, top: bool) -> None:
        if scope.nest >= self.machine.loop_depth:
            raise LoadError(
                f"{place(loop.where)}loops nest deeper than {self.machine.loop_depth}, "
                f"the loop depth of fabric '{self.machine.name}'"
            )
        register = scope.registers[loop.register]
        head = self._row(
            Kind.LOOP,
            loop.where,
            OPCODE=COUNTED.index("loop"),
            NEST=scope.nest,
            TIMING=CLASS_INDEX[CONTROL_TIMING["loop"]],
            COUNTER=register,
            AMOUNT=self._ref(loop.count, scope, loop.where),
            STATEMENT=scope.statement,
        )
        scope.nest += 1
        statement = scope.statement
        self._block(loop.body, scope, top)
        scope.nest -= 1
        if len(self.tables.rows) == head + 1:  # an empty body runs in no time
            self.tables.rows[head][Col.BRANCH] = head + 1
            return
        self._row(
            Kind.NEXT,
            loop.where,
            BRANCH=head + 1,
            COUNTER=register,
            NEST=scope.nest,
            STATEMENT=statement,
        )
        self.tables.rows[head][Col.BRANCH] = len(self.tables.rows)

    def _if(self, guard: If, scope: _Scope, top: bool) -> None:
        head = self._row(
            Kind.IF,
            guard.where,
            OPCODE=COUNTED.index("if"),
            RELATION=RELATIONS.index(guard.relation),
            TIMING=CLASS_INDEX[CONTROL_TIMING["if"]],
            STATEMENT=scope.statement,
            LEFT=self._ref(guard.left, scope, guard.where),
            RIGHT=self._ref(guard.right, scope, guard.where),
        )
        self._block(guard.then, scope, top)
        if not guard.otherwise:
            self.tables.rows[head][Col.BRANCH] = len(self.tables.rows)
            return
        jump = self._row(Kind.JUMP, guard.where)
        self.tables.rows[head][Col.BRANCH] = len(self.tables.rows)
        self._block(guard.otherwise, scope, top)
        self.tables.rows[jump][Col.BRANCH] = len(self.tables.rows)

    def _call(self, call: Call, scope: _Scope) -> None:
        if call.procedure not in self.procedures:
            raise LoadError(f"{place(call.where)}no procedure '{call.procedure}'")
        parameters = self.procedures[call.procedure].parameters
        given = dict(call.arguments)
        if set(given) != set(parameters):
            raise LoadError(
                f"{place(call.where)}'{call.procedure}' takes ({', '.join(parameters)}), "
                f"the call gives ({', '.join(given)})"
            )
        first = self._list([self._ref(given[name], scope, call.where) for name in parameters])
        row = self._row(
            Kind.CALL,
            call.where,
            OPCODE=COUNTED.index("call"),
            DIMS=first,
            TIMING=CLASS_INDEX[CONTROL_TIMING["call"]],
            COUNT=len(parameters),
            WINDOW=len(scope.registers),
            STATEMENT=scope.statement,
            RANK=len(window(parameters, self.procedures[call.procedure].body)),
        )
        self.calls.append((row, call.procedure))

    # --- instructions -------------------------------------------------------------

    def _op(self, op: Op, scope: _Scope) -> None:
        instr = BY_NAME[op.name]
        common = {
            "OPCODE": OPCODE[op.name],
            "TIMING": CLASS_INDEX[instr.timing],
            "STATEMENT": scope.statement,
        }
        if instr.category is Category.VECTOR:
            self._vector(op, scope, common)
        elif instr.category is Category.SEND:
            self._send(op, scope, common)
        elif instr.category is Category.CONTROL:
            assert op.color is not None
            self._row(
                Kind.CONTROL,
                op.where,
                COLOR=self._color(op.color, op.where),
                LEVEL=0,
                CONTROL=CONTROL_INDEX[op.control],
                **common,
            )
        elif instr.category is Category.SEMAPHORE:
            kind = Kind.WAIT if op.name == "wait" else Kind.SIGNAL
            semaphore = self._semaphore(op.semaphore, op.where)
            count = self._integer(op, 0, scope)
            self._row(kind, op.where, SEMAPHORE=semaphore, AMOUNT=count, **common)
        else:
            self._scalar(op, scope, common)

    def _scalar(self, op: Op, scope: _Scope, common: dict[str, int]) -> None:
        category = BY_NAME[op.name].category
        kind = {Category.SCALAR: Kind.SCALAR, Category.LOAD: Kind.LOAD, Category.STORE: Kind.STORE}[
            category
        ]
        target = -1 if op.register is None else scope.registers[op.register]
        left = self._integer(op, 0, scope)
        right = self._integer(op, 1, scope) if len(op.operands) > 1 else left
        self._row(kind, op.where, TARGET=target, LEFT=left, RIGHT=right, **common)

    def _integer(self, op: Op, index: int, scope: _Scope) -> int:
        operand = op.operands[index]
        if isinstance(operand, Mem):
            return self._ref(operand.address, scope, op.where)
        if isinstance(operand, Scalar):
            return self._ref(operand.value, scope, op.where)
        raise LoadError(f"{place(op.where)}{op.name} takes integer operands")

    def _vector(self, op: Op, scope: _Scope, common: dict[str, int]) -> None:
        assert op.dtype is not None
        roles = BY_NAME[op.name].operands
        advances = [self._advance(operand, op) for operand in op.operands]
        if BY_NAME[op.name].accumulates and not isinstance(op.operands[0], Mem):
            raise LoadError(f"{place(op.where)}{op.name} accumulates in memory only")
        types = [operand_type(role, op.dtype) for role in roles]
        self._iterated(Kind.VECTOR, op, types, max(advances), scope, common)

    def _send(self, op: Op, scope: _Scope, common: dict[str, int]) -> None:
        assert op.dtype is not None
        assert op.target is not None
        common |= {
            "TARGET_X": self._ref(op.target[0], scope, op.where),
            "TARGET_Y": self._ref(op.target[1], scope, op.where),
            "COUNTED_ON": self._semaphore(op.semaphore, op.where),
        }
        self._iterated(Kind.SEND, op, [op.dtype] * 2, -1, scope, common)

    def _iterated(
        self,
        kind: Kind,
        op: Op,
        types: list[DType],
        level: int,
        scope: _Scope,
        common: dict[str, int],
    ) -> None:
        if len(op.dims) > min(MAX_DIMS, self.machine.dimensions):
            raise LoadError(
                f"{place(op.where)}{len(op.dims)} iteration names; fabric "
                f"'{self.machine.name}' has {self.machine.dimensions}"
            )
        dims = self._list([self._ref(dim.extent, scope, op.where) for dim in op.dims])
        first = len(self.tables.operands)
        for operand, dtype in zip(op.operands, types, strict=True):
            self.tables.operands.append(self._operand(operand, dtype, op, scope))
        unit, done = 0, -1
        if op.asynchronous is not None:
            unit = op.asynchronous.unit
            if not 0 <= unit < self.machine.stream_units:
                raise LoadError(
                    f"{place(op.where)}no stream unit {unit}: fabric "
                    f"'{self.machine.name}' has 0 to {self.machine.stream_units - 1}"
                )
            unit += 1  # 0 is the main thread
            if op.asynchronous.semaphore is not None:
                done = self._semaphore(op.asynchronous.semaphore, op.where)
        assert op.dtype is not None
        self._row(
            kind,
            op.where,
            DTYPE=TYPE_INDEX[op.dtype],
            OPERANDS=first,
            COUNT=len(op.operands),
            DIMS=dims,
            RANK=len(op.dims),
            UNIT=unit,
            DONE=done,
            LEVEL=level,
            **common,
        )

    def _advance(self, operand: Operand, op: Op) -> int:
        if not isinstance(operand, Queue):
            return -1
        if operand.dims is None:
            return len(op.dims)
        outer = tuple(dim.name for dim in op.dims[: len(operand.dims)])
        if operand.dims != outer:
            raise LoadError(
                f"{place(op.where)}<{operand.color}> can only advance with the outermost "
                "iteration names, in their order"
            )
        return len(outer)

    def _operand(self, operand: Operand, dtype: DType, op: Op, scope: _Scope) -> list[int]:
        row = [0] * len(Ocol)
        row[Ocol.TYPE] = TYPE_INDEX[dtype]
        if isinstance(operand, Mem):
            dims = tuple(dim.name for dim in op.dims)
            row[Ocol.VALUE], strides = self._address(operand.address, dims, scope, op.where)
            row[Ocol.STRIDES] = self._list(strides)
        elif isinstance(operand, Queue):
            row[Ocol.KIND] = 1
            row[Ocol.COLOR] = self._color(operand.color, op.where)
            row[Ocol.ADVANCE] = self._advance(operand, op)
        elif isinstance(operand, Scalar):
            row[Ocol.KIND] = 2
            row[Ocol.VALUE] = self._ref(operand.value, scope, op.where)
        else:
            assert isinstance(operand, Real)
            row[Ocol.KIND] = 3
            row[Ocol.VALUE] = len(self.tables.reals)
            self.tables.reals.append(operand.value)
        return row

    def _address(
        self, address: Expr, dims: tuple[str, ...], scope: _Scope, where: Location
    ) -> tuple[int, list[int]]:
        try:
            affine = split(address, frozenset(scope.registers), dims)
        except NotAffine as error:
            raise LoadError(f"{place(where)}{error}") from error
        base = self._affine(affine.static, affine.registers, scope, where)
        zero = Int(0)
        strides = [self._ref(affine.strides.get(dim, zero), scope, where) for dim in dims]
        return base, strides

    def _color(self, name: str, where: Location) -> int:
        if name not in self.colors:
            raise LoadError(f"{place(where)}no color '{name}'")
        return self.colors[name]

    def _semaphore(self, number: int | None, where: Location) -> int:
        if number is None or not 0 <= number < self.machine.semaphores:
            raise LoadError(
                f"{place(where)}no semaphore s{number}: fabric '{self.machine.name}' "
                f"has s0 to s{self.machine.semaphores - 1}"
            )
        return number

    # --- references -----------------------------------------------------------------

    def _list(self, refs: list[int]) -> int:
        self.tables.lists.extend(refs)
        return len(self.tables.lists) - len(refs)

    def _ref(self, node: Expr, scope: _Scope, where: Location) -> int:
        try:
            affine = split(node, frozenset(scope.registers))
        except NotAffine as error:
            raise LoadError(f"{place(where)}{error}") from error
        return self._affine(affine.static, affine.registers, scope, where)

    def _affine(
        self, static: Expr, registers: tuple[str, ...], scope: _Scope, where: Location
    ) -> int:
        numbers = tuple(scope.registers[name] for name in registers)
        key = (static, numbers)
        if key not in self.cache:
            value = static_value(static, self.env, where)
            first = len(self.tables.registers)
            self.tables.registers.extend(numbers)
            self.cache[key] = len(self.tables.refs)
            try:
                kept = self.pool.add(value)
            except OverflowError as error:
                raise LoadError(f"{place(where)}{show(static)} {error}") from None
            self.tables.refs.append([*kept, first, len(numbers)])
        return self.cache[key]


NO_PLACE = Location()


def flatten(program: Program, machine: Machine) -> Code:
    """Flatten the code of every region."""
    tables, pool = _Tables(), Pool()
    entries: dict[str, int] = {}
    starts: dict[int, str] = {0: ""}
    stays: list[int] = []
    first_stays: dict[str, int] = {}
    for region in program.regions:
        own = stays_of(program, region, len(tables.statements))
        first_stays[region.name] = -1 if own is None else len(stays)
        stays += own or ()
        coder = Coder(program, machine, region, tables, pool)
        entries[region.name] = coder.region_code()
        starts[entries[region.name]] = ""
        starts |= {row: name for name, row in coder.starts.items()}
    if not tables.rows:  # no region: the tables still have a row, which ends
        tables.rows.append([Kind.END, *[0] * (len(Col) - 1)])
        tables.where.append(NO_PLACE)
    if len(tables.rows) > MOST_ROWS:
        raise LoadError(f"the code has {len(tables.rows)} rows, and there may be {MOST_ROWS}")
    rows = _table(tables.rows, len(Col))
    return Code(
        rows=rows,
        operands=_table(tables.operands, len(Ocol)),
        refs=_table(tables.refs, 5),
        lists=np.array([*tables.lists, 0], dtype=np.int32),
        registers=np.array([*tables.registers, 0], dtype=np.int32),
        pool=pool.array(),
        reals=np.array([*tables.reals, 0.0], dtype=np.float64),
        entries=entries,
        procedures=(sorted(starts), [starts[row] for row in sorted(starts)]),
        statements=tuple(tables.statements),
        stays=np.array(stays, dtype=np.int64),
        first_stays=first_stays,
        where=tables.where,
        units=int(rows[:, Col.UNIT].max(initial=0)),
        sends=bool((rows[:, Col.KIND] == Kind.SEND).any()),
    )


def _table(rows: list[list[int]], columns: int) -> np.ndarray:
    return np.array(rows or [[0] * columns], dtype=np.int32).reshape(-1, columns)
