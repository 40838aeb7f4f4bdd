"""The list of ONNX operators that wsc lowers, and what a lowering sees of its node.

To add an operator, write one function in the file of its family::

    @lowering("Relu", since=6)
    def relu(call: Call) -> Value:
        \"\"\"max(x, 0).\"\"\"
        return call.build.map(lambda x: x.max(0), call.arg(0))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from isa.types import DType
from wsc.ir.build import GraphBuilder, Value


class Unsupported(Exception):
    """A node that its lowering cannot express; the text says why."""


def require(condition: bool, reason: str) -> None:
    """Raise Unsupported with ``reason`` unless the condition holds."""
    if not condition:
        raise Unsupported(reason)


# Positions of one dimension that a lowering writes down: no fabric holds longer ones.
LONGEST = 1 << 26


def normal_axis(axis: int, rank: int) -> int:
    """An axis as a number from 0. Raises Unsupported if there is no such axis."""
    require(-rank <= axis < rank, f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


class Call:
    """One ONNX node with its inputs already in the graph.

    build: the builder that the lowering adds to. float_type: the element type of all
    floats. opset: the version of the node's domain.
    """

    def __init__(
        self,
        node: ir.Node,
        build: GraphBuilder,
        float_type: DType,
        opset: int,
        fetch: Callable[[ir.Value], Value],
    ) -> None:
        self.node, self.build, self.float_type, self.opset = node, build, float_type, opset
        self._fetch = fetch

    def __len__(self) -> int:
        return len(self.node.inputs)

    def has(self, index: int) -> bool:
        """Whether the node has this input."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def wants(self, index: int) -> bool:
        """Whether anything reads this output."""
        if index >= len(self.node.outputs):
            return False
        output = self.node.outputs[index]
        return bool(output.uses()) or output.is_graph_output()

    def arg(self, index: int) -> Value:
        """An input as a value of the graph."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            raise Unsupported(f"input {index} is missing")
        return self._fetch(value)

    def maybe(self, index: int) -> Value | None:
        """An optional input."""
        return self.arg(index) if self.has(index) else None

    def args(self) -> list[Value]:
        """All inputs that are there."""
        return [self._fetch(value) for value in self.node.inputs if value is not None]

    def maybe_static(self, index: int) -> np.ndarray | None:
        """An input's values in its ONNX dtype if they are known now, else None."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        if value.const_value is not None:
            return value.const_value.numpy()
        return self.build.host(self._fetch(value))

    def static(self, index: int, what: str) -> np.ndarray:
        """An input's values. Raises Unsupported if they are only known at run time."""
        array = self.maybe_static(index)
        if array is None:
            raise Unsupported(f"{what} must be a constant")
        return array

    def static_ints(self, index: int, what: str) -> list[int]:
        """A constant input as a flat list of ints."""
        return [int(item) for item in self.static(index, what).reshape(-1)]

    def onnx_type(self, index: int) -> ir.DataType | None:
        """ONNX element type of an input, where it is known."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if value is None else value.dtype

    # --- attributes ----------------------------------------------------------------

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else int(attribute.as_int())

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, or None if the node does not have it."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else [int(item) for item in attribute.as_ints()]

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else float(attribute.as_float())

    def numbers(self, name: str) -> list[float] | None:
        """A list of floats, or None if the node does not have it."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else [float(item) for item in attribute.as_floats()]

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_string()

    def texts(self, name: str) -> list[str] | None:
        """A list of strings, or None if the node does not have it."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else list(attribute.as_strings())

    def tensor(self, name: str) -> np.ndarray | None:
        """A tensor attribute, or None if the node does not have it."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else attribute.as_tensor().numpy()

    def axes(self, index: int, rank: int) -> list[int] | None:
        """Axes from attribute ``axes`` or, in newer opsets, from a constant input."""
        axes = self.integers("axes")
        if axes is None and self.has(index):
            axes = self.static_ints(index, "axes")
        return None if axes is None else [normal_axis(axis, rank) for axis in axes]


@dataclass(frozen=True, slots=True)
class Sized:
    """A result whose size along ``axis`` only a run tells.

    value: room for the most that there can be. length: one i32, how much of it counts.
    Only an output of the graph may be such: no primitive has shapes that a run decides.
    """

    value: Value
    axis: int
    length: Value


Result = Value | Sized | Sequence[Value | Sized | None]
Function = Callable[[Call], Result]


@dataclass(frozen=True, slots=True)
class Lowering:
    """One entry of the registry.

    since, until: first and last opset of the domain that it serves (None: no last one).
    family: name of the file that it stands in. doc: one line for users.
    """

    op_type: str
    domain: str
    since: int
    until: int | None
    family: str
    doc: str
    function: Function


_REGISTRY: dict[tuple[str, str], list[Lowering]] = {}


def lowering(
    *op_types: str, domain: str = "", since: int = 1, until: int | None = None
) -> Callable[[Function], Function]:
    """Register a function as the lowering of one or more operators."""

    def register(function: Function) -> Function:
        doc = (function.__doc__ or "").strip().split("\n")[0]
        family = function.__module__.rsplit(".", 1)[-1]
        for op_type in op_types:
            entry = Lowering(op_type, domain, since, until, family, doc, function)
            _REGISTRY.setdefault((domain, op_type), []).append(entry)
        return function

    return register


def find(domain: str, op_type: str, opset: int) -> Lowering | str:
    """The lowering that serves an operator, or the reason why there is none."""
    entries = _REGISTRY.get((domain, op_type), [])
    for entry in entries:
        if entry.since <= opset and (entry.until is None or opset <= entry.until):
            return entry
    if entries:
        ranges = ", ".join(f"{item.since} to {item.until or 'newest'}" for item in entries)
        return f"opset {opset} is not supported (only {ranges})"
    return "no lowering for this operator"


def lowerings() -> Iterator[Lowering]:
    """Every registered operator, by domain and name."""
    for key in sorted(_REGISTRY):
        yield from _REGISTRY[key]
