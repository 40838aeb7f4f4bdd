"""Published products by hand: right, alike on both engines, and no faster than the compiler's."""

from __future__ import annotations

import pytest

from benchmarks.published import Product, by_hand, compiled, operands, written
from wsc import runtime


@pytest.mark.parametrize(
    "product",
    [
        Product("mesh_gemm", 4, 8),
        Product("mesh_gemm", 6, 4),
        Product("mesh_gemm", 8, 8),
        Product("mesh_gemv", 8, 4),
        Product("mesh_gemv", 8, 8),
    ],
    ids=lambda product: f"{product.name}-{product.side}-{product.block}",
)
def test_the_compiler_is_no_slower(product: Product) -> None:
    cycles, error = by_hand(product)
    assert error < 1e-4
    assert compiled(product) <= cycles


def test_blocks_that_go_round_on_both_engines() -> None:
    a, b = operands(Product("mesh_gemm", 6, 4))
    program = written(Product("mesh_gemm", 6, 4))
    cycles = [
        runtime.run(program, {"a": a, "b": b}, engine=engine).cycles
        for engine in ("time", "reference")
    ]
    assert cycles[0] == cycles[1]
