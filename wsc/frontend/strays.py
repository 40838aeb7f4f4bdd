"""Operators that exporters write into ONNX's own domain, and that ONNX does not have."""

from __future__ import annotations

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


def declare_strays() -> None:
    """Make them known to ONNX's checker, which would stop at them."""
    schema = _simplified_layer_normalization()
    if not onnx.defs.has(schema.name, schema.domain):
        onnx.defs.register_schema(schema)
