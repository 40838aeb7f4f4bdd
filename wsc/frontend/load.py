"""From a file to an ONNX model with static shapes, constants folded and nothing else in it.

The heavy lifting (inlining, folding, shape inference) is onnx-ir's and onnxscript's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from wsc.errors import CompileError, UnsupportedOperator, UnsupportedOperators, shortened
from wsc.frontend.bind import bind_dims, bind_inputs, require_static
from wsc.frontend.damage import (
    external_files,
    graphs_of,
    library_at_work,
    refuse_damage,
    refuse_outside_data,
    tensors_of,
)  # fmt: skip
from wsc.frontend.registry import find
from wsc.frontend.spread import spread_inputs
from wsc.frontend.strays import declare_strays

# Folding looks at tensors of shapes, masks and position tables; weights stay where they are.
FOLD_INPUT_LIMIT = 1 << 17
FOLD_OUTPUT_LIMIT = 1 << 21
# Left alone by default because they make models larger; here they make shapes static.
ALWAYS_FOLDED = frozenset({"ConstantOfShape", "Expand", "Range"})
# Their results are no tensors: lowering resolves them.
NEVER_FOLDED = frozenset({"Optional", "SequenceConstruct", "SequenceEmpty", "SequenceInsert"})
# Metadata of an inlined node: the name of the call that it came from.
CALL_KEY = "wsc.call"
# What the model says of the type of an output; ``Value.type`` is what was inferred.
DECLARED_KEY = "wsc.declared"
# Metadata of a model: the paths of the files that it was read from.
FILES_KEY = "wsc.files"
STANDARD = ("", "ai.onnx")


def load_model(
    source: str | Path | onnx.ModelProto,
    dims: Mapping[str, int] | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
) -> ir.Model:
    """Read a model, fix its dimensions and inputs, inline functions, fold constants.

    source: an ``.onnx`` file, whose external data stay mapped beside it, or a model in
    memory, which has none. dims: symbolic dimension (or ``INPUT.AXIS``) -> size. bind:
    input name -> values baked in. Raises CompileError for a file, model, dimension or
    input that does not do.
    """
    model = _from_memory(source) if isinstance(source, onnx.ModelProto) else _from_file(source)
    _drop_initialized_inputs(model.graph)
    dims = spread_inputs(model.graph, dims or {})
    bind_inputs(model.graph, bind or {}, dims)
    bind_dims(model.graph, dims)
    require_static(model.graph)
    declared = [value.type for value in model.graph.outputs]
    with library_at_work("the model's constants cannot be folded"):
        simplify(model)
    for value, kind in zip(model.graph.outputs, declared, strict=True):
        value.meta[DECLARED_KEY] = kind
    return model


def simplify(model: ir.Model) -> ir.Model:
    """Inline functions and fold constants to a fixpoint. Changes and returns the model."""
    _inline(model)
    _keep_cast_attributes(model)
    # Shapes written by exporters carry stale symbolic names: infer them all anew.
    for node in model.graph.all_nodes():
        for output in node.outputs:
            output.shape = None
    changed = True
    while changed:
        result = fold_constants(
            model,
            onnx_shape_inference=True,
            input_size_limit=FOLD_INPUT_LIMIT,
            output_size_limit=FOLD_OUTPUT_LIMIT,
            should_fold=_should_fold,
        )
        remove_unused_nodes(model)
        changed = result.modified
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    remove_unused_nodes(model)
    return model


def _inline(model: ir.Model) -> None:
    """Inline functions; every node remembers the call in the main graph that it came from."""
    for node in model.graph:
        if node.op_identifier() in model.functions:
            node.metadata_props[CALL_KEY] = node.name or node.outputs[0].name or node.op_type
    with library_at_work("the model's functions cannot be inlined"):
        common.InlinePass()(model)


def _keep_cast_attributes(model: ir.Model) -> None:
    """CastLike with attributes becomes Cast here: the folding that follows would lose them."""
    nodes = [
        node for node in model.graph.all_nodes() if node.op_type == "CastLike" and node.attributes
    ]
    if nodes:
        common.ShapeInferencePass()(model)
    for node in nodes:
        like = node.inputs[1]
        if node.domain in STANDARD and like is not None and like.dtype is not None:
            node.op_type = "Cast"
            node.resize_inputs(1)
            node.attributes.add(ir.AttrInt64("to", like.dtype))


def _should_fold(node: ir.Node) -> bool | None:
    if node.op_type in NEVER_FOLDED or _makes_much(node):
        return False
    for value in node.inputs:
        tensor = None if value is None else value.const_value
        if tensor is not None and tensor.size > FOLD_INPUT_LIMIT:
            return False
    return True if node.op_type in ALWAYS_FOLDED else None


def _makes_much(node: ir.Node) -> bool:
    """Whether a node of constants makes more than is worth keeping, before it is made."""
    values = [None if v is None or v.const_value is None else v.const_value for v in node.inputs]
    if node.op_type == "ConstantOfShape" and len(values) == 1:
        shape = values[0]
    elif node.op_type in ("Expand", "Tile") and len(values) == 2:
        shape = values[1]
    else:
        return False
    if shape is None or shape.size > FOLD_INPUT_LIMIT:
        return False
    return math.prod(abs(int(size)) for size in shape.numpy().reshape(-1)) > FOLD_OUTPUT_LIMIT


def model_files(path: Path) -> tuple[Path, ...]:
    """The files that a model is read from: its own, and those of its external data.

    Raises:
        CompileError: it is no model.
    """
    return (path, *external_files(_read(path), path))


# --- reading and refusing ----------------------------------------------------------


def _from_memory(proto: onnx.ModelProto) -> ir.Model:
    what = f"model {shortened(proto.graph.name)!r}"
    for tensor in tensors_of(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise CompileError(
                f"{what}: {shortened(tensor.name)!r} has external data: compile the file"
            )
    refuse_damage(proto, what)
    _refuse_unknown_operators(proto)
    _check(proto, what)
    with library_at_work(f"{what} cannot be read"):
        return ir.from_proto(proto)


def _from_file(path: str | Path) -> ir.Model:
    path = Path(path)
    proto = _read(path)
    refuse_outside_data(proto, path)
    refuse_damage(proto, str(path))
    _refuse_unknown_operators(proto)
    _check(str(path), str(path))
    with library_at_work(f"{path} cannot be read"):
        model = ir.load(path)
    model.meta[FILES_KEY] = (path, *external_files(proto, path))
    return model


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise CompileError(f"{path}: no such file")
    try:
        proto = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise CompileError(f"{path}: not an ONNX model, or cut short") from None
    except OSError as error:
        raise CompileError(f"{path}: {error.strerror}") from None
    if not proto.graph.node and not proto.graph.output:
        raise CompileError(f"{path}: not an ONNX model: it holds no graph")
    return proto


def _check(model: str | onnx.ModelProto, what: str) -> None:
    declare_strays()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, UnicodeError) as error:
        reason = " ".join(str(error).split("\n\n==>")[0].split())
        raise CompileError(f"{what}: fails ONNX's checker: {shortened(reason)}") from None


def _refuse_unknown_operators(proto: onnx.ModelProto) -> None:
    """All operators that the checker would stop at, and those without a lowering, at once."""
    opsets = {item.domain: item.version for item in proto.opset_import}
    functions = {(item.domain, item.name) for item in proto.functions}
    unknown: dict[tuple[str, str], list[str]] = {}
    strange = False
    for graph in graphs_of(proto.graph):
        for number, node in enumerate(graph.node):
            domain = "" if node.domain in STANDARD else node.domain
            if (node.domain, node.op_type) in functions or node.op_type in ("If", "Constant"):
                continue
            opset = opsets.get(node.domain, opsets.get(domain, 1))
            if isinstance(find(domain, node.op_type, opset), str):
                name = node.name or f"{node.op_type}_{number}"
                unknown.setdefault((domain, node.op_type), []).append(name)
                strange |= not onnx.defs.has(node.op_type, domain)
    if strange:
        raise UnsupportedOperators(
            [
                UnsupportedOperator(
                    op_type, domain, opsets.get(domain, 1), tuple(nodes),
                    "no lowering for this operator",
                )
                for (domain, op_type), nodes in unknown.items()
            ]
        )  # fmt: skip


def _drop_initialized_inputs(graph: ir.Graph) -> None:
    """Old models list initializers among their inputs: they are constants all the same."""
    kept = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(kept)
