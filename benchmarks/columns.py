"""``python -m benchmarks.columns``: what products would gain from groups of columns.

The compiler lays a product out with its sum (k) along the rows of tiles, or with its outputs (n):
never with both. With both, each group of columns would have all of k and a part of n, so chains
would be short and blocks of k long. A group alone is a product with fewer outputs on a narrow mesh,
which can be run as it is. What the groups share, the edge and the way of activations to all groups,
is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np

from benchmarks.report import markdown_table
from tests.cost.cases import single
from tests.fabric import build
from wsc.cost.agreement import pairs
from wsc.cost.predict import predict
from wsc.isa.fabric import find_fabric
from wsc.isa.table import Timing
from wsc.isa.types import DType

HEAD = ("mesh", "groups", "k a tile", "chain", "cycles", "predicted", "of peak", "edge, of cycles")


@dataclass(frozen=True, slots=True)
class Product:
    """Tokens x k times k x n, on columns x rows of tiles."""

    columns: int
    rows: int
    tokens: int
    k: int
    n: int

    def group(self, count: int) -> Product:
        """What one of so many groups of columns computes."""
        return Product(self.columns // count, self.rows, self.tokens, self.k, self.n // count)


def row(product: Product, count: int, precision: DType) -> tuple[str, ...]:
    """A run of one of so many groups, as a row of the table."""
    part = product.group(count)
    shapes = [(part.tokens, part.k)]
    weights = np.random.default_rng(1).standard_normal((part.k, part.n)).astype(np.float32)
    model, feeds = single("MatMul", shapes, {"x1": weights})()
    fabric = find_fabric("wse2").sized(part.columns, part.rows)
    program = build(model, fabric, precision)
    found = pairs(
        predict(program.assembly, program.fabric),
        program.run(feeds, engine="both").counters.statements,
    )
    # The product without the loads and stores around it.
    products = [pair for pair in found if pair.name.startswith("matmul")]
    cycles = sum(pair.measured for pair in products)
    predicted = sum(pair.predicted for pair in products)
    peak = fabric.timing[Timing.MULTIPLY_ACCUMULATE].peak(precision)
    macs = part.tokens * part.k * part.n / (part.columns * part.rows)
    # All groups take their weights from one edge.
    edge = product.k * product.n * precision.bytes / fabric.io_bytes_per_cycle
    return (
        f"{product.columns}x{product.rows}",
        str(count),
        f"{part.k / part.columns:g}",
        str(part.columns),
        f"{cycles:,}",
        f"{predicted:,}",
        f"{macs / peak / cycles:.0%}",
        f"{edge / cycles:.0%}",
    )


@click.command()
@click.option("--tokens", default=33, show_default=True, help="Tokens of a row of tiles.")
@click.option("--k", "a_tile", default=8, show_default=True, help="k of a tile without groups.")
@click.option("--n", default=384, show_default=True, help="Outputs.")
@click.option("--precision", default="f16", show_default=True)
@click.option("--mesh", "meshes", multiple=True, default=("96x8", "192x4"), show_default=True)
def main(tokens: int, a_tile: int, n: int, precision: str, meshes: tuple[str, ...]) -> None:
    """Run a product as it is, and one group of each division into groups."""
    rows: list[tuple[str, ...]] = []
    for mesh in meshes:
        columns, height = map(int, mesh.split("x"))
        whole = Product(columns, height, tokens * height, a_tile * columns, n)
        counts = (n for n in (1, 3, 6, 12, 23) if columns % n == 0 and columns // n > 1)
        rows += [row(whole, count, DType(precision)) for count in counts]
    click.echo(markdown_table(HEAD, rows, 1))


if __name__ == "__main__":
    main()
