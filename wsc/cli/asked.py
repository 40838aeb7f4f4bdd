"""A program to run, as the commands take it that look at a run: the argument and its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsc.cli.common import (
    LARGEST,
    Memory,
    Refusal,
    bind_option,
    gathered,
    given_program,
    is_model,
    read_arrays,
    set_option,
)
from wsc.cli.completion import Given, Word, fabrics
from wsc.cli.names import Sizes, chosen_model, compiled, is_name, named_model, sized
from wsc.cli.outputs import given_files

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Ready:
    """A program with the arrays that it is run with.

    drawn: the names of those that were drawn from ``seed``. files: that are read, and never
    replaced.
    """

    program: Program
    arrays: dict[str, np.ndarray]
    drawn: tuple[str, ...]
    seed: int | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; the fields are the options."""

    program: Path
    inputs: tuple[str, ...]
    seed: int | None
    bind: tuple[str, ...]
    fabric: str | None
    settings: tuple[str, ...]
    precision: str | None
    dims: tuple[str, ...]
    max_cycles: int | None
    max_memory: int | None
    sizes: Sizes = field(repr=False)

    @property
    def stem(self) -> str:
        """A name for files that are made of the program."""
        return "program" if str(self.program) == "-" else self.program.stem

    def load(self) -> Ready:
        """Read or compile the program, and read or draw its inputs.

        Raises:
            Refusal: an option does not suit the program, or an input is missing.
        """
        from wsc.cli.job import inputs_of

        if self.bind and not is_model(self.program):
            raise Refusal("--bind is for models; what a program was compiled with stays in it")
        given, baked = read_arrays("--input", self.inputs), read_arrays("--bind", self.bind)
        loaded = self._loaded(baked)
        used = self.seed if self.seed is not None or given else 0
        arrays, drawn = inputs_of(loaded, given, used, self.max_memory, True)
        files = (self.program, *loaded.files, *given_files((*self.inputs, *self.bind)))
        return Ready(loaded, arrays, drawn, used, files)

    def _loaded(self, baked: dict[str, np.ndarray]) -> Program:
        path = self.program
        if is_name(path):
            named = named_model(str(path), self.sizes)
            loaded = compiled(named, self.fabric, self.precision, self.settings)
            loaded.locate(f"{path}.wsa")
            return loaded
        if self.sizes.checkpoint is None:
            chosen_model(path, self.sizes)
        made = given_program(
            path, self.fabric, self.dims, baked, self.precision, self.settings, located=True
        )
        made.checkpoint = made.checkpoint or self.sizes.checkpoint
        return made


program_argument = click.argument("program", type=Given(), metavar="PROGRAM.wsa|MODEL.onnx|NAME|-")
input_option = click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input. May be repeated."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, LARGEST),
    metavar="N",
    help="Draw the inputs that are not given. [default: 0, if none is given]",
)
machine_option = click.option(
    "--fabric",
    type=Word(fabrics),
    metavar="[NAME:]WxH|NAME|FILE.toml",
    help="Compile a model for this machine; run a program on it, not on its own.",
)
precision_option = click.option(
    "-p",
    "--precision",
    type=click.Choice(["f32", "f16"]),
    help="Of a model: element type of every float. [default: f32]",
)
dim_option = click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=N",
    help="Of a model: size of a symbolic dimension. May be repeated.",
)


def runnable(function: _Command) -> _Command:
    """The argument PROGRAM and the options of a run; the command takes them as ``asked``."""

    made: Any = sized(gathered(function, "asked", Asked))
    for option in reversed(
        (
            program_argument,
            input_option,
            seed_option,
            bind_option("Bake an input of a model in as a constant. May be repeated."),
            machine_option,
            set_option,
            precision_option,
            dim_option,
            click.option(
                "--max-cycles",
                type=click.IntRange(1, LARGEST),
                metavar="N",
                help="Stop there, with what was seen until then.",
            ),
            click.option(
                "--max-memory", type=Memory(), metavar="BYTES", help="Refuse to take more."
            ),
        )
    ):
        made = option(made)
    return made
