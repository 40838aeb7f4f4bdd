"""From a file to an ONNX model with static shapes, constants folded and nothing else in it.

The heavy lifting (inlining, shape inference, movement of constants) is onnx-ir's and onnxscript's;
what else is constant is computed in ``wsc/frontend/fold.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants, remove_unused_nodes

from wsc.errors import CompileError, UnsupportedOperator, UnsupportedOperators, shortened
from wsc.frontend.bind import bind_dims, bind_inputs, dims_taken, give_shapes, require_static
from wsc.frontend.damage import (
    external_files,
    graphs_of,
    library_at_work,
    refuse_attributes,
    refuse_damage,
    refuse_outside_data,
    tensors_of,
)
from wsc.frontend.expansion import refuse_expansion
from wsc.frontend.fold import INPUT_LIMIT, OUTPUT_LIMIT, STANDARD, fold_lowered, is_exact
from wsc.frontend.in_place import show_accumulators
from wsc.frontend.prepare import checkable, dense, named, refuse_newer_opsets, without_data
from wsc.frontend.registry import find
from wsc.frontend.spread import spread_inputs
from wsc.frontend.store import Store, attach, declares_weights, is_declared
from wsc.frontend.strays import declare_strays
from wsc.isa.asked import option
from wsc.isa.files import refusal

# Metadata of an inlined node: the name of the call that it came from.
CALL_KEY = "wsc.call"
# What the model says of the type of an output; ``Value.type`` is what was inferred.
DECLARED_KEY = "wsc.declared"
# What the model says of the shape of a node's output: for operators whose inputs do not say it.
CLAIMED_KEY = "wsc.claimed"
# How many dimensions an inner graph declares for an input.
RANK_KEY = "wsc.rank"
# Metadata of an input that was an initializer and is state now: its tensor at the start.
STATE_KEY = "wsc.state"
# Metadata of a model: the paths of the files that it was read from.
FILES_KEY = "wsc.store.files"


def load_model(
    source: str | Path | onnx.ModelProto,
    dims: Mapping[str, int] | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
    inputs: Collection[str] = (),
    prepare: Callable[[ir.Model], None] | None = None,
    weights: Store | None = None,
    exact: bool = False,
) -> ir.Model:
    """Read a model, fix its dimensions and inputs, inline functions, fold constants.

    source: an ``.onnx`` file, whose external data stay mapped beside it, or a model in
    memory, which has none. dims: symbolic dimension (or ``INPUT.AXIS``) -> size. bind:
    input name -> values baked in. inputs: initializers that are also inputs and are to be given
    at each run; the others are constants. prepare: changes the model as it was read. weights: where
    those of a model in memory are that it declares without data. exact: whether float64 is computed
    as such.

    Raises CompileError for a file, model, dimension or input that does not do.
    """
    if isinstance(source, onnx.ModelProto):
        model = _from_memory(source, weights)
    else:
        model = _from_file(source)
    show_accumulators(model.graph)
    bind = bind or {}
    _settle_defaults(model.graph, bind, inputs)
    if prepare is not None:
        prepare(model)
    from wsc.frontend.differentiated import bind_gradients  # it stands on what is lowered

    bind_gradients(model)
    dims = spread_inputs(model.graph, dims or {})
    give_shapes(model.graph, bind, dims)
    bind_inputs(model.graph, bind, dims)
    bind_dims(model.graph, dims)
    require_static(model.graph)
    declared = [value.type for value in model.graph.outputs]
    with library_at_work("the model's constants cannot be folded"):
        simplify(model, exact)
    for value, kind in zip(model.graph.outputs, declared, strict=True):
        value.meta[DECLARED_KEY] = kind
    return model


def sizes_taken(source: str | Path | onnx.ModelProto, dims: Mapping[str, int]) -> list[str]:
    """The names of those of these sizes (``--dim``) that a model has. Its weights are not read.

    Raises:
        CompileError: for a file that does not do, or an input that needs other sizes too.
    """
    if isinstance(source, onnx.ModelProto):
        with library_at_work("the model cannot be read"):
            graph = ir.from_proto(source).graph
    else:
        graph = _from_file(source).graph
    # Which there are is seen where a model is loaded: once each input is a tensor with a shape.
    _settle_defaults(graph, {}, ())
    left = spread_inputs(graph, dims)
    give_shapes(graph, {}, left)
    bound = dims_taken(graph, left)
    return [key for key in dims if key not in left or key in bound]


def simplify(model: ir.Model, exact: bool = False) -> ir.Model:
    """Inline functions and fold constants to a fixpoint. Changes and returns the model.

    exact: whether float64 is computed as such.
    """
    _inline(model)
    refuse_attributes(model)
    _keep_meanings(model)
    _forget_claims(model.graph)
    opsets = model.opset_imports
    changed = True
    while changed:
        result = fold_constants(
            model,
            onnx_shape_inference=True,
            input_size_limit=INPUT_LIMIT,
            output_size_limit=OUTPUT_LIMIT,
            should_fold=lambda node: is_exact(node, opsets.get(node.domain, 1)),
        )
        changed = fold_lowered(model, exact) or result.modified
        remove_unused_nodes(model)
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


def _forget_claims(graph: ir.Graph) -> None:
    """Leave out declared shapes that are to be inferred: exporters write stale ones.

    An input of an inner graph has the shape of what it is given; how many dimensions the body of
    a loop wants its turn to have stays in its ``RANK_KEY``. An initializer has that of its tensor.
    """
    for inner in graph.subgraphs():
        for value in inner.inputs:
            value.meta[RANK_KEY] = None if value.shape is None else len(value.shape)
            value.shape = None
    for owner in (graph, *graph.subgraphs()):
        for value in owner.initializers.values():
            if value.const_value is not None:
                value.shape = ir.Shape(value.const_value.shape.numpy())
    for node in graph.all_nodes():
        for output in node.outputs:
            output.meta[CLAIMED_KEY] = output.shape
            output.shape = None


def _keep_meanings(model: ir.Model) -> None:
    """Write nodes so that the library's rewriting, which follows, keeps what they mean.

    It loses the attributes of a CastLike, and takes ``keepdims`` of a SplitToSequence for more
    than it is: where there is ``split``, all dimensions stay.
    """
    nodes = [node for node in model.graph.all_nodes() if node.domain in STANDARD]
    casts = [node for node in nodes if node.op_type == "CastLike" and node.attributes]
    if casts:
        common.ShapeInferencePass()(model)
    for node in casts:
        like = node.inputs[1]
        if like is not None and like.dtype is not None:
            node.op_type = "Cast"
            node.resize_inputs(1)
            node.attributes.add(ir.AttrInt64("to", like.dtype))
    for node in nodes:
        if (
            node.op_type == "SplitToSequence"
            and len(node.inputs) > 1
            and node.inputs[1] is not None
        ):
            node.attributes.pop("keepdims", None)


def hold(graph: ir.Graph, name: str) -> None:
    """Make state of an initializer: nothing that is computed from it is known beforehand."""
    value = graph.initializers.pop(name)
    tensor = value.const_value
    assert tensor is not None
    value.meta[STATE_KEY] = tensor
    value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
    value.const_value = None
    graph.inputs.append(value)


def model_files(path: Path) -> tuple[Path, ...]:
    """The files that a model is read from: its own, and those of its external data.

    Raises:
        CompileError: it is no model.
    """
    return (path, *external_files(read_proto(path), path))


# --- reading and refusing ----------------------------------------------------------


def _from_memory(proto: onnx.ModelProto, weights: Store | None) -> ir.Model:
    what = f"model {shortened(proto.graph.name)!r}"
    if weights is None and declares_weights(proto):
        raise CompileError(
            f"{what}: declares weights and holds none: say where they are (weights=wsc.Seed(0), "
            "or wsc.Checkpoint(folder))"
        )
    for tensor in tensors_of(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL and not is_declared(tensor):
            raise CompileError(
                f"{what}: {shortened(tensor.name)!r} has external data: compile the file"
            )
    refuse_damage(proto, what)
    proto = _sound(proto, what, what)
    with library_at_work(f"{what} cannot be read"):
        model = ir.from_proto(dense(proto, None, what))
    if weights is not None:
        attach(model, proto, weights)
        model.meta[FILES_KEY] = weights.files
    return model


def _from_file(path: str | Path) -> ir.Model:
    path = Path(path)
    proto = read_proto(path)
    refuse_outside_data(proto, path)
    refuse_damage(proto, str(path))
    proto = _sound(proto, str(path), path)
    with library_at_work(f"{path} cannot be read"):
        model = ir.from_proto(dense(proto, path.parent, str(path)))
        # The data stay where they are until they are wanted.
        ir.external_data.set_base_dir(model.graph, path.parent)
    model.meta[FILES_KEY] = (path, *external_files(proto, path))
    return model


def _sound(proto: onnx.ModelProto, what: str, source: str | Path) -> onnx.ModelProto:
    """The model under one name for each thing, if nothing in it is refused.

    source: the file that the checker reads, data in other files too, where there is one.
    """
    refuse_expansion(proto, what)
    standard = named(proto, what)
    refuse_newer_opsets(standard, what)
    _refuse_unknown_operators(standard)
    seen = checkable(standard)
    if isinstance(source, Path) and seen is proto:
        _check(str(source), what)
    else:
        _check(without_data(seen), what)
    return standard


def read_proto(path: Path) -> onnx.ModelProto:
    """A model as it is stored, without its external data.

    Raises:
        CompileError: there is no such file, or it is not an ONNX model.
    """
    reason = refusal(path)
    if reason:
        raise CompileError(f"{path}: {reason}")
    try:
        proto = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise CompileError(f"{path}: not an ONNX model, cut short, or nested too deeply") from None
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
    unknown: dict[tuple[str, str, str], list[str]] = {}
    strange = False
    for graph in graphs_of(proto.graph):
        for number, node in enumerate(graph.node):
            domain = "" if node.domain in STANDARD else node.domain
            if (node.domain, node.op_type) in functions or node.op_type in ("If", "Constant"):
                continue
            reason = find(domain, node.op_type, opsets.get(node.domain, opsets.get(domain, 1)))
            if isinstance(reason, str):
                name = node.name or f"{node.op_type}_{number}"
                unknown.setdefault((domain, node.op_type, reason), []).append(name)
                strange |= not onnx.defs.has(node.op_type, domain)
    if strange:
        raise UnsupportedOperators(
            [
                UnsupportedOperator(op_type, domain, opsets.get(domain, 1), tuple(nodes), reason)
                for (domain, op_type, reason), nodes in unknown.items()
            ]
        )


def _settle_defaults(
    graph: ir.Graph, bind: Mapping[str, np.ndarray], wanted: Collection[str]
) -> None:
    """Leave each name that is an input and an initializer one of both.

    Old models list all initializers among their inputs: they are constants, unless the user gives
    another value now (``bind``) or at each run (``wanted``).
    """
    defaults = [str(value.name) for value in graph.inputs if value.name in graph.initializers]
    for name in wanted:
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise CompileError(
                f"{option('input', name)}: no input with a default value (there are: {known})"
            )
    for name in defaults:
        if name in bind or name in wanted:
            graph.initializers.pop(name).const_value = None
    kept = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(kept)
