"""A graph under construction, in which every value is known.

``Draft.add`` evaluates the node that it adds. A node that no evaluator takes is not added.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper, numpy_helper

from conformance.graphs.evaluate import Refused, evaluate, model_of

LARGEST = 1e6  # magnitudes of values beyond which operands of float nodes are not taken
MOST_ELEMENTS = 4096  # of one value
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 1e-42, 3.4e38, -1e30, 65504.0, 0.5, 1.5, 2.5)
FLOATS: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
WHOLE: tuple[np.dtype[Any], ...] = (np.dtype(np.int32), np.dtype(np.int64))
BOOL: tuple[np.dtype[Any], ...] = (np.dtype(np.bool_),)
F32, I64, B8 = FLOATS[0], WHOLE[1], BOOL[0]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the graph.

    exact: its elements do not depend on the order in which sums are taken, nor on how well a
    function is approximated, so that a step (a comparison, a rounding) may be taken from it.
    constant: it is an initializer.
    ends: no node may read it: its shape depends on data, or its zeros on rounding.
    """

    name: str
    array: np.ndarray
    exact: bool = True
    constant: bool = False
    ends: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as it is in the run that was evaluated."""
        return self.array.shape

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def numeric(self) -> bool:
        """Whether no element is NaN: what an extreme of NaN is, ONNX does not say."""
        return self.dtype.kind != "f" or not bool(np.isnan(self.array).any())

    @property
    def tame(self) -> bool:
        """Whether all elements are finite and not very large."""
        if self.dtype.kind != "f":
            return True
        return bool(np.all(np.abs(self.array) < LARGEST))


@dataclass(slots=True)
class Draft:
    """A graph that grows.

    special: the share of inputs that hold values such as NaN, infinities and subnormals.
    largest: magnitudes beyond which no value may go.
    outer: the draft of the graph around, for the body of a control-flow node.
    """

    rng: random.Random
    opset: int
    special: float = 0.1
    largest: float = np.inf
    outer: Draft | None = None
    prefix: str = ""
    nodes: list[NodeProto] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    initializers: list[Value] = field(default_factory=list)
    by_reference: set[str] = field(default_factory=set)  # operators that ONNX Runtime lacks
    numbers: list[int] = field(default_factory=lambda: [0])

    # --- values ----------------------------------------------------------------------

    def name(self, stem: str) -> str:
        """A name that no other value of the model has."""
        self.numbers[0] += 1
        return f"{stem}{self.numbers[0]}"

    def shape(self, least: int = 0, most: int = 4) -> tuple[int, ...]:
        """A shape of a rank between two bounds; sizes are small and often odd."""
        rank = self.rng.choice([rank for rank in (0, 1, 2, 2, 3, 3, 4) if least <= rank <= most])
        return tuple(self.rng.choice((1, 2, 3, 3, 4, 5, 7)) for _ in range(rank))

    def draw(self, dtype: np.dtype[Any], shape: Sequence[int]) -> np.ndarray:
        """Random elements of a type: floats around zero, integers small and of both signs."""
        draws = np.random.default_rng(self.rng.getrandbits(63))
        if dtype.kind == "b":
            return draws.random(tuple(shape)) < 0.5
        if dtype.kind in "iu":
            low = 0 if dtype.kind == "u" else -6
            return draws.integers(low, 7, tuple(shape)).astype(dtype)
        scale = self.rng.choice((0.3, 1.0, 1.0, 4.0))
        array = np.asarray(draws.normal(0.0, scale, tuple(shape)))
        if self.rng.random() < 0.3:  # ties, for comparisons, maxima and roundings
            array = np.round(array * 2) / 2
        # All of them are f16 too, so that steps may be taken from them in either precision.
        array = array.astype(np.float16).astype(np.float64)
        if array.size and self.rng.random() < self.special:
            places = draws.integers(0, array.size, max(1, array.size // 6))
            flat = array.reshape(-1)
            flat[places] = [self.rng.choice(SPECIAL) for _ in places]
            array = flat.reshape(array.shape)
        with np.errstate(over="ignore"):
            return array.astype(dtype)

    def fresh(
        self, dtype: np.dtype[Any], shape: Sequence[int], constant: bool | None = None
    ) -> Value:
        """A new input, or a constant (by chance if ``constant`` is None; always in a body)."""
        return self.given(self.draw(dtype, shape), constant)

    def given(self, array: np.ndarray, constant: bool | None = True) -> Value:
        """A value with these elements: a constant, or an input."""
        if constant is None:
            constant = self.rng.random() < 0.3
        if constant or self.outer is not None:
            value = Value(self.name(f"{self.prefix}c"), array, constant=True)
            self.initializers.append(value)
        else:
            value = Value(self.name(f"{self.prefix}x"), array)
            self.inputs.append(value)
        self.values.append(value)
        return value

    def parameter(self, array: np.ndarray, exact: bool) -> Value:
        """An input of a body, with the elements that it has in the first turn."""
        value = Value(self.name(f"{self.prefix}p"), array, exact)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def ints(self, *numbers: int) -> Value:
        """A constant vector of int64, as shapes and axes are."""
        return self.given(np.array(numbers, np.int64))

    def known(self) -> Iterator[Value]:
        """All values that a node here may read, those of the graphs around too."""
        yield from (value for value in self.values if not value.ends)
        if self.outer is not None:
            yield from self.outer.known()

    def pick(
        self,
        dtypes: Sequence[np.dtype[Any]],
        least: int = 0,
        most: int = 4,
        exact: bool = False,
        wanted: Callable[[Value], bool] = lambda value: True,
    ) -> Value:
        """A value of one of some types and of a rank between two bounds; a new one if there is
        none. exact: a step may be taken from it. Recent values are likelier."""
        found = [
            value
            for value in self.known()
            if value.dtype in dtypes
            and least <= value.rank <= most
            and value.array.size
            and value.tame
            and (value.exact or not exact)
            and wanted(value)
        ]
        if found and self.rng.random() < 0.85:
            return found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]
        for _ in range(20):
            value = Value("", np.zeros(self.shape(least, most), self.rng.choice(list(dtypes))))
            if wanted(value):
                made = self.fresh(value.dtype, value.shape)
                if not wanted(made):
                    raise Refused("a special value")
                return made
        raise Refused("no such value")

    def partner(self, value: Value) -> Value:
        """A second operand of the same type that broadcasts with a value."""
        found = [
            other
            for other in self.known()
            if other.dtype == value.dtype and other.tame and _broadcast(value.shape, other.shape)
        ]
        if found and self.rng.random() < 0.6:
            return self.rng.choice(found)
        shape = [size if self.rng.random() < 0.7 else 1 for size in value.shape]
        return self.fresh(value.dtype, shape[self.rng.randrange(len(shape) + 1) :])

    def axis(self, value: Value) -> int:
        """One of a value's axes, counted from either end."""
        return self.rng.randrange(-value.rank, value.rank)

    # --- nodes -----------------------------------------------------------------------

    def add(
        self,
        op: str,
        inputs: Sequence[Value | None],
        outputs: int = 1,
        *,
        domain: str = "",
        exact: bool | None = None,
        ends: bool = False,
        **attributes: Any,
    ) -> list[Value]:
        """Add a node and evaluate it.

        exact: whether its outputs are exact; None takes that of its inputs for types that are no
        floats, and says no for floats. ends: no node may read them.

        Raises:
            Refused: no evaluator takes it, or its outputs are too large.
        """
        names = [self.name(f"{self.prefix}v") for _ in range(outputs)]
        given = [value for value in inputs if value is not None]
        node = helper.make_node(
            op,
            [value.name if value else "" for value in inputs],
            names,
            domain=domain,
            **attributes,
        )
        return self.add_all([node], given, names, exact=exact, ends=ends)

    def add_all(
        self,
        nodes: Sequence[NodeProto],
        given: Sequence[Value],
        names: Sequence[str],
        exact: bool | None = None,
        ends: bool = False,
    ) -> list[Value]:
        """Add nodes that belong together and evaluate them; what is between may be no tensor.

        given: the values that they read. names: their results. exact, ends: as for ``add``.
        """
        op = "; ".join(node.op_type for node in nodes)
        arrays = self._evaluated(nodes, given, names)
        made: list[Value] = []
        for name, array in zip(names, arrays, strict=True):
            if not isinstance(array, np.ndarray) or array.size > MOST_ELEMENTS:
                raise Refused(f"{op}: output of another kind or size")
            if array.dtype.kind == "f" and bool((np.abs(array) > self.largest).any()):
                raise Refused(f"{op}: output beyond {self.largest:g}")
            sure = all(value.exact for value in given)
            if exact is None:
                sure = sure and array.dtype.kind != "f"
            made.append(Value(name, array, exact if exact is not None else sure, ends=ends))
        self.nodes += nodes
        self.values += made
        return made

    def move(self, op: str, inputs: Sequence[Value | None], **attributes: Any) -> Value:
        """Add a node of one output that only moves elements: it is as exact as its inputs."""
        exact = all(value.exact for value in inputs if value is not None)
        return self.add(op, inputs, exact=exact, **attributes)[0]

    def _evaluated(
        self, nodes: Sequence[NodeProto], given: Sequence[Value], names: Sequence[str]
    ) -> list[Any]:
        read = {value.name: value for value in given}
        inside = {name for node in nodes for name in captured(node)}
        read |= {value.name: value for value in self.known() if value.name in inside}
        constants = [value for value in read.values() if value.constant]
        fed = [value for value in read.values() if not value.constant]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph(
            nodes,
            "node",
            [_info(value) for value in fed],
            outputs,
            [numpy_helper.from_array(value.array, value.name) for value in constants],
        )
        model = model_of(graph, self.opset)
        feeds = {value.name: value.array for value in fed}
        results, reference = evaluate(model, feeds)
        if reference:
            self.by_reference |= {node.op_type for node in nodes}
        return results

    @contextmanager
    def tried(self) -> Generator[None]:
        """Take back what was added inside if it raises Refused, which goes no further."""
        marks = (len(self.nodes), len(self.values), len(self.inputs), len(self.initializers))
        try:
            yield
        except Refused:
            for items, mark in zip(
                (self.nodes, self.values, self.inputs, self.initializers), marks, strict=True
            ):
                del items[mark:]

    def body(self) -> Draft:
        """A draft for the graph inside a control-flow node of this one."""
        return Draft(
            self.rng,
            self.opset,
            0.0,
            self.largest,
            self,
            f"b{self.name('')}_",
            numbers=self.numbers,
            by_reference=self.by_reference,
        )

    def graph(self, outputs: Sequence[Value], name: str = "drawn") -> GraphProto:
        """The graph as far as outputs need it: nodes that nothing reads are kept (they are valid),
        constants that nothing reads are not, nor inputs, unless a node hands them to a body."""
        read = {name for node in self.nodes for name in (*node.input, *captured(node))}
        read |= {value.name for value in outputs}
        return helper.make_graph(
            self.nodes,
            name,
            [_info(value) for value in self.inputs if value.name in read or self.outer],
            [_info(value) for value in outputs],
            [
                numpy_helper.from_array(value.array, value.name)
                for value in self.initializers
                if value.name in read
            ],
        )


def captured(node: NodeProto) -> set[str]:
    """Names that the graphs inside a node read from outside."""
    found: set[str] = set()
    for attribute in node.attribute:
        if attribute.HasField("g"):
            graph = attribute.g
            inside = {value.name for value in (*graph.input, *graph.initializer)}
            for inner in graph.node:
                found |= ({name for name in inner.input if name} | captured(inner)) - inside
                inside |= set(inner.output)
            found |= {value.name for value in graph.output} - inside
    return found


def _info(value: Value) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(value.name, kind, value.shape)


def _broadcast(left: Sequence[int], right: Sequence[int]) -> bool:
    try:
        size = np.prod(np.broadcast_shapes(tuple(left), tuple(right)), dtype=np.int64)
    except ValueError:
        return False
    return int(size) <= MOST_ELEMENTS
