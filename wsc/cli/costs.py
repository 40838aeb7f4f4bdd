"""What training costs, as the commands say it: time on several wafers, energy, CO2e, money."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsc.cli.common import Refusal, gathered
from wsc.cli.finished import short_time

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.cost.bill import Bill, Rates
    from wsc.cost.interconnect import Exchange
    from wsc.cost.predict import Prediction

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PICO = 1e-12
_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"))
_HOURS = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"))
_JOULES = ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"))


@dataclass(frozen=True, slots=True)
class Asking:
    """``--rates``, ``--carbon``, ``--price``, ``--for-tokens``; None of one that is not given."""

    rates: Path | None
    carbon: float | None
    price: float | None
    for_tokens: int | None

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read for them."""
        return () if self.rates is None else (self.rates,)

    def __bool__(self) -> bool:
        """Whether any was given."""
        given = (self.rates, self.carbon, self.price, self.for_tokens)
        return any(item is not None for item in given)

    def read(self) -> Rates:
        """The rates. Raises CompileError for a file that is none of these."""
        from wsc.cost.bill import WORLD, read_rates

        return read_rates(self.rates or WORLD).given(self.carbon, self.price)


def costing(function: _Command) -> _Command:
    """The four options; the command takes them as ``asking``."""

    made: Any = gathered(function, "asking", Asking)
    for option in (
        click.option(
            "--for-tokens",
            type=click.IntRange(1, 10**18),
            metavar="N",
            help="Say what training on so many tokens costs, too.",
        ),
        click.option(
            "--price",
            type=click.FloatRange(0.0, 1e9),
            metavar="P",
            help="Money for a kilowatt-hour, in the place of the file's.",
        ),
        click.option(
            "--carbon",
            type=click.FloatRange(0.0, 1e9),
            metavar="G",
            help="Grams of CO2e of a kilowatt-hour, in the place of the file's.",
        ),
        click.option(
            "--rates",
            type=click.Path(path_type=Path),
            metavar="FILE.toml",
            help="What a kilowatt-hour costs, each number with its grade. [default: the world's "
            "mean, wsc/cost/world.toml]",
        ),
    ):
        made = option(made)
    return made


@dataclass(frozen=True, slots=True)
class StepCosts:
    """What a training step costs.

    exchange: its time. tokens: of a step; None where the loss counts none. joules: of all wafers,
    without the interconnect, of which nothing is known. for_tokens: how many to say costs for.
    """

    exchange: Exchange
    tokens: int | None
    joules: float
    rates: Rates
    for_tokens: int | None

    @property
    def steps(self) -> int:
        """How many the tokens that were asked for take."""
        return math.ceil((self.for_tokens or 0) / (self.tokens or 1))

    def bill(self, steps: float = 1) -> Bill:
        """Of so many steps."""
        from wsc.cost.bill import bill

        return bill(self.joules * steps, self.rates)

    def facts(self, steps: int | None = None) -> list[tuple[str, str]]:
        """A head and a text each. steps: that were done, each of its runs as often as it was."""
        lines = [*self.interconnect(), ("step costs", self.told(1))]
        if steps is not None:
            lines.append(("run costs", self.told(steps)))
        if self.for_tokens is not None:
            seconds = self.steps * self.exchange.step
            lines.append(
                (
                    "tokens",
                    f"{self.for_tokens:,} in {self.steps:,} steps: {_long_time(seconds)}, "
                    f"{self.told(self.steps)}",
                )
            )
        return [*lines, self.basis()]

    def interconnect(self) -> list[tuple[str, str]]:
        """Of several wafers, what the interconnect does, and how long a step takes with it."""
        found = self.exchange
        if found.wafers == 1:
            return []
        sent = found.broadcast_bytes + found.own_bytes
        nodes = "level" if found.levels == 1 else "levels"
        each = "1 run" if found.runs == 1 else f"{found.runs} runs"
        speed = "" if self.tokens is None else f"; {self.tokens / found.step:,.0f} tokens a second"
        return [
            (
                "interconnect",
                f"{found.wafers} wafers, {found.levels} {nodes} of nodes: broadcast of {sent:,} "
                f"bytes {short_time(found.broadcast)}, reduction of {found.reduced_bytes:,} bytes "
                f"{short_time(found.reduction)}; adds {short_time(found.added)} to a step",
            ),
            ("step", f"{short_time(found.step)} with {each} a wafer{speed}"),
        ]

    def basis(self) -> tuple[str, str]:
        """What the costs are reckoned with."""
        from wsc.cost.bill import number
        from wsc.isa.fabric import Evidence

        def told(item: Evidence | float) -> str:
            grade = item.grade.value if isinstance(item, Evidence) else "given"
            return f"{number(item):g} ({grade})"

        rates = self.rates
        return (
            "",
            f"at {told(rates.carbon)} g CO2e and {told(rates.price)} {rates.currency} a kWh, "
            f"{told(rates.overhead)} times the modelled energy of the wafers",
        )

    def told(self, steps: float) -> str:
        """What so many steps cost."""
        found = self.bill(steps)
        money = f"{found.money:,.2f}" if found.money >= 1 else f"{found.money:.3g}"
        return (
            f"{scaled(found.joules, _JOULES)} of the wafers, "
            f"{scaled(found.kilowatt_hours, _HOURS)}, {scaled(found.grams, _GRAMS)} CO2e, "
            f"{money} {self.rates.currency}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = self.exchange
        told: dict[str, Any] = {
            "wafers": found.wafers,
            "runs_of_a_wafer": found.runs,
            "tokens": self.tokens,
            "seconds": found.step,
            "interconnect": None
            if found.wafers == 1
            else {
                "levels": found.levels,
                "broadcast_bytes": found.broadcast_bytes,
                "looked_up_bytes": found.own_bytes,
                "reduced_bytes": found.reduced_bytes,
                "broadcast_seconds": found.broadcast,
                "reduction_seconds": found.reduction,
                "added_seconds": found.added,
            },
            "costs": bill_dict(self.bill()),
            "rates": self.rates.as_dict(),
        }
        if self.for_tokens is not None:
            told["for_tokens"] = {
                "tokens": self.for_tokens,
                "steps": self.steps,
                "seconds": self.steps * found.step,
                "costs": bill_dict(self.bill(self.steps)),
            }
        return told


def bill_dict(found: Bill) -> dict[str, float]:
    """For JSON."""
    return {
        "joules": found.joules,
        "kilowatt_hours": found.kilowatt_hours,
        "co2e_grams": found.grams,
        "money": found.money,
    }


def step_costs(
    program: Program, prediction: Prediction, asked: Asking, wafers: int, tokens: int | None = None
) -> StepCosts:
    """What a step costs whose runs are predicted.

    tokens: of a run, where they are known; else they are the labels of a loss over classes.

    Raises Refusal where tokens were asked for, and the step has none.
    """
    from wsc.cost.interconnect import exchange

    assembly = program.assembly
    runs = assembly.over
    if tokens is None:
        tokens = _labels(program)
    if asked.for_tokens is not None and tokens is None:
        raise Refusal("--for-tokens: the loss of this step has no labels that could be counted")
    joules = math.fsum(prediction.energy.values()) * _PICO * runs
    found = exchange(assembly, program.fabric, prediction.cycles, wafers, runs)
    total = None if tokens is None else tokens * runs
    return StepCosts(found, total, joules, asked.read(), asked.for_tokens)


def _labels(program: Program) -> int | None:
    """How many labels a run takes, if they are classes."""
    from wsc.isa.program import Kind
    from wsc.training.losses import LABEL

    for tensor in program.assembly.shown(Kind.INPUT):
        if tensor.name == LABEL:
            return math.prod(tensor.shape) if tensor.host.kind == "i" else None
    return None


def scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """Three digits, in the first unit that is not too large, else in the last one."""
    for scale, unit in units:
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    scale, unit = units[-1]
    return f"{value / scale:.3g} {unit}"


def _long_time(seconds: float) -> str:
    for scale, unit in ((86400.0, "days"), (3600.0, "hours")):
        if seconds >= scale:
            return f"{seconds / scale:,.3g} {unit}"
    return short_time(seconds)
