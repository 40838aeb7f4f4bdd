"""Maps between two movements follow the second; others stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle import evaluate
from wsc.ir.check import check_graph
from wsc.ir.graph import Concat, Graph, Map, Move, Reshape, Slice
from wsc.ir.text import parse_graph
from wsc.passes.between import Between
from wsc.passes.layers import find_layers

# Two sequences of four tokens, three heads of six: halves of four elements are turned, two stay.
TURNED = """\
graph "g"
input %x : f32[2,4,18] from "float32"
input %cos : f32[1,4,1,2] from "float32"
input %bias : f32[2] from "float32"
%p = map(%x) { exp.f32 $0 } : f32[2,4,18]
%a = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 0:2:1] : f32[2,4,3,2]
%b = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 2:2:1] : f32[2,4,3,2]
%rest = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 4:2:1] : f32[2,4,3,2]
%real = map(%a, %b, %cos) { mul.f32 $0 $2; sub.f32 #0 $1 } : f32[2,4,3,2]
%imag = map(%a, %b, %cos, %bias) { mul.f32 $1 $2; add.f32 #0 $0; add.f32 #1 $3 } : f32[2,4,3,2]
%both = concat(%real, %imag) axis 3 : f32[2,4,3,4]
%all = concat(%both, %rest) axis 3 : f32[2,4,3,6]
%q = move(%all) transpose[2,0,1,3] reshape[6,4,6] : f32[6,4,6]
%r = map(%q) { neg.f32 $0 } : f32[6,4,6]
output "r" = %r as "float32"
"""


def same(before: Graph, after: Graph) -> None:
    check_graph(after)
    random = np.random.default_rng(0)
    feeds = {i.name: random.standard_normal(i.type.shape).astype(np.float32) for i in before.inputs}
    wanted, got = evaluate(before, feeds), evaluate(after, feeds)
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        assert np.array_equal(got[name], value)


def test_what_is_turned_is_moved_first_and_once() -> None:
    before = parse_graph(TURNED)
    after = Between().apply(before)
    same(before, after)
    turned = [node for node in after.nodes if isinstance(node.op, Map | Concat)]
    assert [node.type.shape for node in turned[1:]] == [
        (6, 4, 2),
        (6, 4, 2),
        (6, 4, 4),
        (6, 4, 6),
        (6, 4, 6),
    ]
    # One movement of all that the maps take, and parts of it.
    moves = [node.op for node in after.nodes if isinstance(node.op, Move) and "p" in node.inputs]
    assert len(moves) == 1
    assert (
        sum(
            node.op == Move(node.op.steps[:1])
            for node in after.nodes
            if isinstance(node.op, Move) and node.op.steps and isinstance(node.op.steps[0], Slice)
        )
        == 3
    )


# The same of neighbours: what is turned is stacked, and then one dimension with its place.
NEIGHBOURS = """\
graph "g"
input %x : f32[2,4,18] from "float32"
input %cos : f32[1,4,1,2] from "float32"
%p = map(%x) { exp.f32 $0 } : f32[2,4,18]
%a = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 0:2:2] : f32[2,4,3,2]
%b = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 1:2:2] : f32[2,4,3,2]
%rest = move(%p) reshape[2,4,3,6] slice[0:2:1, 0:4:1, 0:3:1, 4:2:1] : f32[2,4,3,2]
%real = map(%a, %b, %cos) { mul.f32 $0 $2; sub.f32 #0 $1 } : f32[2,4,3,2]
%imag = map(%a, %b, %cos) { mul.f32 $1 $2; add.f32 #0 $0 } : f32[2,4,3,2]
%first = move(%real) reshape[2,4,3,2,1] : f32[2,4,3,2,1]
%second = move(%imag) reshape[2,4,3,2,1] : f32[2,4,3,2,1]
%stack = concat(%first, %second) axis 4 : f32[2,4,3,2,2]
%both = move(%stack) reshape[2,4,3,4] : f32[2,4,3,4]
%all = concat(%both, %rest) axis 3 : f32[2,4,3,6]
%q = move(%all) transpose[2,0,1,3] reshape[6,4,6] : f32[6,4,6]
%r = map(%q) { neg.f32 $0 } : f32[6,4,6]
output "r" = %r as "float32"
"""


# Neighbours as a dimension of their own, of which each is taken.
IN_PAIRS = NEIGHBOURS
for place in range(2):
    IN_PAIRS = IN_PAIRS.replace(
        f"slice[0:2:1, 0:4:1, 0:3:1, {place}:2:2] :",
        "slice[0:2:1, 0:4:1, 0:3:1, 0:4:1] reshape[2,4,3,2,2] "
        f"slice[0:2:1, 0:4:1, 0:3:1, 0:2:1, {place}:1:1] reshape[2,4,3,2] :",
    )


@pytest.mark.parametrize("head", [NEIGHBOURS, IN_PAIRS])
@pytest.mark.parametrize("shown", ["", "both", "stack", "first"])
def test_neighbours_that_are_turned_are_moved_first_and_once(shown: str, head: str) -> None:
    text = head + (f'output "s" = %{shown} as "float32"\n' if shown else "")
    before = parse_graph(text)
    after = Between().apply(before)
    same(before, after)
    if shown:  # its heads stay where they are
        return
    maps = [node for node in after.nodes if isinstance(node.op, Map)][1:-1]
    assert [node.type.size for node in maps] == [48, 48]
    assert all(node.type.shape[0] == 6 for node in maps)
    moves = [node for node in after.nodes if isinstance(node.op, Move) and "p" in node.inputs]
    assert len(moves) == 1
    # Behind it nothing but parts of a head, and dimensions of them.
    rest = {node.output for node in after.nodes if isinstance(node.op, Move)} - {moves[0].output}
    kinds = {type(s) for n in after.nodes if n.output in rest for s in n.op.steps}  # type: ignore[union-attr]
    assert kinds <= {Slice, Reshape}


def test_features_of_all_heads_are_no_neighbours() -> None:
    """Parts of a head that become features of all heads are turned before they are moved."""
    text = NEIGHBOURS.replace(
        "%q = move(%all) transpose[2,0,1,3] reshape[6,4,6] : f32[6,4,6]\n"
        "%r = map(%q) { neg.f32 $0 } : f32[6,4,6]",
        "%q = move(%all) transpose[1,0,2,3] reshape[8,18] : f32[8,18]\n"
        "%r = map(%q) { neg.f32 $0 } : f32[8,18]",
    )
    before = parse_graph(text)
    after = Between().apply(before)
    same(before, after)
    maps = [node.type.shape for node in after.nodes if isinstance(node.op, Map)]
    assert maps[1:3] == [(2, 4, 3, 2), (2, 4, 3, 2)]


def changed(*pairs: tuple[str, str]) -> str:
    text = TURNED
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "text",
    [
        # Only turned: a view of what is there.
        changed(
            (" reshape[6,4,6] : f32[6,4,6]\n%r", " : f32[3,2,4,6]\n%r"),
            (
                "%r = map(%q) { neg.f32 $0 } : f32[6,4,6]",
                "%r = map(%q) { neg.f32 $0 } : f32[3,2,4,6]",
            ),
        ),
        # The joined dimension is itself put together with another.
        changed(
            ("transpose[2,0,1,3] reshape[6,4,6] : f32[6,4,6]", "reshape[2,4,18] : f32[2,4,18]"),
            ("{ neg.f32 $0 } : f32[6,4,6]", "{ neg.f32 $0 } : f32[2,4,18]"),
        ),
        # Somebody else reads it.
        changed(('output "r"', 'output "all" = %all as "float32"\noutput "r"')),
    ],
)
def test_what_has_no_second_movement_stays_as_it_is(text: str) -> None:
    before = parse_graph(text)
    after = Between().apply(before)
    same(before, after)
    shapes = [node.type.shape for node in before.nodes if isinstance(node.op, Map | Concat)]
    kept = [node.type.shape for node in after.nodes if isinstance(node.op, Map | Concat)]
    assert kept == shapes


def test_a_map_of_what_a_product_gives_stays_as_it_is() -> None:
    before = parse_graph(
        """\
graph "g"
input %x : f32[2,4,6] from "float32"
%p = map(%x) { exp.f32 $0 } : f32[2,4,6]
%q = move(%p) reshape[8,6] : f32[8,6]
%r = map(%q) { neg.f32 $0 } : f32[8,6]
output "r" = %r as "float32"
"""
    )
    assert Between().apply(before) is before


def layered(last: str) -> str:
    """Four layers that turn the same angles, and take the same part of a mask."""
    lines = [
        'graph "g"',
        'input %x0 : f32[4,6] from "float32"',
        'input %angles : f32[2,12] from "float32"',
        'input %mask : f32[8,6] from "float32"',
        *(f"const %w{i} : f32[6,6]" for i in range(4)),
    ]
    for i in range(4):
        lines += [
            f"%p{i} = contract(%x{i}, %w{i}) [m, k] [k, n] -> [m, n] where m=4 k=6 n=6 : f32[4,6]",
            f"%a{i} = move(%angles) reshape[4,6] : f32[4,6]",
            f"%m{i} = move(%mask) slice[2:4:1, 0:6:1] : f32[4,6]",
            f"%x{i + 1} = map(%p{i}, %a{i}, %m{i}) {{ mul.f32 $0 $1; add.f32 #0 $2 }} : f32[4,6]",
        ]
    return "\n".join([*lines, f'output "r" = {last} as "float32"', ""])


def test_what_layers_turn_alike_is_turned_before_them() -> None:
    before = parse_graph(layered("%x4"))
    after = Between().apply(before)
    check_graph(after)
    moves = {
        node.output: number for number, node in enumerate(after.nodes) if "angles" in node.inputs
    }
    assert moves == {"a0": 0}
    # Parts are taken layer by layer: all at once may find no room.
    assert sum("mask" in node.inputs for node in after.nodes) == 4
    (stack,) = find_layers(after)
    assert stack.count == 4
    assert stack.start == 1


def test_what_leaves_is_not_shared() -> None:
    before = parse_graph(layered("%a1"))
    assert Between().apply(before) == before
