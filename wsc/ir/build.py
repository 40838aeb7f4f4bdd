"""A builder of graphs: names, types and constants are looked after in one place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from wsc.ir.check import IRError, broadcast, infer, require_sane
from wsc.ir.empty import over_nothing
from wsc.ir.fold import LIMIT, fold, map_arrays, of_weights
from wsc.ir.graph import (
    Arg,
    Concat,
    Constant,
    Contract,
    Drawing,
    Expand,
    Gather,
    Graph,
    GraphInput,
    GraphOutput,
    Index,
    Map,
    Member,
    Move,
    MoveStep,
    Node,
    Pad,
    Primitive,
    Reduce,
    Reduction,
    Reshape,
    Scatter,
    Slice,
    Source,
    Step,
    Transpose,
    Type,
)
from wsc.ir.ranges import Interval, of_constant, of_input, of_node
from wsc.ir.terms import F16_MAX, Body, Term, literal, trace
from wsc.isa.program import Drawn
from wsc.isa.types import DType

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph under construction."""

    name: str
    type: Type

    @property
    def shape(self) -> tuple[int, ...]:
        """The static shape."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)


def convert(array: np.ndarray, dtype: DType) -> np.ndarray:
    """``array`` in the element type of the graph (the same array where it already is).

    A finite float beyond f16's range saturates, so that a mask of -3e38 stays finite.
    Raises OverflowError if an integer does not fit 32 bits.
    """
    if array.dtype == dtype.numpy:
        return array
    if dtype is DType.I32 and array.size and array.dtype.kind in "iu":
        low, high = int(array.min()), int(array.max())
        above = 2**32 if array.dtype.kind == "u" else 2**31
        if low < -(2**31) or high >= above:
            raise OverflowError(f"{low if low < -(2**31) else high} does not fit 32 bits")
        return array.astype(np.int64).astype(np.int32)  # unsigned ones keep their bits
    if dtype is DType.F16:
        wide = array.astype(np.float32)
        clipped = np.clip(wide, -F16_MAX, F16_MAX)
        return np.where(np.isfinite(wide), clipped, wide).astype(np.float16)
    return array.astype(dtype.numpy)


def move_array(array: np.ndarray, steps: Sequence[MoveStep]) -> np.ndarray:
    """The movement steps applied to an array on the host."""
    for step in steps:
        match step:
            case Reshape(shape):
                array = array.reshape(shape)
            case Transpose(perm):
                array = array.transpose(perm)
            case Slice(starts, sizes, strides):
                for axis, part in enumerate(zip(starts, sizes, strides, strict=True)):
                    start, size, stride = part
                    array = np.take(array, range(start, start + size * stride, stride), axis)
            case Pad(low, high, value):
                widths = list(zip(low, high, strict=True))
                array = np.pad(array, widths, constant_values=value)
            case Expand(shape):
                array = np.broadcast_to(array, shape)
    return array


def plain_index(label: str) -> Index:
    """The index that is one label."""
    return Index(((label, 1),))


class GraphBuilder:
    """Collects nodes, infers their types and gives them unique names.

    ``at`` sets the name and origin of the nodes that follow. Movement of a constant
    makes another constant, evaluated when it is loaded.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._scope, self._origin = name, ()
        self._inputs: list[GraphInput] = []
        self._constants: dict[str, Constant] = {}
        self._nodes: list[Node] = []
        self._taken: set[str] = set()
        self._casts: dict[tuple[Value, DType], Value] = {}
        self._pooled: dict[tuple[str, DType, tuple[int, ...], bytes], Value] = {}
        self._made_once: dict[Hashable, Any] = {}
        self._turned: dict[str, tuple[Value, tuple[int, ...]]] = {}
        self._placed: dict[tuple[str, tuple[MoveStep, ...]], Value] = {}  # constants, moved
        self._broadcast: dict[Value, tuple[Value, list[MoveStep]]] = {}
        self._types: dict[str, Type] = {}
        self._intervals: dict[str, Interval] = {}
        self._looked_at = 0  # nodes whose intervals are known
        self._condition: Value | None = None

    @contextmanager
    def at(self, name: str, origin: tuple[str, ...]) -> Generator[None]:
        """Name the nodes added inside after ``name``; they come from ``origin``."""
        before = self._scope, self._origin
        self._scope, self._origin = name, origin
        try:
            yield
        finally:
            self._scope, self._origin = before

    def _unique(self, wanted: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_./:\-]", "_", wanted) or "value"
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}~{count}"
        self._taken.add(name)
        return name

    @classmethod
    def of(cls, graph: Graph, nodes: bool = True) -> GraphBuilder:
        """A builder that goes on from a graph: its values keep their names.

        nodes: whether its nodes are there; those that are to be are adopted otherwise.
        """
        build = cls(graph.name)
        build._inputs, build._nodes = list(graph.inputs), list(graph.nodes) if nodes else []
        build._constants = {item.name: item for item in graph.constants}
        build._types = graph.types()
        build._intervals = {item.name: of_input(item) for item in graph.inputs}
        build._taken = {*build._types, *(node.name for node in graph.nodes)}
        return build

    def adopt(self, node: Node) -> None:
        """Add a node of the graph that this one goes on from, as it is."""
        self._nodes.append(node)

    def value(self, name: str) -> Value:
        """The value of that name."""
        return Value(name, self._types[name])

    # --- sources -------------------------------------------------------------------

    def input(self, name: str, type_: Type, host_dtype: str, high: str = "") -> Value:
        """A graph input under exactly this name. Raises ValueError if it is taken.

        high: the input with the high words of its integers.
        """
        if name in self._taken:
            raise ValueError(f"two values are called {name!r}")
        require_sane(type_)
        self._taken.add(name)
        item = GraphInput(name, type_, host_dtype, high)
        self._inputs.append(item)
        self._types[name], self._intervals[name] = type_, of_input(item)
        return Value(name, type_)

    def shared_input(self, name: str, type_: Type, host_dtype: str) -> Value:
        """The graph input of that name, which several ask for: the first one adds it."""
        for item in self._inputs:
            if (item.name, item.type, item.host_dtype) == (name, type_, host_dtype):
                return Value(name, type_)
        return self.input(name, type_, host_dtype)

    def lazy_constant(
        self,
        name: str,
        type_: Type,
        load: Callable[[], np.ndarray],
        source: Source | None = None,
    ) -> Value:
        """A constant whose values ``load`` returns, with ``type_``'s dtype and shape."""
        require_sane(type_)
        name = self._unique(name)
        self._constants[name] = Constant(name, type_, load, source)
        self._types[name] = type_
        return Value(name, type_)

    def state(self, name: str, type_: Type, load: Callable[[], np.ndarray]) -> Value:
        """A tensor that training changes, under exactly this name: no constant here.

        load: its values at the start. Raises ValueError if the name is taken.
        """
        if name in self._taken:
            raise ValueError(f"two values are called {name!r}")
        require_sane(type_)
        self._taken.add(name)
        self._constants[name] = Constant(name, type_, load, state=True)
        self._types[name] = type_
        return Value(name, type_)

    def constant(self, array: np.ndarray, dtype: DType, hint: str = "const") -> Value:
        """A constant with these values, converted to ``dtype``; equal ones are shared."""
        data = np.ascontiguousarray(convert(array, dtype)).reshape(array.shape)
        key = (hint, dtype, data.shape, data.tobytes())
        if key not in self._pooled:
            name = f"{self._scope}.{hint}"
            type_ = Type(dtype, tuple(int(n) for n in data.shape))
            self._pooled[key] = self.lazy_constant(name, type_, lambda: data)
        return self._pooled[key]

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, made the first time that a key is asked for: layers are alike."""
        if key not in self._made_once:
            self._made_once[key] = make()
        return self._made_once[key]

    def is_constant(self, value: Value) -> bool:
        """Whether the value is a constant."""
        return self._known(value) is not None

    def _known(self, value: Value) -> Constant | None:
        """The constant that a value is, if its values are known for good."""
        constant = self._constants.get(value.name)
        return None if constant is None or constant.state else constant

    def host(self, value: Value) -> np.ndarray | None:
        """The values of a constant, else None."""
        constant = self._known(value)
        return None if constant is None else constant.load()

    # --- intervals -----------------------------------------------------------------

    def interval(self, value: Value) -> Interval:
        """What all elements of a value are known to lie in, as signed words or as floats."""
        for node in self._nodes[self._looked_at :]:
            for name in node.inputs:
                self._interval_of_constant(name)
            self._intervals[node.output] = of_node(node, self._intervals, self._types)
        self._looked_at = len(self._nodes)
        self._interval_of_constant(value.name)
        return self._intervals[value.name]

    def _interval_of_constant(self, name: str) -> None:
        if name in self._constants and name not in self._intervals:
            self._intervals[name] = of_constant(self._constants[name])

    def assume(self, value: Value, interval: Interval) -> None:
        """Note what is known of a value and cannot be seen from its instructions."""
        low, high = self.interval(value)
        self._intervals[value.name] = max(low, interval[0]), min(high, interval[1])

    # --- nodes ---------------------------------------------------------------------

    def add(self, op: Primitive, inputs: Sequence[Value], hint: str = "") -> Value:
        """Add a node; its type is inferred. Raises IRError if the inputs do not fit.

        What small constants make is a constant, and so are weights that arithmetic
        gives, and what has no elements.
        """
        types = [value.type for value in inputs]
        nothing = over_nothing(op, types)
        if nothing is not None:
            return self.constant(*nothing, hint or "nothing")
        type_ = infer(op, types)
        if not type_.size:
            return self.constant(np.zeros(type_.shape), type_.dtype, hint or "nothing")
        folded = self._folded(op, inputs, type_)
        if folded is not None:
            return self.constant(folded, type_.dtype, hint or "folded")
        weights = self._weights(op, inputs, type_, hint)
        if weights is not None:
            return weights
        name = self._unique(f"{self._scope}.{hint}" if hint else self._scope)
        names = tuple(value.name for value in inputs)
        self._nodes.append(Node(name, op, names, name, type_, self._origin))
        self._types[name] = type_
        return Value(name, type_)

    def _folded(self, op: Primitive, inputs: Sequence[Value], type_: Type) -> np.ndarray | None:
        """The result if it is small and all inputs are constants."""
        if not all(value.type.size <= LIMIT for value in inputs) or type_.size > LIMIT:
            return None
        known = [self._known(value) for value in inputs]
        arrays = [constant.load() for constant in known if constant is not None]
        return fold(op, arrays, type_) if len(arrays) == len(inputs) else None

    def _weights(
        self, op: Primitive, inputs: Sequence[Value], type_: Type, hint: str
    ) -> Value | None:
        """A constant that is computed when it is loaded, if ``of_weights`` says so."""
        known = [self._known(value) for value in inputs]
        loads = [constant.load for constant in known if constant is not None]
        if not isinstance(op, Map) or len(loads) != len(inputs):
            return None
        if not of_weights(op, [value.type for value in inputs], type_):
            return None
        name = f"{self._scope}.{hint}" if hint else self._scope
        return self.lazy_constant(
            name, type_, lambda: map_arrays(op, [load() for load in loads], type_)
        )

    def empty(self, shape: Sequence[int], dtype: DType) -> Value:
        """A constant without elements."""
        return self.constant(np.zeros(tuple(shape)), dtype, "empty")

    def map(self, body: Body, *values: Value, hint: str = "") -> Value:
        """Elementwise ``body`` over the broadcast inputs; scalar constants become literals.

        Where f32 sums meet f16 values, the sums are narrowed (see ``aligned``).
        """
        return self._map(body, self.aligned(values), hint)

    def map_as_is(self, body: Body, *values: Value, hint: str = "") -> Value:
        """``map`` of values that keep their types, where the body converts them."""
        return self._map(body, list(values), hint)

    def _map(self, body: Body, inputs: list[Value], hint: str) -> Value:
        traced = trace(body, [value.dtype for value in inputs])
        shape = broadcast([value.shape for value in inputs])
        if isinstance(traced, int):
            return self.expand(inputs[traced], shape, hint)
        op, used = self._with_literals(traced, inputs, shape)
        return self.add(op, used, hint)

    def map_wide(self, body: Body, *values: Value, hint: str = "", keep: bool = False) -> Value:
        """``map`` in which floats are f32 throughout, for what f16 would overflow between.

        The result is narrowed if an input was f16, unless ``keep``. Of f32 it is ``map``.
        """
        if all(value.dtype is not DType.F16 for value in values):
            return self.map(body, *values, hint=hint)
        inputs = [
            self.cast(value, DType.F32)
            if value.dtype.is_float and self.is_constant(value)
            else value
            for value in values
        ]

        def wide(*terms: Term) -> Term:
            result = body(*(t.cast(DType.F32) if t.dtype.is_float else t for t in terms))
            return result if keep or not result.dtype.is_float else result.cast(DType.F16)

        return self._map(wide, inputs, hint)

    def aligned(self, values: Sequence[Value]) -> list[Value]:
        """The values with one float type: f16 if any of them is, scalar constants aside."""
        scalars = {value for value in values if value.type.size == 1 and self.is_constant(value)}
        floats = {value.dtype for value in values if value.dtype.is_float and value not in scalars}
        floats = floats or {value.dtype for value in values if value.dtype.is_float}
        if not floats:
            return list(values)
        dtype = DType.F16 if DType.F16 in floats else DType.F32
        return [self.cast(value, dtype) if value.dtype.is_float else value for value in values]

    def cast(self, value: Value, dtype: DType) -> Value:
        """The value in another float type; a constant is converted when it is loaded."""
        if value.dtype is dtype:
            return value
        if (value, dtype) not in self._casts:
            constant = self._known(value)
            hint = dtype.value
            if constant is None:
                cast = trace(lambda x: x.cast(dtype), [value.dtype])
                assert isinstance(cast, Map)
                result = self.add(cast, [value], hint)
            else:
                load = constant.load
                result = self.lazy_constant(
                    f"{value.name}.{hint}",
                    Type(dtype, value.shape),
                    lambda: convert(load(), dtype),
                )
            self._casts[value, dtype] = result
        return self._casts[value, dtype]

    def _with_literals(
        self, op: Map, inputs: Sequence[Value], shape: tuple[int, ...]
    ) -> tuple[Map, list[Value]]:
        """Scalar constants become literals and unread inputs go, while the shape stays."""
        read = {arg.index for step in op.body for arg in step.args if isinstance(arg, Arg)}
        kept = list(range(len(inputs)))
        literals: dict[int, float | int] = {}
        for number, value in enumerate(inputs):
            scalar = value.type.size == 1 and self.is_constant(value)
            others = [inputs[other].shape for other in kept if other != number]
            if (scalar or number not in read) and others and broadcast(others) == shape:
                kept.remove(number)
                if number in read:
                    literals[number] = self._constants[value.name].load().reshape(()).item()
        place = {old: new for new, old in enumerate(kept)}

        def moved(step: Step) -> Step:
            args = [
                arg
                if not isinstance(arg, Arg)
                else Arg(place[arg.index])
                if arg.index in place
                else literal(literals[arg.index], inputs[arg.index].dtype)
                for arg in step.args
            ]
            return Step(step.op, step.dtype, tuple(args))

        return Map(tuple(moved(step) for step in op.body)), [inputs[number] for number in kept]

    def move(self, value: Value, *steps: MoveStep, hint: str = "") -> Value:
        """Movement steps in order; those that change nothing are left out."""
        kept: list[MoveStep] = []
        type_ = value.type
        for step in steps:
            after = infer(Move((step,)), [type_])
            if not _is_identity(step, type_.shape):
                kept.append(step)
            type_ = after
        if not kept:
            return value
        if not type_.size:
            return self.constant(np.zeros(type_.shape), type_.dtype, hint or "nothing")
        result = self._moved(value, kept, type_, hint)
        if isinstance(kept[-1], Expand):
            self._broadcast[result] = value, kept[:-1]
        return result

    def _moved(self, value: Value, kept: list[MoveStep], type_: Type, hint: str) -> Value:
        constant, key = self._constants.get(value.name), (value.name, tuple(kept))
        if constant is None or constant.state:
            moved = self.add(Move(tuple(kept)), [value], hint)
        elif key in self._placed:
            return self._placed[key]
        else:
            source = _moved_source(constant, kept, type_)
            name = f"{value.name}.{hint or type(kept[-1]).__name__.lower()}"
            load = constant.load
            moved = self.lazy_constant(name, type_, lambda: move_array(load(), kept), source)
            self._placed[key] = moved
        stays = constant and (constant.state or isinstance(constant.source, Member | Drawing))
        step = kept[0]
        if stays and len(kept) == 1 and isinstance(step, Transpose):
            self._turned[moved.name] = value, step.perm
        return moved

    def _unturned(self, value: Value, spec: str) -> tuple[Value, str]:
        """A weight as it is stored where it is the transpose of one, with its labels in that order.

        Weights that stay where they are cannot be stored in another order, and those that training
        changes are stored once.
        """
        if value.name not in self._turned:
            return value, spec
        stored, perm = self._turned[value.name]
        labels = dict(zip(perm, spec.split(), strict=True))
        return stored, " ".join(labels[axis] for axis in range(len(perm)))

    def narrow(self, value: Value) -> Value:
        """What a value was broadcast from: of the same rank, with some dimensions of one."""
        source, steps = self._broadcast.get(value, (value, []))
        return self.move(source, *steps)

    def reshape(self, value: Value, shape: Sequence[int], hint: str = "") -> Value:
        """The same elements in another shape."""
        return self.move(value, Reshape(tuple(shape)), hint=hint)

    def transpose(self, value: Value, perm: Sequence[int], hint: str = "") -> Value:
        """Dimensions in another order."""
        return self.move(value, Transpose(tuple(perm)), hint=hint)

    def expand(self, value: Value, shape: Sequence[int], hint: str = "") -> Value:
        """Broadcast to ``shape``, which may have more dimensions in front."""
        wide = (1,) * (len(shape) - value.rank) + value.shape
        return self.move(value, Reshape(wide), Expand(tuple(shape)), hint=hint)

    def slice_axis(
        self, value: Value, axis: int, start: int, size: int, step: int = 1, hint: str = ""
    ) -> Value:
        """``size`` positions of one axis from ``start``, ``step`` apart."""
        starts, sizes, steps = [0] * value.rank, list(value.shape), [1] * value.rank
        starts[axis], sizes[axis], steps[axis] = start, size, step
        return self.move(value, Slice(tuple(starts), tuple(sizes), tuple(steps)), hint=hint)

    def concat(self, values: Sequence[Value], axis: int, hint: str = "") -> Value:
        """Values joined along ``axis``."""
        kept = [value for value in values if value.type.size]
        if not kept:
            shape = list(values[0].shape)
            shape[axis] = sum(value.shape[axis] for value in values)
            return self.empty(shape, values[0].dtype)
        if len(kept) == 1:
            return kept[0]
        return self.add(Concat(axis), self.aligned(kept), hint)

    def gather(self, data: Value, indices: Value, axis: int, hint: str = "") -> Value:
        """Positions ``indices`` (i32) of ``axis``; one that is none stops the run."""
        return self.add(Gather(axis), [data, self.guarded(indices, data.shape[axis])], hint)

    def scatter(
        self,
        data: Value,
        indices: Value,
        updates: Value,
        axis: int,
        kind: Reduction | None = None,
        hint: str = "",
        skips: bool = False,
    ) -> Value:
        """``data`` with ``updates`` put at ``indices`` (i32, one dimension) of ``axis``.

        skips: an index that is no position places nothing; otherwise it stops the run.
        """
        data, updates = self.aligned([data, updates])
        indices = indices if skips else self.guarded(indices, data.shape[axis])
        return self.add(Scatter(axis, kind, skips), [data, indices, updates], hint)

    @contextmanager
    def only_if(self, flag: Value) -> Generator[None]:
        """What is added inside counts only where ``flag`` (one i32) is not 0."""
        before = self._condition
        both = flag
        if before is not None:
            both = self.map(lambda a, b: a & b, before, flag, hint="condition")
        self._condition = both
        try:
            yield
        finally:
            self._condition = before

    @property
    def conditional(self) -> bool:
        """Whether a run decides if what is added now counts."""
        return self._condition is not None

    def guarded(self, indices: Value, size: int | np.ndarray) -> Value:
        """Indices into a dimension of ``size`` that are 0 where their result does not count.

        What is computed there all the same must not stop the run.
        """
        return self._guarded(indices, lambda i: bool(((i >= -size) & (i < size)).all()), 0)

    def within(self, value: Value, size: int, hint: str = "") -> Value:
        """Integers that count from 0 to below ``size``; any other stops the run.

        For positions of which ONNX does not say that a negative one counts from the end.
        """
        value = self._guarded(value, lambda i: bool(((i >= 0) & (i < size)).all()), 0)
        return self.map(lambda i: i.op("within", size), value, hint=hint)

    def divisor(self, value: Value) -> Value:
        """Integers that are 1 where the quotient by them does not count."""
        return self._guarded(value, lambda i: bool(i.all()), 1)

    def _guarded(self, value: Value, fits: Callable[[np.ndarray], bool], instead: int) -> Value:
        if self._condition is None:
            return value
        known = self.host(value)
        if known is not None and fits(known):
            return value
        return self.map(lambda c, v: c.select(v, instead), self._condition, value, hint="guarded")

    def reduce(
        self,
        kind: Reduction,
        value: Value,
        axes: Sequence[int],
        keep: bool = True,
        hint: str = "",
        still: bool = False,
    ) -> Value:
        """Plain reduction over axes (not negative); kept dimensions have size 1.

        still: see ``Reduce``.

        A sum of f16 elements is f32, and stays so until it meets an f16 value.
        """
        if not axes:
            return value
        labels = [f"d{axis}" for axis in range(value.rank)]
        out = ["" if axis in axes else label for axis, label in enumerate(labels)]
        op = Reduce(
            kind,
            tuple(plain_index(label) for label in labels),
            tuple(label for label in out if keep or label),
            tuple(zip(labels, value.shape, strict=True)),
            wide=kind is Reduction.SUM and value.dtype is DType.F16,
            still=still,
        )
        return self.add(op, [value], hint)

    def contract(
        self, a: Value, b: Value, spec_a: str, spec_b: str, out: str, hint: str = ""
    ) -> Value:
        """Contraction with one label a dimension, as in ``contract(a, b, "m k", "k n", "m n")``.

        ``.`` stands for position 0 of a dimension of size 1.
        """
        a, b = self.aligned([a, b])
        a, spec_a = self._unturned(a, spec_a)
        b, spec_b = self._unturned(b, spec_b)
        extents: dict[str, int] = {}
        indices: list[tuple[Index, ...]] = []
        for value, spec in ((a, spec_a), (b, spec_b)):
            labels = spec.split()
            for label, size in zip(labels, value.shape, strict=True):
                if label != "." and extents.setdefault(label, size) != size:
                    raise IRError(f"label {label} is both {extents[label]} and {size}")
            indices.append(
                tuple(Index(()) if label == "." else plain_index(label) for label in labels)
            )
        op = Contract(indices[0], indices[1], tuple(out.split()), tuple(extents.items()))
        return self.add(op, [a, b], hint)

    # --- result --------------------------------------------------------------------

    def stand_in(self, type_: Type) -> Value:
        """A value of which only the type matters: what reads it is linear, and is not needed.

        So it is for the forward pass of an operator whose derivative is asked for.
        """

        def load() -> np.ndarray:
            raise AssertionError("the values of a stand-in")

        return self.free_state("any", type_, load)

    def free_state(self, hint: str, type_: Type, load: Callable[[], np.ndarray]) -> Value:
        """``state`` under a name within the scope that nothing has yet."""
        return self.state(self._free(hint), type_, load)

    def _free(self, hint: str) -> str:
        """A name that nothing has yet, within the scope."""
        name, count = f"{self._scope}.{hint}", 0
        while name in self._taken:
            count += 1
            name = f"{self._scope}.{hint}~{count}"
        return name

    def so_far(self) -> Graph:
        """All that there is now, needed or not; a graph without outputs."""
        constants = tuple(self._constants.values())
        return Graph(self.name, tuple(self._inputs), (), constants, tuple(self._nodes))

    def finish(self, outputs: Sequence[GraphOutput]) -> Graph:
        """The graph; nodes and constants that no output needs are left out."""
        needed = {name for output in outputs for name in output.values}
        nodes: list[Node] = []
        for node in reversed(self._nodes):
            if node.output in needed:
                needed.update(node.inputs)
                nodes.append(node)
        constants = tuple(item for item in self._constants.values() if item.name in needed)
        return Graph(
            self.name, tuple(self._inputs), tuple(outputs), constants, tuple(reversed(nodes))
        )


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _moved_source(constant: Constant, steps: list[MoveStep], type_: Type) -> Source | None:
    """Where the elements of a moved constant are, if they are the same or follow each other.

    Those that are drawn may be in another order, too.
    """
    source, shape = constant.source, constant.type.shape
    if isinstance(source, Drawing):
        return _moved_drawing(source, shape, steps)
    if not all(isinstance(step, Reshape) for step in steps):
        return None
    if isinstance(source, Member) and _plain(shape) != _plain(type_.shape):
        return None  # a checkpoint knows the shapes of its tensors
    return source


def _moved_drawing(
    source: Drawing, shape: tuple[int, ...], steps: list[MoveStep]
) -> Drawing | None:
    """The drawing that gives the elements of another one, moved; None if there is none."""
    how = source.how
    for step in steps:
        match step:
            case Reshape(target):
                shape = target
            case Slice(starts, sizes, jumps):
                if how.order or not shape or sizes[1:] != shape[1:] or jumps[0] != 1:
                    return None
                how = replace(how, first=how.first + starts[0] * math.prod(shape[1:]))
                shape = sizes
            case Transpose(perm):
                turned = _turned_drawing(how, shape, perm)
                if turned is None:
                    return None
                how = turned
                shape = tuple(shape[axis] for axis in perm)
            case _:
                return None
    return Drawing(source.key, how)


def _turned_drawing(how: Drawn, shape: tuple[int, ...], perm: tuple[int, ...]) -> Drawn | None:
    """A drawing in another order of the dimensions of ``shape``, which its elements have now.

    These dimensions, and those in which it is drawn, are cut into parts that both are made of. None
    if there are no such parts: 2 x 3 is no 3 x 2.
    """
    drawn, order = how.shape or shape, how.order or tuple(range(len(shape)))
    parts = _common_parts([drawn[axis] for axis in order], shape)
    if parts is None:
        return None
    inner, outer = parts
    # Number the parts in the order in which they are drawn, which is that of the axes of ``drawn``.
    place = {axis: number for number, axis in enumerate(order)}
    flat = [size for axis in range(len(drawn)) for size in inner[place[axis]]]
    first = [sum(len(inner[place[before]]) for before in range(axis)) for axis in range(len(drawn))]
    now = [first[axis] + k for axis in order for k in range(len(inner[place[axis]]))]
    # Of each dimension of ``shape`` the parts that it has, in the order of now.
    ends = [sum(len(sizes) for sizes in outer[: axis + 1]) for axis in range(len(shape))]
    groups = [now[end - len(outer[axis]) : end] for axis, end in enumerate(ends)]
    turned = [part for axis in perm for part in groups[axis]]
    if turned == list(range(len(flat))):
        return replace(how, shape=(), order=())
    return replace(how, shape=tuple(flat), order=tuple(turned))


def _common_parts(
    one: Sequence[int], other: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]] | None:
    """Each dimension of two shapes as a product of parts; in their order the parts are the same."""
    found: tuple[list[list[int]], list[list[int]]] = ([[] for _ in one], [[] for _ in other])
    left = [list(one), list(other)]
    places = [0, 0]
    while True:
        for side, sizes in enumerate(left):
            while places[side] < len(sizes) and sizes[places[side]] == 1:
                places[side] += 1
        if places[0] == len(one) or places[1] == len(other):
            return found
        a, b = left[0][places[0]], left[1][places[1]]
        part = min(a, b)
        if max(a, b) % part:
            return None
        for side in (0, 1):
            found[side][places[side]].append(part)
            left[side][places[side]] //= part


def _is_identity(step: MoveStep, shape: tuple[int, ...]) -> bool:
    match step:
        case Reshape(target) | Expand(target):
            return target == shape
        case Transpose(perm):
            return perm == tuple(range(len(shape)))
        case Slice(starts, sizes, steps):
            return not any(starts) and sizes == shape and set(steps) <= {1}
        case Pad(low, high, _):
            return not any((*low, *high))
