"""ONNX model -> graph IR: every node through its lowering, all refusals in one list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from wsc.errors import CompileError, UnsupportedOperator, UnsupportedOperators, shortened
from wsc.frontend import load_lowerings, wide
from wsc.frontend.doubles import is_in_double, warn_of_doubles
from wsc.frontend.exact import table as exact
from wsc.frontend.exact.item import Double, of_array, stored
from wsc.frontend.follow import follow
from wsc.frontend.integers import table
from wsc.frontend.integers.operand import LONG
from wsc.frontend.load import CALL_KEY, DECLARED_KEY, FILES_KEY, STATE_KEY, load_model
from wsc.frontend.operands import require_like_types
from wsc.frontend.registry import (
    Call,
    Item,
    Lower,
    Lowering,
    Many,
    Result,
    Sized,
    Unsupported,
    find,
    require,
)
from wsc.frontend.sized import safe_indices
from wsc.frontend.store import SOURCE_KEY, Store
from wsc.frontend.types import FLOATS, INTEGERS, rounded
from wsc.frontend.wide import Wide, whole
from wsc.ir.build import GraphBuilder, Value, convert
from wsc.ir.check import IRError, check_graph
from wsc.ir.graph import Graph, GraphOutput, Raw, Source, Type
from wsc.isa.asked import option
from wsc.isa.types import DType


def import_onnx(
    model: str | Path | onnx.ModelProto,
    dims: Mapping[str, int] | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
    precision: DType = DType.F32,
    inputs: Collection[str] = (),
    wide: Collection[str] = (),
    prepare: Callable[[ir.Model], None] | None = None,
    weights: Store | None = None,
    exact: bool = False,
) -> Graph:
    """The graph of an ONNX file, or of a model in memory.

    dims: symbolic dimension (or ``INPUT.AXIS``) -> size. bind: input -> values to bake
    in. precision: element type of every float. inputs: initializers that are inputs too, and stay
    inputs. wide: inputs of 64-bit integers that may need more than 32 bits. prepare: changes the
    model as it was read. weights: where those are that the model declares without data. exact:
    whether float64 is computed as such. Raises CompileError for a model that does not do,
    UnsupportedOperators with all operators that cannot be lowered.
    """
    load_lowerings()
    loaded = load_model(model, dims, bind, inputs, prepare, weights, exact)
    return import_model(loaded, precision, wide, exact).with_(files=loaded.meta.get(FILES_KEY, ()))


def import_model(
    model: ir.Model,
    precision: DType = DType.F32,
    wide: Collection[str] = (),
    exact: bool = False,
) -> Graph:
    """The graph of a model with static shapes (see ``load_model``)."""
    load_lowerings()
    return _Importer(model, precision, wide, exact).run()


def graph_type(dtype: ir.DataType | None, precision: DType) -> DType:
    """Element type in the graph of an ONNX element type. Raises Unsupported if none."""
    if dtype in FLOATS:
        return precision
    if dtype in INTEGERS:
        return DType.I32
    raise Unsupported(f"element type {dtype.name if dtype else 'unknown'}")


class _Refused(Exception):
    """A node of an inner graph was refused, and is in the list."""


class _Importer:
    def __init__(
        self, model: ir.Model, precision: DType, wide: Collection[str], exact: bool
    ) -> None:
        if not precision.is_float:
            raise ValueError(f"precision must be f32 or f16, not {precision.value}")
        self.graph, self.precision, self.exact = model.graph, precision, exact
        self.opsets = {"" if key == "ai.onnx" else key: n for key, n in model.opset_imports.items()}
        self.build = GraphBuilder(self.graph.name or "main")
        self.values: dict[ir.Value, Item] = {}
        self.poisoned: set[ir.Value] = set()
        self.refused: dict[tuple[str, str, str], list[str]] = {}
        self.doubles: list[str] = []
        self.wide = frozenset(wide)
        self._require_wide()

    def run(self) -> Graph:
        for value in self.graph.inputs:
            self._input(value)
        for number, node in enumerate(self.graph):
            self._node(number, node, "", ())
        if self.refused:
            raise UnsupportedOperators(
                [
                    UnsupportedOperator(op_type, domain, self._opset(domain), tuple(nodes), reason)
                    for (domain, op_type, reason), nodes in self.refused.items()
                ]
            )
        outputs = [shown for value in self.graph.outputs for shown in self._outputs(value)]
        graph = self.build.finish(outputs)
        check_graph(graph)
        warn_of_doubles(self.doubles)
        return graph

    def _require_wide(self) -> None:
        """Raise CompileError for a name of ``wide`` that is no input of 64-bit integers."""
        known = [str(value.name) for value in self.graph.inputs if value.dtype in LONG]
        for name in sorted(self.wide.difference(known)):
            listed = ", ".join(map(shortened, known)) or "none"
            raise CompileError(
                f"{option('wide', shortened(name))}: no input of 64-bit integers; there are: "
                f"{listed}"
            )

    def _is_exact(self, dtype: ir.DataType | None) -> bool:
        """Whether this type is float64, and computed as such."""
        return self.exact and dtype is ir.DataType.DOUBLE

    def _opset(self, domain: str) -> int:
        return self.opsets.get(domain, 1)

    def _input(self, value: ir.Value) -> None:
        name = str(value.name)
        assert value.shape is not None
        assert value.dtype is not None
        try:
            dtype = graph_type(value.dtype, self.precision)
        except Unsupported as error:
            raise CompileError(f"input {name!r}: {error}") from None
        shape = tuple(int(size) for size in value.shape.numpy())
        if STATE_KEY in value.meta:
            load = partial(_loaded, value.meta[STATE_KEY], shape, dtype)
            self.values[value] = self.build.state(name, Type(dtype, shape), load)
            return
        host = value.dtype.numpy().name
        try:
            type_ = Type(dtype, shape)
            if name in self.wide and type_.size:
                signed, high = value.dtype is ir.DataType.INT64, f"{name}.high"
                low = self.build.input(name, type_, host, high)
                top = self.build.input(high, type_, "int32")
                self.values[value] = Wide(top, low, whole(signed), signed)
                return
            if self._is_exact(value.dtype) and type_.size:
                high, words = f"{name}.high", Type(DType.I32, shape)
                low = self.build.input(name, words, host, high)
                self.values[value] = Double(self.build.input(high, words, "int32"), low)
                return
            entered = self.build.input(name, type_, host)
            # What has no elements is known: it comes with the run, and nothing waits for it.
            if self._is_exact(value.dtype):
                self.values[value] = of_array(self.build, np.zeros(shape), name)
                return
            self.values[value] = entered if type_.size else self.build.empty(shape, dtype)
        except ValueError as error:
            raise CompileError(f"input {shortened(name)!r}: {error}") from None

    def _outputs(self, value: ir.Value) -> list[GraphOutput]:
        try:
            return self._output(value)
        except (Unsupported, ValueError) as error:
            raise CompileError(f"output {shortened(str(value.name))!r}: {error}") from None

    def _output(self, value: ir.Value) -> list[GraphOutput]:
        """The outputs that a value makes: a sequence is NAME.0, NAME.1 and so on."""
        name, item = str(value.name), self._fetch(value)
        declared = value.meta.get(DECLARED_KEY)
        if None not in (declared, value.type) and _element(declared) != _element(value.type):
            raise Unsupported(f"declared as {declared}, and is {value.type}")
        stored = value.const_value
        if stored is not None and value.dtype not in (None, stored.dtype):
            raise Unsupported(f"declared as {value.dtype}, and is {stored.dtype}")
        if isinstance(item, Many) and isinstance(value.type, ir.TensorType):
            raise Unsupported("declared as a tensor, and is a sequence")
        if isinstance(item, Value | Sized | Wide | Double) and isinstance(
            value.type, ir.SequenceType
        ):
            raise Unsupported("declared as a sequence, and is a tensor")
        if isinstance(item, Many):
            return [self._shown(f"{name}.{i}", value, part) for i, part in enumerate(item.values)]
        if isinstance(item, Wide):
            host = value.dtype or (ir.DataType.INT64 if item.signed else ir.DataType.UINT64)
            return [GraphOutput(name, item.low.name, host.numpy().name, high=item.high.name)]
        if isinstance(item, Double):
            return [GraphOutput(name, item.low.name, "float64", high=item.high.name)]
        require(not self._is_exact(value.dtype), "a float64 that is not computed exactly")
        return [self._shown(name, value, item)] if isinstance(item, Value | Sized) else []

    def _shown(self, name: str, value: ir.Value, shown: Value | Sized) -> GraphOutput:
        declared = value.dtype
        length: tuple[int, str] | None = None
        if isinstance(shown, Sized):
            length = (shown.axis, shown.length.name)
            shown = shown.value
        if declared is None:
            declared = ir.DataType.FLOAT if shown.dtype.is_float else ir.DataType.INT64
        if shown.dtype.is_float:
            producer = value.producer()
            origin = () if producer is None else (producer.name or name,)
            with self.build.at(f"{name}.{declared.name.lower()}", origin):
                shown = self.build.map(lambda x: rounded(x, declared), shown)
        return GraphOutput(name, shown.name, declared.numpy().name, length)

    def _fetch(self, value: ir.Value) -> Item:
        """What an ONNX value stands for; initializers enter when they are first read."""
        if value not in self.values:
            self.values[value] = self._initializer(value)
        return self.values[value]

    def _initializer(self, value: ir.Value) -> Value | Wide | Double:
        tensor = value.const_value
        if tensor is None:
            raise Unsupported(f"value {value.name!r} is neither computed nor stored")
        dtype = graph_type(tensor.dtype, self.precision)
        shape = tuple(int(size) for size in tensor.shape.numpy())
        if tensor.dtype in LONG and not wide.fits(tensor.numpy()):
            return wide.constant(self.build, str(value.name), lambda: tensor.numpy().reshape(shape))
        if self._is_exact(tensor.dtype):
            return stored(self.build, str(value.name), shape, tensor.numpy)
        if dtype.is_float and tensor.size == 1:
            # A scalar keeps its precision until its place in a map is known.
            dtype = DType.F32
        return self.build.lazy_constant(
            str(value.name),
            Type(dtype, shape),
            partial(_loaded, tensor, shape, dtype),
            source_of(tensor, dtype),
        )

    def _node(self, number: int, node: ir.Node, scope: str, origin: tuple[str, ...]) -> None:
        """Lower a node. scope: prefix of its name. origin: of an inner graph, its outer node."""
        if any(value in self.poisoned for value in node.inputs if value is not None):
            self._check_known(number, node)
            self.poisoned.update(node.outputs)
            return
        name = scope + self._name(number, node)
        entry = find(_domain(node), node.op_type, self._opset(_domain(node)))
        if isinstance(entry, str):
            self._refuse(node, name, entry)
            return
        origin = origin or (node.metadata_props.get(CALL_KEY, name),)
        if is_in_double(node) and not self.exact:
            self.doubles.append(origin[0])

        def lower(graph: ir.Graph, inputs: Sequence[Item], part: str) -> list[Item]:
            return self._inner(graph, inputs, f"{name}/{part}/", origin)

        try:
            require_like_types(node, self._opset(entry.domain))
            with self.build.at(name, origin):
                result = self._lowered(node, entry, lower)
        except _Refused:
            self.poisoned.update(node.outputs)
            return
        except (Unsupported, IRError) as error:
            self._refuse(node, name, str(error))
            return
        except (ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            # What the checker lets through: too few pads, a kernel of another rank.
            self._refuse(node, name, f"malformed node: {error}")
            return
        except MemoryError:
            self._refuse(node, name, "its constants do not fit in this machine's memory")
            return
        results = (result,) if isinstance(result, Item) else result
        for output, value in zip(node.outputs, results, strict=False):
            if value is not None:
                self.values[output] = value

    def _lowered(self, node: ir.Node, entry: Lowering, lower: Lower) -> Result:
        """What a node's lowering makes of it, also where data decide the size of an input."""
        opset = self._opset(entry.domain)
        lowered = self._lowering(node)
        inputs = {
            number: item
            for number, value in enumerate(node.inputs)
            if value is not None and isinstance(item := self.values.get(value), Sized)
        }
        if not inputs or entry.follows is None:
            call = Call(node, self.build, self.precision, opset, self._fetch, lower)
            result = lowered(call, entry.function)
        else:
            shown: dict[ir.Value, Value] = {}

            def fetch(value: ir.Value) -> Item:
                return shown[value] if value in shown else self._fetch(value)

            call = Call(node, self.build, self.precision, opset, fetch, lower)
            for number, item in inputs.items():
                gathers = node.op_type in ("Gather", "GatherND") and number == 1
                operand = node.inputs[number]
                assert operand is not None
                shown[operand] = safe_indices(call, item) if gathers else item.value
            result = follow(call, inputs, entry.follows, partial(lowered, lower=entry.function))
        call.require_all_read(entry)
        return result

    def _lowering(self, node: ir.Node) -> Callable[..., Result]:
        """By which table a node is lowered: that of doubles, or that of integers."""
        items = [self.values.get(value) for value in node.inputs if value is not None]
        return exact.lowered if self.exact and exact.concerns(node, items) else table.lowered

    def _inner(
        self, graph: ir.Graph, inputs: Sequence[Item], scope: str, origin: tuple[str, ...]
    ) -> list[Item]:
        """The outputs of a node's graph; its nodes are lowered anew at each call."""
        if len(inputs) != len(graph.inputs):
            raise Unsupported(f"a graph of {len(graph.inputs)} inputs, given {len(inputs)}")
        for value, item in zip(graph.inputs, inputs, strict=True):
            if value.dtype is not None and isinstance(item, Value | Wide):
                is_float = isinstance(item, Value) and item.dtype.is_float
                same = (value.dtype in FLOATS) == is_float
                kind = "of floats" if is_float else "of integers"
                require(
                    same, f"{value.name!r} of an inner graph is {value.dtype}, and given {kind}"
                )
            self.values[value] = item
        # Nothing of an earlier turn may be read for what this one does not give.
        for node in graph:
            for value in node.outputs:
                self.values.pop(value, None)
        for number, node in enumerate(graph):
            self._node(number, node, scope, origin)
        if any(value in self.poisoned for value in graph.outputs):
            raise _Refused
        return [self._fetch(value) for value in graph.outputs]

    def _check_known(self, number: int, node: ir.Node) -> None:
        entry = find(_domain(node), node.op_type, self._opset(_domain(node)))
        if isinstance(entry, str):
            self._refuse(node, self._name(number, node), entry)

    def _refuse(self, node: ir.Node, name: str, reason: str) -> None:
        self.refused.setdefault((_domain(node), node.op_type, reason), []).append(name)
        self.poisoned.update(node.outputs)

    def _name(self, number: int, node: ir.Node) -> str:
        """The node's own name; a node made while folding takes that of its first output."""
        name = node.name or node.outputs[0].name or f"{node.op_type}_{number}"
        call = node.metadata_props.get(CALL_KEY)
        return f"{call}/{name}" if call else name


def _element(kind: Any) -> Any:
    """What an optional has if it has something; other types unchanged."""
    return kind.elem_type if isinstance(kind, ir.OptionalType) else kind


def _domain(node: ir.Node) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _loaded(tensor: ir.TensorProtocol, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """The values of a tensor, as the graph wants them."""
    return convert(tensor.numpy().reshape(shape), dtype)


def source_of(tensor: ir.TensorProtocol, dtype: DType) -> Source | None:
    """Where the data are if they are stored as the graph wants them, or stay where they are."""
    if isinstance(tensor, ir.LazyTensor) and SOURCE_KEY in tensor.meta:
        return tensor.meta[SOURCE_KEY]
    if not isinstance(tensor, ir.ExternalTensor) or tensor.dtype.numpy() != dtype.numpy:
        return None
    return Raw(str(tensor.path), tensor.offset or 0, tensor.length or tensor.nbytes)
