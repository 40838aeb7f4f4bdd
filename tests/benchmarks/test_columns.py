"""A group of columns is a product with fewer outputs, on fewer columns."""

from __future__ import annotations

from benchmarks.columns import HEAD, Product, row
from wsc.isa.types import DType


def test_shorter_chains_take_less_time() -> None:
    product = Product(columns=24, rows=2, tokens=66, k=192, n=96)
    assert product.group(3) == Product(columns=8, rows=2, tokens=66, k=192, n=32)
    whole, group = (
        dict(zip(HEAD, row(product, count, DType.F16), strict=True)) for count in (1, 3)
    )
    assert (whole["k a tile"], group["k a tile"]) == ("8", "24")
    assert int(group["cycles"].replace(",", "")) < int(whole["cycles"].replace(",", ""))
