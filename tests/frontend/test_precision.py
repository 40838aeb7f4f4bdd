"""The same operators in f16: every float narrows, and sums stay in range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isa.types import DType
from tests.frontend.cases import compare, floats
from wsc.ir.graph import Graph

CASES: list[tuple[str, list[np.ndarray], list[int], dict[str, Any]]] = [
    ("Gemm", [floats(3, 4), floats(4, 5), floats(5)], [1, 2], {}),
    ("Conv", [floats(1, 3, 7), floats(4, 3, 3), floats(4)], [1, 2], {"pads": [1, 1]}),
    ("Softmax", [floats(2, 9)], [], {}),
    ("LogSoftmax", [floats(2, 9)], [], {}),
    ("LayerNormalization", [floats(2, 9), floats(9), floats(9)], [1, 2], {}),
    ("ReduceL2", [floats(2, 9, low=100, high=400)], [], {}),
    ("Pow", [floats(9, low=200, high=250), np.array(2, np.float32)], [1], {}),
    ("AveragePool", [floats(1, 2, 9)], [], {"kernel_shape": [3]}),
    ("GlobalAveragePool", [floats(1, 2, 9, 9)], [], {}),
    ("BatchNormalization", [floats(2, 3, 4), *(floats(3, low=0.5) for _ in range(4))],
     [1, 2, 3, 4], {}),
    ("CumSum", [floats(2, 5), np.array(1)], [1], {}),
    ("Where", [floats(3) > 0, floats(3), np.array(1e6, np.float32)], [2], {}),
]  # fmt: skip


def float_types(graph: Graph) -> set[DType]:
    return {type_.dtype for type_ in graph.types().values() if type_.dtype.is_float}


@pytest.mark.parametrize(("op_type", "inputs", "const", "attributes"), CASES[:-1])
def test_f16(
    tmp_path: Path,
    op_type: str,
    inputs: list[np.ndarray],
    const: list[int],
    attributes: dict[str, Any],
) -> None:
    graph = compare(
        tmp_path, op_type, *inputs,
        const=const, precision=DType.F16, tolerance=1e-2, **attributes,
    )  # fmt: skip
    assert DType.F16 in float_types(graph)


def test_f32_graphs_hold_no_f16(tmp_path: Path) -> None:
    for op_type, inputs, const, attributes in CASES:
        graph = compare(tmp_path, op_type, *inputs, const=const, **attributes)
        assert float_types(graph) == {DType.F32}
