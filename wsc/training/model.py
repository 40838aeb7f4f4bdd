"""A model as training takes it: which weights change, and what its nodes do in training."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import onnx_ir as ir

from wsc.errors import CompileError, shortened
from wsc.frontend.in_place import NEXT
from wsc.frontend.load import hold
from wsc.frontend.store import SOURCE_KEY
from wsc.frontend.training import OURS
from wsc.frontend.types import FLOATS
from wsc.isa.asked import dimension, option

STATISTICS = 14  # the opset in which BatchNormalization learned to train
SELECTIONS = 11  # the first opset with GatherElements


@dataclass(slots=True)
class Preparation:
    """Makes state of what training changes, when a model is read.

    trainable: patterns of names of initializers; none: every float initializer of one dimension
    or more that is more than one number, or of a model that declares weights without data these.
    batch: samples of a run. shapes: of inputs, where they are known from a batch. dims: sizes of
    dimensions by name; afterwards without those that the samples give. weights: names, afterwards.
    taken: running statistics -> the output with what they become. tensors: the values of both at
    the start, as the model has them.
    """

    trainable: tuple[str, ...] = ()
    batch: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    dims: dict[str, int] = field(default_factory=dict[str, int])
    weights: list[str] = field(default_factory=list[str])
    taken: dict[str, str] = field(default_factory=dict[str, str])
    tensors: dict[str, ir.TensorProtocol] = field(default_factory=dict[str, ir.TensorProtocol])

    def __call__(self, model: ir.Model) -> None:
        """Change a model that was read. Raises CompileError if nothing is left to train."""
        graph = model.graph
        opset = model.opset_imports.get("", 1)
        _refuse_inner(graph)
        statistics = self._normalizations(graph, opset)
        _dropouts(model)
        if opset >= SELECTIONS:
            _selections(graph)
        self.weights += self._chosen(graph, statistics)
        for name in (*self.weights, *statistics):
            tensor = graph.initializers[name].const_value
            assert tensor is not None
            self.tensors[name] = tensor
            hold(graph, name)
        state = {*self.weights, *statistics}
        for name, size in sized(graph, self.batch, self.shapes, state):
            given = self.dims.pop(name, size)
            if given != size:
                raise CompileError(f"{dimension(name, given)}: the samples have {size}")

    def _normalizations(self, graph: ir.Graph, opset: int) -> list[str]:
        """Put each BatchNormalization into training mode; the names of its statistics."""
        names: dict[str, None] = {}
        for node in graph:
            if not _is(node, "BatchNormalization"):
                continue
            if opset < STATISTICS:
                raise CompileError(
                    f"node {shortened(node.name or 'BatchNormalization')!r}: BatchNormalization "
                    f"trains from opset {STATISTICS} on, and the model has {opset}"
                )
            node.attributes["training_mode"] = ir.AttrInt64("training_mode", 1)
            node.resize_outputs(3)
            for value, output in zip(node.inputs[3:5], node.outputs[1:], strict=True):
                name = "" if value is None else str(value.name)
                if name not in graph.initializers or name in names:
                    continue  # given at each run: nobody keeps it
                names[name] = None
                output.name = self.taken[name] = f"{name}{NEXT}"
                output.dtype = graph.initializers[name].dtype or ir.DataType.FLOAT
                graph.outputs.append(output)
        return list(names)

    def _chosen(self, graph: ir.Graph, statistics: Iterable[str]) -> list[str]:
        floats = {
            name: tensor
            for name, value in graph.initializers.items()
            if (tensor := value.const_value) is not None
            and tensor.dtype in FLOATS
            and name not in set(statistics)
        }
        if not self.trainable:
            # A model that declares its weights without data has its tables and masks with theirs.
            declared = {n: t for n, t in floats.items() if SOURCE_KEY in getattr(t, "meta", {})}
            able = declared or floats
            found = [n for n, tensor in able.items() if tensor.shape.rank() and tensor.size > 1]
            if not found:
                raise CompileError(
                    "the model has no trainable weight: no initializer of floats (a Constant node "
                    "keeps its value)"
                )
            return found
        chosen: dict[str, None] = {}
        for pattern in self.trainable:
            matching = [name for name in floats if fnmatchcase(name, pattern)]
            if not matching:
                some = ", ".join(shortened(name, 60) for name in list(floats)[:8]) or "none"
                raise CompileError(
                    f"{option('trainable', shortened(pattern))}: no initializer of floats has such "
                    f"a name (there are: {some})"
                )
            chosen |= dict.fromkeys(matching)
        return list(chosen)


def _is(node: ir.Node, *names: str) -> bool:
    """Whether a node is one of these operators of ONNX itself."""
    return node.op_type in names and node.domain in ("", "ai.onnx")


def _refuse_inner(graph: ir.Graph) -> None:
    """Raise CompileError for a node in a branch or loop body that would not do what it does in
    training: it drops elements anew in each turn, or its statistics go from turn to turn."""
    outside = {id(node) for node in graph}
    for node in graph.all_nodes():
        if id(node) not in outside and _is(node, "Dropout", "BatchNormalization"):
            raise CompileError(
                f"node {shortened(node.name or node.op_type)!r}: {node.op_type} in the graph of "
                "another node (a loop or a branch) does not train: take it out there"
            )


def _selections(graph: ir.Graph) -> None:
    """Let each TopK give what lies at its indices.

    What it sorts by are the bits of its input, through which no derivative goes.
    """
    for node in list(graph.all_nodes()):
        if not _is(node, "TopK"):
            continue
        values, indices, inside = node.outputs[0], node.outputs[1], node.graph
        name = values.name
        if not name or inside is None:
            continue
        values.name = f"{name}.sorted"
        indices.name = indices.name or f"{name}.indices"
        taken = ir.node(
            "GatherElements",
            [node.inputs[0], indices],
            {"axis": node.attributes.get_int("axis", -1)},
            name=node.name,
        )
        found = taken.outputs[0]
        found.name, found.type, found.shape = name, values.type, values.shape
        values.replace_all_uses_with(found, replace_graph_outputs=True)
        inside.insert_after(node, taken)


def _dropouts(model: ir.Model) -> None:
    """Put each Dropout into training mode: what it drops is drawn from a seed of each run."""
    for node in model.graph:
        if not _is(node, "Dropout"):
            continue
        ratio = 0.5
        given = node.inputs[1] if len(node.inputs) > 1 else None
        if "ratio" in node.attributes:
            ratio = node.attributes["ratio"].as_float()
        elif given is not None:
            tensor = ir.convenience.get_const_tensor(given)
            if tensor is None:
                raise CompileError(
                    f"node {shortened(node.name or 'Dropout')!r}: its ratio is no constant"
                )
            ratio = float(tensor.numpy())
        node.attributes.clear()
        if not ratio:
            node.resize_inputs(1)
            continue
        key = zlib.crc32((node.name or str(node.outputs[0].name)).encode()) & 0x7FFFFFFF
        node.domain = OURS
        node.attributes.add(ir.AttrFloat32("ratio", ratio))
        node.attributes.add(ir.AttrInt64("key", key))
        node.resize_inputs(1)
        model.opset_imports[OURS] = 1


def sized(
    graph: ir.Graph,
    batch: int | None,
    shapes: Mapping[str, tuple[int, ...]],
    state: Collection[str],
) -> list[tuple[str, int]]:
    """Give sizes to the inputs, also to those of a model that was written for one sample.

    Returns the names of dimensions that have sizes now.
    """
    named: list[tuple[str, int]] = []
    for value in graph.inputs:
        name, shape = str(value.name), value.shape
        if name in state or shape is None or not len(shape):
            continue
        given = shapes.get(name, () if batch is None else (batch,))
        if name in shapes and len(given) != len(shape):
            raise CompileError(
                f"input {shortened(name)!r}: the model has {len(shape)} dimensions, and a batch "
                f"{list(given)}"
            )
        dims = list(shape)
        for axis, size in enumerate(given):
            known = dims[axis]
            one = axis == 0 and known == 1  # the model was written for one sample
            if isinstance(known, int) and known > 0 and not one and known != size:
                raise CompileError(
                    f"input {shortened(name)!r} axis {axis}: the model has {known}, and a batch "
                    f"{size}"
                )
            if isinstance(known, ir.SymbolicDim) and known.value is not None:
                named.append((known.value, size))
            dims[axis] = size
        value.shape = ir.Shape(dims)
    for value in graph.outputs:
        if value.name not in state:
            value.shape = None  # that of one sample, maybe
    return named
