"""Attention of one token on a mesh, as products of matrices whose sums go along lines.

A decoding step has one token, and its products lie over the whole mesh: summed along one axis,
their results along the other. Heads cut the results into pieces that lie on neither axis evenly.
Here they stay whole. All that a layer makes of its token for attention has one long dimension, the
elements of the heads of keys, [m]; what else there is lies beside it, in the same tile: the queries
that share a head of keys, and the element that each is turned with, which is another product of the
same token. So rotations, caches and scores find everything where it is.

Scores are a product of the cache [tokens, m] and the queries spread over all heads [m, heads], with
zeros where an element is of another head; what is mixed is a product with the weights of all heads,
of which each element takes its own.
"""

from __future__ import annotations

import math

import numpy as np

from wsc.models.language.writer import LanguageWriter

FLOAT = np.float32


def attend(graph: LanguageWriter, layer: int, name: str, x: str, tables: tuple[str, str]) -> str:
    """Attention of the one token of a step, [1, 1, hidden], up to the product behind it.

    name: of the attention, whose weights are ``{name}.q_proj.weight`` and so on. tables: cosines
    and sines of the token's angles, as ``along_heads`` gives them.
    """
    shape, task = graph.shape, graph.task
    shared = shape.heads // shape.kv_heads
    m, hidden = shape.kv_heads * shape.head_size, shape.hidden
    token = graph.node("Reshape", f"{name}.token", x, graph.integers("hidden.flat", hidden))
    made = graph.node(
        "Einsum", f"{name}.projections", token, _projections(graph, name), equation="k,mck->mc"
    )
    parts = [f"{name}.{part}" for part in ("query", "query_other", "key", "key_other", "value")]
    sizes = graph.integers("projections.sizes", shared, shared, 1, 1, 1)
    graph.several("Split", f"{name}.parts", [made, sizes], parts, axis=1)
    query = _turned(graph, f"{name}.q_turned", parts[0], parts[1], tables)
    key = _turned(graph, f"{name}.k_turned", parts[2], parts[3], tables)
    caches = [
        _cache(graph, layer, name, part, new) for part, new in (("key", key), ("value", parts[4]))
    ]
    # The queries of all heads, each with zeros where an element is of another one.
    own = _own(graph)
    wide = graph.integers("heads.spread", m, shape.kv_heads, shared)
    spread = graph.node(
        "Expand",
        f"{name}.query_each",
        graph.node("Reshape", f"{name}.query_rows", query, graph.integers("queries", m, 1, shared)),
        wide,
    )
    alone = graph.node("Mul", f"{name}.query_own", spread, own)
    flat = graph.node("Reshape", f"{name}.queries", alone, graph.integers("all", m, shape.heads))
    scores = graph.node("MatMul", f"{name}.scores", caches[0], flat)
    scaled = graph.node("Mul", f"{name}.scaled", scores, _scale(graph))
    _, seen = graph.places()
    rows = graph.node("Reshape", f"{name}.seen", seen, graph.integers("seen", task.keys, 1))
    lowest = graph.once("lowest", np.array(-1e4, FLOAT))
    masked = graph.node("Where", f"{name}.masked", rows, scaled, lowest)
    weights = graph.node("Softmax", f"{name}.weights", masked, axis=0)
    turned = graph.node("Transpose", f"{name}.values", caches[1], perm=[1, 0])
    mixed = graph.node("MatMul", f"{name}.mixed", turned, weights)
    each = graph.node("Reshape", f"{name}.mixed_each", mixed, wide)
    kept = graph.node("Mul", f"{name}.mixed_own", each, own)
    axis = graph.integers("heads.axis", 1)
    mixed = graph.node("ReduceSum", f"{name}.mixed_sum", kept, axis, keepdims=0)
    return _output(graph, name, mixed)


def along_heads(graph: LanguageWriter, tables: tuple[str, str]) -> tuple[str, str]:
    """Cosines and sines of all heads of keys, [m, 1], of those of a head, [1, head size]."""
    shape = graph.shape
    each = graph.integers("angles.each", shape.kv_heads, shape.head_size)
    flat = graph.integers("angles.flat", shape.kv_heads * shape.head_size, 1)
    cos, sin = (
        graph.node(
            "Reshape", f"{table}.all", graph.node("Expand", f"{table}.each", table, each), flat
        )
        for table in tables
    )
    return cos, sin


def gated(graph: LanguageWriter, name: str, x: str) -> tuple[str, str]:
    """The two products of a gated block, [1, ffn] each, as one."""
    shape = graph.shape
    token = graph.node("Reshape", f"{name}.token", x, graph.integers("hidden.flat", shape.hidden))
    size = graph.integers("ffn.rows", shape.ffn, 1, shape.hidden)
    both: list[str] = []
    for part in ("gate", "up"):
        weight = f"{name}.{part}_proj.weight"
        graph.matrix(weight, shape.ffn, shape.hidden, shape.hidden)
        both.append(graph.node("Reshape", f"{name}.{part}_rows", weight, size))
    joined = graph.node("Concat", f"{name}.gate_up", *both, axis=1)
    made = graph.node("Einsum", f"{name}.products", token, joined, equation="k,mck->mc")
    parts = [f"{name}.gate", f"{name}.up"]
    graph.several("Split", f"{name}.parts", [made], parts, axis=1, num_outputs=2)
    flat = graph.integers("ffn.flat", 1, 1, shape.ffn)
    return tuple(graph.node("Reshape", f"{part}_flat", part, flat) for part in parts)


def _projections(graph: LanguageWriter, name: str) -> str:
    """The weights of queries, keys and values side by side, [m, c, hidden].

    c: the queries that share a head of keys; those that these are turned with; the key, what it is
    turned with, the value.
    """
    shape = graph.shape
    rows: list[str] = []
    for part, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
        weight = f"{name}.{part}_proj.weight"
        graph.matrix(weight, heads * shape.head_size, shape.hidden, shape.hidden)
        each = heads // shape.kv_heads
        size = graph.integers(
            f"projections.{each}", shape.kv_heads, each, shape.head_size, shape.hidden
        )
        split = graph.node("Reshape", f"{weight}.heads", weight, size)
        rows.append(_beside(graph, f"{weight}.beside", split, each))
        if part != "v":
            other = _other(graph, f"{weight}.other", split)
            rows.append(_beside(graph, f"{weight}.other_beside", other, each))
    return graph.node("Concat", f"{name}.projections.weight", *rows, axis=1)


def _beside(graph: LanguageWriter, name: str, x: str, each: int) -> str:
    """[heads, each, head size, hidden] as [m, each, hidden]."""
    shape = graph.shape
    turned = graph.node("Transpose", f"{name}.turned", x, perm=[0, 2, 1, 3])
    size = graph.integers(f"beside.{each}", shape.kv_heads * shape.head_size, each, shape.hidden)
    return graph.node("Reshape", name, turned, size)


def _other(graph: LanguageWriter, name: str, x: str) -> str:
    """What each element of a head is turned with: the other half, the first one's with a minus."""
    half = graph.shape.head_size // 2
    axis, ends = graph.integers("other.axis", 2), (0, half, 2 * half)
    zero, middle, end = (graph.integers(f"other.{at}", at) for at in ends)
    first = graph.node("Slice", f"{name}.first", x, zero, middle, axis)
    second = graph.node("Slice", f"{name}.second", x, middle, end, axis)
    minus = graph.node("Neg", f"{name}.minus", second)
    return graph.node("Concat", name, minus, first, axis=2)


def _turned(graph: LanguageWriter, name: str, x: str, other: str, tables: tuple[str, str]) -> str:
    cos, sin = tables
    ahead = graph.node("Mul", f"{name}.cos", x, cos)
    across = graph.node("Mul", f"{name}.sin", other, sin)
    return graph.node("Add", name, ahead, across)


def _cache(graph: LanguageWriter, layer: int, name: str, part: str, new: str) -> str:
    """A cache [tokens, m] with the token's row at its position."""
    shape, task = graph.shape, graph.task
    size = (task.keys, shape.kv_heads * shape.head_size)
    past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
    here, _ = graph.places()
    row = graph.node("Reshape", f"{name}.{part}_row", new, graph.integers("cache.row", 1, size[1]))
    rows = graph.node("Reshape", f"{name}.{part}_here", here, graph.integers("seen", task.keys, 1))
    graph.node("Where", present, rows, row, graph.input(past, size))
    graph.output(present, size)
    return present


def _own(graph: LanguageWriter) -> str:
    """Whether an element is of a head of keys, for each query that shares it, [m, heads, each]."""
    shape = graph.shape
    heads = np.repeat(np.eye(shape.kv_heads, dtype=FLOAT), shape.head_size, axis=0)
    return graph.once(
        "heads.own", np.repeat(heads[:, :, None], shape.heads // shape.kv_heads, axis=2)
    )


def _scale(graph: LanguageWriter) -> str:
    return graph.once("scores.scale", np.array(1 / math.sqrt(graph.shape.head_size), FLOAT))


def _output(graph: LanguageWriter, name: str, mixed: str) -> str:
    """The product behind attention, [1, 1, hidden]."""
    shape = graph.shape
    shared = shape.heads // shape.kv_heads
    weight = f"{name}.o_proj.weight"
    wide = shape.heads * shape.head_size
    graph.matrix(weight, shape.hidden, wide, wide)
    size = graph.integers("output", shape.hidden, shape.kv_heads, shared, shape.head_size)
    split = graph.node("Reshape", f"{weight}.heads", weight, size)
    turned = graph.node("Transpose", f"{weight}.turned", split, perm=[0, 1, 3, 2])
    size = graph.integers("output.beside", shape.hidden, shape.kv_heads * shape.head_size, shared)
    beside = graph.node("Reshape", f"{weight}.beside", turned, size)
    made = graph.node("Einsum", f"{name}.o_proj", mixed, beside, equation="mc,nmc->n")
    flat = graph.integers("hidden.token", 1, 1, shape.hidden)
    return graph.node("Reshape", f"{name}.out", made, flat)
