"""The optimizers that the weight store applies: one row a rule, and everything else comes from it.

In the text an update is ``update "fc.weight" by sgd(rate = 0.1) from "fc.weight.grad"``, with the
names of its state tensors behind ``with``. What a rule computes is in ``wsc.runtime.optimizer``,
which does not import without a function for each row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a rule: what it is without one in the text, and the range that it is held to.

    low: the least value. below: what it stays below.
    """

    name: str
    default: float
    low: float
    below: float


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer. state: what each of its tensors, of the weight's shape, holds."""

    name: str
    parameters: tuple[Parameter, ...]
    state: tuple[str, ...]
    doc: str


_MOST = 1e30
_RATE = Parameter("rate", 0.01, 0.0, _MOST)
_DECAY = Parameter("decay", 0.0, 0.0, _MOST)
_ADAM = (
    Parameter("rate", 1e-3, 0.0, _MOST),
    Parameter("beta1", 0.9, 0.0, 1.0),
    Parameter("beta2", 0.999, 0.0, 1.0),
    Parameter("epsilon", 1e-8, 0.0, _MOST),
)

RULES: tuple[Rule, ...] = (
    Rule("take", (), (), "w = g: running statistics, which the fabric computes"),
    Rule("sgd", (_RATE, _DECAY), (), "g += decay * w; w -= rate * g"),
    Rule(
        "momentum",
        (
            _RATE,
            _DECAY,
            Parameter("momentum", 0.9, 0.0, 1.0),
            Parameter("nesterov", 0.0, 0.0, 2.0),
        ),
        ("velocity",),
        "g += decay * w; v = momentum * v + g; w -= rate * v (nesterov: g + momentum * v)",
    ),
    Rule(
        "adam",
        (*_ADAM, _DECAY),
        ("mean", "square"),
        "g += decay * w; w -= rate * m' / (sqrt(s') + epsilon) with moments free of bias",
    ),
    Rule(
        "adamw",
        (*_ADAM, Parameter("decay", 0.01, 0.0, _MOST)),
        ("mean", "square"),
        "w -= rate * decay * w; then as adam without decay",
    ),
)

BY_NAME: dict[str, Rule] = {rule.name: rule for rule in RULES}
