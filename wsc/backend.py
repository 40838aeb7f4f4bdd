"""ONNX's backend interface: models compiled for a small fabric and executed on it.

    rep = wsc.backend.prepare(model, fabric="4x4")
    (y,) = rep.run([x])

Everything that depends on an input of a run is computed by instructions of the program.
Operands that determine a shape (``wsc.shape_operands``) and symbolic dimensions are the
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

from isa.fabric import Fabric
from wsc import api
from wsc.errors import CompileError
from wsc.shape_operands import ShapeOperand, shape_operands

DEFAULT_FABRIC = "4x4"
_Key = tuple[tuple[str, tuple[int, ...], bytes], ...]


class Representation(BackendRep):
    """A model that is prepared: compiled now, or at the first run if that decides a shape.

    model: as it was given. bound: inputs baked in as constants, with the reason.
    program, cycles: of the last run; None before it.
    """

    def __init__(self, model: onnx.ModelProto, fabric: str | Fabric, precision: str) -> None:
        self.model, self.fabric, self.precision = model, fabric, precision
        self.bound: tuple[ShapeOperand, ...] = tuple(shape_operands(model))
        constant = {tensor.name for tensor in model.graph.initializer}
        self.inputs = tuple(v.name for v in model.graph.input if v.name not in constant)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.program: api.Program | None = None
        self.cycles: int | None = None
        self._programs: dict[_Key, api.Program] = {}
        self._open = _open_dimensions(model)
        if not self.bound and not self._open:
            self.program = self._programs[()] = self._compile({}, {})

    def _compile(self, bind: dict[str, np.ndarray], dims: dict[str, int]) -> api.Program:
        return api.compile(self.model, self.fabric, dims, self.precision, bind)

    def compiled(self, feeds: Mapping[str, np.ndarray]) -> api.Program:
        """The program for these inputs: their bound values and their open dimensions.

        Raises:
            CompileError: the model cannot be lowered or does not fit.
        """
        bind = {item.name: feeds[item.name] for item in self.bound}
        bind |= {
            name: array
            for name, array in feeds.items()
            if array.size == 0 and array.dtype != object
        }
        dims = {
            f"{name}.{axis}": int(feeds[name].shape[axis])
            for name, axis in self._open
            if name not in bind and axis < feeds[name].ndim
        }
        values = [(name, array.shape, array.tobytes()) for name, array in bind.items()]
        sizes = [(place, (size,), b"") for place, size in dims.items()]
        key = (*values, *sizes)
        if key not in self._programs:
            self._programs[key] = self._compile(bind, dims)
        return self._programs[key]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Outputs in the order of the model. inputs: arrays in that order, or by name.

        kwargs: options of ``runtime.run``.

        Raises:
            CompileError: inputs are missing, or the model cannot be lowered.
            runtime.errors.RuntimeFault: an input is refused, or the run does not end well.
        """
        feeds = self.feeds(inputs)
        self.program = self.compiled(feeds)
        bound = {item.name for item in self.bound}
        given = {name: a for name, a in feeds.items() if name not in bound and a.size}
        result = self.program.run(given, **kwargs)
        self.cycles = result.cycles
        return tuple(result.outputs[name] for name in self.outputs)

    def feeds(self, inputs: Any) -> dict[str, np.ndarray]:
        """Inputs by name. Raises CompileError if some are missing that are needed now."""
        if isinstance(inputs, Mapping):
            feeds: dict[str, Any] = dict(inputs)
        else:
            values: list[Any] = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            if len(values) != len(self.inputs):
                raise CompileError(f"{len(self.inputs)} inputs wanted, got {len(values)}")
            feeds = dict(zip(self.inputs, values, strict=True))
        missing = [item.name for item in self.bound if item.name not in feeds]
        if missing:
            raise CompileError(f"input {missing[0]!r}, which decides a shape, is missing")
        return {name: np.asarray(value) for name, value in feeds.items()}


def _open_dimensions(model: onnx.ModelProto) -> list[tuple[str, int]]:
    """(input, axis) of every dimension of an input that is symbolic or zero in the model."""
    return [
        (value.name, axis)
        for value in model.graph.input
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if dim.dim_value < 1
    ]


class WaferBackend(Backend):
    """``onnx.backend.base.Backend`` on the simulated fabric."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on it: the fabric is the one device, under the name CPU."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", *,
        fabric: str | Fabric = DEFAULT_FABRIC, precision: str = "f32", **kwargs: Any,
    ) -> Representation:  # fmt: skip
        """Compile a model, or put it off to the first run where that must decide a shape.

        fabric, precision: as for ``wsc.compile``. Other options are ignored: ONNX's own
        runner passes tolerances here.

        Raises:
            CompileError: the model cannot be lowered or does not fit.
        """
        if not cls.supports_device(device):
            raise CompileError(f"device {device!r}: wsc runs on the simulated fabric alone")
        return Representation(model, fabric, precision)

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU",
        outputs_info: Any = None, **kwargs: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
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
