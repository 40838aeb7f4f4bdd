"""Operators on tokens: counts of n-grams."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise

import numpy as np

from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

GAP_LIMIT = 256  # each number of tokens skipped is a round of comparisons


def _grams(call: Call) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(n-grams [count, n], their columns in the result) for each n that counts."""
    pool = np.array(call.integers("pool_int64s") or [], np.int64)
    starts = [*(call.integers("ngram_counts") or []), pool.size]
    columns = np.array(call.integers("ngram_indexes") or [], np.int64)
    first = 0
    for size, (begin, end) in enumerate(pairwise(starts), 1):
        count = (end - begin) // size
        if call.integer("min_gram_length", 1) <= size <= call.integer("max_gram_length", 1):
            yield pool[begin : begin + count * size].reshape(count, size), columns[first:][:count]
        first += count


def _found(build: GraphBuilder, x: Value, grams: np.ndarray, step: int) -> Value | None:
    """How often each n-gram stands in each row of x [rows, tokens], its tokens ``step`` apart."""
    count, size = grams.shape
    rows, tokens = x.shape
    places = tokens - (size - 1) * step
    if places < 1 or not count:
        return None
    windows = [
        build.reshape(build.slice_axis(x, 1, i * step, places, hint="token"), (rows, places, 1))
        for i in range(size)
    ]
    wanted = [
        build.constant(grams[:, i].reshape(1, 1, count), DType.I32, "gram") for i in range(size)
    ]

    def body(*terms: Term) -> Term:
        pairs = zip(terms[:size], terms[size:], strict=True)
        return reduce(lambda a, b: a & b, (token.eq(gram) for token, gram in pairs))

    hits = build.map(body, *windows, *wanted, hint="hits")
    return build.reduce(Reduction.SUM, hits, [1], False, "count")


@lowering("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(call: Call) -> Value:
    """Counts of the pool's n-grams of integers, also with gaps, as they are or weighted."""
    build, x = call.build, call.arg(0)
    require(call.texts("pool_strings") is None, "n-grams of strings")
    require(x.rank in (1, 2), f"tokens of rank {x.rank}")
    mode, gaps = call.text("mode", "TF"), call.integer("max_skip_count", 0)
    require(mode in ("TF", "IDF", "TFIDF"), f"mode {mode!r}")
    gaps = min(gaps, x.shape[-1])
    require(gaps <= GAP_LIMIT, f"{gaps} gaps (at most {GAP_LIMIT})")
    width = max(call.integers("ngram_indexes") or [-1]) + 1
    require(width > 0, "the result has no elements")
    rows = build.reshape(x, (1, *x.shape) if x.rank == 1 else x.shape, "rows")
    total = build.expand(build.constant(np.zeros(()), DType.F32, "zero"), (rows.shape[0], width))
    for grams, columns in _grams(call):
        place = np.zeros((len(columns), width))
        place[np.arange(len(columns)), columns] = 1
        matrix = build.constant(place, DType.F32, "columns")
        # Gaps make no difference to single tokens, which count once.
        for step in range(1, gaps + 2 if grams.shape[1] > 1 else 2):
            found = _found(build, rows, grams, step)
            if found is not None:
                counts = build.map(lambda n: n.cast(DType.F32), found, hint="counts")
                part = build.contract(counts, matrix, "r g", "g c", "r c", "placed")
                total = build.map(lambda a, b: a + b, total, part, hint="total")
    factors = np.array(call.numbers("weights") or [1.0] * width)
    require(factors.size == width, f"{factors.size} weights for {width} columns")
    weights = build.constant(factors, DType.F32, "weights")
    if mode == "IDF":
        total = build.map(lambda n, w: (n > 0.0).select(w, 0.0), total, weights, hint="idf")
    elif mode == "TFIDF":
        total = build.map(lambda n, w: n * w, total, weights, hint="tfidf")
    total = build.map(lambda n: n.cast(call.float_type), total)
    return build.reshape(total, (*x.shape[:-1], width))
