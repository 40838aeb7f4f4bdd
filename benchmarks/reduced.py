"""``python -m benchmarks.reduced``: every language model by name, made narrow, on middle meshes.

One layer and two of each, with weights from a seed: the values against ONNX Runtime's, and the
cycles that were predicted beside those of the run. Each row is one ``wsc run NAME --compare NAME``,
as anyone may give it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import product

import click

from benchmarks.agreement import write as write_agreement
from benchmarks.report import markdown_table
from wsc.cost.agreement import NETWORK, Checked, load
from wsc.models.language import SHAPES

HEAD = ("model", "layers", "fabric", "precision", "cycles", "predicted", "off", "worst error")


class Stopped(Exception):
    """A run that gave nothing; its message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A run of a narrow model. error: the worst of all outputs, over the largest magnitude."""

    model: str
    layers: int
    fabric: str
    precision: str
    cycles: int
    predicted: int
    error: float
    agrees: bool

    @property
    def off(self) -> float:
        """How far the prediction lies from the run, over the run."""
        return self.predicted / self.cycles - 1

    def checked(self) -> Checked:
        """The row as it ships with wsc."""
        name = f"{self.model}, {self.layers} layer{'s' * (self.layers > 1)}"
        return Checked(name, self.fabric, self.precision, self.predicted, self.cycles)

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        return (
            self.model,
            str(self.layers),
            self.fabric,
            self.precision,
            f"{self.cycles:,}",
            f"{self.predicted:,}",
            f"{self.off:+.1%}",
            f"{self.error:.1e}{'' if self.agrees else ' DIFFERS'}",
        )


@click.command()
@click.argument("names", nargs=-1)
@click.option("--fabric", "fabrics", multiple=True, default=("24x16", "32x24"), show_default=True)
@click.option("--layers", "depths", multiple=True, type=int, default=(1, 2), show_default=True)
@click.option("--precision", "precisions", multiple=True, default=("f32", "f16"), show_default=True)
@click.option("--hidden", default=192, show_default=True)
@click.option("--heads", default=8, show_default=True)
@click.option("--vocabulary", default=500, show_default=True)
@click.option("--sequence", default=64, show_default=True)
@click.option("--write", is_flag=True, help="Put the rows into the table of agreement.")
def main(
    names: tuple[str, ...],
    fabrics: tuple[str, ...],
    depths: tuple[int, ...],
    precisions: tuple[str, ...],
    write: bool,
    **sizes: int,
) -> None:
    """Hold narrow language models against ONNX Runtime, and predictions of them against runs."""
    rows: list[Row] = []
    stopped = 0
    for fabric, name, layers, precision in product(
        fabrics, names or tuple(SHAPES), depths, precisions
    ):
        try:
            row = ran(name, layers, fabric, precision, sizes)
        except Stopped as reason:
            click.echo(f"{name}, {layers} layers, {fabric}, {precision}: {reason}", err=True)
            stopped += 1
            continue
        click.echo("  ".join(row.cells()), err=True)
        rows.append(row)
    click.echo(markdown_table(HEAD, [row.cells() for row in rows], 4))
    near = sum(abs(row.off) <= NETWORK for row in rows)
    agree = sum(row.agrees for row in rows)
    click.echo(f"\n{agree} of {len(rows)} agree; {near} predictions lie within {NETWORK:.0%}")
    if stopped or agree < len(rows):
        raise click.ClickException(f"{stopped} stopped, {len(rows) - agree} differ")
    if write:
        write_agreement(replace(load(), models=tuple(row.checked() for row in rows)))


def ran(name: str, layers: int, fabric: str, precision: str, sizes: dict[str, int]) -> Row:
    """Run a narrow model.

    Raises:
        Stopped: the model does not compile, or its run did not end.
    """
    flags = {"layers": layers, "fabric": fabric, "precision": precision, **sizes, "compare": name}
    options = [part for key, value in flags.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "wsc.cli", "run", name, "--json", "--seed", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: an output is beyond the tolerance, which the row says
        raise Stopped(done.stderr.strip() or done.stdout.strip())
    told = json.loads(done.stdout)
    return Row(
        name,
        layers,
        fabric,
        precision,
        told["cycles"],
        told["predicted_cycles"],
        max(item["relative"] for item in told["comparison"]),
        told["agrees"],
    )


if __name__ == "__main__":
    main()
