"""``--weights``, ``--code``, ``--steps``, ``--carry``: what stays on the fabric, of commands that
compile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from wsc.cli.common import Refusal, gathered
from wsc.ir.forms import AUTO, CODES, HOLDS

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Holding:
    """The options; None, or empty, where one is not given."""

    hold: str | None = None
    steps: int | None = None
    carry: tuple[str, ...] = ()
    coded: str | None = None

    def given(self) -> str | None:
        """The first flag that was given of those that a training step does not take."""
        flags = {"--weights": self.hold, "--steps": self.steps, "--carry": self.carry}
        return next((flag for flag, value in flags.items() if value), None)

    @property
    def code(self) -> str:
        """Whether code comes in sections."""
        return self.coded or AUTO

    @property
    def holds(self) -> bool:
        """Whether something may stay on the fabric."""
        return self.steps is not None or self.hold in ("resident", "auto")

    def options(self) -> dict[str, Any]:
        """What ``wsc.compile`` takes for them. Weights of several steps are held by ``auto``."""
        hold = self.hold or ("stream" if self.steps is None else "auto")
        return {"hold": hold, "steps": self.steps, "carry": self.pairs(), "code": self.code}

    def pairs(self) -> dict[str, str]:
        """Input -> the output that the next step is given for it.

        Raises:
            Refusal: an option is not of the form INPUT=OUTPUT, or names an input twice.
        """
        found: dict[str, str] = {}
        for text in self.carry:
            name, mark, output = text.partition("=")
            if not (name and mark and output):
                raise Refusal(f"--carry {text}: is of the form INPUT=OUTPUT")
            if name in found:
                raise Refusal(f"--carry {text}: input {name} is given twice")
            found[name] = output
        return found


code_option = click.option(
    "--code",
    "coded",
    type=click.Choice(CODES),
    help="All code of a tile is there all the time (resident), or comes from the edge in "
    "sections that share a room, and takes few bytes (sections); auto takes sections where "
    "the program does not fit otherwise, and says so. [default: auto]",
)
"""``--code``, which the command takes as ``coded``."""


def holding(function: _Command) -> _Command:
    """The four options; the command takes them as ``holding``."""

    made: Any = gathered(function, "holding", Holding)
    for option in (
        click.option(
            "--carry",
            multiple=True,
            metavar="INPUT=OUTPUT",
            help="An input that each step is given from the output of the one before; it stays in "
            "SRAM. May be repeated. [default: past... from present..., x from next_x]",
        ),
        click.option(
            "--steps",
            type=click.IntRange(1),
            metavar="N",
            help="The model is one step, and a run makes N: inputs and outputs get a first "
            "dimension of steps.",
        ),
        code_option,
        click.option(
            "--weights",
            "hold",
            type=click.Choice(HOLDS),
            help="Weights of products come from the edge when they are wanted (stream), or are "
            "brought into SRAM once and stay (resident); auto takes what is predicted to be "
            "faster, and says so. [default: stream; auto with --steps]",
        ),
    ):
        made = option(made)
    return made
