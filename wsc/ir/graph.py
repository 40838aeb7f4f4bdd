"""The graph IR: a network as few primitives over static shapes.

Every ONNX operator lowers to the primitives below (see ``wsc/frontend``). Values are
static-shape tensors of f32, f16 or i32 (booleans are i32 zeros and ones, 64-bit integers are
one i32, or two values of high and low words where they can leave 32 bits; doubles that are
computed as such are always two). A graph is
immutable; passes build a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wsc.isa.program import Drawn
from wsc.isa.types import DType


@dataclass(frozen=True, slots=True)
class Type:
    """Element type and static shape of a value (shape () is a scalar)."""

    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


# --- elementwise ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arg:
    """The i-th input of the map, broadcast NumPy-style to the output's shape."""

    index: int


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier step of the same map."""

    step: int


@dataclass(frozen=True, slots=True)
class Lit:
    """A literal, converted to the step's type."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Step:
    """One scalar operation: a VECTOR row of the instruction table and its type.

    op, dtype: e.g. ``add`` and f32; result and operand types follow the row
    (comparisons give i32 flags, ``select`` takes a flag first, ``from_int`` an i32).
    """

    op: str
    dtype: DType
    args: tuple[Arg | Ref | Lit, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """out[i] = body(inputs broadcast at i); the last step is the result."""

    body: tuple[Step, ...]


# --- reductions and contractions --------------------------------------------------


class Reduction(Enum):
    """What a reduction does with the elements that it joins."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    PROD = "prod"


@dataclass(frozen=True, slots=True)
class Index:
    """An index of one operand dimension: ``sum(coefficient * label) + offset``.

    A position outside the dimension reads as the operation's neutral fill
    (zero in a contraction and a sum, -inf in a maximum).
    """

    terms: tuple[tuple[str, int], ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Reduce:
    """Windowed reduction: out[labels] = kind over the other labels of a[index].

    index: one entry for each dimension of the input. out: the labels of the output
    dimensions, in order; a dimension of size 1 that no label varies along may be
    named "" (kept dimensions). extents: label -> size. Plain ``ReduceSum`` over axes is the case in
    which every index is a single label. Padding counts as the neutral element.
    wide: the sum of f16 elements stays f32 (a mean or a variance would overflow in f16). still:
    no output changes with it, as with what a softmax subtracts: derivatives leave it out.
    """

    kind: Reduction
    index: tuple[Index, ...]
    out: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]
    wide: bool = False
    still: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """out[labels] = sum over the other labels of a[index_a] * b[index_b].

    Inputs (a, b). Matmul [M,K]x[K,N]: a (m)(k), b (k)(n), out m n. Convolution: a
    (n)(c)(oh*s + kh*d - p)(ow*s + kw*d - p), b (o)(c)(kh)(kw), out n o oh ow; grouped
    convolution adds a label g: a's channel index is g*C + c with terms
    ((g, C), (c, 1)), b's is (g, O)(o, 1) and so the output must be written with
    separate labels g and o and reshaped afterwards. Every index of b is a sum of
    labels without padding. Accumulation is in f32.
    """

    index_a: tuple[Index, ...]
    index_b: tuple[Index, ...]
    out: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]


# --- movement ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements, in row-major order, under another shape."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transpose:
    """out dimension i is input dimension ``perm[i]``."""

    perm: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """out[i] = in[start + i*step] for i < size, in every dimension; steps may be negative."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pad:
    """``low`` and ``high`` elements of ``value`` around every dimension (not negative)."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    value: float | int = 0


@dataclass(frozen=True, slots=True)
class Expand:
    """Broadcast dimensions of size 1 to ``shape`` (same rank)."""

    shape: tuple[int, ...]


MoveStep = Reshape | Transpose | Slice | Pad | Expand


@dataclass(frozen=True, slots=True)
class Move:
    """Affine data movement of one input: the steps, applied in order."""

    steps: tuple[MoveStep, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """Inputs joined along ``axis`` (not negative)."""

    axis: int


@dataclass(frozen=True, slots=True)
class Gather:
    """out = take(data, indices, axis): inputs (data, indices i32).

    Negative indices count from the end; one that lies outside the axis stops the run.
    """

    axis: int


@dataclass(frozen=True, slots=True)
class Scatter:
    """out = data with the updates put at ``indices`` of ``axis``, one after the other.

    Inputs (data, indices i32 [n], updates): data's shape with n in the place of the axis
    is that of the updates. kind: how an update joins what stands there; None replaces
    it. Negative indices count from the end; one that lies outside the axis stops the run, or
    places nothing if ``skips``. zeros: there are no data, but so many zeros along the axis; the
    inputs are (indices, updates).
    """

    axis: int
    kind: Reduction | None = None
    skips: bool = False
    zeros: int | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The same value. What it is of leaves at the edge, and comes back where its result is read."""


Primitive = Map | Reduce | Contract | Move | Concat | Gather | Scatter | Keep


# --- graph ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """One primitive: ``output = op(inputs)``. Inputs name values, graph inputs or constants.

    name: unique. origin: names of the ONNX nodes that caused it.
    """

    name: str
    op: Primitive
    inputs: tuple[str, ...]
    output: str
    type: Type
    origin: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[MoveStep, ...]:
        """Those of a movement; none of any other node."""
        return self.op.steps if isinstance(self.op, Move) else ()


class Raw(NamedTuple):
    """Raw little-endian data in a file, with the element type that the graph wants."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Member:
    """A tensor in a safetensors file of a checkpoint, in any type that the edge can stream.

    folder: of the checkpoint.
    """

    path: Path
    key: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Drawing:
    """A tensor that is drawn and not stored."""

    key: str
    how: Drawn


Source = Raw | Member | Drawing
"""Where the data of a constant are outside of the model. Members and drawings stay there."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant tensor; ``load`` returns its values (mapped where possible), of ``type``.

    source: where its elements are, in row-major order, if they are stored outside of the model;
    else None. state: training changes its values, which ``load`` returns as they are at the start:
    nothing follows from them.
    """

    name: str
    type: Type
    load: Callable[[], np.ndarray] = field(compare=False, repr=False)
    source: Source | None = None
    state: bool = False


@dataclass(frozen=True, slots=True)
class GraphInput:
    """A graph input; host_dtype is the NumPy dtype name that the host passes (``int64``).

    high: the input with the high words of elements of 64 bits, where this one has the low ones.
    """

    name: str
    type: Type
    host_dtype: str
    high: str = ""


@dataclass(frozen=True, slots=True)
class GraphOutput:
    """A graph output: the value that it shows under its ONNX name.

    length: (axis, value of one i32): only so many positions of that dimension count; the
    value has room for the most that there can be. high: the value with the high words of
    elements of 64 bits, where ``value`` has the low ones; "" if one word holds them.
    """

    name: str
    value: str
    host_dtype: str
    length: tuple[int, str] | None = None
    high: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """The values that it needs."""
        length = () if self.length is None else (self.length[1],)
        return (self.value, *length, *((self.high,) if self.high else ()))


@dataclass(frozen=True, slots=True)
class Graph:
    """A network. Nodes stand in topological order.

    files: those that the model was read from; nothing that is written replaces them.
    """

    name: str
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]
    constants: tuple[Constant, ...]
    nodes: tuple[Node, ...]
    files: tuple[Path, ...] = field(default=(), compare=False)

    def types(self) -> dict[str, Type]:
        """Type of every value by name."""
        table = {item.name: item.type for item in self.inputs}
        table |= {item.name: item.type for item in self.constants}
        table |= {node.output: node.type for node in self.nodes}
        return table

    def users(self) -> dict[str, list[Node]]:
        """Value name -> nodes that read it (graph outputs are not nodes)."""
        table: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                table.setdefault(name, []).append(node)
        return table

    def giver(self, output: str) -> int:
        """The number of the node that gives an output of the network."""
        value = next(item.value for item in self.outputs if item.name == output)
        return next(number for number, node in enumerate(self.nodes) if node.output == value)

    def with_(self, **changes: Any) -> Graph:
        """A copy with some fields replaced."""
        return replace(self, **changes)
