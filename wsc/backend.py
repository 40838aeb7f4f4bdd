"""ONNX's backend interface: models compiled for a small fabric and executed on it.

    rep = wsc.backend.prepare(model, fabric="4x4")
    (y,) = rep.run([x])

Everything that depends on an input of a run is computed by instructions of the program.
Operands that determine a shape (``wsc.frontend.shape_operands``) and symbolic dimensions are the
exception that static shapes want: they are constants of the program, taken from the first
run's inputs, and ``Representation.bound`` lists them. An input without elements holds no
value: it is a constant too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from wsc import api
from wsc.errors import CompileError
from wsc.frontend.shape_operands import ShapeOperand, shape_operands
from wsc.isa.fabric import Fabric

DEFAULT_FABRIC = "4x4"
_Key = tuple[tuple[str, tuple[int, ...], bytes], ...]


class Representation(BackendRep):
    """A model that is prepared: compiled now, or at the first run if that decides a shape.

    model: as it was given. bound: inputs baked in as constants, with the reason.
    program, cycles: of the last run; None before it.
    """

    def __init__(
        self, model: onnx.ModelProto, fabric: str | Fabric, precision: str, same_order: bool = False
    ) -> None:
        self.model, self.fabric, self.precision = model, fabric, precision
        self.same_order = same_order
        self.bound: tuple[ShapeOperand, ...] = tuple(shape_operands(model))
        constant = {tensor.name for tensor in model.graph.initializer}
        self._defaults = {value.name for value in model.graph.input if value.name in constant}
        self._inputs = [value for value in model.graph.input if value.name not in constant]
        self.program: api.Program | None = None
        self.cycles: int | None = None
        self._programs: dict[_Key, api.Program] = {}
        if not self.bound and not any(_is_open(value) for value in self._inputs):
            self.program = self._programs[()] = self._compile({}, {})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(value.name for value in self._inputs)

    def _compile(self, bind: dict[str, np.ndarray], dims: dict[str, int]) -> api.Program:
        return api.compile(
            self.model, self.fabric, dims, self.precision, bind, same_order=self.same_order
        )

    def compiled(self, feeds: Mapping[str, Any]) -> api.Program:
        """The program for these inputs: their bound values, open dimensions and lengths.

        Raises:
            CompileError: the model cannot be lowered or does not fit.
        """
        arrays, dims = self._spread(feeds)
        bind = self._constants(arrays)
        dims = {place: n for place, n in dims.items() if place.rpartition(".")[0] not in bind}
        values = [(name, array.shape, array.tobytes()) for name, array in bind.items()]
        key = (*values, *((place, (size,), b"") for place, size in dims.items()))
        if key not in self._programs:
            self._programs[key] = self._compile(bind, dims)
        return self._programs[key]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Outputs in the order of the model. inputs: arrays in that order, or by name.

        A sequence is a list of arrays, an empty optional None. kwargs: options of
        ``wsc.runtime.run``.

        Raises:
            CompileError: inputs are missing, or the model cannot be lowered.
            wsc.runtime.errors.RuntimeFault: an input is refused, or the run does not end well.
        """
        feeds = self.feeds(inputs)
        self.program = self.compiled(feeds)
        arrays, _ = self._spread(feeds)
        constants = self._constants(arrays)
        given = {name: array for name, array in arrays.items() if name not in constants}
        result = self.program.run(given, **kwargs)
        self.cycles = result.cycles
        return tuple(_joined(value, result.outputs) for value in self.model.graph.output)

    def feeds(self, inputs: Any) -> dict[str, Any]:
        """Inputs by name. Raises CompileError if some are missing that are needed now."""
        if isinstance(inputs, Mapping):
            feeds: dict[str, Any] = dict(inputs)
        else:
            values: list[Any] = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            if len(values) != len(self._inputs):
                raise CompileError(f"{len(self._inputs)} inputs wanted, got {len(values)}")
            feeds = dict(zip(self.inputs, values, strict=True))
        needed = [item.name for item in self.bound]
        needed += [value.name for value in self._inputs if _is_open(value)]
        missing = [name for name in needed if name not in feeds]
        if missing:
            raise CompileError(f"input {missing[0]!r}, which decides a shape, is missing")
        return feeds

    def _constants(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is baked in: bound operands, other values than the model's own, empty tensors."""
        bound = {item.name for item in self.bound} | self._defaults
        return {
            name: array
            for name, array in arrays.items()
            if name in bound or (array.size == 0 and array.dtype != object)
        }

    def _spread(self, feeds: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The tensors of the inputs by the program's names, and what is open in the model.

        Sequence ``x`` is ``x.0``, ``x.1`` and so on, its length dimension ``x``.
        """
        arrays: dict[str, np.ndarray] = {}
        dims: dict[str, int] = {}
        for name, given in feeds.items():
            value = next((value for value in self._inputs if value.name == name), None)
            if given is None or isinstance(given, (list, tuple)):
                parts = list(given or ())
                dims[name] = len(parts)
                for number, part in enumerate(parts):
                    array = arrays[f"{name}.{number}"] = np.asarray(part)
                    for axis, size in enumerate(array.shape):
                        dims[f"{name}.{number}.{axis}"] = size
                continue
            array = arrays[name] = np.asarray(given)
            if value is not None and _lacks_shape(value.type):
                dims |= {f"{name}.{axis}": size for axis, size in enumerate(array.shape)}
            for axis, dim in enumerate([] if value is None else _dimensions(value.type)):
                if dim.dim_value < 1 and axis < array.ndim:
                    dims[f"{name}.{axis}"] = array.shape[axis]
        return arrays, dims


def _dimensions(kind: onnx.TypeProto) -> list[onnx.TensorShapeProto.Dimension]:
    """The dimensions of a tensor, or of the tensor of an optional."""
    if kind.HasField("optional_type"):
        return _dimensions(kind.optional_type.elem_type)
    return list(kind.tensor_type.shape.dim)


def _is_open(value: onnx.ValueInfoProto) -> bool:
    """Whether an input has dimensions or a length that the model does not tell."""
    symbolic = any(dim.dim_value < 1 for dim in _dimensions(value.type))
    return symbolic or not value.type.HasField("tensor_type") or _lacks_shape(value.type)


def _lacks_shape(kind: onnx.TypeProto) -> bool:
    return kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")


def _joined(value: onnx.ValueInfoProto, outputs: Mapping[str, np.ndarray]) -> Any:
    """An output as the model has it: an array, the list of a sequence, None for no element."""
    kind = value.type
    if kind.HasField("optional_type"):
        kind = kind.optional_type.elem_type
    if kind.HasField("sequence_type"):
        names = [f"{value.name}.{number}" for number in range(len(outputs))]
        return [outputs[name] for name in names if name in outputs]
    return outputs.get(value.name)


class WaferBackend(Backend):
    """``onnx.backend.base.Backend`` on the simulated fabric."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on it: the fabric is the one device, under the name CPU."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def prepare(
        cls,
        model: onnx.ModelProto,
        device: str = "CPU",
        *,
        fabric: str | Fabric = DEFAULT_FABRIC,
        precision: str = "f32",
        same_order: bool = False,
        **kwargs: Any,
    ) -> Representation:
        """Compile a model, or put it off to the first run where that must decide a shape.

        fabric, precision, same_order: as for ``wsc.compile``. Other options are ignored: ONNX's
        own runner passes tolerances here.

        Raises:
            CompileError: the model cannot be lowered or does not fit.
        """
        if not cls.supports_device(device):
            raise CompileError(f"device {device!r}: wsc runs on the simulated fabric alone")
        return Representation(model, fabric, precision, same_order)

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run a single node. inputs: its inputs that are there, in order.

        outputs_info: ignored: types and shapes follow from the node. kwargs: ``opset_version``
        (the newest without it), and as for ``prepare``.
        """
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        names = list(dict.fromkeys(name for name in node.input if name))
        arrays = [np.asarray(value) for value in inputs]
        if len(names) != len(arrays):
            raise CompileError(f"{node.op_type}: {len(names)} inputs wanted, got {len(arrays)}")
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, arrays, strict=True)
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], node.op_type, infos, results)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        _infer_outputs(model, dict(zip(names, arrays, strict=True)))
        return cls.run_model(model, arrays, device, **kwargs)


def _infer_outputs(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> None:
    """Give the outputs their types and the shapes that follow from the shape operands."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.graph.initializer.extend(
        numpy_helper.from_array(feeds[item.name], item.name) for item in shape_operands(model)
    )
    inferred = onnx.shape_inference.infer_shapes(known, data_prop=True)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)


is_compatible = WaferBackend.is_compatible
prepare = WaferBackend.prepare
run_model = WaferBackend.run_model
run_node = WaferBackend.run_node
supports_device = WaferBackend.supports_device
