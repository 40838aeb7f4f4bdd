"""``python -m benchmarks.steps``: what a training step of a large model takes of a tile.

The step is compiled as if a tile had as much SRAM as it takes, so that one which is refused has its
row too. ``--predict`` says how long it takes, beside what was measured on a CS-3. The rows of
``docs/training.md`` are made so.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import click

from wsc.cost.bill import WORLD, bill, read_rates
from wsc.cost.predict import predict
from wsc.frontend.store import Seed
from wsc.ir.cut import Cut, NotAlike
from wsc.ir.graph import Graph
from wsc.ir.tasks import Placed
from wsc.isa.code_size import block_bytes, code_bytes
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import Program
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.models.language import Task, build, find_shape
from wsc.passes.memory import Allocate, kept_before, lifetimes
from wsc.passes.stage import Stage
from wsc.pipeline import passes
from wsc.training.losses import parse_loss
from wsc.training.step import Step, build_step, parse_optimizer

KINDS = {"move": "moves", "copy": "moves", "matmul": "products", "map": "maps"}
OTHER = "other"
PUBLISHED = {"llama2-7b": 31.98, "gpt-j-6b": 44.75}  # samples a second of one CS-3


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes of a tile. code: by kind of procedure, and of main. kept: what layers keep for the
    backward pass. data: all values, weights and scratch, up to the highest address."""

    tokens: str
    code: Counter[str]
    kept: int
    data: int

    def line(self, fabric: Fabric) -> str:
        """The row in Markdown."""
        code = sum(self.code.values())
        kinds = " | ".join(f"{self.code[kind]:,}" for kind in (*_kinds(), OTHER, "main"))
        left = fabric.sram_bytes - code - self.data
        fits = f"{left:,} left" if left >= 0 else f"{-left:,} too many"
        return f"| {self.tokens} | {kinds} | {code:,} | {self.kept:,} | {self.data:,} | {fits} |"


def _kinds() -> list[str]:
    return list(dict.fromkeys(KINDS.values()))


def stepped(name: str, layers: int | None, batch: int, sequence: int, fabric: Fabric) -> Step:
    """The step of a model by name, which keeps all that its layers make."""
    shape = find_shape(name)
    shape = shape if layers is None else shape.sized(layers=layers)
    model = build(shape, Task(sequence=sequence, batch=batch))
    loss, rule = parse_loss("cross_entropy"), parse_optimizer("adam")
    step = build_step(model, loss, rule, {}, DType.F16, weights=Seed(0))
    return step.on(fabric)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a model trains. cycles, macs, joules: of a run; macs without what is done again."""

    model: str
    batch: int
    sequence: int
    cycles: float
    macs: float
    joules: float

    def line(self, fabric: Fabric) -> str:
        """The row in Markdown."""
        seconds = self.cycles / fabric.clock_hertz
        peak = fabric.timing[Timing.MULTIPLY_ACCUMULATE].peak(DType.F16)
        useful = self.macs / (peak * fabric.width * fabric.height * self.cycles)
        grams = bill(self.joules, read_rates(WORLD)).grams
        published = PUBLISHED.get(self.model)
        return (
            f"| {self.model}, {self.batch} of {self.sequence:,} | {self.cycles:,.0f} | "
            f"{self.batch * self.sequence / seconds:,.0f} | {self.batch / seconds:.3g} | "
            f"{'' if published is None else published} | {useful:.1%} | {self.joules:,.3g} | "
            f"{grams:.2g} |"
        )


def predicted(
    name: str, layers: int | None, batch: int, sequence: int, fabric: Fabric, away: bool = False
) -> Rate:
    """The rate of a model's step, one run of it. away: as for ``Step.recomputing``."""
    step = stepped(name, layers, batch, sequence, fabric)
    _, program = compiled(step.recomputing(away), fabric)
    prediction = predict(program, fabric)
    joules = math.fsum(prediction.energy.values()) * 1e-12
    return Rate(name, batch, sequence, prediction.cycles, step.work, joules)


def measured(step: Step, tokens: str, fabric: Fabric) -> Row:
    """What a step takes, whether a tile has it or not."""
    placed, program = compiled(step, fabric)
    data = max(tensor.address + tensor.bytes for tensor in program.tensors)
    return Row(tokens, _code(program, fabric), _kept(placed), data)


def compiled(step: Step, fabric: Fabric) -> tuple[Placed, Program]:
    """A step with its addresses, and its program."""
    deep = step.deep
    try:
        if deep is not None:
            return _lowered(deep.few, deep.cut, fabric)
    except NotAlike:
        pass
    return _lowered(step.graph, None, fabric)


def _lowered(graph: Graph, cut: Cut | None, fabric: Fabric) -> tuple[Placed, Program]:
    """A step as it is lowered if a tile has as much SRAM as it takes.

    cut: the layers that its graph is without.
    """
    stage: Any = graph
    placed: Stage | None = None
    for item in passes(fabric, DType.F16, "step", cut=cut):
        free = Allocate(fabric, limited=False) if isinstance(item, Allocate) else item
        stage = free.apply(stage)
        placed = stage if isinstance(item, Allocate) else placed
    assert isinstance(placed, Placed)
    assert isinstance(stage, Program)
    return placed, stage


def _code(program: Program, fabric: Fabric) -> Counter[str]:
    """Bytes of code by kind."""
    found: Counter[str] = Counter()
    for procedure in program.procedures:
        kind = KINDS.get(procedure.name.partition("_")[0], OTHER)
        found[kind] += block_bytes(procedure.body, fabric)
    found["main"] = max(code_bytes(program, fabric).values()) - sum(found.values())
    return found


def _kept(placed: Placed) -> int:
    """Bytes of what each layer of a backward pass has for itself from before all of them."""
    lives = lifetimes(placed)
    first = {name: life.first for life in lives for name in life.names}
    kept = kept_before(placed, first)
    # What layers that were left out keep is beside that: some buffers at one address, in turn.
    sizes = {buffer.name: buffer.bytes for buffer in placed.buffers}
    beside = {placed.addresses[name]: sizes[name] for name in placed.alike}
    return sum(life.bytes for life in lives if kept & {*life.names}) + sum(beside.values())


@click.command()
@click.option("--model", default="gpt-neox-20b", show_default=True)
@click.option("--layers", type=int, help="As many; without it, all.")
@click.option("--batch", "batches", multiple=True, default=(1, 4), type=int, show_default=True)
@click.option("--sequence", default=2048, show_default=True)
@click.option("--fabric", default="wse2", show_default=True)
@click.option("--edge", "away", is_flag=True, help="What layers hand on leaves at the edge.")
@click.option("--predict", "rates", is_flag=True, help="How long a run takes, not its bytes.")
def main(
    model: str,
    layers: int | None,
    batches: tuple[int, ...],
    sequence: int,
    fabric: str,
    away: bool,
    rates: bool,
) -> None:
    """Print the table."""
    target = find_fabric(fabric)
    if rates:
        click.echo(
            "| sequences of a run | cycles | tokens/s | samples/s | CS-3 | useful | J | g CO2e |"
        )
        click.echo("|---|" + "---:|" * 7)
        for batch in batches:
            click.echo(predicted(model, layers, batch, sequence, target, away).line(target))
        return
    heads = " | ".join((*_kinds(), OTHER, "main"))
    click.echo(
        f"| sequences | {heads} | code | kept of layers | values | of {target.sram_bytes:,} |"
    )
    click.echo("|---|" + "---:|" * (len(_kinds()) + 5) + "---|")
    for batch in batches:
        step = stepped(model, layers, batch, sequence, target).recomputing(away)
        click.echo(measured(step, f"{batch} of {sequence:,} tokens", target).line(target))


if __name__ == "__main__":
    main()
