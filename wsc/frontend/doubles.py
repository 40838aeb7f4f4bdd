"""Nodes of a model that compute in double precision, which the fabric does in single precision."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import onnx_ir as ir

from wsc.errors import PrecisionWarning, shortened

MOST_NAMED = 4

# Types of which f32 has all values.
_EXACT = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.BFLOAT16,
        ir.DataType.BOOL,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT16,
        ir.DataType.UINT16,
    }
)


def is_in_double(node: ir.Node) -> bool:
    """Whether a node's result may differ because f64 is computed as f32.

    A cast to f64 of what f32 has is exact, and so is one back of what it gave.
    """
    inputs = [None if value is None else value.dtype for value in node.inputs]
    outputs = [value.dtype for value in node.outputs]
    if node.op_type == "Cast":
        return outputs == [ir.DataType.DOUBLE] and inputs[0] not in _EXACT
    if node.op_type in ("Shape", "Size", "Identity"):
        return False
    return ir.DataType.DOUBLE in (*inputs, *outputs)


def warn_of_doubles(names: Iterable[str]) -> None:
    """One warning that names nodes which compute in double precision, if there are any."""
    nodes = list(dict.fromkeys(names))
    if not nodes:
        return
    shown = ", ".join(shortened(name, 100) for name in nodes[:MOST_NAMED])
    more = f" and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
    plural = "nodes compute" if len(nodes) > 1 else "node computes"
    warnings.warn(
        f"{len(nodes)} {plural} float64 values in single precision, to 24 bits: {shown}{more}",
        PrecisionWarning,
        stacklevel=2,
    )
