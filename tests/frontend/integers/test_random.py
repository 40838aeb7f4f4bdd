"""Random expressions of 64-bit integers, drawn from a seed, against NumPy's own.

ONNX Runtime and the reference evaluator divide 64-bit integers in double precision here and there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.frontend.cases import compare_model, model_of

COUNT = 40  # graphs; a thousand were run once
SIZES = (1, 8, 16, 20, 31, 32, 33, 47, 62)  # bits of what is drawn


class Draw:
    """A graph under construction: its nodes, constants, and the tensors [6] so far."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.tensors = ["x"]

    def number(self) -> int:
        """An integer of either sign, mostly small."""
        bits = int(self.random.choice(SIZES))
        return int(self.random.integers(1 << bits)) * int(self.random.choice([1, 1, -1]))

    def constant(self, value: Any) -> str:
        """The name of a new constant."""
        name = f"k{len(self.constants)}"
        self.constants[name] = np.array(value)
        return name

    def tensor(self) -> str:
        """One of the tensors, the latest more often."""
        place = len(self.tensors) - 1 - int(self.random.geometric(0.6) - 1) % len(self.tensors)
        return self.tensors[place]

    def operand(self) -> str:
        """A tensor or a constant."""
        if self.random.random() < 0.5:
            return self.tensor()
        several = self.random.random() < 0.2
        return self.constant([self.number() for _ in range(6)] if several else self.number())

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns its output."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name, **attributes))
        return name

    def node(self) -> None:
        """One more tensor."""
        self.tensors.append(KINDS[int(self.random.integers(len(KINDS)))](self))


def _binary(op_type: str) -> Callable[[Draw], str]:
    return lambda draw: draw.add(op_type, draw.tensor(), draw.operand())


def _divide(op_type: str, **attributes: int) -> Callable[[Draw], str]:
    def made(draw: Draw) -> str:
        divisor = draw.constant(draw.number() or 1)
        return draw.add(op_type, draw.tensor(), divisor, **attributes)

    return made


def _unary(op_type: str) -> Callable[[Draw], str]:
    return lambda draw: draw.add(op_type, draw.tensor())


def _clip(draw: Draw) -> str:
    low, high = sorted((draw.number(), draw.number()))
    return draw.add("Clip", draw.tensor(), draw.constant(low), draw.constant(high))


def _chosen(draw: Draw) -> str:
    flag = draw.add(str(draw.random.choice(["Less", "Equal"])), draw.tensor(), draw.operand())
    return draw.add("Where", flag, draw.tensor(), draw.operand())


def _through(kind: int) -> Callable[[Draw], str]:
    return lambda draw: draw.add(
        "Cast", draw.add("Cast", draw.tensor(), to=kind), to=TensorProto.INT64
    )


def _summed(draw: Draw) -> str:
    return draw.add("CumSum", draw.tensor(), draw.constant(0))


def _total(draw: Draw) -> str:
    op_type = str(draw.random.choice(["ReduceSum", "ReduceMax", "ReduceMin"]))
    total = draw.add(op_type, draw.tensor(), draw.constant([0]), keepdims=1)
    return draw.add("Add", draw.tensor(), total)


def _moved(draw: Draw) -> str:
    return draw.add("Gather", draw.tensor(), draw.constant(draw.random.integers(-6, 6, 6)))


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Towards zero, exactly."""
    signs = np.where((a < 0) == (b < 0), 1, -1)
    wide = abs(a.astype(object)) // abs(b.astype(object)) * signs
    return np.array([(int(n) + 2**63) % 2**64 - 2**63 for n in wide], np.int64)


def _modulus(a: np.ndarray, b: np.ndarray, fmod: int) -> np.ndarray:
    return a - b * _quotient(a, b) if fmod else np.mod(a, b)


_CAST = {
    TensorProto.INT32: np.int32,
    TensorProto.UINT64: np.uint64,
    TensorProto.UINT8: np.uint8,
    TensorProto.INT64: np.int64,
}
_MEANING: dict[str, Callable[..., np.ndarray]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Max": np.maximum,
    "Min": np.minimum,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sign": np.sign,
    "Less": np.less,
    "Equal": np.equal,
    "Where": np.where,
    "Clip": np.clip,
    "Div": _quotient,
    "Mod": lambda a, b, fmod=0: _modulus(a, b, fmod),
    "Cast": lambda a, to: a.astype(_CAST[to]),
    "CumSum": lambda a, _: np.cumsum(a),
    "Gather": lambda a, indices: a[indices],
    "ReduceSum": lambda a, _, keepdims: a.sum(keepdims=True),
    "ReduceMax": lambda a, _, keepdims: a.max(keepdims=True),
    "ReduceMin": lambda a, _, keepdims: a.min(keepdims=True),
}


def run_numpy(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model of these operators."""
    values = dict(feeds)
    values |= {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    with np.errstate(over="ignore"):
        for node in model.graph.node:
            inputs = np.broadcast_arrays(*(values[name] for name in node.input if name in values))
            if node.op_type in ("Gather", "CumSum", "ReduceSum", "ReduceMax", "ReduceMin"):
                inputs = [values[name] for name in node.input]
            attributes = {item.name: item.i for item in node.attribute}
            values[node.output[0]] = _MEANING[node.op_type](*inputs, **attributes)
    return [values[output.name] for output in model.graph.output]


KINDS = [
    *map(_binary, ("Add", "Sub", "Mul", "Mul", "Max", "Min")),
    *map(_unary, ("Neg", "Abs", "Sign")),
    _divide("Div"),
    _divide("Mod"),
    _divide("Mod", fmod=1),
    _clip,
    _chosen,
    _summed,
    _total,
    _moved,
    _through(TensorProto.INT32),
    _through(TensorProto.UINT64),
    _through(TensorProto.UINT8),
]


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_expressions(tmp_path: Path, seed: int) -> None:
    draw = Draw(seed)
    for _ in range(int(draw.random.integers(2, 8))):
        draw.node()
    x = np.array([draw.number() % 2**32 - 2**31 for _ in range(4)] + [2**31 - 1, -(2**31)])
    outputs = [draw.tensors[-1], draw.tensors[len(draw.tensors) // 2]]
    model = model_of(draw.nodes, {"x": x}, draw.constants, list(dict.fromkeys(outputs)), 18)
    compare_model(tmp_path, model, {"x": x}, oracle=run_numpy)
