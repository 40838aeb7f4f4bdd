"""Scalar code made plainer: what is known is put where it is used, what nobody uses goes.

Kernels write a register for every step of their arithmetic, and numbers that are one for some
tasks only. Here a walk through the body knows, at each statement, which registers hold a sum that
an operand can hold (a static expression and at most two registers), and which one already has what
an instruction would compute. Sums move into the operands; copies, instructions that change
nothing, guards that always hold and loops of one turn go with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from wsc.isa.expr import (
    BINARY,
    RESERVED,
    Binary,
    Expr,
    Int,
    Name,
    NotAffine,
    binary,
    names,
    split,
    substitute,
    terms,
)
from wsc.isa.program import If, Loop, Op, Scalar, Statement
from wsc.isa.statements import assigned, blocks, expressions, rewrite, statements
from wsc.isa.table import OPERATORS
from wsc.kernels.asm import MAX_REGISTERS_IN_OPERAND

# What static operands give, as an expression that is evaluated when a program is loaded.
STATIC = {name: op for name, op in OPERATORS.items() if name not in ("i.add", "i.sub")}
SAME = {"i.min", "i.max", "i.and", "i.or"}  # of a number and itself, or taken twice
COMMUTATIVE = {*SAME, "i.mul", "i.xor"}
PURE = {*OPERATORS, *SAME, "i.set", "i.xor", "i.shl", "i.shr"}
OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}

TEMPORARY = "t"  # as ``Asm.value`` calls what has no name

Key = tuple[str, tuple[Expr, ...]]


def plainer(body: Iterable[Statement], parameters: Collection[str] = ()) -> tuple[Statement, ...]:
    """A body that does the same with fewer scalar instructions, loops and guards.

    parameters: registers that have a value before the body begins.
    """
    found = tuple(body)
    walk = _Walk(frozenset({*assigned(found), *parameters}))
    return named(_used(walk.block(found, _Known()), set()))


@dataclass(slots=True)
class _Known:
    """What is known before a statement.

    values: register -> the sum that it holds. made: instruction and operands -> the register that
    has what it gives. Entries go when a register that they name gets another value.
    """

    values: dict[str, Expr] = field(default_factory=dict[str, Expr])
    made: dict[Key, str] = field(default_factory=dict[Key, str])

    def copy(self) -> _Known:
        """The same, for a branch or a turn."""
        return _Known(dict(self.values), dict(self.made))

    def forget(self, gone: Collection[str]) -> None:
        """Registers get other values."""
        self.values = {
            register: value
            for register, value in self.values.items()
            if register not in gone and not {*names(value)} & {*gone}
        }
        self.made = {
            key: register
            for key, register in self.made.items()
            if register not in gone and not any({*names(node)} & {*gone} for node in key[1])
        }

    def computed(self, register: str) -> Key | None:
        """What a register was computed from, if that still holds."""
        return next((key for key, holder in self.made.items() if holder == register), None)


@dataclass(frozen=True, slots=True)
class _Walk:
    registers: frozenset[str]

    def block(self, body: Iterable[Statement], known: _Known) -> tuple[Statement, ...]:
        """Statements one after the other; ``known`` is then what is known behind them."""
        found: list[Statement] = []
        for statement in body:
            if isinstance(statement, Loop):
                found += self._loop(statement, known)
            elif isinstance(statement, If):
                found += self._guard(statement, known)
            elif isinstance(statement, Op) and statement.register is not None:
                found += self._scalar(statement, known)
            else:
                found += self._changed(statement, known)
        return tuple(found)

    def _changed(self, statement: Statement, known: _Known) -> tuple[Statement, ...]:
        return rewrite((statement,), lambda node, spot: self._put(node, spot.dims, known.values))

    def _loop(self, loop: Loop, known: _Known) -> tuple[Statement, ...]:
        count = self._put(loop.count, (), known.values)
        if isinstance(count, Int) and count.value <= 0:
            return ()
        if count == Int(1):
            start = Op("i.set", operands=(Scalar(Int(0)),), register=loop.register)
            return self.block((start, *loop.body), known)
        known.forget({loop.register, *assigned(loop.body)})
        inside = self.block(loop.body, known.copy())
        return (replace(loop, count=count, body=inside),)

    def _guard(self, guard: If, known: _Known) -> tuple[Statement, ...]:
        sides = (self._put(side, (), known.values) for side in (guard.left, guard.right))
        left, right = _sides(*sides)
        if isinstance(left, Int) and isinstance(right, Int):
            holds = BINARY[guard.relation][1](left.value, right.value)
            return self.block(guard.then if holds else guard.otherwise, known)
        then, otherwise = (self.block(b, known.copy()) for b in (guard.then, guard.otherwise))
        known.forget({*assigned(guard.then), *assigned(guard.otherwise)})
        return (replace(guard, left=left, right=right, then=then, otherwise=otherwise),)

    def _scalar(self, op: Op, known: _Known) -> tuple[Statement, ...]:
        """An instruction with a register, and what is known behind it."""
        assert op.register is not None
        (changed,) = self._changed(op, known)
        assert isinstance(changed, Op)
        operands = [item.value for item in changed.operands if isinstance(item, Scalar)]
        key: Key | None = None
        value: Expr | None = None
        if op.name in PURE:
            key = (op.name, tuple(_ordered(op.name, operands)))
            value = self._value(op.name, operands, known)
        if value is None and key in known.made:
            value = Name(known.made[key])
        if value is not None:
            if value == Name(op.register):
                return ()
            changed = replace(changed, name="i.set", operands=(Scalar(value),))
        known.forget({op.register})
        if value is not None and op.register not in names(value):
            known.values[op.register] = value
        elif key is not None and not any(op.register in names(node) for node in key[1]):
            known.made[key] = op.register
        return (changed,)

    def _value(self, name: str, operands: list[Expr], known: _Known) -> Expr | None:
        """What an instruction gives, if an operand can hold it."""
        if name == "i.set":
            return operands[0]
        a, b = operands
        if name in ("i.add", "i.sub"):
            return self._sum(a, b, 1 if name == "i.add" else -1)
        if name in SAME and a == b:
            return a
        if name in ("i.mul", "i.div") and b == Int(1):
            return a
        if (name == "i.mul" and Int(0) in operands) or (name == "i.mod" and b == Int(1)):
            return Int(0)
        if name == "i.mul" and a == Int(1):
            return b
        for taken, other in ((a, b), (b, a)) if name in SAME else ():
            before = known.computed(taken.name) if isinstance(taken, Name) else None
            if before is not None and before[0] == name and other in before[1]:
                return taken
        fixed = not any({*names(node)} & self.registers for node in operands)
        divides = name in ("i.div", "i.mod")
        if name in STATIC and fixed and not (divides and not _nonzero(b)):
            return binary(STATIC[name], a, b)
        return None

    def _sum(self, a: Expr, b: Expr, sign: int) -> Expr | None:
        left, right = split(a, self.registers), split(b, self.registers)
        registers = Counter(left.registers)
        for register in right.registers:
            registers[register] += sign
        many = [name for name, number in registers.items() for _ in range(number)]
        if min(registers.values(), default=0) < 0 or len(many) > MAX_REGISTERS_IN_OPERAND:
            return None
        static = left.static + right.static if sign > 0 else _less(left.static, right.static)
        return _added(static, many)

    def _put(self, node: Expr, dims: tuple[str, ...], values: Mapping[str, Expr]) -> Expr:
        """An operand with the sums that its registers hold, as far as it can hold them."""
        for register in dict.fromkeys(names(node)):
            if register in values and register not in dims:
                changed = self._held(substitute(node, {register: values[register]}), dims)
                node = node if changed is None else changed
        return node

    def _held(self, node: Expr, dims: tuple[str, ...]) -> Expr | None:
        """The operand in its plain order, if one can be so."""
        try:
            parts = split(node, self.registers, dims)
        except NotAffine:
            return None
        if len(parts.registers) > MAX_REGISTERS_IN_OPERAND:
            return None
        total = _added(parts.static, parts.registers)
        for dim in dims:
            if dim in parts.strides:
                total = total + Name(dim) * parts.strides[dim]
        return total


def _added(static: Expr, registers: Iterable[str]) -> Expr:
    """A sum as one reads it: what is at an address first, what is taken away last."""
    total: Expr = Int(0)
    for register in registers:
        total = total + Name(register)
    if total == Int(0) or {*names(static)} - {*RESERVED}:
        return static + total
    for sign, term in terms(static):
        if isinstance(term, Int) and term.value < 0:
            sign, term = -sign, Int(-term.value)
        total = total + term if sign > 0 else total - term
    return total


def _less(left: Expr, right: Expr) -> Expr:
    return Int(0) if left == right else left - right


def _sides(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Both sides of a guard, without a difference that is compared with zero."""
    if right == Int(0) and isinstance(left, Binary) and left.op == "-":
        return left.left, left.right
    return left, right


def _ordered(name: str, operands: list[Expr]) -> list[Expr]:
    return sorted(operands, key=repr) if name in COMMUTATIVE else operands


def _used(body: Iterable[Statement], live: set[str]) -> list[Statement]:
    """Statements without instructions whose registers nobody reads, and without empty blocks.

    live: the registers that are read behind them; those that are read from them on afterwards.
    """
    found: list[Statement] = []
    for statement in reversed((*body,)):
        if isinstance(statement, Loop):
            found += _used_loop(statement, live)
        elif isinstance(statement, If):
            found += _used_guard(statement, live)
        elif not (isinstance(statement, Op) and _idle(statement, live)):
            if isinstance(statement, Op):
                live.discard(statement.register or "")
            live |= _read(statement)
            found.append(statement)
    return found[::-1]


def _used_loop(loop: Loop, live: set[str]) -> list[Statement]:
    """What a turn reads before it sets it may be what the turn before it set."""
    inside: list[Statement] = []
    before: set[str] = set()
    behind: set[str] | None = None
    while before != behind:
        behind = before
        before = live | behind
        inside = _used(loop.body, before)
    if not inside and loop.register not in live:
        return []
    live |= before
    live.discard(loop.register)
    live |= _read(loop)
    return [replace(loop, body=tuple(inside))]


def _used_guard(guard: If, live: set[str]) -> list[Statement]:
    behind = set(live)
    then = tuple(_used(guard.then, live))
    otherwise = tuple(_used(guard.otherwise, behind))
    live |= behind
    if not then and not otherwise:
        return []
    live |= _read(guard)
    if then:
        return [replace(guard, then=then, otherwise=otherwise)]
    return [replace(guard, relation=OPPOSITE[guard.relation], then=otherwise, otherwise=())]


def _read(statement: Statement) -> set[str]:
    return {name for node in expressions(statement) for name in names(node)}


def named(body: Iterable[Statement]) -> tuple[Statement, ...]:
    """The body with the steps to a number called as it is: ``r = a - b``, then ``r = max(0, r)``.

    A register without a name of its own that is set once, and read once in its block by an
    instruction that sets another one, has the name of that one, where nothing between the two
    reads or sets it. So has one that is called alike, but for a number.
    """
    found = tuple(body)
    uses = Counter(name for each in statements(found) for name in _names_in(each))
    once = {name for name, number in uses.items() if number == 2}
    return _called(found, once)


def _called(body: tuple[Statement, ...], once: set[str]) -> tuple[Statement, ...]:
    found = [*body]
    for place in reversed(range(len(found))):
        statement = found[place]
        if isinstance(statement, Loop):
            found[place] = replace(statement, body=_called(statement.body, once))
        elif isinstance(statement, If):
            then, otherwise = (_called(block, once) for block in blocks(statement))
            found[place] = replace(statement, then=then, otherwise=otherwise)
        elif isinstance(statement, Op) and statement.register in once:
            _call(found, place)
    return tuple(found)


def _call(found: list[Statement], place: int) -> None:
    """Give what an instruction sets the name of what its reader sets, if that may be."""
    op = found[place]
    assert isinstance(op, Op)
    old = op.register or ""
    for later in range(place + 1, len(found)):
        reader = found[later]
        if old not in _read(reader):
            continue
        new = reader.register if isinstance(reader, Op) else None
        between = statements(found[place + 1 : later])
        used = {name for each in between for name in _names_in(each)} | {*_read(reader)}
        if new is not None and new not in used and _stem(old) in (TEMPORARY, _stem(new)):
            found[place] = replace(op, register=new)
            found[later] = _with(reader, {old: Name(new)})
        return


def _with(statement: Statement, values: Mapping[str, Expr]) -> Statement:
    (changed,) = rewrite((statement,), lambda node, _: substitute(node, values))
    return changed


def _stem(register: str) -> str:
    """A name without the number that tells it from others."""
    return register.rstrip("0123456789")


def _names_in(statement: Statement) -> list[str]:
    """The names that a statement reads, and the register that it sets."""
    read = [name for node in expressions(statement) for name in dict.fromkeys(names(node))]
    return [*read, getattr(statement, "register", None) or ""]


def _idle(op: Op, live: Collection[str]) -> bool:
    """Whether nobody reads what an instruction gives; one that may stop a run is not idle."""
    if op.name not in PURE or op.register in live:
        return False
    divisor = op.operands[-1]
    assert isinstance(divisor, Scalar)
    return op.name not in ("i.div", "i.mod") or _nonzero(divisor.value)


def _nonzero(node: Expr) -> bool:
    return isinstance(node, Int) and node.value != 0
