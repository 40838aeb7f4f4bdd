"""``python -m benchmarks.reduced``: every language model by name, made narrow, on middle meshes.

One layer and two of each, with weights from a seed: the values against ONNX Runtime's, and the
cycles that were predicted beside those of the run. Each row is one ``wsc run NAME --compare NAME``,
as anyone may give it.

``--full-width`` leaves each model its heads and columns, and takes all columns of the wafer: one
layer, few rows, few words. A row of GPT-NeoX-20B takes some four minutes of two cores.
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
    """A run of a model. error: the worst of all outputs, over the largest magnitude."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run where no option says otherwise. sizes: further options of ``wsc run``."""

    names: tuple[str, ...]
    fabrics: tuple[str, ...]
    depths: tuple[int, ...]
    precisions: tuple[str, ...]
    sizes: dict[str, int]


NARROW = Plan(
    tuple(SHAPES),
    ("24x16", "32x24"),
    (1, 2),
    ("f32", "f16"),
    {"hidden": 192, "heads": 8, "vocabulary": 500, "sequence": 64},
)
# GPT-3, Gopher and DALL-E are left out: a layer of theirs is up to seven times one of GPT-NeoX.
FULL_WIDTH = Plan(
    ("bert-base", "gpt2", "gpt-neo-2.7b", "gpt-j-6b", "llama3-8b", "gpt-neox-20b"),
    ("wse2:750x8",),
    (1,),
    ("f16",),
    {"vocabulary": 750, "sequence": 32},
)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--full-width", is_flag=True, help="As many heads and columns as a model has.")
@click.option("--fabric", "fabrics", multiple=True)
@click.option("--layers", "depths", multiple=True, type=int)
@click.option("--precision", "precisions", multiple=True)
@click.option("--hidden", type=int)
@click.option("--heads", type=int)
@click.option("--vocabulary", type=int)
@click.option("--sequence", type=int)
@click.option("--write", is_flag=True, help="Put the rows into the table of agreement.")
def main(
    names: tuple[str, ...],
    full_width: bool,
    fabrics: tuple[str, ...],
    depths: tuple[int, ...],
    precisions: tuple[str, ...],
    write: bool,
    **sizes: int | None,
) -> None:
    """Hold language models against ONNX Runtime, and predictions of them against runs."""
    plan = FULL_WIDTH if full_width else NARROW
    sizes_given = {key: value for key, value in sizes.items() if value is not None}
    rows: list[Row] = []
    stopped = 0
    for fabric, name, layers, precision in product(
        fabrics or plan.fabrics,
        names or plan.names,
        depths or plan.depths,
        precisions or plan.precisions,
    ):
        try:
            row = ran(name, layers, fabric, precision, plan.sizes | sizes_given)
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
        checked = tuple(row.checked() for row in rows)
        write_agreement(replace(load(), **{"wide" if full_width else "models": checked}))


def ran(name: str, layers: int, fabric: str, precision: str, sizes: dict[str, int]) -> Row:
    """Run a model.

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
