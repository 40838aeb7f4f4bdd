"""Operators that exporters write into ONNX's own domain, and that ONNX does not have."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx.defs import OpSchema

_FLOATS = ["tensor(float)", "tensor(float16)", "tensor(double)", "tensor(bfloat16)"]


def _simplified_layer_normalization() -> OpSchema:
    """As ONNX Runtime declares it; RMSNormalization has since taken its place."""
    optional = OpSchema.FormalParameterOption.Optional
    return OpSchema(
        "SimplifiedLayerNormalization",
        "",
        1,
        inputs=[OpSchema.FormalParameter("X", "T"), OpSchema.FormalParameter("scale", "V")],
        outputs=[
            OpSchema.FormalParameter("Y", "V"),
            OpSchema.FormalParameter("inv_std_var", "U", param_option=optional),
        ],
        type_constraints=[(name, _FLOATS, "floats") for name in "TUV"],
        attributes=[
            OpSchema.Attribute("axis", OpSchema.AttrType.INT, required=False),
            OpSchema.Attribute("epsilon", OpSchema.AttrType.FLOAT, required=False),
            OpSchema.Attribute("stash_type", OpSchema.AttrType.INT, required=False),
        ],
    )


def _gradient(name: str, inputs: Sequence[str], outputs: Sequence[str]) -> OpSchema:
    """As ONNX Runtime's training declares it; attributes are those of the forward operator."""
    kinds = {
        "strides": OpSchema.AttrType.INTS,
        "pads": OpSchema.AttrType.INTS,
        "kernel_shape": OpSchema.AttrType.INTS,
        "dilations": OpSchema.AttrType.INTS,
        "auto_pad": OpSchema.AttrType.STRING,
        "group": OpSchema.AttrType.INT,
        "ceil_mode": OpSchema.AttrType.INT,
        "storage_order": OpSchema.AttrType.INT,
        "count_include_pad": OpSchema.AttrType.INT,
    }
    integers = "I" if "Indices" in inputs else ""
    optional = OpSchema.FormalParameterOption.Optional
    return OpSchema(
        name,
        "",
        9,
        inputs=[OpSchema.FormalParameter(x, "I" if x == "Indices" else "T") for x in inputs],
        outputs=[OpSchema.FormalParameter(x, "T", param_option=optional) for x in outputs],
        type_constraints=[
            ("T", _FLOATS, "floats"),
            *([("I", ["tensor(int64)"], "positions")] if integers else []),
        ],
        attributes=[OpSchema.Attribute(key, kind, required=False) for key, kind in kinds.items()],
    )


def declare_strays() -> None:
    """Make them known to ONNX's checker, which would stop at them."""
    for schema in (
        _simplified_layer_normalization(),
        _gradient("MaxPoolGrad", ["dY", "Indices"], ["dX"]),
        _gradient("AveragePoolGrad", ["dY"], ["dX"]),
        _gradient("ConvGrad", ["dY", "X", "W"], ["dX", "dW", "dB"]),
    ):
        if not onnx.defs.has(schema.name, schema.domain):
            onnx.defs.register_schema(schema)
