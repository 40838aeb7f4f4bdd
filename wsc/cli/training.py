"""``--loss``, ``--optimizer`` and so on: what a training step is, of commands that compile one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsc.cli.common import Refusal, gathered
from wsc.cli.completion import Word, losses, optimizers

if TYPE_CHECKING:
    from wsc.api import Program

_Command = TypeVar("_Command", bound=Callable[..., Any])
_COSTS = ("wafers", "rates", "carbon", "price", "for_tokens")


class _Runs(click.ParamType):
    """A number of runs, or ``auto``."""

    name = "runs"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """The number, or the word."""
        from wsc.training.runs import AUTO

        return AUTO if value == AUTO else click.IntRange(1).convert(value, param, ctx)


@dataclass(frozen=True, slots=True)
class Training:
    """The options. accumulate: runs of a step, or ``auto``; None if nobody asked."""

    loss: str
    optimizer: str
    groups: tuple[str, ...]
    trainable: tuple[str, ...]
    clip: float
    accumulate: int | str | None
    recompute: str

    def runs(self, batch: int | None) -> int | str:
        """The runs of a step: a number, or ``auto``, which is what nobody asked for means.

        batch: samples of a step, None where nobody says. A step of the model's own is one run.
        """
        from wsc.training.own import OWN
        from wsc.training.runs import AUTO

        if self.accumulate is not None:
            return self.accumulate
        return 1 if batch is None or self.optimizer == OWN else AUTO

    def options(self) -> dict[str, Any]:
        """What ``wsc.compile_step`` and ``wsc.train`` take for them, all but the number of runs."""
        return {
            "loss": self.loss,
            "optimizer": self.optimizer,
            "groups": self.groups,
            "trainable": self.trainable,
            "clip": self.clip,
            "recompute": self.recompute,
        }

    def shared_out(
        self, batch: int | None, wafers: int, step: Callable[[int, int | None], Program]
    ) -> tuple[Program, int]:
        """The program of a training step, and in how many runs it is done.

        batch: samples of a run, or with ``auto`` of a step. step: compiles for so many runs of so
        many samples.

        Raises:
            Refusal: ``auto`` without samples to share out.
        """
        from wsc.training.runs import AUTO, in_fewest_runs

        asked = self.runs(batch)
        if isinstance(asked, int):
            return step(asked, batch), asked
        if batch is None:
            raise Refusal(f"--accumulate {AUTO}: say how many samples a step has (--batch)")
        program, runs, note = in_fewest_runs(batch, lambda n: step(n, batch // n), wafers)
        program.notes = (*([note] if note else []), *program.notes)
        return program, runs


def training(function: _Command) -> _Command:
    """The options of a training step; the command takes them as ``training``."""

    made: Any = gathered(function, "training", Training)
    for option in (
        click.option(
            "--recompute",
            type=click.Choice(["none", "layers", "edge", "auto"]),
            default="auto",
            show_default=True,
            help="Activations that the backward pass computes again: none, those of layers that "
            "repeat, or those where they do not fit. edge: those of layers, and what these hand on "
            "leaves at the edge and comes back.",
        ),
        click.option(
            "--accumulate",
            type=_Runs(),
            metavar="K|auto",
            help="Runs whose gradients make a step; they share out its samples. auto: as few as "
            "there is room in, for a step of --batch samples. [default: auto; 1 without --batch]",
        ),
        click.option(
            "--clip",
            type=click.FloatRange(0.0),
            default=0.0,
            metavar="NORM",
            help="The norm of all gradients together is at most this. [default: any]",
        ),
        click.option(
            "--trainable",
            multiple=True,
            metavar="GLOB",
            help="Names of weights that change. May be repeated. [default: all]",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="GLOB:NUMBERS",
            help="Other numbers for some weights, as in '*.bias:weight_decay=0'. May be repeated.",
        ),
        click.option(
            "--optimizer",
            type=Word(optimizers),
            default="adam",
            show_default=True,
            metavar="RULE[:NUMBERS]",
            help="sgd, momentum, adam or adamw, as in adamw:lr=3e-4,weight_decay=0.1; model: as "
            "its training_info says.",
        ),
        click.option(
            "--loss",
            type=Word(losses),
            default="cross_entropy",
            show_default=True,
            metavar="LOSS[:OPTIONS]",
            help="cross_entropy, mse or output, as in cross_entropy:smoothing=0.1,ignored=0.",
        ),
    ):
        made = option(made)
    return made


def require_training(train: bool) -> None:
    """Raise Refusal for options of a training step that were given to another command."""
    context = click.get_current_context()
    known = (*Training.__dataclass_fields__, *_COSTS)
    for option in () if train else context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in known and source is click.core.ParameterSource.COMMANDLINE:
            raise Refusal(f"{option.opts[0]} is for a training step: give --train as well")
