"""The list of ONNX operators that wsc lowers, and what a lowering sees of its node.

To add an operator, write one function in the file of its family::

    @lowering("Relu", since=6)
    def relu(call: Call) -> Value:
        \"\"\"max(x, 0).\"\"\"
        return call.build.map(lambda x: x.max(0), call.arg(0))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import onnx
import onnx_ir as ir

from wsc.frontend import wide
from wsc.frontend.exact import item as exact
from wsc.frontend.exact.item import Double
from wsc.frontend.wide import Wide
from wsc.ir.build import GraphBuilder, Value
from wsc.isa.types import DType

_V = TypeVar("_V")


class Unsupported(Exception):
    """A node that its lowering cannot express; the text says why."""


def require(condition: bool, reason: str) -> None:
    """Raise Unsupported with ``reason`` unless the condition holds."""
    if not condition:
        raise Unsupported(reason)


# Positions of one dimension that a lowering writes down: no fabric holds longer ones.
LONGEST = 1 << 26
# Axes, sizes, starts: no operand that is a list of such has more.
LONGEST_LIST = 1 << 16


def normal_axis(axis: int, rank: int) -> int:
    """An axis as a number from 0. Raises Unsupported if there is no such axis."""
    require(-rank <= axis < rank, f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


@dataclass(frozen=True, slots=True)
class Many:
    """A sequence: how many tensors it has is known, and which."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional without an element."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A tensor whose size along ``axis`` only a run tells.

    value: room for the most that there can be. length: one i32, how much of it counts.
    Only an output of the graph may be such: no primitive has shapes that a run decides.
    """

    value: Value
    axis: int
    length: Value


# What an ONNX value stands for. An optional with an element is that element.
Item = Value | Many | Absent | Sized | Wide | Double
Lower = Callable[[ir.Graph, Sequence[Item], str], list[Item]]


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
_LEGACY = frozenset({"consumed_inputs"})  # opset 1 told so what may be overwritten


def _default(node: ir.Node, opset: int, name: str) -> object:
    """The default of an attribute, None where the schema has none."""
    if not onnx.defs.has(node.op_type, opset, node.domain):
        return None
    known = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes.get(name)
    if known is None or not known.default_value.type:
        return None
    value = onnx.helper.get_attribute_value(known.default_value)
    return value.decode() if isinstance(value, bytes) else value


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
        fetch: Callable[[ir.Value], Item],
        lower: Lower,
    ) -> None:
        self.node, self.build, self.float_type, self.opset = node, build, float_type, opset
        self._fetch, self._lower = fetch, lower
        self._read: set[str] = set()
        self._looked: set[int] = set()
        self._shown: Mapping[int, Value] = {}
        self._part: Callable[[np.ndarray], np.ndarray] | None = None

    def showing(
        self, shown: Mapping[int, Value], part: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Call:
        """The same call with other values in the place of some inputs.

        part: what of the known values of these inputs is shown.
        """
        other = copy(self)  # it notes what is read in the same sets
        other._shown, other._part = shown, part
        return other

    def __len__(self) -> int:
        return len(self.node.inputs)

    def _operand(self, index: int) -> ir.Value | None:
        self._looked.add(index)
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def has(self, index: int) -> bool:
        """Whether the node has this input."""
        return self._operand(index) is not None

    def wants(self, index: int) -> bool:
        """Whether anything reads this output."""
        if index >= len(self.node.outputs):
            return False
        output = self.node.outputs[index]
        return bool(output.uses()) or output.is_graph_output()

    def item(self, index: int) -> Item:
        """An input that may be a sequence or an optional."""
        value = self._operand(index)
        if value is None:
            raise Unsupported(f"input {index} is missing")
        return self._shown[index] if index in self._shown else self._fetch(value)

    def fetched(self, value: ir.Value | None) -> Item:
        """What a value of the model stands for that is no input of this node."""
        if value is None:
            raise Unsupported("a value that is missing")
        return self._fetch(value)

    def arg(self, index: int) -> Value:
        """An input as a value of the graph.

        Of 64-bit integers one word each: the run stops at one that does not fit.
        """
        item = self.item(index)
        if isinstance(item, Wide):
            return wide.fitted(self.build, item)
        if isinstance(item, Sized):
            value = self.node.inputs[index]
            name = "" if value is None else value.name
            raise Unsupported(
                f"the size of {name!r} along axis {item.axis} depends on data, which this "
                "operator cannot take"
            )
        if isinstance(item, Double):
            raise Unsupported(f"input {index} is float64, which it cannot compute exactly")
        if not isinstance(item, Value):
            kind = "a sequence" if isinstance(item, Many) else "an empty optional"
            raise Unsupported(f"input {index} is {kind}, not a tensor")
        return item

    def graph(self, name: str) -> ir.Graph | None:
        """A graph attribute, or None if the node does not have it."""
        return self._value(name, ir.Attr.as_graph)

    def inline(self, graph: ir.Graph, inputs: Sequence[Item], name: str) -> list[Item]:
        """The outputs of a graph attribute for these inputs; its nodes stand under ``name``."""
        return self._lower(graph, inputs, name)

    def node_of(
        self,
        op_type: str,
        inputs: Sequence[Item | None],
        attributes: Sequence[ir.Attr] = (),
        outputs: int = 1,
    ) -> list[Item]:
        """The outputs of another ONNX node, lowered under this one's name."""
        values = [None if item is None else ir.Value() for item in inputs]
        node = ir.Node("", op_type, values, attributes, num_outputs=outputs, name=op_type)
        entering = [value for value in values if value is not None]
        graph = ir.Graph(entering, node.outputs, nodes=[node], name=op_type)
        return self._lower(graph, [item for item in inputs if item is not None], "again")

    def maybe(self, index: int) -> Value | None:
        """An optional input."""
        return self.arg(index) if self.has(index) else None

    def args(self) -> list[Value]:
        """All inputs that are there, one at least."""
        there = [i for i, value in enumerate(self.node.inputs) if value is not None]
        require(bool(there), "no inputs")
        return [self.arg(i) for i in there]

    def maybe_static(self, index: int) -> np.ndarray | None:
        """An input's values in its ONNX dtype if they are known now, else None."""
        array = self._known(index)
        if array is None or self._part is None or index not in self._shown:
            return array
        return self._part(array)

    def _known(self, index: int) -> np.ndarray | None:
        value = self._operand(index)
        if value is None:
            return None
        if value.const_value is not None:
            return value.const_value.numpy()
        item = self._fetch(value)
        if isinstance(item, Wide):
            return wide.host(self.build, item)
        if isinstance(item, Double):
            return exact.host(self.build, item)
        return self.build.host(item) if isinstance(item, Value) else None

    def static(self, index: int, what: str) -> np.ndarray:
        """An input's values. Raises Unsupported if they are only known at run time."""
        array = self.maybe_static(index)
        if array is None:
            raise Unsupported(f"{what} must be a constant")
        return array

    def static_ints(self, index: int, what: str) -> list[int]:
        """A constant input as a flat list of ints."""
        array = self.static(index, what)
        require(array.size <= LONGEST_LIST, f"{what} of {array.size} elements")
        return [int(item) for item in array.reshape(-1)]

    def onnx_type(self, index: int) -> ir.DataType | None:
        """ONNX element type of an input, where it is known."""
        value = self._operand(index)
        return None if value is None else value.dtype

    # --- attributes ----------------------------------------------------------------

    def _attribute(self, name: str) -> ir.Attr | None:
        self._read.add(name)
        return self.node.attributes.get(name)

    def require_all_read(self, entry: Lowering) -> None:
        """Raise Unsupported for an attribute or input that the lowering has not looked at.

        It would change the result, unless it has its default or is one of the entry's
        ``quiet``. A newer opset or an exporter may have some that a lowering has never heard of.
        """
        for index, value in enumerate(self.node.inputs):
            if value is not None and index not in self._looked:
                raise Unsupported(f"input {index} is not known")
        quiet = entry.quiet | _LEGACY
        for name, attribute in self.node.attributes.items():
            if name in self._read or name in quiet or attribute.type in _GRAPHS:
                continue
            if attribute.value != _default(self.node, self.opset, name):
                raise Unsupported(f"attribute {name} = {attribute.value} is not known")

    def _value(self, name: str, read: Callable[[ir.Attr], _V]) -> _V | None:
        """An attribute's value, or None if the node does not have it."""
        attribute = self._attribute(name)
        try:
            return None if attribute is None else read(attribute)
        except TypeError:  # of a domain that the checker does not know, or not UTF-8
            raise Unsupported(f"attribute {name} is of the wrong type") from None

    def all_attributes(self) -> list[ir.Attr]:
        """Every attribute of the node, for another node that means the same by them."""
        self._read.update(self.node.attributes)
        return list(self.node.attributes.values())

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self._value(name, ir.Attr.as_int)
        return default if value is None else int(value)

    def flag(self, name: str, default: bool) -> bool:
        """An integer attribute that is 0 or 1. Raises Unsupported if it is neither."""
        value = self.integer(name, int(default))
        require(value in (0, 1), f"{name} = {value}, and must be 0 or 1")
        return bool(value)

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, or None if the node does not have it."""
        values = self._value(name, ir.Attr.as_ints)
        return None if values is None else [int(item) for item in values]

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        value = self._value(name, ir.Attr.as_float)
        return default if value is None else float(value)

    def numbers(self, name: str) -> list[float] | None:
        """A list of floats, or None if the node does not have it."""
        values = self._value(name, ir.Attr.as_floats)
        return None if values is None else [float(item) for item in values]

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self._value(name, ir.Attr.as_string)
        return default if value is None else value

    def texts(self, name: str) -> list[str] | None:
        """A list of strings, or None if the node does not have it."""
        values = self._value(name, ir.Attr.as_strings)
        return None if values is None else list(values)

    def tensor(self, name: str) -> np.ndarray | None:
        """A tensor attribute, or None if the node does not have it."""
        tensor = self._value(name, ir.Attr.as_tensor)
        return None if tensor is None else tensor.numpy()

    def axes(self, index: int, rank: int) -> list[int] | None:
        """Axes from attribute ``axes`` or, in newer opsets, from a constant input."""
        axes = self.integers("axes")
        if axes is None and self.has(index):
            axes = self.static_ints(index, "axes")
        return None if axes is None else [normal_axis(axis, rank) for axis in axes]


Result = Item | Sequence[Item | None]
Function = Callable[[Call], Result]
F = TypeVar("F", bound=Function)
# (call, inputs of unknown size by number, one result) -> the axis of the result that has this
# size; see ``wsc.frontend.follow``.
Follows = Callable[[Call, Mapping[int, Sized], Value], int]


@dataclass(frozen=True, slots=True)
class Lowering:
    """One entry of the registry.

    since, until: first and last opset of the domain that it serves (None: no last one).
    family: name of the file that it stands in. doc: one line for users.
    quiet: attributes that the function may pass over: another input or attribute says the
    same, or they matter in training, or for an output or a mode that is not there.
    sizes: for inputs whose values decide a shape, so that a program needs them before it is
    compiled, what they decide.
    follows: how a size that only a run tells passes through; None: it cannot.
    """

    op_type: str
    domain: str
    since: int
    until: int | None
    family: str
    doc: str
    function: Function
    quiet: frozenset[str] = frozenset()
    sizes: Mapping[int, str] = field(default_factory=dict[int, str])
    follows: Follows | None = None


_REGISTRY: dict[tuple[str, str], list[Lowering]] = {}
# Operators of ai.onnx that draw numbers: no two runs agree, so there is nothing to compile.
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def lowering(
    *op_types: str,
    domain: str = "",
    since: int = 1,
    until: int | None = None,
    quiet: Sequence[str] = (),
    sizes: Mapping[int, str] | None = None,
    follows: Follows | None = None,
) -> Callable[[F], F]:
    """Register a function as the lowering of one or more operators.

    All that is to be known of an operator stands here; ``Lowering`` says what the words mean.
    """

    def register(function: F) -> F:
        entry = Lowering(
            op_type="",
            domain=domain,
            since=since,
            until=until,
            family=function.__module__.rsplit(".", 1)[-1],
            doc=(function.__doc__ or "").strip().split("\n")[0],
            function=function,
            quiet=frozenset(quiet),
            sizes=sizes or {},
            follows=follows,
        )
        for op_type in op_types:
            served = _REGISTRY.setdefault((domain, op_type), [])
            served.append(replace(entry, op_type=op_type))
        return function

    return register


def entries(domain: str, op_type: str) -> Sequence[Lowering]:
    """All that serve an operator, each for its opsets."""
    return _REGISTRY.get((domain, op_type), ())


def find(domain: str, op_type: str, opset: int) -> Lowering | str:
    """The lowering that serves an operator, or the reason why there is none."""
    known = entries(domain, op_type)
    for entry in known:
        if entry.since <= opset and (entry.until is None or opset <= entry.until):
            return entry
    if known:
        ranges = ", ".join(f"{item.since} to {item.until or 'newest'}" for item in known)
        return f"opset {opset} is not supported (only {ranges})"
    if domain in ("", "ai.onnx") and op_type in _RANDOM:
        return "it draws random numbers, and a program gives the same outputs at each run"
    return "no lowering for this operator"


def lowerings() -> Iterator[Lowering]:
    """Every registered operator, by domain and name."""
    for key in sorted(_REGISTRY):
        yield from _REGISTRY[key]
