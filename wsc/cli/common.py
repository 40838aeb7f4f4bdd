"""What the commands share: options, reading and writing files, progress."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table

    from wsc.api import Program

_VERBOSE = "wsc.verbose"
_Command = TypeVar("_Command", bound=Callable[..., Any])

PLAIN_WIDTH = 200  # columns of a table that goes into a pipe
REFRESHES = 10  # of a line that says what goes on, in a second


class Refusal(click.ClickException):
    """Something that the user can repair; one clear message, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print ``error: message`` on standard error."""
        click.echo(f"error: {self.format_message()}", file=file, err=file is None)


# --- options ----------------------------------------------------------------------


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_VERBOSE] = value or context.meta.get(_VERBOSE, False)


def verbose() -> bool:
    """Whether ``-v`` was given to the command that runs."""
    return bool(click.get_current_context().meta.get(_VERBOSE, False))


def general(function: _Command) -> _Command:
    """The options that every command has. ``--debug`` is looked at by the group."""
    function = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_remember, help="Say more."
    )(function)
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(function)


def model_options(function: _Command) -> _Command:
    """``--fabric``, ``--dim``, ``--bind`` and ``--precision``."""
    for option in (
        click.option(
            "-p", "--precision", type=click.Choice(["f32", "f16"]), default="f32",
            show_default=True, help="Element type of every float; f16 accumulates in f32.",
        ),
        bind_option("Bake an input in as a constant. May be repeated."),
        click.option(
            "--dim", "dims", multiple=True, metavar="NAME=N",
            help="Size of a symbolic dimension (or INPUT.AXIS=N). May be repeated.",
        ),
        click.option(
            "--fabric", metavar="NAME|WxH|FILE.toml",
            help="Preset, tiles of the default preset, or a description. "
            "Without it a small square is chosen for the model.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


class Memory(click.ParamType):
    """A number of bytes: ``500M``, ``1.5G``, or plain."""

    name = "bytes"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The number; powers of 1024."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", str(value))
        if not found:
            self.fail(f"{value!r} is no number of bytes, as in 500M or 1.5G", param, ctx)
        return int(float(found[1]) * 1024 ** " KMG".index(found[2] or " "))


def bind_option(text: str) -> Callable[[_Command], _Command]:
    """``--bind INPUT=FILE.npy``, with the help text of the command."""
    return click.option("--bind", "bind", multiple=True, metavar="INPUT=FILE.npy", help=text)


def read_dims(values: Iterable[str]) -> dict[str, int]:
    """``NAME=N`` of each ``--dim``; a Refusal for anything else and for contradictions."""
    dims: dict[str, int] = {}
    for value in values:
        name, _, size = value.rpartition("=")
        if not name or not re.fullmatch(r"-?\d+", size):
            raise Refusal(f"--dim {value}: wants NAME=N with a whole number N")
        if dims.setdefault(name, int(size)) != int(size):
            raise Refusal(f"--dim {name} is given as both {dims[name]} and {size}")
    return dims


def read_arrays(flag: str, values: Iterable[str]) -> dict[str, np.ndarray]:
    """The array of each ``NAME=FILE.npy`` of a flag.

    Names and files may hold ``=``: the file is the one that is there.
    """
    arrays: dict[str, np.ndarray] = {}
    for value in values:
        parts = value.split("=")
        pairs = [("=".join(parts[:n]), "=".join(parts[n:])) for n in range(1, len(parts))]
        pairs = [(name, file) for name, file in pairs if name and file]
        if not pairs:
            raise Refusal(f"{flag} {value}: wants NAME=FILE.npy")
        there = [(name, file) for name, file in pairs if Path(file).is_file()]
        if len(there) > 1:
            files = " and ".join(repr(file) for _, file in there)
            raise Refusal(f"{flag} {value}: both {files} are files; write ./FILE.npy for one")
        name, file = (there or pairs[:1])[0]
        if name in arrays:
            raise Refusal(f"{flag} {name} is given twice")
        arrays[name] = _read_array(f"{flag} {name}", Path(file))
    return arrays


def _read_array(what: str, path: Path) -> np.ndarray:
    from numpy.lib import format as npy

    try:
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
                raise Refusal(f"{what}: {path} is not a .npy file")
            file.seek(0)
            return npy.read_array(file, allow_pickle=False)
    except OSError as error:
        raise Refusal(f"{what}: {path} cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        raise Refusal(f"{what}: {path} is damaged or holds objects ({error})") from error


def load_program(path: Path, doing: str) -> Program:
    """``wsc.load``, with a line for each thing that the user should know of the program.

    doing: what is said to go on meanwhile.
    """
    with working(f"{doing} {path}"):
        from wsc.api import load
        from wsc.errors import OtherMachine

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OtherMachine)  # told below
            program = load(path)
    for note in program.notes:
        click.echo(f"note: {path}: {note}", err=True)
    return program


# --- the terminal -----------------------------------------------------------------


def console(stderr: bool = False) -> Console:
    """A console that keeps long lines whole, and is wide when it is no terminal."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1, which means another thing here

    made = Screen(stderr=stderr, soft_wrap=True, highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made.width = PLAIN_WIDTH
    return made


def plain_table(*headings: str, right: Iterable[str] = ()) -> Table:
    """A table without frames; the columns named in ``right`` hold numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    numbers = set(right)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left")
    return table


def print_table(to: Console, table: Table) -> None:
    """Print a table; in a pipe its lines carry no spaces at their ends."""
    if to.is_terminal:
        to.print(table, soft_wrap=False, no_wrap=False)
        return
    with to.capture() as capture:
        to.print(table, soft_wrap=False, no_wrap=True, overflow="ignore", crop=False)
    for line in capture.get().splitlines():
        to.print(line.rstrip())


class Line:
    """A line that says what goes on, on a terminal; without a status nothing is said."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def __call__(self, text: str) -> None:
        """Say something else."""
        if self._status is not None:
            self._status.update(text)
            self._status.start()

    def still(self, text: str) -> None:
        """Say it in a line that stays and does not move, until something else is said.

        For work that shares itself out to a copy of this process: no thread goes on meanwhile.
        """
        if self._status is None:
            return
        self._status.stop()
        self._status.console.print(text)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(2 / REFRESHES)


@contextmanager
def noted() -> Generator[None]:
    """Say what the compiler warns of, one line each, on standard error."""
    from wsc.errors import PrecisionWarning

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", PrecisionWarning)
        yield
    for item in found:
        if issubclass(item.category, PrecisionWarning):
            click.echo(f"{'note':<9} {item.message}", err=True)
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


@contextmanager
def working(text: str) -> Generator[Line]:
    """A line that says what goes on, on a terminal alone; call the result to change it.

    An interrupt says what it interrupted, if it does not know better.
    """
    screen = console(stderr=True)
    try:
        if screen.is_terminal:
            with screen.status(text, refresh_per_second=REFRESHES) as status:
                yield Line(status)
        else:
            yield Line(None)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error) or f"interrupted while {text}") from None
