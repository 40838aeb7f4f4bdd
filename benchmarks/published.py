"""Published products, written by hand for this machine, beside what the compiler makes.

MeshGEMM and MeshGEMV (WaferLLM, OSDI 2025) are in ``docs/published/``. Both sides begin with their
operands outside the fabric and end with the result there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wsc
from wsc import runtime
from wsc.isa.parser import parse
from wsc.isa.program import Program
from wsc.models import builders

PROGRAMS = Path(__file__).parent.parent / "docs" / "published"


@dataclass(frozen=True, slots=True)
class Product:
    """A product on a square mesh. name: of the program by hand. block: side of a tile's part."""

    name: str
    side: int
    block: int

    @property
    def size(self) -> int:
        """Rows and columns of the matrices."""
        return self.side * self.block


# MeshGEMV sums in two levels of four tiles and two.
PRODUCTS = (
    Product("mesh_gemm", 4, 8),
    Product("mesh_gemm", 4, 16),
    Product("mesh_gemm", 6, 12),
    Product("mesh_gemm", 8, 8),
    Product("mesh_gemm", 16, 4),
    Product("mesh_gemm", 16, 16),
    Product("mesh_gemv", 8, 4),
    Product("mesh_gemv", 8, 8),
    Product("mesh_gemv", 8, 24),
)


def written(product: Product) -> Program:
    """The program by hand: the text in ``docs/published/``, at another size."""
    text = (PROGRAMS / f"{product.name}.wsa").read_text(encoding="utf-8")
    side, block, size = product.side, product.block, product.size
    area = block * block
    text = text.replace("8x8", f"{side}x{side}").replace("const B = 8", f"const B = {block}")
    text = text.replace("f32[64, 64]", f"f32[{size}, {size}]")
    text = re.sub(r"(put \w : f32)\[64\]", rf"\1[{size}]", text)
    text = re.sub(r"repeat (\w):8", rf"repeat \1:{side}", text)
    at = 0
    for name, words in (
        {"u": 2 * area, "v": 2 * area, "w": area}
        if product.name == "mesh_gemm"
        else {"part": block, "sums": block, "block": area}
    ).items():
        new = f"tensor {name} : f32[{words}] at {at} size {4 * words}"
        text = re.sub(rf"tensor {name} : .*", new, text)
        at += 4 * words
    return parse(text, product.name)


def operands(product: Product) -> tuple[np.ndarray, np.ndarray]:
    """Both factors, from a seed."""
    rng = np.random.default_rng(product.size)
    rows = product.size if product.name == "mesh_gemm" else 1
    a = rng.standard_normal((rows, product.size), dtype=np.float32)
    return a, rng.standard_normal((product.size, product.size), dtype=np.float32)


def by_hand(product: Product) -> tuple[int, float]:
    """Cycles of the program by hand, and its largest error."""
    a, b = operands(product)
    if product.name == "mesh_gemm":
        result = runtime.run(written(product), {"a": a, "b": b})
        return result.cycles, float(np.abs(result.outputs["c"] - a @ b).max())
    result = runtime.run(written(product), {"v": a[0], "m": b})
    return result.cycles, float(np.abs(result.outputs["r"] - a[0] @ b).max())


def compiled(product: Product) -> int:
    """Cycles of the compiler's program for the same product on the same tiles."""
    a, _ = operands(product)
    model = builders.matmul(a.shape[0], product.size, product.size)
    return wsc.compile(model, fabric=f"{product.side}x{product.side}").run({"a": a}).cycles


def measure() -> list[list[str]]:
    """Rows of a table: the product, cycles by hand and compiled, and their ratio."""
    rows = []
    for product in PRODUCTS:
        hand, _ = by_hand(product)
        ours = compiled(product)
        what = f"{product.size} x {product.size} on {product.side}x{product.side}"
        rows.append([product.name, what, f"{hand:,}", f"{ours:,}", f"{ours / hand:.2f}"])
    return rows
