"""Einsum of any number of operands: diagonals and sums first, then products from left to right."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.types import wrap
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction, Reshape, Slice, Transpose


@dataclass(frozen=True, slots=True)
class Term:
    """An operand, with one label for each dimension."""

    value: Value
    labels: tuple[str, ...]


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Labels of each operand and of the result; dimensions of an ellipsis are called ``.0`` etc."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    require(len(operands) == len(ranks), f"{len(operands)} terms for {len(ranks)} operands")
    parts = [part.split("...") for part in (*operands, right)]
    letters = set(string.ascii_letters)
    require(all(set("".join(part)) <= letters for part in parts), f"equation {equation!r}")
    # The dimensions of an ellipsis align at its end.
    wide = [
        rank - sum(map(len, part)) if len(part) == 2 else 0
        for part, rank in zip(parts, ranks, strict=False)
    ]
    depth = max(wide, default=0)

    def labels(part: Sequence[str], count: int) -> tuple[str, ...]:
        if len(part) == 1:
            return tuple(part[0])
        return (*part[0], *(f".{i}" for i in range(depth - count, depth)), *part[1])

    terms = [labels(part, count) for part, count in zip(parts[:-1], wide, strict=True)]
    for term, rank in zip(terms, ranks, strict=True):
        require(len(term) == rank, f"{len(term)} labels for {rank} dimensions")
    if arrow:
        return terms, labels(parts[-1], depth)
    letters_once = sorted(c for c in set(left) - set(".,") if left.count(c) == 1)
    return terms, (*(f".{i}" for i in range(depth)), *letters_once)


def _diagonal(build: GraphBuilder, term: Term) -> Term:
    """Dimensions of one label become one: where all their indices are the same."""
    value, labels = term.value, term.labels
    while len(set(labels)) < len(labels):
        first = next(i for i, label in enumerate(labels) if label in labels[i + 1 :])
        second = labels.index(labels[first], first + 1)
        size = value.shape[first]
        require(value.shape[second] == size, f"label {labels[first]} of two sizes")
        rest = [i for i in range(value.rank) if i not in (first, second)]
        shape = tuple(value.shape[i] for i in rest)
        value = build.move(
            value,
            Transpose((*rest, first, second)),
            Reshape((*shape, size * size)),
            Slice((0,) * (len(rest) + 1), (*shape, size), (*(1,) * len(rest), size + 1)),
            hint="diagonal",
        )
        labels = (*(labels[i] for i in rest), labels[first])
    return Term(value, labels)


def _without(build: GraphBuilder, term: Term, needed: set[str], sizes: dict[str, int]) -> Term:
    """Labels that nobody else needs summed, and dimensions to be broadcast left out."""
    summed = [i for i, label in enumerate(term.labels) if label not in needed]
    value = build.reduce(Reduction.SUM, term.value, summed, keep=False, hint="sum")
    labels = tuple(label for i, label in enumerate(term.labels) if i not in summed)
    kept = [i for i, label in enumerate(labels) if value.shape[i] == sizes[label]]
    shape = tuple(value.shape[i] for i in kept)
    return Term(build.reshape(value, shape, "narrow"), tuple(labels[i] for i in kept))


def _product(build: GraphBuilder, a: Term, b: Term, needed: set[str]) -> Term:
    """Both multiplied, and summed over what is not needed afterwards."""
    labels = [*a.labels, *(label for label in b.labels if label not in a.labels)]
    out = tuple(label for label in labels if label in needed)
    names = {label: f"d{number}" for number, label in enumerate(labels)}

    def spec(items: Sequence[str]) -> str:
        return " ".join(names[label] for label in items)

    if len(out) < len(labels) and a.value.dtype.is_float:
        value = build.contract(a.value, b.value, spec(a.labels), spec(b.labels), spec(out))
        return Term(value, out)
    wide = [_spread(build, term, labels) for term in (a, b)]
    value = build.map(lambda x, y: x * y, *wide, hint="product")
    summed = [i for i, label in enumerate(labels) if label not in needed]
    return Term(build.reduce(Reduction.SUM, value, summed, keep=False, hint="sum"), out)


def _spread(build: GraphBuilder, term: Term, labels: Sequence[str]) -> Value:
    """The operand with its dimensions in the order of ``labels``, size 1 where it has none."""
    order = [term.labels.index(label) for label in labels if label in term.labels]
    value = build.transpose(term.value, order, "ordered")
    sizes = iter(value.shape)
    return build.reshape(value, [next(sizes) if x in term.labels else 1 for x in labels], "wide")


@lowering("Einsum", since=12)
def einsum(call: Call) -> Value:
    """Sums of products over labelled dimensions."""
    build, operands = call.build, call.args()
    labels, out = _parsed(call.text("equation", ""), [value.rank for value in operands])
    require(len(set(out)) == len(out), "a label twice in the result")
    sizes: dict[str, int] = {}
    terms = [_diagonal(build, Term(*pair)) for pair in zip(operands, labels, strict=True)]
    for term in terms:
        for label, size in zip(term.labels, term.value.shape, strict=True):
            known = sizes.setdefault(label, size)
            require(1 in (known, size) or known == size, f"label {label} of two sizes")
            sizes[label] = max(known, size)
    require(set(out) <= set(sizes), "a label of the result that no operand has")

    def needed_after(number: int) -> set[str]:
        return set(out).union(*(term.labels for term in terms[number:]))

    parts = [
        _without(build, term, needed_after(i + 1).union(*(t.labels for t in terms[:i])), sizes)
        for i, term in enumerate(terms)
    ]
    total = parts[0]
    for number, part in enumerate(parts[1:], 1):
        needed = set(out).union(*(term.labels for term in parts[number + 1 :]))
        total = _product(build, total, part, needed)
    missing = [label for label in out if label not in total.labels]
    result = _spread(build, total, [label for label in out if label not in missing])
    if missing:
        result = _spread(build, total, out)
    shape = tuple(sizes[label] for label in out)
    result = build.expand(result, shape, "expanded")
    return build.map(lambda v: wrap(v.cast(operands[0].dtype), call.onnx_type(0)), result)
