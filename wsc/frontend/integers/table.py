"""Which operators compute 64-bit integers whose results can leave 32 bits, and how (ADR 13).

Most results do not: one that stays within 32 bits, by what is known of the operands, is that of
the operator's ordinary lowering. Others are computed as pairs of words. An operator that is not
in the tables below takes words alone: there the run stops at an integer that does not fit.
"""

from __future__ import annotations

from wsc.frontend.integers import bounds
from wsc.frontend.integers.casts import cast
from wsc.frontend.integers.checked import checked, product, sum_of_products
from wsc.frontend.integers.elementwise import (
    absolute,
    at_most,
    bitwise_not,
    clip,
    compared,
    divided,
    elementwise,
    extremum,
    folded,
    less,
    power,
    shift,
    sign,
    where,
)
from wsc.frontend.integers.moves import moved, nonzero, seen
from wsc.frontend.integers.operand import LONG, Rule
from wsc.frontend.integers.sums import (
    along_one,
    mean,
    reduced_extremum,
    reduced_product,
    reduced_sum,
    scattered,
    square,
    squares,
    summed,
)
from wsc.frontend.registry import Call, Function, Result
from wsc.ir import pairs

RULES: dict[str, Rule] = {
    "Add": elementwise(bounds.of_sum, pairs.add),
    "Sub": elementwise(bounds.of_difference, pairs.subtract),
    "Mul": elementwise(bounds.of_product, pairs.multiply),
    "Sum": elementwise(bounds.of_sum, folded(pairs.add)),
    "Neg": elementwise(bounds.of_negation, pairs.negative),
    "Abs": absolute,
    "Sign": sign,
    "Div": divided("Div"),
    "Mod": divided("Mod"),
    "Pow": power,
    "Max": extremum,
    "Min": extremum,
    "Clip": clip,
    "Where": where,
    "Equal": compared(lambda a, b, _: pairs.equal(a, b)),
    "Less": compared(less),
    "LessOrEqual": compared(at_most),
    "Greater": compared(lambda a, b, signed: less(b, a, signed)),
    "GreaterOrEqual": compared(lambda a, b, signed: at_most(b, a, signed)),
    "BitwiseAnd": elementwise(bounds.of_common_bits, lambda a, b: pairs.bitwise("and", a, b)),
    "BitwiseOr": elementwise(bounds.of_bits, lambda a, b: pairs.bitwise("or", a, b)),
    "BitwiseXor": elementwise(bounds.of_bits, lambda a, b: pairs.bitwise("xor", a, b)),
    "BitwiseNot": bitwise_not,
    "BitShift": shift,
    "ReduceSum": reduced_sum(),
    "ReduceL1": reduced_sum(bounds.of_magnitude, pairs.magnitude),
    "ReduceSumSquare": reduced_sum(squares, square),
    "ReduceMean": mean,
    "CumSum": summed(along_one, 0),
    "ReduceMax": reduced_extremum,
    "ReduceMin": reduced_extremum,
    "ReduceProd": reduced_product,
    "CumProd": checked(product, 0),
    "Col2Im": checked(sum_of_products, 0),
    "Einsum": checked(sum_of_products),
}


# Rules that look at their operands themselves: casts, and what only moves elements.
MOVES: dict[str, Rule] = {
    "Cast": cast,
    "CastLike": cast,
    "ScatterElements": scattered,
    "ScatterND": scattered,
    "Concat": moved(),
    "Pad": moved(0, 2),
    "OneHot": moved(2),
    "Scatter": moved(0, 2),
    **dict.fromkeys(
        (
            "CenterCropPad",
            "DepthToSpace",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GatherND",
            "Reshape",
            "ReverseSequence",
            "Slice",
            "SpaceToDepth",
            "Split",
            "Squeeze",
            "Tile",
            "Transpose",
            "Trilu",
            "Unsqueeze",
        ),
        moved(0),
    ),
    **dict.fromkeys(("Shape", "Size", "EyeLike"), seen),
    "NonZero": nonzero,
}


def lowered(call: Call, lower: Function) -> Result:
    """What a node's lowering makes of it, with 64-bit integers that can leave 32 bits.

    lower: the operator's ordinary lowering, for words.
    """
    node = call.node
    if node.domain not in ("", "ai.onnx"):
        return lower(call)
    if node.op_type in MOVES:
        return MOVES[node.op_type](call, lower)
    data = 1 if node.op_type == "Where" else 0
    if node.op_type in RULES and call.onnx_type(data) in LONG:
        return RULES[node.op_type](call, lower)
    return lower(call)
