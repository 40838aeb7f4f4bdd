"""Graph text in, graph text out: what is simplified, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import Golden
from tests.oracle import evaluate
from wsc.ir.graph import Constant, Graph, Move, Type
from wsc.ir.text import parse_graph, print_graph
from wsc.isa.types import DType
from wsc.passes.simplify import MAX_BODY, Simplify, compose_moves, cut_apart, unspread

HEAD = 'graph "g"\ninput %x : f32[2,6] from "float32"\ninput %y : f32[2,6] from "float32"\n'

CASES = {
    "maps_of_one_reader_fuse": """\
%a = map(%x, %y) { add.f32 $0 $1 } : f32[2,6]  // "/Add"
%b = map(%a) { exp.f32 $0; mul.f32 #0 #0 } : f32[2,6]  // "/Exp" "/Mul"
%r = map(%y, %b) { sub.f32 $1 $0 } : f32[2,6]  // "/Sub"
output "r" = %r as "float32"
""",
    "indices_that_are_positions_are_not_checked": """\
%i = map(%x) { to_int.f32 $0; mod.i32 #0 6; index.i32 #1 6; index.i32 #0 99 } : i32[2,6]
%j = map(%x) { to_int.f32 $0; mod.i32 #0 6; index.i32 #1 6 } : i32[2,6]
%r = map(%i, %j) { index.i32 $0 99; index.i32 $1 6; add.i32 #0 #1 } : i32[2,6]
output "r" = %r as "int32"
""",
    "a_map_with_two_readers_is_not_fused": """\
%a = map(%x) { exp.f32 $0 } : f32[2,6]
%b = map(%a) { neg.f32 $0 } : f32[2,6]
%s = reduce.sum(%a) [a, b] -> [a, _] where a=2 b=6 : f32[2,1]
%r = map(%b, %s) { div.f32 $0 $1 } : f32[2,6]
output "r" = %r as "float32"
""",
    "a_map_that_is_an_output_is_not_fused": """\
%a = map(%x) { exp.f32 $0 } : f32[2,6]
%r = map(%a) { neg.f32 $0 } : f32[2,6]
output "a" = %a as "float32"
output "r" = %r as "float32"
""",
    "a_map_of_another_shape_is_not_fused": """\
%s = reduce.sum(%x) [a, b] -> [a, _] where a=2 b=6 : f32[2,1]
%a = map(%s) { recip.f32 $0 } : f32[2,1]
%r = map(%x, %a) { mul.f32 $0 $1 } : f32[2,6]
output "r" = %r as "float32"
""",
    "moves_become_one": """\
%a = move(%x) reshape[2,2,3] : f32[2,2,3]  // "/Reshape"
%b = move(%a) transpose[1,0,2] : f32[2,2,3]  // "/Transpose"
%c = move(%b) transpose[1,0,2] : f32[2,2,3]
%d = move(%c) reshape[4,3] : f32[4,3]
%r = move(%d) slice[0:4:1, 1:2:1] : f32[4,2]
output "r" = %r as "float32"
""",
    "slices_become_one": """\
%a = move(%x) slice[0:2:1, 5:5:-1] : f32[2,5]
%b = move(%a) slice[1:1:1, 0:2:3] : f32[1,2]
%r = move(%b) slice[0:1:1, 1:1:1] : f32[1,1]
output "b" = %b as "float32"
output "r" = %r as "float32"
""",
    "a_move_after_a_pad_is_not_composed": """\
%a = move(%x) pad[0:1, 0:0]=0 : f32[3,6]
%r = move(%a) reshape[9,2] : f32[9,2]
output "r" = %r as "float32"
""",
    "a_reshape_behind_a_pad_is_split_off": """\
%r = move(%x) transpose[1,0] pad[1:1, 0:0]=0 transpose[1,0] reshape[4,4] : f32[4,4]  // "/Pad"
output "r" = %r as "float32"
""",
    "one_element_constants_become_literals": """\
const %half : f32[]
const %row : f32[6]
%r = map(%x, %half, %row) { mul.f32 $0 $1; add.f32 #0 $2 } : f32[2,6]
output "r" = %r as "float32"
""",
    "what_nobody_reads_goes": """\
const %row : f32[6]
%a = map(%x, %row) { add.f32 $0 $1 } : f32[2,6]
%b = reduce.sum(%a) [a, b] -> [a, _] where a=2 b=6 : f32[2,1]
%r = map(%y) { neg.f32 $0 } : f32[2,6]
output "r" = %r as "float32"
""",
}


def constants() -> dict[str, Constant]:
    half, row = np.array(0.5, np.float32), np.arange(6, dtype=np.float32)
    return {
        "half": Constant("half", Type(DType.F32, ()), lambda: half),
        "row": Constant("row", Type(DType.F32, (6,)), lambda: row),
    }


def read(body: str) -> Graph:
    return parse_graph(HEAD + body, constants())


@pytest.mark.parametrize("name", CASES)
def test_text_in_text_out(name: str, golden: Golden) -> None:
    graph = read(CASES[name])
    simple = Simplify().apply(graph)
    golden(f"passes/simplify/{name}.txt", f"{print_graph(graph)}\n=>\n\n{print_graph(simple)}")
    rng = np.random.default_rng(1)
    feeds = {key: rng.normal(size=(2, 6)).astype(np.float32) for key in ("x", "y")}
    wanted = evaluate(graph, feeds)
    for key, value in evaluate(simple, feeds).items():
        np.testing.assert_array_equal(value, wanted[key])


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_left_to_do(name: str) -> None:
    simple = Simplify().apply(read(CASES[name]))
    assert Simplify().apply(simple) == simple


def test_a_body_does_not_grow_beyond_its_limit() -> None:
    lines = "".join(
        f"%v{i + 1} = map(%{f'v{i}' if i else 'x'}) {{ exp.f32 $0 }} : f32[2,6]\n"
        for i in range(MAX_BODY + 1)
    )
    graph = read(lines + f'output "r" = %v{MAX_BODY + 1} as "float32"\n')
    first, second = Simplify().apply(graph).nodes
    assert [len(first.op.body), len(second.op.body)] == [MAX_BODY, 1]  # type: ignore[union-attr]


def assert_same_values(before: Graph, after: Graph) -> None:
    """Both graphs give the same for two inputs of 2 x 6."""
    x, y = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
    wanted, got = evaluate(before, {"x": x, "y": y}), evaluate(after, {"x": x, "y": y})
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)


def test_maps_repeat_what_was_repeated_for_them() -> None:
    text = f"""{HEAD}\
%s = reduce.sum(%x) [a, b] -> [a] where a=2 b=6 : f32[2]
%w = move(%s) reshape[2,1] expand[2,6] : f32[2,6]
%same = move(%y) : f32[2,6]
%a = map(%w, %same) {{ mul.f32 $0 $1 }} : f32[2,6]
%alone = map(%w) {{ exp.f32 $0 }} : f32[2,6]
output "a" = %a as "float32"
output "alone" = %alone as "float32"
"""
    before = parse_graph(text)
    after = unspread(before)
    types, made = after.types(), {node.output: node for node in after.nodes}
    assert [types[name].shape for name in made["a"].inputs] == [(2, 1), (2, 6)]
    # Without another operand a map is smaller, and its result is repeated.
    assert isinstance(made["alone"].op, Move)
    assert [types[name].shape for name in made["alone"].inputs] == [(2, 1)]
    assert_same_values(before, after)


def test_maps_read_what_was_repeated_without_the_way_there() -> None:
    """The derivative of a mean, whose dimension goes and comes again: none of that is left."""
    text = f"""{HEAD}\
%s = reduce.sum(%x) [a, b] -> [a, _] where a=2 b=6 : f32[2,1]
%kept = move(%s) reshape[2] : f32[2]
%wide = move(%kept) reshape[2,1] : f32[2,1]
%w = move(%wide) expand[2,6] : f32[2,6]
%a = map(%w, %y) {{ mul.f32 $0 $1 }} : f32[2,6]
%alone = map(%w) {{ exp.f32 $0 }} : f32[2,6]
output "a" = %a as "float32"
output "alone" = %alone as "float32"
"""
    before = parse_graph(text)
    after = unspread(before)
    made = {node.output: node for node in after.nodes}
    assert made["a"].inputs == ("s", "y")
    assert made[made["alone"].inputs[0]].inputs == ("s",)
    assert_same_values(before, after)


def test_cuts_are_nodes_of_their_own() -> None:
    """What comes before a cut is there once, and composed again it is what it was."""
    graph = parse_graph(
        HEAD
        + """\
%a = move(%x) reshape[2,2,3] slice[0:2:1, 0:1:1, 0:3:1] reshape[2,3] : f32[2,3]
%b = move(%x) reshape[2,2,3] slice[0:2:1, 1:1:1, 0:3:1] transpose[1,0,2] : f32[1,2,3]
%c = move(%x) reshape[2,2,3] slice[0:2:1, 1:1:1, 0:3:1] : f32[2,1,3]
%d = move(%x) reshape[12] : f32[12]
output "a" = %a as "float32"
output "b" = %b as "float32"
output "c" = %c as "float32"
output "d" = %d as "float32"
"""
    )
    apart = cut_apart(graph)
    steps = [[type(s).__name__ for s in n.op.steps] for n in apart.nodes if isinstance(n.op, Move)]
    assert steps == [
        ["Reshape"],
        ["Slice"],
        ["Reshape"],
        ["Slice"],
        ["Transpose"],
        ["Slice"],
        ["Reshape"],
    ]
    again = {node.output: node for node in compose_moves(apart).nodes}
    assert [again[node.output] for node in graph.nodes] == list(graph.nodes)
