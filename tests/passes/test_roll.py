"""Rolling: a loop makes the calls that were there, with the same values, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import pytest

import wsc.passes.emit
from tests.conftest import Golden
from tests.e2e.long import long_recurrence, long_scan
from tests.fabric import build
from wsc.ir.cut import NotAlike
from wsc.ir.tasks import Gap, Run
from wsc.isa.expr import Expr, Int, Name, X, Y, apply, evaluate, maximum
from wsc.isa.fabric import find_fabric
from wsc.isa.printer import print_statement
from wsc.isa.program import Call, Direction, Loop, Op, Procedure, Scalar, Side, Statement, Transfer
from wsc.isa.types import DType
from wsc.passes.periods import LEAST, numbered, runs
from wsc.passes.roll import Rolled, repeated, rolled

FABRIC = find_fabric("4x3")
ADDRESSES = {"gates": 64, "even": 256, "odd": 320} | {f"row{k}": 1024 + 48 * k for k in range(40)}
OPERATORS = {
    "i.add": "+",
    "i.sub": "-",
    "i.mul": "*",
    "i.div": "/",
    "i.mod": "%",
    "i.min": "min",
    "i.max": "max",
}
WHERE = {"x": 3, "y": 2, "W": 4, "H": 3}

Made = tuple[str, tuple[str, ...], tuple[tuple[str, int], ...]]


def steps(count: int) -> list[Call]:
    """Calls of a recurrence as the kernels leave them: a state that takes turns, rows in order."""
    found: list[Call] = []
    for k in range(count):
        old, new = (Name(name) for name in (("even", "odd") if k % 2 == 0 else ("odd", "even")))
        left = maximum(0, Int(k + 1) - Y * 16)
        found += [
            Call("take", (("at", Name(f"row{k}")), ("count", left)), ("net",)),
            Call("step", (("at", Name("gates") + X * 4), ("old", old), ("new", new)), ("net",)),
        ]
    return found


def made(main: tuple[Statement, ...], names: dict[str, int]) -> Iterator[Made]:
    """The calls that one tile makes, with values."""
    env = dict(names) | WHERE

    def run(body: tuple[Statement, ...]) -> Iterator[Made]:
        for statement in body:
            if isinstance(statement, Loop):
                for turn in range(evaluate(statement.count, env)):
                    env[statement.register] = turn
                    yield from run(statement.body)
            elif isinstance(statement, Call):
                values = tuple((key, int(evaluate(v, env))) for key, v in statement.arguments)
                yield statement.procedure, statement.nodes, values
            else:
                assert isinstance(statement, Op)
                assert statement.register
                values = [
                    evaluate(o.value, env) for o in statement.operands if isinstance(o, Scalar)
                ]
                operator = OPERATORS.get(statement.name)
                env[statement.register] = apply(operator, *values) if operator else values[0]

    return run(main)


def test_a_small_loop(golden: Golden) -> None:
    calls = [Call("load"), *steps(21), Call("store", (("at", Name("even")),))]
    main = rolled(calls, (), ADDRESSES, FABRIC).main
    golden("passes/roll/a_small_loop.txt", "\n".join(map(print_statement, main)) + "\n")
    assert list(made(main, ADDRESSES)) == list(made(tuple(calls), ADDRESSES))


@pytest.mark.parametrize("count", [1, 2 * LEAST - 1, 2 * LEAST, 2 * LEAST + 1, 33])
def test_any_number_of_steps(count: int) -> None:
    calls = tuple(steps(count))
    main = rolled(calls, (), ADDRESSES, FABRIC).main
    assert any(isinstance(item, Loop) for item in main) == (count >= 2 * LEAST)
    assert list(made(main, ADDRESSES)) == list(made(calls, ADDRESSES))


def test_numbers_that_do_not_go_on_evenly_stay() -> None:
    calls = [Call("take", (("at", Int(k * k)),)) for k in range(30)]
    assert rolled(calls, (), {}, FABRIC).main == tuple(calls)


def test_nodes_are_not_mixed() -> None:
    calls = [Call("take", (("at", Int(k)),), (f"layer{k}",)) for k in range(30)]
    assert rolled(calls, (), {}, FABRIC).main == tuple(calls)


def test_procedures_that_fill_the_registers_leave_no_room() -> None:
    names = tuple(f"r{k}" for k in range(FABRIC.registers))
    full = (Procedure("take", names, ()),)
    assert rolled(steps(30), full, ADDRESSES, FABRIC).main == tuple(steps(30))


def test_the_shorter_period_of_those_that_save_as_much() -> None:
    assert runs(numbered("x" + "ab" * 20 + "y")) == [Run(1, 2, 20)]
    assert runs(numbered("aab" * 10 + "cd" * 9)) == [Run(0, 3, 10), Run(30, 2, 9)]
    assert runs(numbered("abcdefgh" * 2)) == []
    # Of two kinds of steps all are steps of a common multiple: they are no longer for that.
    both = numbered("abc" * 32 + "defgh" * 21)
    assert runs(both) == [Run(0, 3, 32), Run(96, 5, 21)]
    assert runs(np.zeros(0, np.int64)) == []


def test_equal_entries_of_the_edge_repeat() -> None:
    def feed(offset: Expr) -> Transfer:
        return Transfer(Direction.FEED, "weights", "all", Side.NORTH, None, "w", offset)

    once, other = feed(Int(0)), feed(Int(4))
    assert repeated([once] * (LEAST - 1)) == (once,) * (LEAST - 1)
    (first, second) = repeated([once] * LEAST + [other])
    assert (first.repeat, second) == (("turn", LEAST), other)


MODELS = {
    "LSTM": long_recurrence("LSTM", 19, 6),
    "GRU": long_recurrence("GRU", 20, 6, batch=2),
    "reverse": long_recurrence("RNN", 21, 6, direction="reverse"),
    "both": long_recurrence("LSTM", 22, 6, direction="bidirectional"),
    "scan": long_scan(23, 6),
}


@pytest.mark.parametrize("fabric", ["4x4", "1x1", "3x5"])
@pytest.mark.parametrize("name", MODELS)
def test_a_network_makes_the_same_calls(
    name: str, fabric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: onnx.ModelProto = MODELS[name]
    program = build(model, fabric, DType.F32).assembly
    monkeypatch.setattr(wsc.passes.emit, "rolled", lambda main, *rest: Rolled(tuple(main), ()))
    plain = build(model, fabric, DType.F32).assembly
    assert any(isinstance(item, Loop) for item in program.regions[0].main)
    ours, theirs = (
        list(made(p.regions[0].main, {tensor.name: tensor.address for tensor in p.tensors}))
        for p in (program, plain)
    )
    assert ours == theirs
    # What the text names is there, at the same place; of all turns, where they go on.
    there = {tensor.name: tensor for tensor in plain.tensors}
    for tensor in program.tensors:
        first = there[tensor.name]
        assert tensor.address <= first.address
        assert first.address + first.bytes <= tensor.address + tensor.bytes


def of_blocks(numbers: Iterable[int]) -> list[Call]:
    """Calls for blocks of these numbers: some of a value, into buffers that take turns."""
    return [
        call
        for n in numbers
        for call in (
            Call("take", (("at", Int(64 + 8 * n)), ("row", 3 * n - Y)), ("net",)),
            Call("add", (("old", Name("odd" if n % 2 else "even")), ("count", Int(6))), ("net",)),
        )
    ]


@pytest.mark.parametrize("backwards", [False, True])
def test_blocks_that_were_left_out_are_turns(backwards: bool) -> None:
    order = [*range(40)][:: -1 if backwards else 1]
    gap = Gap(at=20 * 2, size=2, left=4, end=36 * 2)
    few = rolled(of_blocks(order[:20] + order[24:]), [], ADDRESSES, FABRIC, gaps=[gap])
    assert few == rolled(of_blocks(order), [], ADDRESSES, FABRIC)
    (loop,) = (item for item in few.main if isinstance(item, Loop))
    assert loop.count == Int(20)  # of two blocks each


@pytest.mark.parametrize("behind", [20, 23, 25])
def test_blocks_whose_numbers_do_not_follow_are_refused(behind: int) -> None:
    """The next block is not that many further on as there are said to be between."""
    main = of_blocks([*range(20), *range(behind, behind + 16)])
    gap = Gap(at=20 * 2, size=2, left=4, end=36 * 2)
    with pytest.raises(NotAlike):
        rolled(main, [], ADDRESSES, FABRIC, gaps=[gap])
