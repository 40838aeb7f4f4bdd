"""A drawn model with inputs and right outputs, by seed and number."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from conformance.graphs.draft import Draft, Value
from conformance.graphs.evaluate import Refused, evaluate, model_of, opset_of
from conformance.graphs.recipes import fitting

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
FABRICS = ("1x1", "2x1", "1x3", "3x2", "4x4", "2x5", "7x1", "5x3")
ENGINES_SHARE = 0.15  # of the models that run on both engines


@dataclass(frozen=True, slots=True)
class Drawn:
    """One model.

    expected: outputs of the whole model in ONNX Runtime. stepwise: the same from node to node,
    each evaluated alone; the two differ at times. operators: those of its nodes, in order.
    by_reference: those that ONNX Runtime lacks, so that ONNX's reference evaluator gave what is
    expected. rounded: values whose elements depend on roundings. engines: whether it is to run on
    both engines.
    """

    model: ModelProto
    feeds: dict[str, np.ndarray]
    expected: list[Any]
    stepwise: list[Any]
    operators: tuple[str, ...]
    by_reference: frozenset[str]
    rounded: frozenset[str]
    fabric: str
    precision: str
    engines: bool

    @property
    def label(self) -> str:
        """What it is compiled for."""
        return f"opset {opset_of(self.model)}, {self.fabric}, {self.precision}"


def draw(seed: int, number: int, most: int = 30) -> Drawn:
    """The model of a number: the same for the same seed. most: nodes."""
    rng = random.Random(f"{seed}/{number}")
    precision = "f16" if rng.random() < 0.2 else "f32"
    special = 0.0 if precision == "f16" or rng.random() < 0.7 else 0.5
    largest = 6e4 if precision == "f16" else np.inf
    draft = Draft(rng, rng.choice(OPSETS), special, largest)
    recipes = fitting(draft.opset)
    wanted = rng.choice((3, 5, 8, 12, 20, most))
    for _ in range(4 * wanted):
        if len(draft.nodes) >= min(wanted, most):
            break
        chosen = rng.choice(recipes)
        with draft.tried():
            chosen.draw(draft, chosen.operator)
    outputs = _outputs(draft)
    model = model_of(draft.graph(outputs), draft.opset)
    read = {value.name for value in model.graph.input}
    feeds = {value.name: value.array for value in draft.inputs if value.name in read}
    stepwise: list[Any] = [value.array for value in outputs]
    try:
        whole, _ = evaluate(model, feeds)
    except Refused:
        whole = stepwise
    # The reference evaluator has lists where optionals are asked for their element.
    expected = [
        array if isinstance(array, np.ndarray) else other
        for array, other in zip(whole, stepwise, strict=True)
    ]
    return Drawn(
        model,
        feeds,
        expected,
        stepwise,
        tuple(node.op_type for node in draft.nodes),
        frozenset(draft.by_reference),
        frozenset(value.name for value in draft.values if not value.exact),
        rng.choice(FABRICS),
        precision,
        rng.random() < ENGINES_SHARE,
    )


def _outputs(draft: Draft) -> list[Value]:
    """Up to four results that nothing reads, and sometimes a value that is read too."""
    made = {name for node in draft.nodes for name in node.output}
    read = {name for node in draft.nodes for name in node.input}
    values = [value for value in draft.values if value.name in made]
    ends = [value for value in values if value.name not in read]
    chosen = ends[-4:] or values[-1:] or draft.values[-1:]
    others = [value for value in values if value.name in read]
    if others and draft.rng.random() < 0.3:
        chosen.append(draft.rng.choice(others))
    return list({value.name: value for value in chosen}.values())
