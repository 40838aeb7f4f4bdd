"""com.microsoft's recurrent operators."""

from __future__ import annotations

from wsc.frontend.quantize import centred
from wsc.frontend.quantize_contrib import dynamic_product
from wsc.frontend.recurrent import Weights, lstm_of
from wsc.frontend.registry import Call, lowering
from wsc.ir.build import Value


def _quantized_weights(call: Call, gates: int, d: int) -> Weights:
    """8-bit W [D, I, G*H] and R [D, H, G*H] with scales and zero points [D] or [D, G*H]."""
    build = call.build
    size = call.arg(2).shape[1]

    def part(index: int, hint: str) -> Value:
        value = build.slice_axis(call.arg(index), 0, d, 1, hint=hint)
        # One value for the direction broadcasts as well as one for each column.
        return build.reshape(value, value.shape[1:] or (1,), hint)

    weight, recurrent = (
        centred(build, part(index, name), part(zero, f"{name}_zero"), f"{name}{d}")
        for index, zero, name in ((1, 9, "w"), (2, 11, "r"))
    )
    scales = [part(index, f"scale{index}") for index in (8, 10)]

    def project(x: Value, hint: str) -> Value:
        steps, batch, width = x.shape
        rows = build.reshape(x, (steps * batch, width), "rows")
        result = dynamic_product(build, rows, weight, scales[0], hint)
        split = build.reshape(result, (steps, batch, gates, size), "gates")
        return build.transpose(split, (0, 2, 1, 3), "by_gate")

    def recur(hidden: Value, first: int, count: int, hint: str) -> Value:
        # All gates share one range, so the product is taken whole.
        result = dynamic_product(build, hidden, recurrent, scales[1], hint)
        split = build.reshape(result, (hidden.shape[0], gates, size), "gates")
        wanted = build.slice_axis(split, 1, first, count)
        return build.transpose(wanted, (1, 0, 2), "by_gate")

    return Weights(size, project, recur)


@lowering("DynamicQuantizeLSTM", domain="com.microsoft", quiet=("hidden_size",))
def dynamic_quantize_lstm(call: Call) -> list[Value]:
    """LSTM with 8-bit weights; inputs and states are quantised by their own range."""
    return lstm_of(call, _quantized_weights)
