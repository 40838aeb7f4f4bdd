"""How nodes are drawn: one recipe an operator, or one for operators alike, by family."""

from __future__ import annotations

from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes import (
    attention,
    classic,
    control,
    elementwise,
    movement,
    normalize,
    products,
    quantized,
    recurrent,
    reductions,
    sequences,
    signal,
    spatial,
    training,
    windows,
)
from conformance.graphs.recipes.registry import RECIPES, fitting

PREVIEW = "ai.onnx.preview.training"

__all__ = ["FAMILIES", "NOT_DRAWN", "RECIPES", "fitting"]

# Each adds its recipes when it is imported.
FAMILIES = (
    attention,
    classic,
    control,
    elementwise,
    movement,
    normalize,
    products,
    quantized,
    recurrent,
    reductions,
    sequences,
    signal,
    spatial,
    training,
    windows,
)

GRADIENTS = {
    "": "AveragePoolGrad ConvGrad MaxPoolGrad",
    MICROSOFT: "BatchNormInternal BatchNormalizationGrad BatchScale BiasFastGeluGrad_dX "
    "BiasGeluGrad_dX BroadcastGradientArgs ConcatTraining ConvGrad ConvTransposeGrad DivGrad "
    "DropoutGrad FastGeluGrad GRUGrad GRUTraining GatherElementsGrad GatherGrad GatherNDGrad "
    "GeluGrad InPlaceAccumulator InPlaceAccumulatorV2 LSTMGrad LSTMTraining "
    "LayerNormalizationGrad LeakyReluGrad LogSoftmaxGrad "
    "LogSoftmaxGrad_13 QuickGeluGrad ReduceSumTraining ReluGrad Scale ScaledSum SigmoidGrad "
    "SimplifiedLayerNormalizationGrad SliceGrad SoftmaxCrossEntropyLossGrad "
    "SoftmaxCrossEntropyLossInternal SoftmaxCrossEntropyLossInternalGrad SoftmaxGrad "
    "SoftmaxGrad_13 SplitTraining TanhGrad ZeroGradient",
}
# Operators that wsc compiles and that no recipe draws, by domain and name, with the reason.
NOT_DRAWN: dict[tuple[str, str], str] = {
    ("wsc.training", "Dropout"): "training steps write it, and no file holds it",
    ("ai.onnx.preview", "FlexAttention"): "neither ONNX Runtime nor the evaluator has it",
    (MICROSOFT, "AdamWOptimizer"): "only ONNX Runtime's training has it",
    ("", "DequantizeLinear"): "each recipe that quantises adds one",
    (MICROSOFT, "LayerNormalization"): "some exporters write it; nobody else computes it there",
    (MICROSOFT, "SimplifiedLayerNormalization"): "the same",
    (MICROSOFT, "DynamicQuantizeLSTM"): "a rounding that differs changes every later step",
    (PREVIEW, "Gradient"): "neither ONNX Runtime nor the evaluator has it",
    ("wsc.training", "Gradient"): "the same, with what its attributes name among its inputs",
    **{
        (domain, name): "only ONNX Runtime's training has it: tests/exports/gradients.py"
        for domain, names in GRADIENTS.items()
        for name in names.split()
    },
}
