"""Type rules, the check of graphs, and the builder."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.ir.build import GraphBuilder, convert
from wsc.ir.check import IRError, check_graph, infer
from wsc.ir.graph import (
    Arg,
    Concat,
    Contract,
    Expand,
    Gather,
    GraphOutput,
    Index,
    Lit,
    Map,
    Move,
    Pad,
    Primitive,
    Raw,
    Reduce,
    Reduction,
    Reshape,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.ir.terms import Term
from wsc.isa.types import DType

F32, F16, I32 = DType.F32, DType.F16, DType.I32


def f32(*shape: int) -> Type:
    return Type(F32, shape)


def at(label: str) -> Index:
    return Index(((label, 1),))


def step(op: str, *args: Arg | Lit, dtype: DType = F32) -> Map:
    return Map((Step(op, dtype, args),))


MATMUL = Contract(
    (at("m"), at("k")), (at("k"), at("n")), ("m", "n"), (("m", 2), ("k", 3), ("n", 4))
)
ROWS = Reduce(Reduction.SUM, (at("a"), at("b")), ("a", ""), (("a", 2), ("b", 3)))


@pytest.mark.parametrize(
    ("op", "inputs", "want"),
    [
        (step("add", Arg(0), Arg(1)), [f32(2, 1), f32(3)], f32(2, 3)),
        (step("lt", Arg(0), Lit(1.0)), [f32(2)], Type(I32, (2,))),
        (step("narrow", Arg(0), dtype=F16), [f32(2)], Type(F16, (2,))),
        (step("widen", Arg(0), dtype=F16), [Type(F16, (2,))], f32(2)),
        (step("from_int", Arg(0)), [Type(I32, (2,))], f32(2)),
        (ROWS, [f32(2, 3)], f32(2, 1)),
        (
            Reduce(*[getattr(ROWS, n) for n in ("kind", "index", "out", "extents")], wide=True),
            [Type(F16, (2, 3))],
            f32(2, 1),
        ),
        (MATMUL, [f32(2, 3), f32(3, 4)], f32(2, 4)),
        (Move((Reshape((3, 2)), Transpose((1, 0)))), [f32(6)], f32(2, 3)),
        (Move((Slice((2,), (3,), (-1,)), Pad((1,), (0,)))), [f32(3)], f32(4)),
        (Move((Expand((4, 3)),)), [f32(1, 3)], f32(4, 3)),
        (Concat(1), [f32(2, 1), f32(2, 3)], f32(2, 4)),
        (Gather(0), [f32(9, 4), Type(I32, (2, 3))], f32(2, 3, 4)),
    ],
)
def test_inference(op: Primitive, inputs: list[Type], want: Type) -> None:
    assert infer(op, inputs) == want


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        (step("add", Arg(0), Arg(1)), [f32(2), f32(3)], "do not broadcast"),
        (step("add", Arg(0)), [f32(2)], "takes 2 arguments"),
        (step("add", Arg(0), Arg(0)), [Type(F16, (2,))], "wants f32, got f16"),
        (step("exp", Arg(0), dtype=I32), [Type(I32, (2,))], "no such type"),
        (step("and", Arg(0), Lit(0.5), dtype=I32), [Type(I32, (2,))], "not an integer"),
        (Map(()), [f32(2)], "at least one step"),
        (ROWS, [f32(2)], "2 indices"),
        (MATMUL, [f32(2, 3), f32(2, 4)], r"positions 0..2 of a dimension of 2"),
        (MATMUL, [f32(2, 3)], "takes 2 inputs"),
        (MATMUL, [f32(2, 3), Type(F16, (3, 4))], "contract of f32 and f16"),
        (Move((Reshape((4,)),)), [f32(6)], "reshape"),
        (Move((Slice((0,), (4,), (1,)),)), [f32(3)], "slice 0:4:1"),
        (Move((Expand((4,)),)), [f32(3)], "expand"),
        (Move((Pad((-1,), (0,)),)), [f32(3)], "negative"),
        (Concat(0), [f32(2, 1), f32(2, 3)], "concat"),
        (Gather(0), [f32(2), f32(2)], "must be i32"),
    ],
)
def test_refusals(op: Primitive, inputs: list[Type], message: str) -> None:
    with pytest.raises(IRError, match=message):
        infer(op, inputs)


def test_a_graph_out_of_order_is_refused() -> None:
    build = GraphBuilder("g")
    x = build.input("x", f32(2), "float32")
    y = build.map(lambda v: v.exp(), x, hint="exp")
    z = build.map(lambda v: v.log(), y, hint="log")
    graph = build.finish([GraphOutput("z", z.name, "float32")])
    check_graph(graph)
    with pytest.raises(IRError, match="not defined before"):
        check_graph(graph.with_(nodes=graph.nodes[::-1]))
    with pytest.raises(IRError, match="no value"):
        check_graph(graph.with_(nodes=graph.nodes[:1]))


def test_the_builder_leaves_out_what_nothing_reads() -> None:
    build = GraphBuilder("g")
    x = build.input("x", f32(2), "float32")
    build.map(lambda v: v.exp(), x)
    y = build.map(lambda v, w: v + w, x, build.constant(np.ones(2), F32))
    build.constant(np.zeros(3), F32)
    graph = build.finish([GraphOutput("y", y.name, "float32")])
    assert len(graph.nodes) == 1
    assert len(graph.constants) == 1


def test_terms_keep_equal_steps_once_and_drop_the_unread() -> None:
    build = GraphBuilder("g")
    x = build.input("x", f32(2), "float32")

    def body(v: Term) -> Term:
        v.log()
        return v.exp() * v.exp()

    y = build.map(body, x)
    (node,) = build.finish([GraphOutput("y", y.name, "float32")]).nodes
    assert isinstance(node.op, Map)
    assert [item.op for item in node.op.body] == ["exp", "mul"]


def test_movement_of_a_constant_is_a_constant() -> None:
    build = GraphBuilder("g")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = build.lazy_constant("w", f32(2, 3), lambda: array, Raw("w.bin", 0, 24))
    flat = build.reshape(value, (6,))
    turned = build.transpose(value, (1, 0))
    outputs = [GraphOutput(str(i), v.name, "float32") for i, v in enumerate((flat, turned))]
    graph = build.finish(outputs)
    assert not graph.nodes
    assert graph.constants[0].source == Raw("w.bin", 0, 24)
    assert graph.constants[1].source is None
    np.testing.assert_array_equal(graph.constants[1].load(), array.T)


def test_f16_sums_are_narrowed_where_they_meet_f16() -> None:
    build = GraphBuilder("g")
    x = build.input("x", Type(F16, (2, 8)), "float32")
    total = build.reduce(Reduction.SUM, x, [1])
    assert total.dtype is F32
    assert build.map(lambda v, s: v / s, x, total).dtype is F16
    assert build.map(lambda s: s * 0.125, total).dtype is F32


def test_conversion() -> None:
    wide = np.array([1e9, -1e9, np.inf, 0.1])
    half = convert(wide, F16)
    assert half.dtype == np.float16
    assert half.tolist()[:3] == [65504.0, -65504.0, np.inf]
    with pytest.raises(OverflowError, match="4294967296"):
        convert(np.array([2**32]), I32)
    same = np.ones(3, np.float32)
    assert convert(same, F32) is same
