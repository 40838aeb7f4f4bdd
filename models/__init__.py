"""Builders of ONNX graphs and two small trained networks, for tests, demo and benchmarks.

Imports nothing of the compiler: a model here is what any ONNX exporter could have
written. Every graph pins IR version and opset to what ONNX Runtime takes.
"""

from wsc.models.builders import cnn, lstm, matmul, mlp, transformer_encoder
from wsc.models.digits import DIGITS, DIGITS_MLP, digits_samples
from wsc.models.writer import IR_VERSION, OPSET

__all__ = [
    "DIGITS",
    "DIGITS_MLP",
    "IR_VERSION",
    "OPSET",
    "cnn",
    "digits_samples",
    "lstm",
    "matmul",
    "mlp",
    "transformer_encoder",
]
