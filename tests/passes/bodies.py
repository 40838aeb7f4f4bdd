"""Random bodies of scalar code, and an interpreter that says what they store."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from wsc.isa.expr import BINARY, Int, Name, evaluate
from wsc.isa.program import If, Loop, Mem, Op, Scalar, Statement

Body = tuple[Statement, ...]
VALUES = {
    "i.set": lambda a: a,
    "i.add": lambda a, b: a + b,
    "i.sub": lambda a, b: a - b,
    "i.mul": lambda a, b: a * b,
    "i.min": min,
    "i.max": max,
}


@dataclass
class Machine:
    """Registers and what was stored, in order, by a body of scalar instructions."""

    registers: dict[str, int]
    stored: list[tuple[int, int]] = field(default_factory=list)

    def run(self, body: Body) -> None:
        for statement in body:
            if isinstance(statement, Loop):
                for number in range(evaluate(statement.count, self.registers)):
                    self.registers[statement.register] = number
                    self.run(statement.body)
            elif isinstance(statement, If):
                left = evaluate(statement.left, self.registers)
                right = evaluate(statement.right, self.registers)
                taken = BINARY[statement.relation][1](left, right)
                self.run(statement.then if taken else statement.otherwise)
            elif isinstance(statement, Op):
                self._operation(statement)

    def _operation(self, op: Op) -> None:
        if op.name == "i.store":
            target, value = op.operands
            assert isinstance(target, Mem)
            assert isinstance(value, Scalar)
            place = evaluate(target.address, self.registers)
            self.stored.append((place, evaluate(value.value, self.registers)))
            return
        values = [evaluate(o.value, self.registers) for o in op.operands if isinstance(o, Scalar)]
        assert op.register is not None
        self.registers[op.register] = VALUES[op.name](*values)


def stores(body: Body) -> list[tuple[int, int]]:
    """What a body stores on one tile, in order."""
    machine = Machine({"x": 3, "y": 2, "W": 5, "H": 4, "base": 100})
    machine.run(body)
    return machine.stored


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """Bodies in which every register is assigned before it is read."""
    return draw(_block((), 2, [0]))


@st.composite
def _block(draw: st.DrawFn, known: tuple[str, ...], depth: int, count: list[int]) -> Body:
    statements: list[Statement] = []
    names = list(known)
    for _ in range(draw(st.integers(1, 5))):
        numbers = st.integers(-9, 9).map(Int)
        fixed = st.sampled_from([Name("x"), Name("base"), Name("W") * 3 + 1])
        values = st.one_of(numbers, fixed)
        if names:
            values = st.one_of(values, st.sampled_from(names).map(Name))
        kind = draw(st.integers(0, 5 if depth else 3))
        if kind <= 1:
            op = draw(st.sampled_from(sorted(VALUES)))
            arguments = draw(st.lists(values, min_size=2, max_size=2))[: 1 + (op != "i.set")]
            if op == "i.mul":  # numbers stay small
                arguments[1] = Int(draw(st.integers(-2, 2)))
            if names and draw(st.booleans()):
                register = draw(st.sampled_from(names))
                if register.startswith("loop"):
                    continue
            else:
                register = _fresh("r", count)
            statements.append(Op(op, operands=tuple(map(Scalar, arguments)), register=register))
            names.append(register)
        elif kind <= 3:
            address = Name("base") + draw(values)
            statements.append(Op("i.store", operands=(Mem(address), Scalar(draw(values)))))
        elif kind == 4:
            register = _fresh("loop", count)
            body = draw(_block((*names, register), depth - 1, count))
            statements.append(Loop(register, Int(draw(st.integers(0, 3))), body))
        else:
            then, otherwise = (draw(_block(tuple(names), depth - 1, count)) for _ in range(2))
            relation = draw(st.sampled_from(["==", "<", ">="]))
            statements.append(If(draw(values), relation, draw(values), then, otherwise))
    return tuple(statements)


def _fresh(hint: str, count: list[int]) -> str:
    count[0] += 1
    return f"{hint}{count[0]}"
