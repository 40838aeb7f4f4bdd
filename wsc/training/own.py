"""Models that hold their own training step: ONNX's ``training_info``.

The graph of the model and that of the algorithm are one graph, as ONNX has it. What it gives for
an initializer takes its place after the run: ``update w by take() from "w.new"``. So the fabric
computes the optimizer, too, and the store does nothing but keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from wsc.errors import CompileError, shortened
from wsc.frontend import import_onnx
from wsc.frontend.load import hold, read_proto
from wsc.frontend.types import FLOATS
from wsc.isa.asked import asked, dimension, option
from wsc.isa.program import Update
from wsc.isa.types import DType
from wsc.training.losses import Loss
from wsc.training.model import sized
from wsc.training.step import Step, master, with_loss

if TYPE_CHECKING:
    from wsc.frontend.store import Store

OWN = "model"  # the optimizer that is the model's own


def require_alone(
    loss: Loss,
    *,
    groups: Sequence[str] = (),
    trainable: Sequence[str] = (),
    precision: str = "f32",
    clip: float = 0.0,
    over: int | str = 1,
    schedule: Sequence[float] = (),
) -> None:
    """Raise CompileError for an option that a model's own training step has no place for."""
    if loss.kind != "output":
        raise CompileError(
            f"optimizer {OWN}: the model computes its loss, too: give {option('loss', 'output')}, "
            f"and not {loss.kind}"
        )
    given = {
        asked("--group", "groups"): groups,
        asked("--trainable", "trainable"): trainable,
        asked("--clip", "clip"): clip,
        asked("--schedule", "schedule"): schedule,
        asked("--accumulate", "over"): over != 1,
    }
    for name, value in given.items():
        if value:
            raise CompileError(
                f"{name}: the model says itself how it trains (optimizer {OWN}), and that "
                "changes nothing there"
            )
    if precision != DType.F32.value:
        raise CompileError(
            f"precision {precision}: the model computes its new weights itself (optimizer {OWN}), "
            "which would be halves: take f32"
        )


@dataclass(slots=True)
class _Preparation:
    """Makes state of what a training step changes. tensors: what is there at the start."""

    bindings: Mapping[str, str]
    batch: int | None
    shapes: Mapping[str, tuple[int, ...]]
    dims: dict[str, int]
    tensors: dict[str, ir.TensorProtocol] = field(default_factory=dict[str, ir.TensorProtocol])

    def __call__(self, model: ir.Model) -> None:
        for name in self.bindings:
            tensor = model.graph.initializers[name].const_value
            assert tensor is not None
            self.tensors[name] = tensor
            hold(model.graph, name)
        for name, size in sized(model.graph, self.batch, self.shapes, self.bindings):
            given = self.dims.pop(name, size)
            if given != size:
                raise CompileError(f"{dimension(name, given)}: the samples have {size}")


def own_step(
    model: str | Path | onnx.ModelProto,
    loss: Loss,
    dims: Mapping[str, int] | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    weights: Store | None = None,
) -> Step:
    """The step that a model's ``training_info`` describes; arguments as for ``build_step``.

    Raises CompileError for a model without one, or with one that says less than a step needs.
    """
    proto = model if isinstance(model, onnx.ModelProto) else read_proto(Path(model))
    joined, bindings = _joined(proto)
    preparation = _Preparation(bindings, batch, shapes or {}, dict(dims or {}))
    graph = import_onnx(
        joined, preparation.dims, None, DType.F32, prepare=preparation, weights=weights
    )
    forward = with_loss(graph, loss, tuple(bindings.values()), "")
    updates = tuple(Update(name, "take", (), after) for name, after in bindings.items())
    masters = {
        name: master(name, tensor)
        for name, tensor in preparation.tensors.items()
        if tensor.dtype in FLOATS
    }
    return Step(forward, updates, masters, (), None)


def _joined(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """One graph of a model's two, and for each initializer that changes the output it becomes.

    What the model gives without training is left out.
    """
    what = f"optimizer {OWN}"
    if len(proto.training_info) != 1:
        count = len(proto.training_info) or "no"
        raise CompileError(f"{what}: the model has {count} training_info, and one is wanted")
    (info,) = proto.training_info
    if info.initialization.node or info.initialization_binding:
        raise CompileError(
            f"{what}: training_info computes the first weights (initialization): run that, and "
            "store them as initializers"
        )
    if not info.update_binding:
        raise CompileError(f"{what}: training_info changes no initializer (update_binding)")
    joined = onnx.ModelProto()
    joined.CopyFrom(proto)
    del joined.training_info[:]
    graph = joined.graph
    graph.node.extend(info.algorithm.node)
    graph.initializer.extend(info.algorithm.initializer)
    graph.sparse_initializer.extend(info.algorithm.sparse_initializer)
    graph.value_info.extend(info.algorithm.value_info)
    known = {value.name for value in graph.input}
    graph.input.extend(value for value in info.algorithm.input if value.name not in known)
    bindings: dict[str, str] = {}
    stored = {item.name for item in graph.initializer}
    given = {value.name: value for value in (*graph.output, *info.algorithm.output)}
    for item in info.update_binding:
        if item.key not in stored:
            raise CompileError(
                f"{what}: update_binding names {shortened(item.key)!r}, which is no initializer"
            )
        if item.key in bindings:
            raise CompileError(f"{what}: update_binding has {shortened(item.key)!r} twice")
        if item.value not in given:
            raise CompileError(
                f"{what}: update_binding names {shortened(item.value)!r}, which is no output"
            )
        bindings[item.key] = item.value
    own = list(info.algorithm.output) or list(graph.output)
    kept = {value.name: value for value in own} | {name: given[name] for name in bindings.values()}
    del graph.output[:]
    graph.output.extend(kept.values())
    return joined, bindings
