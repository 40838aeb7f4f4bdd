"""Derivatives against numerical differences, in double precision: every row, every primitive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests import oracle
from tests.conftest import Golden
from wsc.errors import CompileError
from wsc.ir.build import GraphBuilder
from wsc.ir.graph import (
    Arg,
    Graph,
    GraphOutput,
    Lit,
    Map,
    Move,
    Pad,
    Reduction,
    Step,
    Type,
)
from wsc.ir.text import parse_graph, print_graph
from wsc.isa.table import TABLE, Category, Operand, operand_type
from wsc.isa.types import DType
from wsc.isa.values import DERIVATIVES, WITHOUT
from wsc.passes.differentiate import Differentiate
from wsc.passes.simplify import Simplify
from wsc.passes.stage import run

STEP = 1e-6


def weighted(graph: Graph, value: str) -> Graph:
    """The graph with a loss: a sum of a value's elements, each with a weight of its own."""
    build = GraphBuilder.of(graph)
    y = build.value(value)
    weights = np.linspace(0.5, 1.5, y.type.size).reshape(y.shape)
    each = build.map(lambda v, w: v * w, y, build.constant(weights, y.dtype, "weights"))
    total = build.reduce(Reduction.SUM, each, range(y.rank), False, "loss")
    host = y.dtype.numpy.name
    return build.finish([GraphOutput("loss", total.name, host)])


def check(graph: Graph, feeds: Mapping[str, np.ndarray], by: tuple[str, ...]) -> Graph:
    """Hold the derivatives of ``loss`` by some inputs against differences along one direction.

    Each has an own direction for every element: one that is wrong does not go unseen.
    """
    both = Simplify().apply(run(Differentiate("loss", by), graph))
    assert parse_graph(print_graph(both), {c.name: c for c in both.constants}) == both
    found = oracle.evaluate(both, feeds, double=True)
    rng = np.random.default_rng(7)
    # Constants of halves were rounded when the graph was built.
    halves = any(type_.dtype is DType.F16 for type_ in both.types().values())
    tolerance = 2e-3 if halves else 1e-6
    for name in by:
        for _ in range(3):
            way = rng.normal(size=feeds[name].shape)
            ends = [
                oracle.evaluate(graph, {**feeds, name: feeds[name] + sign * STEP * way}, True)
                for sign in (1, -1)
            ]
            slope = (ends[0]["loss"] - ends[1]["loss"]).sum() / (2 * STEP)
            np.testing.assert_allclose(
                (found[f"{name}.grad"] * way).sum(), slope, tolerance, tolerance
            )
    return both


# --- instructions -----------------------------------------------------------------------

FLOAT_ROWS = {
    row.name
    for row in TABLE
    if row.category is Category.VECTOR
    and not row.accumulates
    and operand_type(row.operands[0], row.types[0]).is_float
}
# Inside the domain of every one of them, and away from jumps and kinks.
NEAR = {0: (0.6, 0.9), 1: (1.2, 1.4)}
FLAT = {"sign", "floor", "ceil", "round"}
ROUNDING = {name for name in DERIVATIVES if name.startswith("to_")}


def test_every_row_of_floats_has_a_derivative_or_is_listed_without() -> None:
    assert DERIVATIVES.keys() | WITHOUT == FLOAT_ROWS
    assert not DERIVATIVES.keys() & WITHOUT


TRIED = [
    (row.name, literal)
    for row in TABLE
    if row.name in DERIVATIVES.keys() - ROUNDING - {"from_int"}
    for literal in ([None, 0, 1] if row.operands[1:] == (Operand.SAME,) * 2 else [None])
]


@pytest.mark.parametrize(("name", "literal"), TRIED)
def test_the_derivative_of_an_instruction(name: str, literal: int | None) -> None:
    row = next(row for row in TABLE if row.name == name)
    build = GraphBuilder("g")
    feeds: dict[str, np.ndarray] = {}
    args: list[Arg | Lit] = []
    values = []
    rng = np.random.default_rng(3)
    for number, role in enumerate(row.operands[1:]):
        dtype = operand_type(role, row.types[0])
        if number == literal:
            args.append(Lit(1.3 if number else 0.7))
            continue
        low, high = NEAR.get(number, (0.3, 0.9))
        flags = role is Operand.FLAG
        feeds[f"x{number}"] = (
            rng.integers(0, 2, (3, 4)) if flags else rng.uniform(low, high, (3, 4))
        )
        args.append(Arg(len(values)))
        values.append(build.input(f"x{number}", Type(dtype, (3, 4)), dtype.numpy.name))
    y = build.add(Map((Step(name, row.types[0], tuple(args)),)), values)
    graph = weighted(build.finish([GraphOutput("y", y.name, "float32")]), y.name)
    by = tuple(value.name for value in values if value.dtype.is_float)
    if name in FLAT:
        with pytest.raises(CompileError, match="does not change with x0"):
            run(Differentiate("loss", by), graph)
        return
    check(graph, feeds, by)


@pytest.mark.parametrize(("flag", "chosen", "other"), [(1, "x", "w"), (0, "w", "x")])
def test_a_literal_flag_chooses_all_elements(flag: int, chosen: str, other: str) -> None:
    """As the causal mask of a single position does."""
    graph = parse_graph(
        'graph "g"\ninput %x : f32[4,6] from "float32"\ninput %w : f32[6] from "float32"\n'
        f"%y = map(%x, %w) {{ select.f32 {flag} $0 $1; mul.f32 #0 3.0 }} : f32[4,6]\n"
        'output "y" = %y as "float32"\n'
    )
    feeds = {"x": FEEDS["x"], "w": FEEDS["x"][0]}
    check(weighted(graph, "y"), feeds, (chosen,))
    with pytest.raises(CompileError, match=f"does not change with {other}"):
        run(Differentiate("loss", (other,)), weighted(graph, "y"))


@pytest.mark.parametrize("name", sorted(ROUNDING))
def test_training_looks_through_a_rounding(name: str) -> None:
    graph = read(f"%y = map(%x) {{ {name}.f32 $0; mul.f32 #0 3.0 }} : f32[4,6]", "y")
    found = oracle.evaluate(
        run(Differentiate("loss", ("x",)), weighted(identity(), "y")), FEEDS, True
    )
    both = run(Differentiate("loss", ("x",)), graph)
    steps = [step.op for node in both.nodes if isinstance(node.op, Map) for step in node.op.body]
    assert steps.count(name) == 1  # forwards alone
    assert found["x.grad"].shape == (4, 6)


# --- primitives -------------------------------------------------------------------------

RNG = np.random.default_rng(11)
FEEDS = {"x": RNG.normal(size=(4, 6)), "w": RNG.normal(size=(6, 5)), "i": np.array([2, 0, 2])}
HEAD = (
    'graph "g"\ninput %x : f32[4,6] from "float32"\ninput %w : f32[6,5] from "float32"\n'
    'input %i : i32[3] from "int32"\n'
)


def read(body: str, value: str) -> Graph:
    text = f'{HEAD}{body}\noutput "y" = %{value} as "float32"\n'
    return weighted(parse_graph(text), value)


def identity() -> Graph:
    return parse_graph(
        f'{HEAD}%y = map(%x) {{ mul.f32 $0 3.0 }} : f32[4,6]\noutput "y" = %y as "float32"\n'
    )


def windows(*shape: int) -> str:
    return (
        f"%p = move(%x) reshape[{','.join(map(str, shape))}] : f32[{','.join(map(str, shape))}]\n"
    )


CASES = {
    "a_matmul": (
        "%y = contract(%x, %w) [m, k] [k, n] -> [m, n] where m=4 k=6 n=5 : f32[4,5]",
        "xw",
    ),
    "a_label_of_one_operand": (
        "%y = contract(%x, %w) [m, k] [k, n] -> [n] where m=4 k=6 n=5 : f32[5]",
        "xw",
    ),
    "a_label_of_both_that_stays": (
        "%t = move(%w) slice[0:6:1, 0:4:1] transpose[1,0] : f32[4,6]\n"
        "%y = contract(%x, %t) [b, k] [b, k] -> [k, b] where b=4 k=6 : f32[6,4]",
        "xw",
    ),
    "a_position_of_one": (
        "%a = move(%x) reshape[24,1] : f32[24,1]\n%b = move(%w) reshape[1,30] : f32[1,30]\n"
        "%y = contract(%a, %b) [m, 0] [0, n] -> [m, n] where m=24 n=30 : f32[24,30]",
        "xw",
    ),
    "a_value_with_itself": (
        "%y = contract(%x, %x) [m, k] [n, k] -> [m, n] where m=4 k=6 n=4 : f32[4,4]",
        "x",
    ),
    "a_convolution": (
        windows(2, 12) + "%k = move(%w) reshape[5,2,3] : f32[5,2,3]\n%y = contract(%p, %k) "
        "[c, h+k-1] [o, c, k] -> [o, h] where c=2 h=12 o=5 k=3 : f32[5,12]",
        "xw",
    ),
    "a_convolution_with_strides": (
        windows(2, 12) + "%k = move(%w) reshape[5,2,3] : f32[5,2,3]\n%y = contract(%p, %k) "
        "[c, 2*h+2*k-1] [o, c, k] -> [o, h] where c=2 h=5 o=5 k=3 : f32[5,5]",
        "xw",
    ),
    "a_convolution_that_leaves_the_end": (
        windows(2, 12) + "%k = move(%w) reshape[5,2,3] : f32[5,2,3]\n%y = contract(%p, %k) "
        "[c, 3*h+k] [o, c, k] -> [o, h] where c=2 h=3 o=5 k=3 : f32[5,3]",
        "xw",
    ),
    "a_convolution_of_pixels_apart": (
        windows(2, 12) + "%k = move(%w) slice[0:5:1, 0:2:1] transpose[1,0] : f32[2,5]\n"
        "%y = contract(%p, %k) [c, 2*h+1] [c, o] -> [o, h] where c=2 h=5 o=5 : f32[5,5]",
        "xw",
    ),
    "groups": (
        windows(4, 6) + "%k = move(%w) slice[0:6:1, 0:4:1] reshape[4,2,3] : f32[4,2,3]\n"
        "%y = contract(%p, %k) [2*g+c, h+k] [2*g+o, c, k] -> [g, o, h] "
        "where g=2 c=2 h=4 o=2 k=3 : f32[2,2,4]",
        "xw",
    ),
    "a_sum": ("%y = reduce.sum(%x) [a, b] -> [_, b] where a=4 b=6 : f32[1,6]", "x"),
    "a_sum_in_another_order": (
        "%y = reduce.sum(%x) [a, b] -> [b, a] where a=4 b=6 : f32[6,4]",
        "x",
    ),
    "a_sum_of_windows": (
        windows(2, 12) + "%y = reduce.sum(%p) [c, 2*h+k-1] -> [c, h] where c=2 h=6 k=3 : f32[2,6]",
        "x",
    ),
    "a_maximum": ("%y = reduce.max(%x) [a, b] -> [a] where a=4 b=6 : f32[4]", "x"),
    "a_minimum_of_all": ("%y = reduce.min(%x) [a, b] -> [_, _] where a=4 b=6 : f32[1,1]", "x"),
    "a_maximum_of_windows": (
        windows(2, 12) + "%y = reduce.max(%p) [c, 2*h+k-1] -> [c, h] where c=2 h=6 k=3 : f32[2,6]",
        "x",
    ),
    "a_maximum_of_a_diagonal": (
        "%d = move(%x) slice[0:4:1, 0:4:1] : f32[4,4]\n"
        "%y = reduce.max(%d) [a, a] -> [_] where a=4 : f32[1]",
        "x",
    ),
    "a_product": ("%y = reduce.prod(%x) [a, b] -> [a, _] where a=4 b=6 : f32[4,1]", "x"),
    "a_broadcast_operand": (
        "%v = move(%w) slice[0:6:1, 0:1:1] reshape[6] : f32[6]\n"
        "%y = map(%x, %v) { mul.f32 $0 $1; exp.f32 #0; add.f32 #1 $1 } : f32[4,6]",
        "xw",
    ),
    "moves": (
        "%y = move(%x) transpose[1,0] pad[1:2, 0:1]=3.0 slice[1:3:2, 3:2:-2] reshape[1,6] "
        "expand[2,6] : f32[2,6]",
        "x",
    ),
    # Every third position from the first, second and third on: all but the last row.
    "parts_between_each_other": (
        "%p = move(%w) reshape[15,2] : f32[15,2]\n"
        "%a = move(%p) slice[0:4:3, 0:2:1] : f32[4,2]\n"
        "%b = move(%p) slice[1:4:3, 0:2:1] : f32[4,2]\n"
        "%c = move(%p) slice[2:4:3, 0:2:1] : f32[4,2]\n"
        "%d = move(%p) slice[12:2:2, 0:2:1] : f32[2,2]\n"
        "%e = map(%a, %b, %c) { mul.f32 $0 $1; mul.f32 #0 $2 } : f32[4,2]\n"
        "%y = concat(%e, %d, %a) axis 0 : f32[10,2]",
        "w",
    ),
    "a_concatenation": (
        "%t = move(%w) slice[0:4:1, 0:5:1] : f32[4,5]\n%y = concat(%x, %t, %x) axis 1 : f32[4,17]",
        "xw",
    ),
    "a_gather": ("%y = gather(%x, %i) axis 1 : f32[4,3]", "x"),
    "a_scatter_that_adds": (
        "%u = move(%w) slice[0:3:1, 0:5:1] transpose[1,0] slice[0:4:1, 0:3:1] : f32[4,3]\n"
        "%y = scatter.sum(%x, %i, %u) axis 1 : f32[4,6]",
        "xw",
    ),
    "a_scatter_that_replaces_twice": (
        "%u = move(%w) slice[0:3:1, 0:5:1] transpose[1,0] slice[0:4:1, 0:3:1] : f32[4,3]\n"
        "%y = scatter(%x, %i, %u) axis 1 : f32[4,6]",
        "xw",
    ),
    "a_scatter_that_skips": (
        "%j = map(%i) { mul.i32 $0 4 } : i32[3]\n"
        "%u = move(%w) slice[0:3:1, 0:5:1] transpose[1,0] slice[0:4:1, 0:3:1] : f32[4,3]\n"
        "%y = scatter.skip(%x, %j, %u) axis 1 : f32[4,6]",
        "xw",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_adjoint_of_a_primitive(name: str) -> None:
    body, by = CASES[name]
    check(read(body, "y"), FEEDS, tuple(by))


def test_turned_neighbours_have_derivatives_beside_each_other() -> None:
    """Nothing is padded and added: the derivative of parts that cover a value is joined."""
    body = (
        "%a = move(%x) slice[0:4:1, 0:2:2] : f32[4,2]\n"
        "%b = move(%x) slice[0:4:1, 1:2:2] : f32[4,2]\n"
        "%r = move(%x) slice[0:4:1, 4:2:1] : f32[4,2]\n"
        "%p = map(%a, %b) { mul.f32 $0 $0; add.f32 #0 $1 } : f32[4,2]\n"
        "%y = concat(%p, %a, %r) axis 1 : f32[4,6]"
    )
    both = check(read(body, "y"), FEEDS, ("x",))
    moves = [node.op for node in both.nodes if isinstance(node.op, Move)]
    assert not any(isinstance(step, Pad) for op in moves for step in op.steps)


def test_a_product_with_zeros_is_that_of_the_others() -> None:
    graph = read(CASES["a_product"][0], "y")
    x = FEEDS["x"].copy()
    x[0, 2] = x[1, 3] = x[1, 5] = 0.0
    found = oracle.evaluate(run(Differentiate("loss", ("x",)), graph), {**FEEDS, "x": x}, True)
    assert np.flatnonzero(found["x.grad"][:2]).tolist() == [2]
    check(graph, {**FEEDS, "x": x}, ("x",))


def test_of_equal_elements_of_a_window_the_first_gets_all() -> None:
    graph = read(CASES["a_maximum_of_windows"][0], "y")
    found = oracle.evaluate(
        run(Differentiate("loss", ("x",)), graph), {**FEEDS, "x": np.ones((4, 6))}, True
    )
    weights = np.linspace(0.5, 1.5, 12).reshape(2, 6)
    want = np.zeros((2, 12))
    for channel in range(2):
        for window in range(6):
            want[channel, max(2 * window - 1, 0)] += weights[channel, window]
    np.testing.assert_allclose(found["x.grad"], want.reshape(4, 6), 1e-6)


def test_text_in_text_out(golden: Golden) -> None:
    body = (
        '%h = contract(%x, %w) [m, k] [k, n] -> [m, n] where m=4 k=6 n=5 : f32[4,5]  // "/MatMul"\n'
        '%y = map(%h) { max.f32 $0 0.0 } : f32[4,5]  // "/Relu"'
    )
    graph = read(body, "y")
    both = Simplify().apply(run(Differentiate("loss", ("w", "x")), graph))
    golden("passes/differentiate/mlp.txt", f"{print_graph(graph)}\n=>\n\n{print_graph(both)}")


# --- refusals ---------------------------------------------------------------------------


def test_all_that_has_no_derivative_is_said_at_once() -> None:
    body = (
        '%a = map(%x) { bits.f32 $0; from_bits.f32 #0 } : f32[4,6]  // "/Bits"\n'
        '%s = reduce.prod(%a) [a, b+k-1] -> [a, b] where a=4 b=6 k=3 : f32[4,6]  // "/Windows"\n'
        "%y = map(%s) { exp.f32 $0 } : f32[4,6]"
    )
    with pytest.raises(CompileError) as refused:
        run(Differentiate("loss", ("x",)), read(body, "y"))
    assert str(refused.value) == (
        "no derivative of node '/Windows' (a product over windows), node '/Bits' (instruction "
        "'from_bits' has no derivative)"
    )


TWO_DIMENSIONS = "a label indexes two dimensions of one operand"
DIAGONAL = "%d = move(%x) slice[0:4:1, 0:4:1] : f32[4,4]\n"
WITHOUT_ONE = {
    "a sum along a diagonal": (
        DIAGONAL + "%y = reduce.sum(%d) [a, a] -> [a] where a=4 : f32[4]",
        TWO_DIMENSIONS,
    ),
    "a maximum along a diagonal": (
        DIAGONAL + "%y = reduce.max(%d) [a, a] -> [a] where a=4 : f32[4]",
        TWO_DIMENSIONS,
    ),
    "a diagonal in a contraction": (
        DIAGONAL + "%y = contract(%w, %d) [k, n] [k, k] -> [n] where k=4 n=5 : f32[5]",
        TWO_DIMENSIONS,
    ),
    "a label twice in an index": (
        windows(2, 12) + "%y = reduce.sum(%p) [c, h+h] -> [c, h] where c=2 h=6 : f32[2,6]",
        TWO_DIMENSIONS,
    ),
    "windows over the second operand": (
        windows(24) + "%k = move(%w) reshape[30] : f32[30]\n"
        "%y = contract(%k, %p) [h] [h+k] -> [k] where h=20 k=4 : f32[4]",
        "windows over the second operand",
    ),
    "a maximum of what meets": (
        "%u = move(%w) slice[0:3:1, 0:5:1] transpose[1,0] slice[0:4:1, 0:3:1] : f32[4,3]\n"
        "%y = scatter.max(%x, %i, %u) axis 1 : f32[4,6]",
        "a scatter by max",
    ),
}


@pytest.mark.parametrize("name", WITHOUT_ONE)
def test_what_has_no_derivative_is_refused_with_its_reason(name: str) -> None:
    body, reason = WITHOUT_ONE[name]
    with pytest.raises(CompileError) as refused:
        run(Differentiate("loss", ("x",)), read(body, "y"))
    assert str(refused.value) == f"no derivative of node 'y' ({reason})"


def test_a_loss_is_one_float() -> None:
    graph = parse_graph(f'{HEAD}output "loss" = %x as "float32"\n')
    with pytest.raises(CompileError, match=r"'loss' is f32\[4, 6\], and no loss"):
        run(Differentiate("loss", ("x",)), graph)


def test_what_the_loss_does_not_change_with_is_refused() -> None:
    body = (
        "%j = map(%x) { to_int.f32 $0; from_int.f32 #0 } : f32[4,6]\n"
        "%y = map(%j) { exp.f32 $0 } : f32[4,6]"
    )
    with pytest.raises(CompileError, match="does not change with x, w"):
        run(Differentiate("loss", ("x", "w")), read(body, "y"))


def test_halves_have_derivatives_in_halves() -> None:
    text = (
        'graph "g"\ninput %x : f16[4,6] from "float16"\n'
        "%s = reduce.sum.wide(%x) [a, b] -> [a, _] where a=4 b=6 : f32[4,1]\n"
        "%h = map(%s, %x) { narrow.f16 $0; mul.f16 #0 $1; widen.f16 #1 } : f32[4,6]\n"
        'output "y" = %h as "float32"\n'
    )
    graph = weighted(parse_graph(text), "h")
    both = check(graph, {"x": FEEDS["x"]}, ("x",))
    assert both.types()[both.outputs[-1].value].dtype is DType.F16


def test_a_broken_promise_is_seen() -> None:
    step, graph = Differentiate("loss", ("x",)), weighted(identity(), "y")
    both = run(step, graph)
    assert [*step.broken(graph, both)] == []
    loss, gradient = both.outputs
    for outputs, said in (
        ((loss,), "and not x.grad"),
        ((gradient, loss), "the outputs of the graph are others"),
        ((loss, replace(gradient, value=loss.value)), "is not of its shape"),
    ):
        spoiled = both.with_(outputs=outputs)
        assert any(said in sentence for sentence in step.broken(graph, spoiled))
