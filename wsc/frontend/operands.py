"""Whether the operands of a node have the element types that belong together."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx.defs import OpSchema

from wsc.frontend.registry import require

_Kinds = dict[str, tuple[str, ir.DataType]]


def require_like_types(node: ir.Node, opset: int) -> None:
    """Raise Unsupported where ONNX wants one type and the operands have two.

    Of the results only outputs of the graph are looked at: what is declared of the others may
    be stale. Nothing is said of types that are not known, nor of operators without a schema.
    """
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not onnx.defs.has(node.op_type, opset, domain):
        return
    schema = onnx.defs.get_schema(node.op_type, opset, domain)
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    seen: _Kinds = {}
    outputs = [value if value.is_graph_output() else None for value in node.outputs]
    for side, values, formals in (
        ("input", node.inputs, schema.inputs),
        ("output", outputs, schema.outputs),
    ):
        for index, value in enumerate(values):
            formal = _formal(formals, index)
            if value is None or formal is None or formal.type_str not in variables:
                continue
            if isinstance(value.type, ir.TensorType):
                _meet(seen, formal.type_str, f"{side} {index}", value.type.dtype)


def _formal(formals: object, index: int) -> OpSchema.FormalParameter | None:
    """What the schema says of a place; the last one may stand for all that follow."""
    known: list[OpSchema.FormalParameter] = list(formals)  # pyright: ignore[reportArgumentType,reportCallIssue]
    if index < len(known):
        last = known[index]
    elif known and known[-1].option == OpSchema.FormalParameterOption.Variadic:
        last = known[-1]
    else:
        return None
    variadic = last.option == OpSchema.FormalParameterOption.Variadic
    return None if variadic and not last.is_homogeneous else last


def _meet(seen: _Kinds, variable: str, place: str, kind: ir.DataType) -> None:
    other, wanted = seen.setdefault(variable, (place, kind))
    require(
        kind == wanted, f"{place} is {kind.name} and {other} is {wanted.name}: they must be alike"
    )
