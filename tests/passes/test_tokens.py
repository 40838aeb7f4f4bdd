"""Batch and sequence as one dimension: where a tile has fewer tokens then, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.oracle import evaluate
from wsc.ir.check import check_graph
from wsc.ir.graph import Constant, Contract, Graph, Map, Reduce, Type
from wsc.ir.text import parse_graph
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.passes.tokens import Tokens

# A norm, a product, a residual, something over the sequence, and a product that leaves.
TEXT = """\
graph "g"
input %x : f32[3,5,6] from "float32"
const %w : f32[6,6]
const %v : f32[6,8]
const %bias : f32[6]
const %place : f32[1,5,6]
const %each : f32[3,1,6]
%sum = reduce.sum(%x) [a, b, c] -> [a, b, _] where a=3 b=5 c=6 : f32[3,5,1]
%norm = map(%x, %sum, %bias) { sub.f32 $0 $1; add.f32 #0 $2 } : f32[3,5,6]
%p = contract(%norm, %w) [b, m, k] [k, n] -> [b, m, n] where b=3 m=5 k=6 n=6 : f32[3,5,6]
%q = map(%p, %x, %place, %each) { add.f32 $0 $1; add.f32 #0 $2; mul.f32 #1 $3 } : f32[3,5,6]
%most = reduce.max(%q) [a, b, c] -> [a, _, c] where a=3 b=5 c=6 : f32[3,1,6]
%r = contract(%q, %v) [b, m, k] [k, n] -> [b, m, n] where b=3 m=5 k=6 n=8 : f32[3,5,8]
output "most" = %most as "float32"
output "r" = %r as "float32"
"""


def graph(text: str = TEXT) -> Graph:
    parsed = parse_graph(text)
    random = np.random.default_rng(0)

    def filled(item: Constant) -> Constant:
        values = random.standard_normal(item.type.shape).astype(np.float32)
        return Constant(item.name, item.type, lambda: values)

    return parsed.with_(constants=tuple(map(filled, parsed.constants)))


def products(found: Graph) -> list[tuple[int, ...]]:
    return [node.type.shape for node in found.nodes if isinstance(node.op, Contract)]


def test_tokens_are_one_dimension_where_that_gains() -> None:
    before = graph()
    after = Tokens(find_fabric("4x4")).apply(before)  # five tokens a tile, or six, become four
    check_graph(after)
    assert products(after) == [(15, 6), (15, 8)]
    joined = [node for node in after.nodes if isinstance(node.op, Map | Reduce)]
    assert sum(node.type.shape[0] == 15 for node in joined) == 3
    x = np.random.default_rng(1).standard_normal((3, 5, 6)).astype(np.float32)
    wanted, got = evaluate(before, {"x": x}), evaluate(after, {"x": x})
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, 1e-6, 1e-6)


@pytest.mark.parametrize("fabric", ["4x5", "4x3", "4x1"])
def test_tokens_stay_two_dimensions_where_nothing_is_gained(fabric: str) -> None:
    """One of the two along y is as good: three tokens a tile, five, fifteen."""
    before = graph()
    assert Tokens(find_fabric(fabric)).apply(before) is before


def test_lanes_count_and_not_tokens() -> None:
    """Ten halves take three rows of four lanes, as nine do."""
    text = TEXT.replace("[3,5", "[5,7").replace("[1,5,6]", "[1,7,6]").replace("[3,1,6]", "[5,1,6]")
    text = text.replace("=3 b=5", "=5 b=7").replace("b=3 m=5", "b=5 m=7")
    assert Tokens(find_fabric("4x4")).apply(graph(text)).nodes[0].type.shape[0] == 35
    before = graph(text.replace("f32", "f16").replace("float32", "float16"))
    assert Tokens(find_fabric("4x4")).apply(before) is before
    # But what a training step keeps of nine takes less room.
    state = tuple(replace(item, state=True) for item in before.constants)
    after = Tokens(find_fabric("4x4")).apply(before.with_(constants=state))
    assert products(after) == [(35, 6), (35, 8)]


def test_a_product_of_two_activations_is_left_alone() -> None:
    text = """\
graph "g"
input %x : f32[3,5,6] from "float32"
input %w : f32[6,6] from "float32"
%p = contract(%x, %w) [b, m, k] [k, n] -> [b, m, n] where b=3 m=5 k=6 n=6 : f32[3,5,6]
output "p" = %p as "float32"
"""
    before = graph(text)
    assert Tokens(find_fabric("4x4")).apply(before) is before


def test_rows_of_a_table_are_looked_up_in_the_order_of_the_tokens() -> None:
    text = """\
graph "g"
input %i : i32[3,5] from "int32"
const %table : f32[7,6]
const %w : f32[6,8]
%x = gather(%table, %i) axis 0 : f32[3,5,6]
%p = contract(%x, %w) [b, m, k] [k, n] -> [b, m, n] where b=3 m=5 k=6 n=8 : f32[3,5,8]
%q = map(%p, %p) { mul.f32 $0 $1 } : f32[3,5,8]
output "q" = %q as "float32"
"""
    before = graph(text)
    after = Tokens(find_fabric("4x4")).apply(before)
    check_graph(after)
    assert {node.type for node in after.nodes if node.name == "x"} == {Type(DType.F32, (15, 6))}
    rows = np.random.default_rng(2).integers(0, 7, (3, 5)).astype(np.int32)
    wanted, got = evaluate(before, {"i": rows}), evaluate(after, {"i": rows})
    np.testing.assert_allclose(got["q"], wanted["q"], 1e-6, 1e-6)


def test_sums_over_tokens_take_them_as_one() -> None:
    # The gradient of a weight and that of a bias: what reads tokens and has none.
    head, _, _ = TEXT.partition("%most")
    text = f"""{head}\
%weight = contract(%x, %q) [b, m, k] [b, m, n] -> [k, n] where b=3 m=5 k=6 n=6 : f32[6,6]
%bias_grad = reduce.sum(%q) [a, b, c] -> [_, _, c] where a=3 b=5 c=6 : f32[1,1,6]
output "weight" = %weight as "float32"
output "bias" = %bias_grad as "float32"
output "r" = %q as "float32"
"""
    before = graph(text)
    after = Tokens(find_fabric("4x4")).apply(before)
    check_graph(after)
    made = {node.output: node for node in after.nodes}
    types = after.types()
    for name in ("weight", "bias_grad"):
        assert {types[value].shape for value in made[name].inputs} == {(15, 6)}
    x = np.random.default_rng(1).standard_normal((3, 5, 6)).astype(np.float32)
    wanted, got = evaluate(before, {"x": x}), evaluate(after, {"x": x})
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, 1e-5, 1e-5, err_msg=name)


def test_sums_read_what_a_product_takes_in() -> None:
    """The gradients of heads are moved to tokens once, for the product and for the bias."""
    text = """\
graph "g"
input %h : f32[3,2,5,3] from "float32"
const %w : f32[6,8]
%x = move(%h) transpose[0,2,1,3] reshape[3,5,6] : f32[3,5,6]
%p = contract(%x, %w) [b, m, k] [k, n] -> [b, m, n] where b=3 m=5 k=6 n=8 : f32[3,5,8]
%q = map(%p, %p) { mul.f32 $0 $1 } : f32[3,5,8]
%sum = reduce.sum(%x) [a, b, c] -> [c] where a=3 b=5 c=6 : f32[6]
output "q" = %q as "float32"
output "sum" = %sum as "float32"
"""
    before = graph(text)
    after = Tokens(find_fabric("4x4")).apply(before)
    check_graph(after)
    (product,) = (node for node in after.nodes if isinstance(node.op, Contract))
    (total,) = (node for node in after.nodes if isinstance(node.op, Reduce))
    assert total.inputs == product.inputs[:1]
    h = np.random.default_rng(4).standard_normal((3, 2, 5, 3)).astype(np.float32)
    wanted, got = evaluate(before, {"h": h}), evaluate(after, {"h": h})
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, 1e-6, 1e-6)
