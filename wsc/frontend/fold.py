"""Constants of a model that its other constants give, computed before the program is made.

An operator has one meaning. Where that is movement, exact arithmetic of integers, or arithmetic
that IEEE 754 rounds exactly, NumPy's answer is the only right one and a library may give it
(``is_exact``). Everything else is lowered like any node, and the graph that results is evaluated
(``fold_lowered``). What draws random numbers is never folded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from wsc.frontend import wide
from wsc.frontend.exact.table import concerns
from wsc.frontend.integers import table
from wsc.frontend.integers.operand import LONG
from wsc.frontend.operands import require_like_types
from wsc.frontend.registry import Call, Item, Unsupported, find
from wsc.frontend.store import SOURCE_KEY
from wsc.frontend.types import FLOATS, INTEGERS, UNSIGNED
from wsc.frontend.wide import Wide
from wsc.ir.build import GraphBuilder, Value, convert
from wsc.ir.check import IRError
from wsc.ir.evaluate import TooMuch, evaluate_graph
from wsc.ir.graph import GraphOutput
from wsc.isa.types import DType

# Folding looks at tensors of shapes, masks and position tables; weights stay where they are.
INPUT_LIMIT = 1 << 17
OUTPUT_LIMIT = 1 << 21
STANDARD = ("", "ai.onnx")
# The first opset in which elementwise operators broadcast as NumPy does.
_LIKE_NUMPY = 7

_MOVEMENT = frozenset(
    {
        "Concat",
        "ConstantOfShape",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)
# Of integers, and of floats whose results IEEE 754 prescribes to the bit.
_EXACT = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Sub",
        "Xor",
    }
)
_EXACT_FLOATS = frozenset({"Ceil", "Div", "Floor", "Sqrt"})
_EXACT_INTEGERS = frozenset(
    {
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Range",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
    }
)
# What is no number on the fabric can only be computed here.
_EXACT_TEXTS = frozenset({"Equal", "StringConcat"})
_NATIVE_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})
# They say in how few bits a weight is kept: without them it would be stored in more.
_KEPT = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
# Their results are no tensors: lowering resolves them.
_SEQUENCES = frozenset({"Optional", "SequenceConstruct", "SequenceEmpty", "SequenceInsert"})


def is_exact(node: ir.Node, opset: int) -> bool:
    """Whether NumPy's answer to a node of constants is the only right one, and not too large."""
    tensors = [None if value is None else value.const_value for value in node.inputs]
    given = [tensor for tensor in tensors if tensor is not None]
    if node.domain not in STANDARD or opset < _LIKE_NUMPY:
        return False
    if _makes_much(node, tensors) or _grows(node):
        return False
    if any(tensor.size > INPUT_LIMIT or SOURCE_KEY in tensor.meta for tensor in given):
        return False
    if node.op_type in _MOVEMENT:
        return True
    kinds = {tensor.dtype for tensor in given}
    if node.op_type == "Cast":
        return len(given) == 1 and _casts_exactly(node, given[0])
    if kinds <= _NATIVE_FLOATS:
        return node.op_type in _EXACT | _EXACT_FLOATS
    if kinds == {ir.DataType.STRING}:
        return node.op_type in _EXACT_TEXTS
    if node.op_type in ("Div", "Mod") and kinds <= INTEGERS:
        # NumPy rounds down, ONNX towards zero; and there is no quotient by zero.
        return all(int(tensor.numpy().min(initial=1)) > 0 for tensor in given)
    return kinds <= INTEGERS and node.op_type in _EXACT | _EXACT_INTEGERS


def _casts_exactly(node: ir.Node, tensor: ir.TensorProtocol) -> bool:
    """Whether a conversion has one answer: not for what is rounded to an integer out of range."""
    source, target = tensor.dtype, node.attributes.get_int("to", 0)
    kinds = INTEGERS | _NATIVE_FLOATS
    if source == ir.DataType.STRING:
        return target in kinds
    if source not in kinds or target not in kinds:
        return False
    if target not in INTEGERS or source in INTEGERS or target == ir.DataType.BOOL:
        return True
    array, limits = tensor.numpy(), np.iinfo(ir.DataType(target).numpy())
    return bool((np.isfinite(array) & (array >= limits.min) & (array <= limits.max / 2)).all())


def _makes_much(node: ir.Node, tensors: Sequence[ir.TensorProtocol | None]) -> bool:
    """Whether a node of constants makes more than is worth keeping, before it is made."""
    if node.op_type == "ConstantOfShape" and len(tensors) == 1:
        shape = tensors[0]
    elif node.op_type in ("Expand", "Tile") and len(tensors) == 2:
        shape = tensors[1]
    else:
        return False
    if shape is None or shape.size > INPUT_LIMIT:
        return False
    return math.prod(abs(int(size)) for size in shape.numpy().reshape(-1)) > OUTPUT_LIMIT


def _grows(node: ir.Node) -> bool:
    """Whether the shapes that were inferred for a node of constants are more than worth keeping.

    Operands that broadcast give products of their sizes, which grow beyond any memory in a few
    steps.
    """
    sizes = [math.prod(x for x in v.shape if isinstance(x, int)) for v in node.outputs if v.shape]
    return any(size > OUTPUT_LIMIT for size in sizes)


# --- folding by lowering --------------------------------------------------------------


def fold_lowered(model: ir.Model, exact: bool = False) -> bool:
    """Turn nodes of constants into constants, by their lowering. Returns whether there were any.

    Changes the model. What cannot be lowered, or would take much work, stays: the importer says
    why, or leaves it to the fabric. exact: float64 is computed as such, and stays too: here it
    is in single precision.
    """
    changed = False
    for graph in list(_graphs(model.graph)):
        for node in list(graph):
            if not (exact and concerns(node, ())):
                changed |= _fold(node, model.opset_imports)
    return changed


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    yield graph
    yield from graph.subgraphs()


def _fold(node: ir.Node, opsets: dict[str, int]) -> bool:
    if not _may_fold(node):
        return False
    domain = "" if node.domain in STANDARD else node.domain
    opset = opsets.get(node.domain, opsets.get(domain, 1))
    (output,) = node.outputs
    array = _computed(node, domain, opset)
    if array is None or array.size > OUTPUT_LIMIT:
        return False
    assert node.graph is not None
    assert isinstance(node.graph, ir.Graph)
    name, shown = str(output.name), output.is_graph_output()
    # The name belongs to the constant from here on.
    output.name = f"{name}.computed"
    constant = ir.Value(
        name=name,
        type=output.type,
        shape=ir.Shape(array.shape),
        const_value=ir.tensor(array, dtype=output.dtype, name=name),
    )
    constant.meta.update(output.meta)
    node.graph.register_initializer(constant)
    output.replace_all_uses_with(constant, replace_graph_outputs=shown)
    node.graph.remove(node, safe=True)
    return True


def _may_fold(node: ir.Node) -> bool:
    """Whether all inputs are constants that are small enough, and the result is one tensor."""
    if node.domain not in STANDARD or node.op_type in _KEPT | _SEQUENCES | {"Constant"}:
        return False
    one_tensor = len(node.outputs) == 1 and isinstance(node.outputs[0].type, ir.TensorType)
    if not node.inputs or not one_tensor:
        return False
    for value in node.inputs:
        if value is None:
            continue
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or tensor.size > INPUT_LIMIT:
            return False
        if SOURCE_KEY in tensor.meta:  # it stays where it is
            return False
    return True


def _computed(node: ir.Node, domain: str, opset: int) -> np.ndarray | None:
    """The result of a node of constants in its ONNX type, or None if it is not for the host."""
    entry, kind = find(domain, node.op_type, opset), node.outputs[0].dtype
    if isinstance(entry, str) or kind is None or kind not in FLOATS | INTEGERS:
        return None
    build = GraphBuilder("folded")

    def fetch(value: ir.Value) -> Item:
        assert value.const_value is not None
        return _entered(build, value.const_value)

    def lower(graph: ir.Graph, inputs: Sequence[Item], name: str) -> list[Item]:
        raise Unsupported(f"graph {graph.name!r} inside {name}")

    call = Call(node, build, DType.F32, opset, fetch, lower)
    try:
        require_like_types(node, opset)
        result = table.lowered(call, entry.function)
        call.require_all_read(entry)
        first = result if isinstance(result, Item) else result[0]
        if not isinstance(first, Value | Wide):
            return None
        words = first.words if isinstance(first, Wide) else (first,)
        graph = build.finish([GraphOutput("result", word.name, "float32") for word in words])
        found = evaluate_graph(graph)
    except (Unsupported, IRError, TooMuch, ArithmeticError, LookupError, ValueError, MemoryError):
        return None
    if isinstance(first, Wide):
        high, low = (found[word.name] for word in words)
        return wide.of_both(high, low, first.signed)
    return _as_onnx(found[first.name], kind)


def _entered(build: GraphBuilder, tensor: ir.TensorProtocol) -> Value | Wide:
    """A constant as the importer would enter it, floats in single precision."""
    dtype = DType.F32 if tensor.dtype in FLOATS else DType.I32
    if tensor.dtype not in FLOATS | INTEGERS:
        raise Unsupported(f"element type {tensor.dtype.name}")
    array = tensor.numpy().reshape(tuple(tensor.shape.numpy()))
    if tensor.dtype in LONG:
        return wide.of_array(build, array, "given")
    return build.constant(convert(array, dtype), dtype, "given")


def _as_onnx(array: np.ndarray, kind: ir.DataType) -> np.ndarray:
    """Words and floats of the graph as values of an ONNX type."""
    if kind in UNSIGNED:
        array = array.view(np.uint32)
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(kind.numpy())
