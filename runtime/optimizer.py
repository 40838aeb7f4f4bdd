"""What the weight store does in training: it applies the optimizer to the tensors that it holds.

All arithmetic is f32, in the order of PyTorch's single-tensor implementations, so that curves can
be compared. Nothing here depends on the engine or on the fabric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.isa.program import Program, Update
from wsc.isa.updates import RULES

Array = np.ndarray
Numbers = Mapping[str, float]
# (weight, gradient, states, numbers, count of this update from 1) -> (new weight, new states)
Apply = Callable[[Array, Array, Sequence[Array], Numbers, int], tuple[Array, tuple[Array, ...]]]

_EDGE = 1e-6  # that a norm may exceed what it is clipped to, as in PyTorch


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update leaves. tensors: new contents of the store by name. norm: of all gradients
    together, before they were clipped; None if nothing was clipped."""

    tensors: dict[str, Array]
    norm: float | None


def apply_updates(
    program: Program,
    store: Mapping[str, Array],
    gradients: Mapping[str, Array],
    count: int,
    factor: float = 1.0,
) -> Applied:
    """The store after one step; the store that is given stays as it is.

    store: weights and states by name, f32. gradients: by the name of their output, f32, already
    the mean over ``program.over`` runs. count: updates so far, this one included. factor: by
    which the rates of this step are multiplied.
    """
    scale, norm = 1.0, None
    if program.clip:
        norm = _norm(program, gradients)
        scale = min(program.clip / (norm + _EDGE), 1.0)
    tensors: dict[str, Array] = {}
    for update in program.updates:
        numbers = dict(update.numbers)
        if "rate" in numbers:
            numbers["rate"] *= factor
        gradient = gradients[update.gradient]
        if scale != 1.0 and update.rule != "take":
            gradient = gradient * np.float32(scale)
        states = [store[name] for name in update.states]
        with np.errstate(over="ignore", invalid="ignore"):
            new, kept = _APPLY[update.rule](store[update.weight], gradient, states, numbers, count)
        tensors[update.weight] = new
        tensors |= zip(update.states, kept, strict=True)
    return Applied(tensors, norm)


def not_finite(updates: Sequence[Update], gradients: Mapping[str, Array]) -> str:
    """The first gradient, by the name of its output, that has overflowed; "" for none."""
    for update in updates:
        if not np.isfinite(gradients[update.gradient]).all():
            return update.gradient
    return ""


def _norm(program: Program, gradients: Mapping[str, Array]) -> float:
    squares = [
        float(np.sum(np.square(gradients[update.gradient], dtype=np.float64)))
        for update in program.updates
        if update.rule != "take"
    ]
    return math.sqrt(math.fsum(squares))


# --- rules ----------------------------------------------------------------------------


def _take(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    return gradient, ()


def _decayed(weight: Array, gradient: Array, numbers: Numbers) -> Array:
    decay = numbers["decay"]
    return gradient + np.float32(decay) * weight if decay else gradient


def _sgd(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    return weight - np.float32(numbers["rate"]) * _decayed(weight, gradient, numbers), ()


def _momentum(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    gradient = _decayed(weight, gradient, numbers)
    keep = np.float32(numbers["momentum"])
    velocity = keep * states[0] + gradient
    way = gradient + keep * velocity if numbers["nesterov"] else velocity
    return weight - np.float32(numbers["rate"]) * way, (velocity,)


def _adam(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    return _moved(weight, _decayed(weight, gradient, numbers), states, numbers, count)


def _adamw(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    weight = weight * np.float32(1.0 - numbers["rate"] * numbers["decay"])
    return _moved(weight, gradient, states, numbers, count)


def _moved(
    weight: Array, gradient: Array, states: Sequence[Array], numbers: Numbers, count: int
) -> tuple[Array, tuple[Array, ...]]:
    """A step of Adam: both moments, and their bias taken out."""
    first, second = numbers["beta1"], numbers["beta2"]
    mean = states[0] + np.float32(1.0 - first) * (gradient - states[0])
    square = np.float32(second) * states[1] + np.float32(1.0 - second) * (gradient * gradient)
    step = numbers["rate"] / (1.0 - first**count)
    root = np.sqrt(square) / np.float32(math.sqrt(1.0 - second**count))
    return weight - np.float32(step) * (mean / (root + np.float32(numbers["epsilon"]))), (
        mean,
        square,
    )


_APPLY: dict[str, Apply] = {
    "take": _take,
    "sgd": _sgd,
    "momentum": _momentum,
    "adam": _adam,
    "adamw": _adamw,
}

if _APPLY.keys() != {rule.name for rule in RULES}:
    raise ImportError(f"optimizers without a function: {_APPLY.keys() ^ {r.name for r in RULES}}")
