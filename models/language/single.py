"""The layer of one token on a mesh, as products whose sums go along lines.

A decoding step has one token, and its products lie over the whole mesh: summed along one axis,
their results along the other. Heads, halves of heads and the two sides of a gate cut such a result
into pieces that would each have to be moved. Here they stay beside each other. What a layer makes
of its token for attention has one long dimension, m: an element of the first half of each head of
keys. All else that belongs to it is in the same tile: the element of the second half with which it
is turned, and the queries of all heads that share the key. So rotations, caches and scores find
everything where it is.

Scores are a product of the cache and the queries spread over all heads, with zeros where an element
is of another head. Each element then takes the scores of its own head, and all that follows lies
along m and the tokens. What a softmax divides by is summed with what is divided.
"""

from __future__ import annotations

import math

import numpy as np

from wsc.models.language.writer import LanguageWriter

FLOAT = np.float32
LOWEST = -30000.0  # a score that no token has, in half precision too


def is_for(graph: LanguageWriter) -> bool:
    """Whether a model is one of steps of one token, whose heads are turned as a whole."""
    shape, task = graph.shape, graph.task
    return bool(task.steps) and task.batch == 1 and shape.rotary == shape.head_size


def along_heads(graph: LanguageWriter, tables: tuple[str, str]) -> tuple[str, str]:
    """Cosines and sines of the first halves of all heads of keys, [m, 1].

    tables: those of a head, [1, head size].
    """
    shape = graph.shape
    half = shape.head_size // 2
    zero, end, axis = (graph.integers(f"angles.{at}", at) for at in (0, half, 1))
    each = graph.integers("angles.each", shape.kv_heads, half)
    flat = graph.integers("angles.flat", shape.kv_heads * half, 1)
    found: list[str] = []
    for table in tables:
        first = graph.node("Slice", f"{table}.half", table, zero, end, axis)
        wide = graph.node("Expand", f"{table}.each", first, each)
        found.append(graph.node("Reshape", f"{table}.all", wide, flat))
    return found[0], found[1]


def attend(graph: LanguageWriter, layer: int, name: str, x: str, tables: tuple[str, str]) -> str:
    """Attention of the one token of a step, [1, 1, hidden], with the product behind it.

    name: of the attention, whose weights are ``{name}.q_proj.weight`` and so on. tables: cosines
    and sines of the token's angles, as ``along_heads`` gives them.
    """
    shape, task = graph.shape, graph.task
    each, m = _sizes(graph)
    token = graph.node("Reshape", f"{name}.token", x, graph.integers("hidden.flat", shape.hidden))
    weight = _projections(graph, name)
    made = graph.node("Einsum", f"{name}.projections", token, weight, equation="k,mck->mc")
    halves = [f"{name}.{part}.{half}" for part in ("query", "key") for half in (1, 2)]
    parts = [*halves, f"{name}.value"]
    sizes = graph.integers("projections.sizes", each, each, 1, 1, 2)
    graph.several("Split", f"{name}.parts", [made, sizes], parts, axis=1)
    query = _turned(graph, f"{name}.q_turned", halves[0], halves[1], tables)
    key = _turned(graph, f"{name}.k_turned", halves[2], halves[3], tables)
    keys = _cache(graph, layer, name, "key", key)
    values = _cache(graph, layer, name, "value", parts[-1])
    size = graph.integers("queries.size", m, 2, each)
    query = graph.node("Reshape", f"{name}.queries", query, size)
    # The scores of all heads, then for each element those of its own.
    own = graph.once(
        "heads.own", np.repeat(np.eye(shape.kv_heads, dtype=FLOAT), m // shape.kv_heads, 0)
    )
    spread = graph.node("Einsum", f"{name}.spread", query, own, equation="mhr,mg->mhgr")
    scores = graph.node("Einsum", f"{name}.scores", keys, spread, equation="tmh,mhgr->tgr")
    scores = graph.node("Einsum", f"{name}.own_scores", scores, own, equation="tgr,mg->tmr")
    factor = graph.once("scores.scale", np.array(1 / math.sqrt(shape.head_size), FLOAT))
    scaled = graph.node("Mul", f"{name}.scaled", scores, factor)
    lowest = graph.once("scores.lowest", np.array(LOWEST, FLOAT))
    _, seen = graph.places()
    rows = graph.node(
        "Reshape", f"{name}.seen", seen, graph.integers("cache.tokens", task.keys, 1, 1)
    )
    masked = graph.node("Where", f"{name}.masked", rows, scaled, lowest)
    first = graph.integers("tokens.axis", 0)
    most = graph.node("ReduceMax", f"{name}.most", masked, first, keepdims=1)
    weights = graph.node("Exp", f"{name}.weights", graph.node("Sub", f"{name}.less", masked, most))
    ones = graph.once("values.one", np.ones((task.keys, m, 1), FLOAT))
    counted = graph.node("Concat", f"{name}.values", values, ones, axis=2)
    mixed = graph.node("Einsum", f"{name}.mixed", counted, weights, equation="tmv,tmr->mvr")
    parts = [f"{name}.above", f"{name}.below"]
    graph.several(
        "Split", f"{name}.both", [mixed, graph.integers("mixed.sizes", 2, 1)], parts, axis=1
    )
    mixed = graph.node("Div", f"{name}.divided", *parts)
    return _output(graph, name, mixed)


def gated(graph: LanguageWriter, name: str, x: str) -> tuple[str, str]:
    """The two products of a gated block, [ffn, 1] each, as one."""
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
    return parts[0], parts[1]


def down(graph: LanguageWriter, name: str, x: str) -> str:
    """The product behind a gated block, [1, 1, hidden]. x: [ffn, 1]."""
    shape = graph.shape
    weight = graph.matrix(f"{name}.down_proj.weight", shape.hidden, shape.ffn, shape.ffn)
    made = graph.node("Einsum", f"{name}.down_proj", x, weight, equation="mc,nm->n")
    flat = graph.integers("hidden.token", 1, 1, shape.hidden)
    return graph.node("Reshape", f"{name}.down", made, flat)


def _sizes(graph: LanguageWriter) -> tuple[int, int]:
    """Queries that share a head of keys, and elements of the first halves of all of these."""
    shape = graph.shape
    return shape.heads // shape.kv_heads, shape.kv_heads * (shape.head_size // 2)


def _projections(graph: LanguageWriter, name: str) -> str:
    """The weights of queries, keys and values beside each other, [m, c, hidden].

    c: of the queries and of the key first all that is of the first half, and of the value both.
    """
    shape = graph.shape
    rows: list[str] = []
    for part, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
        weight = f"{name}.{part}_proj.weight"
        graph.matrix(weight, heads * shape.head_size, shape.hidden, shape.hidden)
        each = heads // shape.kv_heads
        half = shape.head_size // 2
        size = graph.integers(f"projections.{each}", shape.kv_heads, each, 2, half, shape.hidden)
        split = graph.node("Reshape", f"{weight}.heads", weight, size)
        turned = graph.node("Transpose", f"{weight}.turned", split, perm=[0, 3, 2, 1, 4])
        size = graph.integers(f"beside.{each}", shape.kv_heads * half, 2 * each, shape.hidden)
        rows.append(graph.node("Reshape", f"{weight}.beside", turned, size))
    return graph.node("Concat", f"{name}.projections.weight", *rows, axis=1)


def _turned(
    graph: LanguageWriter, name: str, first: str, second: str, tables: tuple[str, str]
) -> str:
    """Both halves, turned, beside each other: [m, 2 times what a half has]."""
    cos, sin = tables
    made: list[str] = []
    for half, op, ahead, across in (("1", "Sub", first, second), ("2", "Add", second, first)):
        one = graph.node("Mul", f"{name}.cos.{half}", ahead, cos)
        other = graph.node("Mul", f"{name}.sin.{half}", across, sin)
        made.append(graph.node(op, f"{name}.{half}", one, other))
    return graph.node("Concat", name, *made, axis=1)


def _cache(graph: LanguageWriter, layer: int, name: str, part: str, new: str) -> str:
    """A cache [tokens, m, 2] with the token's row, [m, 2], at its position."""
    task, (_, m) = graph.task, _sizes(graph)
    size = (task.keys, m, 2)
    past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
    here, _ = graph.places()
    row = graph.node("Reshape", f"{name}.{part}_row", new, graph.integers("cache.row", 1, m, 2))
    rows = graph.integers("cache.tokens", task.keys, 1, 1)
    there = graph.node("Reshape", f"{name}.{part}_here", here, rows)
    graph.node("Where", present, there, row, graph.input(past, size))
    graph.output(present, size)
    return present


def _output(graph: LanguageWriter, name: str, mixed: str) -> str:
    """The product behind attention, [1, 1, hidden]. mixed: [m, 2, queries that share a key]."""
    shape, (each, m) = graph.shape, _sizes(graph)
    weight, wide = f"{name}.o_proj.weight", shape.heads * shape.head_size
    graph.matrix(weight, shape.hidden, wide, wide)
    half = shape.head_size // 2
    size = graph.integers("output.heads", shape.hidden, shape.kv_heads, each, 2, half)
    split = graph.node("Reshape", f"{weight}.heads", weight, size)
    turned = graph.node("Transpose", f"{weight}.turned", split, perm=[0, 1, 4, 3, 2])
    size = graph.integers("output.beside", shape.hidden, m, 2, each)
    beside = graph.node("Reshape", f"{weight}.beside", turned, size)
    made = graph.node("Einsum", f"{name}.o_proj", mixed, beside, equation="mhr,nmhr->n")
    flat = graph.integers("hidden.token", 1, 1, shape.hidden)
    return graph.node("Reshape", f"{name}.out", made, flat)
