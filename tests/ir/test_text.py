"""The text form of graphs: round trips and errors with a place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.ir.check import IRError, check_graph
from wsc.ir.graph import (
    Arg,
    Concat,
    Constant,
    Contract,
    Expand,
    Gather,
    Graph,
    GraphInput,
    GraphOutput,
    Index,
    Lit,
    Map,
    Move,
    Node,
    Pad,
    Raw,
    Reduce,
    Reduction,
    Ref,
    Reshape,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.ir.text import IRSyntaxError, parse_graph, print_graph
from wsc.isa.types import DType

TEXT = """\
graph "one of each"
input %x : f32[2,3] from "float32"
input %"odd name" : i32[] from "int64"
const %w : f32[3,4]
%y = contract(%x, %w) [m, k] [k, n] -> [m, n] where m=2 k=3 n=4 : f32[2,4]  // "/fc/MatMul"
%r = map(%y) { max.f32 $0 0.0; mul.f32 #0 -1.5e-07 } : f32[2,4] @"relu"  // "/Relu" "/Mul"
%s = reduce.sum(%r) [a, b] -> [a, _] where a=2 b=4 : f32[2,1]
%p = reduce.max(%r) [a, 2*b+k-1] -> [a, b] where a=2 b=2 k=3 : f32[2,2]
%m = move(%r) reshape[2,2,2] transpose[2,0,1] slice[1:2:-1, 0:2:1, 0:1:1] pad[0:1, 0:0, 0:0]=-inf \
expand[3,2,1] : f32[3,2,1]
%c = concat(%s, %p) axis 1 : f32[2,3]
%g = gather(%c, %"odd name") axis 1 : f32[2]
%f = reduce.sum(%c) [a, b] -> [b] where a=2 b=3 : f32[3]
%i = map(%f) { to_int.f32 $0 } : i32[3]
%t = scatter.max(%c, %i, %c) axis 1 : f32[2,3]
%u = scatter.skip(%c, %i, %c) axis 1 : f32[2,3]
output "y.0" = %g as "float32"
output "z" = %t as "float32" cut 1 by %"odd name"
"""


def test_text_is_its_own_round_trip() -> None:
    graph = parse_graph(TEXT)
    check_graph(graph)
    assert print_graph(graph) == TEXT


def test_parts_of_the_text() -> None:
    graph = parse_graph(TEXT)
    relu = graph.nodes[1]
    assert relu.name == "relu"
    assert relu.output == "r"
    assert relu.origin == ("/Relu", "/Mul")
    assert relu.op == Map(
        (
            Step("max", DType.F32, (Arg(0), Lit(0.0))),
            Step("mul", DType.F32, (Ref(0), Lit(-1.5e-7))),
        )
    )
    pool = graph.nodes[3].op
    assert isinstance(pool, Reduce)
    assert pool.index[1] == Index((("b", 2), ("k", 1)), -1)


def test_comments_and_blank_lines_are_skipped() -> None:
    text = ';; first\ngraph "g"  ;; a comment\n\n;; another\ninput %x : f32[1] from "float32"\n'
    assert parse_graph(text).inputs[0].name == "x"


def test_constants_are_attached_by_name() -> None:
    constant = Constant(
        "w", Type(DType.F32, (3, 4)), lambda: np.ones((3, 4), np.float32), Raw("w.bin", 0, 48)
    )
    graph = parse_graph(TEXT, {"w": constant})
    assert graph.constants[0].source == Raw("w.bin", 0, 48)
    assert graph.constants[0].load().sum() == 12
    with pytest.raises(LookupError, match="'w'"):
        parse_graph(TEXT).constants[0].load()


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("max.f32 $0 0.0", "max.f32 $0 $1", (6, 1), "step 0, max.f32: there is no input 1"),
        ("max.f32", "mox.f32", (6, 1), "no such instruction"),
        ("max.f32 $0 0.0", "fmac.f32 $0 0.0", (6, 1), "not elementwise"),
        ("[m, k] [k, n]", "[m, k [k, n]", (5, 29), "unexpected"),
        ("f32[2,4]  //", "f32[2,5]  //", (5, 1), "type"),
        ("contract(%x", "contract(%q", (5, 1), "input 'q' is not defined before"),
        ("%s = reduce", "%r = reduce", (7, 1), "defined twice"),
        ("= %g as", "= %h as", (16, 16), "no value 'h'"),
        ("cut 1", "cut 2", (17, 14), "no dimension 2"),
        ('by %"odd name"', "by %i", (17, 14), "length 'i' is not one i32"),
        ("scatter.max(%c, %i", "scatter.max(%c, %c", (14, 1), "indices must be i32"),
        ("axis 1 : f32[2]\n", "axis 1 :\n", (11, 38), "the line ends too early"),
        ("reduce.sum", "reduce.mean", (7, 6), "unexpected 'reduce.mean'"),
        ("where m=2", "where m=3", (5, 1), "type"),
    ],
)
def test_errors_have_a_place(old: str, new: str, place: tuple[int, int], message: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    with pytest.raises(IRSyntaxError, match=message) as caught:
        parse_graph(text, file="g.ir")
    if message != "unexpected":
        assert (caught.value.line, caught.value.column) == place
    shown = str(caught.value).split("\n")
    assert shown[0].startswith(f"g.ir:{caught.value.line}:{caught.value.column}: ")
    assert shown[2].index("^") == caught.value.column - 1


PAIR = """\
graph "two words"
input %x : i32[2] from "int64" high %top
input %top : i32[2] from "int32"
output "y" = %x as "int64" high %top
output "z" = %x as "int64" high %top cut 0 by %n
const %n : i32[]
"""


def test_integers_of_two_words() -> None:
    lines = PAIR.splitlines(keepends=True)
    text = "".join([*lines[:3], lines[5], *lines[3:5]])
    graph = parse_graph(text)
    assert (graph.inputs[0].high, graph.outputs[0].high) == ("top", "top")
    assert graph.outputs[1].values == ("x", "n", "top")
    assert print_graph(graph) == text
    for wrong in (
        text.replace('"int64" high %top', '"int64" high %n', 1),
        text.replace("%top cut", "%n cut"),
    ):
        with pytest.raises(IRError, match="no high words of its shape"):
            check_graph(parse_graph(wrong))


def test_two_nodes_of_one_name() -> None:
    with pytest.raises(IRError, match="two nodes are called 'y'"):
        parse_graph(TEXT.replace('@"relu"', '@"y"'))


# --- generated graphs ----------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
floats = st.floats(allow_nan=False, width=32)
shapes = st.lists(st.integers(1, 9), max_size=4).map(tuple)
numbers = st.integers(-99, 99)
labels = st.sampled_from("abcde")
indices = st.builds(
    Index,
    st.lists(st.tuples(labels, st.integers(-9, 9).filter(bool)), max_size=3).map(tuple),
    numbers,
)
index_lists = st.lists(indices, max_size=3).map(tuple)
extents = st.lists(st.tuples(labels, st.integers(1, 9)), max_size=3).map(tuple)
outs = st.lists(st.one_of(labels, st.just("")), max_size=3).map(tuple)
arguments = st.one_of(
    st.builds(Arg, st.integers(0, 9)),
    st.builds(Ref, st.integers(0, 9)),
    st.builds(Lit, st.one_of(floats, numbers)),
)
dtypes = st.sampled_from(DType)
steps = st.builds(
    Step,
    st.sampled_from(["add", "select", "to_int"]),
    dtypes,
    st.lists(arguments, max_size=3).map(tuple),
)
naturals = st.lists(st.integers(0, 9), min_size=2, max_size=2).map(tuple)
pairs = st.lists(numbers, min_size=2, max_size=2).map(tuple)
moves = st.one_of(
    st.builds(Reshape, shapes),
    st.builds(Transpose, naturals),
    st.builds(Expand, shapes),
    st.builds(Slice, naturals, naturals, pairs),
    st.builds(Pad, naturals, naturals, st.one_of(floats, numbers)),
)
operations = st.one_of(
    st.builds(Map, st.lists(steps, min_size=1, max_size=3).map(tuple)),
    st.builds(Reduce, st.sampled_from(Reduction), index_lists, outs, extents, st.booleans()),
    st.builds(Contract, index_lists, index_lists, outs, extents),
    st.builds(Move, st.lists(moves, max_size=3).map(tuple)),
    st.builds(Concat, st.integers(0, 3)),
    st.builds(Gather, st.integers(0, 3)),
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs whose text is well formed; their meaning is left to chance."""
    type_ = st.builds(Type, dtypes, shapes)
    unique = draw(st.lists(names, min_size=4, max_size=8, unique=True))
    nodes = tuple(
        Node(
            draw(names),
            draw(operations),
            tuple(draw(st.lists(names, max_size=3))),
            name,
            draw(type_),
            tuple(draw(st.lists(names, max_size=2))),
        )
        for name in unique[3:]
    )
    return Graph(
        draw(names),
        (GraphInput(unique[0], draw(type_), "float32"),),
        (GraphOutput(draw(names), draw(names), "int64"),),
        (Constant(unique[1], draw(type_), lambda: np.zeros(1)),),
        nodes,
    )


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_any_graph_survives_its_text(graph: Graph) -> None:
    assert parse_graph(print_graph(graph), check=False) == graph


def test_not_a_number_prints() -> None:
    text = 'graph "g"\ninput %x : f32[1] from "float32"\n%y = map(%x) { add.f32 $0 nan } : f32[1]\n'
    (node,) = parse_graph(text).nodes
    assert isinstance(node.op, Map)
    value = node.op.body[0].args[1]
    assert isinstance(value, Lit)
    assert math.isnan(value.value)
    assert print_graph(parse_graph(text)) == text


def test_the_grammar_lies_beside_the_module() -> None:
    import wsc.ir.text as module

    assert Path(module.__file__).with_name("graph.lark").is_file()
