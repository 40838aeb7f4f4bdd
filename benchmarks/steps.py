"""``python -m benchmarks.steps``: what a training step of a large model takes of a tile.

The step is compiled as if a tile had as much SRAM as it takes, so that one which is refused has its
row too. The rows of ``docs/training.md`` are made so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import click

from wsc.frontend.store import Seed
from wsc.ir.tasks import Placed
from wsc.isa.code_size import block_bytes, code_bytes
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import Program
from wsc.isa.types import DType
from wsc.models.language import Task, build, find_shape
from wsc.passes.memory import Allocate, kept_before, lifetimes
from wsc.passes.stage import Stage
from wsc.pipeline import passes
from wsc.training.losses import parse_loss
from wsc.training.step import Step, build_step, parse_optimizer

KINDS = {"move": "moves", "copy": "moves", "matmul": "products", "map": "maps"}
OTHER = "other"


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
    """The step of a model by name, which computes its layers again."""
    shape = find_shape(name)
    shape = shape if layers is None else shape.sized(layers=layers)
    model = build(shape, Task(sequence=sequence, batch=batch))
    loss, rule = parse_loss("cross_entropy"), parse_optimizer("adam")
    step = build_step(model, loss, rule, {}, DType.F16, weights=Seed(0))
    return step.on(fabric).recomputing()


def measured(step: Step, tokens: str, fabric: Fabric) -> Row:
    """What a step takes, whether a tile has it or not."""
    stage: Any = step.graph
    placed: Stage | None = None
    for item in passes(fabric, DType.F16, "step"):
        free = Allocate(fabric, limited=False) if isinstance(item, Allocate) else item
        stage = free.apply(stage)
        placed = stage if item.name == "place" else placed
    assert isinstance(placed, Placed)
    assert isinstance(stage, Program)
    data = max(tensor.address + tensor.bytes for tensor in stage.tensors)
    return Row(tokens, _code(stage, fabric), _kept(placed), data)


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
    return sum(life.bytes for life in lives if kept & {*life.names})


@click.command()
@click.option("--model", default="gpt-neox-20b", show_default=True)
@click.option("--layers", type=int, help="As many; without it, all.")
@click.option("--batch", "batches", multiple=True, default=(1, 4), type=int, show_default=True)
@click.option("--sequence", default=2048, show_default=True)
@click.option("--fabric", default="wse2", show_default=True)
def main(
    model: str, layers: int | None, batches: tuple[int, ...], sequence: int, fabric: str
) -> None:
    """Print the table."""
    target = find_fabric(fabric)
    heads = " | ".join((*_kinds(), OTHER, "main"))
    click.echo(
        f"| sequences | {heads} | code | kept of layers | values | of {target.sram_bytes:,} |"
    )
    click.echo("|---|" + "---:|" * (len(_kinds()) + 5) + "---|")
    for batch in batches:
        step = stepped(model, layers, batch, sequence, target)
        click.echo(measured(step, f"{batch} of {sequence:,} tokens", target).line(target))


if __name__ == "__main__":
    main()
