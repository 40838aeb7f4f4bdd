"""Operators that write into one of their inputs: what becomes of it is an output here."""

from __future__ import annotations

import onnx_ir as ir

from wsc.errors import CompileError, shortened

NEXT = ".next"  # behind the name of a tensor that is kept from run to run: what it becomes
_DOMAIN = "com.microsoft"


def show_accumulators(graph: ir.Graph) -> None:
    """Give each accumulator of a gradient its sum as an output of the model: BUFFER.next.

    In ONNX Runtime the sum takes the place of the buffer. A program changes no input, and one
    that gave the flag alone would have computed nothing.

    Raises CompileError where an output has such a name already.
    """
    taken = {str(value.name) for value in (*graph.inputs, *graph.outputs)}
    for node in graph:
        if (node.domain, node.op_type) != (_DOMAIN, "InPlaceAccumulatorV2"):
            continue
        if len(node.outputs) > 1 and node.outputs[1].name:
            continue
        buffer = node.inputs[0] if node.inputs else None
        if buffer is None or not node.outputs:
            continue  # the checker, or the lowering, says what is missing
        name = f"{buffer.name}{NEXT}"
        if name in taken:
            raise CompileError(
                f"node {shortened(node.name or 'InPlaceAccumulatorV2')!r}: its sum is the output "
                f"{shortened(name)!r}, and there is one of that name"
            )
        taken.add(name)
        node.resize_outputs(2)
        total = node.outputs[1]
        total.name = name
        if buffer.dtype is not None:
            total.dtype = buffer.dtype
        graph.outputs.append(total)
