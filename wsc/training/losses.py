"""Losses, built of the graph's primitives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsc.errors import CompileError, shortened
from wsc.frontend.reduce import iota
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction, Type
from wsc.ir.terms import Body, Term
from wsc.isa.asked import option
from wsc.isa.types import DType

LABEL = "label"
IGNORED = -100  # the label that PyTorch leaves out too


@dataclass(frozen=True, slots=True)
class Loss:
    """What training makes small.

    kind: ``cross_entropy``, ``mse``, or ``output``, a scalar that the model itself gives. output:
    the model's output that it is of; "" is the first. ignored: the label whose positions do not
    count. smoothing: the part of a label that is spread over all classes. axis: the dimension of
    the classes; None: the last one of three dimensions, as texts have them, else the second.
    """

    kind: str = "cross_entropy"
    output: str = ""
    ignored: int = IGNORED
    smoothing: float = 0.0
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """What labels may be: one of so many classes, from 0 on, or the one that does not count."""

    classes: int
    ignored: int

    def counted(self, labels: np.ndarray) -> int:
        """How many labels of an array count."""
        return int(np.count_nonzero(labels != self.ignored))

    def refusal(self, labels: np.ndarray) -> str:
        """Why an array of labels is none; empty if it is."""
        if labels.dtype.kind not in "iu":
            return ""  # the run refuses another type
        wrong = (labels != self.ignored) & ((labels < 0) | (labels >= self.classes))
        if not wrong.any():
            return ""
        place = np.unravel_index(int(wrong.argmax()), labels.shape)
        found = int(labels[place])
        leave = option("loss", f"cross_entropy:ignored={found}")
        return (
            f"input '{LABEL}': {found} at {[int(axis) for axis in place]} (sample first, from 0) "
            f"is none of the {self.classes} classes, 0 to {self.classes - 1}; the label that does "
            f"not count is {self.ignored}, and can be another ({leave})"
        )


def labels_of(loss: Loss, scores: tuple[int, ...]) -> Labels | None:
    """The labels of a loss of scores of a shape; None for a loss without classes."""
    if loss.kind != "cross_entropy":
        return None
    return Labels(scores[_class_axis(loss, scores)], loss.ignored)


def parse_loss(text: str) -> Loss:
    """``cross_entropy``, ``cross_entropy:smoothing=0.1,ignored=0,axis=1``, ``mse:output=y``.

    Raises CompileError for what is none.
    """
    kind, _, rest = text.partition(":")
    if kind not in _BUILDERS:
        raise CompileError(f"loss {shortened(kind)!r}: there are {', '.join(_BUILDERS)}")
    readers: dict[str, Callable[[str], str | int | float]] = {"output": str}
    if kind == "cross_entropy":
        readers |= {"ignored": int, "smoothing": float, "axis": int}
    fields: dict[str, str | int | float] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if key not in readers or not equals:
            raise CompileError(
                f"loss {kind}: {shortened(part)!r} is none of {', '.join(f'{k}=' for k in readers)}"
            )
        if key in fields:
            raise CompileError(f"loss {kind}: {key} is given twice")
        try:
            fields[key] = readers[key](value)
        except ValueError:
            whole = "an integer" if readers[key] is int else "a number"
            raise CompileError(f"loss {kind}: {key} is {whole}, not {shortened(value)!r}") from None
    loss = Loss(kind, **fields)  # type: ignore[arg-type]
    if not 0.0 <= loss.smoothing < 1.0:
        raise CompileError(f"loss {kind}: smoothing is from 0 to below 1, not {loss.smoothing}")
    if not -(1 << 31) <= loss.ignored < 1 << 31:
        raise CompileError(f"loss {kind}: ignored is a label of 32 bits, not {loss.ignored}")
    return loss


def add_loss(build: GraphBuilder, loss: Loss, output: Value, host: str) -> Value:
    """The loss of an output of floats, one float. Adds the input ``label`` where there is one.

    host: the type in which the host has the output, and a label of its kind.

    Raises CompileError for an output of another form.
    """
    with build.at("loss", (loss.kind,)):
        try:
            return _BUILDERS[loss.kind](build, loss, output, host)
        except ValueError:
            raise CompileError(
                f"the model has an input '{LABEL}' of its own: give it another name, or take a "
                f"loss that the model computes ({option('loss', 'output')})"
            ) from None


def _class_axis(loss: Loss, scores: tuple[int, ...]) -> int:
    """The dimension of the classes. Raises CompileError for scores without one."""
    rank = len(scores)
    if rank < 2:
        raise CompileError(
            f"cross_entropy wants scores with a dimension of classes, not {list(scores)}"
        )
    axis = loss.axis
    if axis is None:
        axis = rank - 1 if rank == 3 else 1
    if not -rank <= axis < rank:
        raise CompileError(f"cross_entropy: {list(scores)} has no dimension {axis}")
    return axis % rank


def _cross_entropy(build: GraphBuilder, loss: Loss, scores: Value, host: str) -> Value:
    """The mean, over all labels that count, of -log softmax at the label."""
    axis = _class_axis(loss, scores.shape)
    classes = scores.shape[axis]
    shape = scores.shape[:axis] + scores.shape[axis + 1 :]
    label = build.input(LABEL, Type(DType.I32, shape), "int64")
    wide = build.reshape(label, (*shape[:axis], 1, *shape[axis:]), "label")
    counts = build.map(lambda t: t.eq(loss.ignored).negated(), wide, hint="counts")
    # A label that names no class stops the run.
    checked = build.map(
        lambda t, c: c.select(t, 0).op("within", classes), wide, counts, hint="checked"
    )
    places = iota(build, classes, axis, scores.rank)
    largest = build.reduce(Reduction.MAX, scores, [axis], True, "max", still=True)

    def summed(part: Body, label: bool, hint: str) -> Value:
        """Something of the label's score alone, or the sum of that of all others."""

        def body(t: Term, i: Term, v: Term, m: Term) -> Term:
            hit, mine = t.eq(i), part(v, m)
            return hit.select(mine, 0.0) if label else hit.select(0.0, mine)

        each = build.map(body, checked, places, scores, largest, hint=f"{hint}_each")
        return build.reduce(Reduction.SUM, each, [axis], True, hint)

    # The label's score is apart from the others: where they are far below it, the loss and its
    # derivative there are as exact as their sum, which halves would lose beside a 1.
    own = summed(lambda v, m: v - m, True, "own")
    rest = summed(lambda v, m: (v - m).exp(), False, "rest")
    spread = loss.smoothing / classes

    def each_loss(o: Term, r: Term, *others: Term) -> Term:
        picked = o * (1.0 - loss.smoothing + spread) if spread else o
        return (o.exp() + r).log() - sum((other * spread for other in others), picked)

    smoothed = [summed(lambda v, m: v - m, False, "others")] if spread else []
    each = build.map_wide(each_loss, own, rest, *smoothed, hint="each", keep=True)
    kept = build.map_as_is(lambda c, v: c.select(v, 0.0), counts, each, hint="kept")
    axes = list(range(scores.rank))
    total = build.reduce(Reduction.SUM, kept, axes, False, "total")
    number = build.map(lambda c: c.cast(DType.F32), counts, hint="number")
    many = build.reduce(Reduction.SUM, number, axes, False, "many")
    # Where no label counts, nothing is to be learned.
    return build.map_wide(lambda s, n: s / n.max(1.0), total, many, hint="mean", keep=True)


def _mse(build: GraphBuilder, loss: Loss, output: Value, host: str) -> Value:
    """The mean of the squares of output - label."""
    wanted = build.input(LABEL, output.type, host)
    squares = build.map_wide(
        lambda y, t: (y - t) * (y - t), output, wanted, hint="squares", keep=True
    )
    total = build.reduce(Reduction.SUM, squares, range(output.rank), False, "total")
    scale = 1.0 / math.prod(output.shape)
    return build.map(lambda s: s * scale, total, hint="mean")


def _output(build: GraphBuilder, loss: Loss, output: Value, host: str) -> Value:
    if output.type.size != 1:
        raise CompileError(f"an output that is the loss is one float, not {list(output.shape)}")
    return build.cast(build.reshape(output, (), "loss"), DType.F32)


_BUILDERS: dict[str, Callable[[GraphBuilder, Loss, Value, str], Value]] = {
    "cross_entropy": _cross_entropy,
    "mse": _mse,
    "output": _output,
}
LOSSES = tuple(_BUILDERS)
"""The losses by name."""
