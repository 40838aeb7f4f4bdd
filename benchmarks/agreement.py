"""``python -m benchmarks.agreement``: predictions against runs; writes the table and its page.

Every kind of kernel on rectangles of several shapes, small networks, training steps, and the four
real networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import click

from benchmarks.report import markdown_table
from tests.cost.cases import FABRICS, KERNELS, NETWORKS, STEPS
from wsc.cost.agreement import (
    FLOOR,
    KERNEL,
    TABLE,
    Agreement,
    Checked,
    Pair,
    dump,
    load,
    pairs,
    summarised,
)
from wsc.isa.fabric import DEFAULT
from wsc.isa.types import DType

PAGE = Path(__file__).parents[1] / "docs" / "agreement.md"
REAL = (("16x16", "f32"), ("16x16", "f16"))
HEAD = ("kernel", "fabric", "precision", "predicted", "measured", "off")
LARGE = (
    "Written by `python -m benchmarks.predictions --write`: each kernel alone, with short streams, "
    "whole runs with loads and stores. Axes of more than 24 tiles are sampled there."
)
NARROW = (
    "Written by `python -m benchmarks.reduced --write`: every language model by name with fewer "
    "layers, heads and columns, on meshes of a middle size. Each agrees with ONNX Runtime."
)
WIDE = (
    "Written by `python -m benchmarks.reduced --full-width --write`: language models with fewer "
    "layers and words, but as many heads and columns as they have, on all columns of the wafer. "
    "Each agrees with ONNX Runtime."
)
COMMAND = "python -m benchmarks.agreement"


@click.command()
@click.option("--engine", default=None, metavar="NAME", help="The runtime's engine.")
@click.option("--small", is_flag=True, help="Leave the four real networks out; write nothing.")
def main(engine: str | None, small: bool) -> None:
    """Predict, run, compare; write wsc/cost/agreement.json and docs/agreement.md."""
    found: list[Pair] = []
    networks: list[Checked] = []
    for name, fabric, precision, whole, program, feeds in programs(small):
        ran, calls = compared(program, feeds, {} if engine is None else {"engine": engine})
        found += calls
        click.echo(f"{name} {fabric} {precision}: {ran.predicted:,}, {ran.measured:,} measured")
        for pair in calls:
            if not pair.agrees:
                click.echo(f"  {pair.name}: {pair.predicted:,}, {pair.measured:,} measured")
        if whole:
            networks.append(Checked(name, fabric, precision, ran.predicted, ran.measured))
    fabrics = (*FABRICS, *(step.fabric for step in STEPS), *(fabric for fabric, _ in REAL))
    sides = [tuple(map(int, fabric.split("x"))) for fabric in fabrics]
    largest = (max(width for width, _ in sides), max(height for _, height in sides))
    # benchmarks.predictions and benchmarks.reduced have runs of their own.
    agreement = replace(
        load(),
        fabric=DEFAULT,
        largest=largest,
        kinds=summarised(found),
        networks=tuple(networks),
    )
    click.echo(page(agreement))
    if not small:
        write(agreement)


def programs(small: bool) -> Iterator[tuple[Any, ...]]:
    """(name, fabric, precision, whether a network, program, inputs)."""
    from tests.fabric import build

    for case, fabric, precision in product(KERNELS + NETWORKS, FABRICS, ("f32", "f16")):
        model, feeds = case.build()
        yield (
            case.name,
            fabric,
            precision,
            case in NETWORKS,
            build(model, fabric, DType(precision), case.same_order),
            feeds,
        )
    for step in STEPS:
        program, feeds = step.build()
        yield step.name, step.fabric, step.precision, True, program, feeds
    if small:
        return
    import wsc
    from tests.networks import NETWORKS as TRAINED

    for network, (fabric, precision) in product(TRAINED, REAL):
        program = wsc.compile(
            network.path, fabric=fabric, dims=dict(network.dims), precision=precision
        )
        yield network.name, fabric, precision, True, program, network.feeds()


def compared(
    program: Any, feeds: dict[str, Any], options: dict[str, Any]
) -> tuple[Pair, list[Pair]]:
    """Whole run and calls, predicted and measured."""
    from wsc.cost.predict import predict

    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds, **options)
    found = pairs(prediction, run.counters.statements)
    return Pair("", prediction.cycles, run.cycles), found


def write(agreement: Agreement) -> None:
    """Put what was found into the table that ships with wsc, and its page."""
    TABLE.write_text(dump(agreement), encoding="utf-8")
    PAGE.write_text(page(agreement), encoding="utf-8")


def page(agreement: Agreement) -> str:
    """The table for readers."""
    kinds = [
        [
            item.kind,
            f"{item.calls:,}",
            f"{item.cycles:,}",
            f"{item.mean:.1%}",
            f"{item.worst:.1%}",
            str(item.beyond),
        ]
        for item in agreement.kinds
    ]
    width, height = agreement.largest
    parts = [
        "# Predictions against runs",
        f"Written by `{COMMAND}`, with the numbers of `{agreement.fabric}` on rectangles of up to "
        f"{width}x{height} tiles; [cost.md](cost.md) says what is predicted and how. "
        f"Beyond: calls that are off by more than {KERNEL:.0%} and more than {FLOOR} cycles. Mean "
        f"and worst are those of calls of {FLOOR / KERNEL:,.0f} cycles and more.",
        "## Kernels",
        markdown_table(("kernel", "calls", "cycles", "mean", "worst", "beyond"), kinds, 1),
        "## Networks",
        markdown_table(("network", *HEAD[1:]), _rows(agreement.networks), 3),
    ]
    if agreement.meshes:
        parts += [
            "## Kernels on large meshes",
            LARGE,
            markdown_table(HEAD, _rows(agreement.meshes), 3),
        ]
    if agreement.models:
        parts += [
            "## Narrow language models",
            NARROW,
            markdown_table(("model", *HEAD[1:]), _rows(agreement.models), 3),
        ]
    if agreement.wide:
        parts += [
            "## Language models of full width",
            WIDE,
            markdown_table(("model", *HEAD[1:]), _rows(agreement.wide), 3),
        ]
    return "\n\n".join(parts) + "\n"


def _rows(checked: Iterable[Checked]) -> list[list[str]]:
    return [
        [
            item.network,
            item.fabric,
            item.precision,
            f"{item.predicted:,}",
            f"{item.measured:,}",
            f"{item.predicted / item.measured - 1:+.2%}",
        ]
        for item in checked
    ]


if __name__ == "__main__":
    main()
