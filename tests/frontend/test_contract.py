"""Matrix products and convolutions against ONNX Runtime."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, ints, refuse, run_evaluator, run_reference
from wsc.ir.graph import Contract


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 6, 3, 4), (2, 6, 4, 5)),
        ((1, 6, 3, 4), (2, 1, 4, 5)),
        ((3, 4), (2, 1, 4, 5)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 3)),
        ((1, 1, 4), (1, 4, 1)),
    ],
)
def test_matmul(tmp_path: Path, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    graph = compare(tmp_path, "MatMul", floats(*a), floats(*b))
    assert [type(node.op) for node in graph.nodes] == [Contract]


def test_batched_matmul_with_weights_has_a_label_for_each_leading_dimension(
    tmp_path: Path,
) -> None:
    graph = compare(tmp_path, "MatMul", floats(2, 3, 4), floats(4, 5), const=[1])
    (node,) = graph.nodes
    assert isinstance(node.op, Contract)
    assert node.op.out == ("b0", "m", "n")


@pytest.mark.parametrize("flip_a", [0, 1])
@pytest.mark.parametrize("flip_b", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (3, 1), ()])
def test_gemm(tmp_path: Path, flip_a: int, flip_b: int, bias: tuple[int, ...] | None) -> None:
    a = floats(4, 3) if flip_a else floats(3, 4)
    b = floats(5, 4) if flip_b else floats(4, 5)
    c = None if bias is None else floats(*bias)
    compare(
        tmp_path, "Gemm", a, b, c, const=[1, 2], transA=flip_a, transB=flip_b, alpha=0.5, beta=2.0
    )


def test_fused_matmul(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "FusedMatMul",
        floats(2, 3, 4),
        floats(2, 5, 4),
        domain="com.microsoft",
        transB=1,
        alpha=0.25,
    )


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 5, 4)),
        ("ij,kj", (2, 3), (4, 3)),
        ("bij,i->j", (2, 3, 4), (3,)),
        ("i,j->ij", (2,), (3,)),
    ],
)
def test_einsum(tmp_path: Path, equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    compare(tmp_path, "Einsum", floats(*a), floats(*b), equation=equation)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("iji", [(3, 2, 3)]),
        ("...ii->...i", [(2, 4, 3, 3)]),
        ("i...->...", [(4, 2, 3)]),
        ("...ij,...jk->...ik", [(5, 1, 2, 3), (4, 3, 2)]),
        ("...a,a->...", [(2, 3, 4), (4,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("i,ij,j", [(3,), (3, 4), (4,)]),
        ("ab,ab->ab", [(2, 3), (2, 3)]),
        ("iij,jk->k", [(3, 3, 2), (2, 4)]),
        ("ab,cd->bd", [(2, 3), (4, 5)]),
        (" b n h , n -> b h ", [(2, 3, 4), (3,)]),
    ],
)
def test_einsum_of_any_operands(
    tmp_path: Path, equation: str, shapes: list[tuple[int, ...]]
) -> None:
    # ONNX Runtime wants the dimensions of an ellipsis to be equal.
    for values in (floats, lambda *shape: ints(*shape, dtype=np.int32)):
        arrays = [values(*shape) for shape in shapes]
        oracle = run_evaluator if "..." in equation else run_reference
        compare(tmp_path, "Einsum", *arrays, equation=equation, oracle=oracle)


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("ij,jk->ik", "2 terms for 1 operands"),
        ("i->i", "1 labels for 2 dimensions"),
        ("ij->ijk", "a label of the result that no operand has"),
        ("ij->ii", "a label twice in the result"),
        ("i1->i", "equation 'i1->i'"),
    ],
)
def test_what_einsum_refuses(tmp_path: Path, equation: str, reason: str) -> None:
    assert refuse("Einsum", floats(2, 3), equation=equation) == reason


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 5), (2, 3, 4, 4)])
def test_det(tmp_path: Path, shape: tuple[int, ...]) -> None:
    compare(tmp_path, "Det", floats(*shape))
    # Zeros where a pivot would stand first, and a column of zeros.
    x = floats(*shape)
    x[..., 0, 0] = 0
    compare(tmp_path, "Det", x)
    x[..., 0] = 0
    compare(tmp_path, "Det", x)


@pytest.mark.parametrize(
    ("x", "w", "attributes"),
    [
        ((1, 3, 7, 5), (4, 3, 3, 2), {}),
        ((2, 3, 7, 5), (4, 3, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((1, 4, 9), (6, 2, 3), {"group": 2, "dilations": [2]}),
        ((1, 4, 6, 6), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
        ((1, 4, 6, 6), (8, 1, 3, 3), {"group": 4, "strides": [2, 2]}),
        ((1, 4, 6, 6), (2, 2, 3, 3), {"group": 2}),
        ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), {"pads": [0, 1, 0, 1, 0, 1]}),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((1, 3, 8, 7), (4, 3, 3, 2), {"auto_pad": "SAME_LOWER"}),
        ((1, 3, 8, 7), (4, 3, 3, 2), {"auto_pad": "VALID"}),
        ((1, 3, 5, 5), (4, 3, 1, 1), {}),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(
    tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any], bias: bool
) -> None:
    arrays = [floats(*x), floats(*w), *([floats(w[0])] if bias else [])]
    compare(tmp_path, "Conv", *arrays, const=[1, 2], **attributes)


# What no window reads is left out; the phase of the rest depends on the padding.
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "low"),
    [(23, 3, 2, 2, 0), (23, 3, 2, 2, 3), (24, 2, 4, 6, 5), (19, 3, 3, 3, 2), (9, 4, 2, 4, 7)],
)
def test_strides_and_dilations_with_a_common_divisor(
    tmp_path: Path, size: int, kernel: int, stride: int, dilation: int, low: int
) -> None:
    attributes: dict[str, Any] = {"strides": [stride, 1], "dilations": [dilation, 1]}
    attributes |= {"pads": [low, 0, 4, 0]}
    x = floats(1, 2, size, 3)
    graph = compare(tmp_path, "Conv", x, floats(2, 2, kernel, 2), **attributes)
    step = math.gcd(stride, dilation)
    read = -(-(size - -low % step) // step)
    assert any(read in node.type.shape for node in graph.nodes)
    attributes |= {"kernel_shape": [kernel, 2], "pads": [min(low, kernel - 1), 0, 1, 0]}
    compare(tmp_path, "MaxPool", x, **attributes)


def test_conv_with_computed_weights(tmp_path: Path) -> None:
    compare(tmp_path, "Conv", floats(1, 3, 5), floats(2, 3, 3), floats(2))


@pytest.mark.parametrize(
    ("x", "w", "attributes"),
    [
        ((1, 3, 4, 5), (3, 2, 3, 3), {}),
        ((1, 3, 4, 5), (3, 2, 3, 2), {"strides": [2, 3], "pads": [1, 0, 0, 1]}),
        ((2, 4, 5), (4, 3, 3), {"group": 2, "strides": [2], "output_padding": [1]}),
        ((1, 2, 5), (2, 3, 3), {"dilations": [2]}),
        ((1, 2, 4, 4), (2, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((1, 2, 4, 4), (2, 3, 2, 2), {"strides": [2, 2]}),
        ((1, 2, 4, 4), (2, 3, 3, 3), {"strides": [2, 2], "output_shape": [8, 8]}),
        ((1, 2, 4), (2, 1, 1), {"strides": [3]}),
    ],
)
@pytest.mark.parametrize("const", [[1, 2], []])
def test_conv_transpose(
    tmp_path: Path,
    x: tuple[int, ...],
    w: tuple[int, ...],
    attributes: dict[str, Any],
    const: list[int],
) -> None:
    bias = floats(w[1] * attributes.get("group", 1))
    compare(tmp_path, "ConvTranspose", floats(*x), floats(*w), bias, const=const, **attributes)
