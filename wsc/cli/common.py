"""What the commands share: options, reading and writing files, progress."""

from __future__ import annotations

import functools
import json
import math
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import fields
from os import SEEK_END
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from wsc.cli.completion import Word, fabrics, numbers
from wsc.isa.files import refusal
from wsc.isa.shown import escaped

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    from wsc.api import Program

_VERBOSE = "wsc.verbose"
_STANDARD = "wsc.standard"
_Command = TypeVar("_Command", bound=Callable[..., Any])

STANDARD = Path("-")  # standard input, or output
PIPE_WIDTH = 1 << 20  # columns of a pipe: no table and no line is cut there
LARGEST = 2**63 - 1  # of the numbers of the command line
REFRESHES = 10  # of a line that says what goes on, in a second


class Refusal(click.ClickException):
    """Something that the user can repair; one clear message, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print ``error: message`` on standard error."""
        say(f"error: {self.format_message()}", error=True)


def told(error: Exception) -> str:
    """An error as one message for the user."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    from wsc.api import told as told_by_the_api

    return told_by_the_api(error)


# --- options ----------------------------------------------------------------------


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_VERBOSE] = value or context.meta.get(_VERBOSE, False)


def verbose() -> bool:
    """Whether ``-v`` was given to the command that runs."""
    return bool(click.get_current_context().meta.get(_VERBOSE, False))


def gathered(function: Callable[..., Any], name: str, record: type[Any]) -> Any:
    """A command that takes some of its options as one record.

    record: a dataclass whose fields are named as these options are; what the command has no option
    for keeps its default. name: as what it is taken.
    """
    names = [item.name for item in fields(record)]

    @functools.wraps(function)
    def command(**options: Any) -> Any:
        chosen = {item: options.pop(item) for item in names if item in options}
        return function(**{name: record(**chosen)}, **options)

    return command


def general(function: _Command) -> _Command:
    """The options that every command has. ``--debug`` is looked at by the group."""
    function = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_remember, help="Say more."
    )(function)
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        help="Show the traceback of an error; check each pass of the compiler.",
    )(function)


def model_options(function: _Command) -> _Command:
    """``--fabric``, ``--dim``, ``--bind`` and ``--precision``."""
    for option in (
        click.option(
            "-p",
            "--precision",
            type=click.Choice(["f32", "f16"]),
            default="f32",
            show_default=True,
            help="Element type of every float; f16 accumulates in f32.",
        ),
        bind_option("Bake an input in as a constant. May be repeated."),
        click.option(
            "--dim",
            "dims",
            multiple=True,
            metavar="NAME=N",
            help="Size of a symbolic dimension (or INPUT.AXIS=N). May be repeated.",
        ),
        click.option(
            "--fabric",
            type=Word(fabrics),
            metavar="[NAME:]WxH|NAME|FILE.toml",
            help="Preset, tiles of one (of the default one without a name), or a description. "
            "Without it a small square is chosen for the model.",
        ),
    ):
        function = option(function)
    return function


def set_option(function: _Command) -> _Command:
    """``--set KEY=VALUE``; ``read_settings`` reads it."""
    return click.option(
        "--set",
        "settings",
        type=Word(numbers),
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a number of the fabric, as in router.buffer_depth=8. May be repeated.",
    )(function)


def fabric_files(fabric: str | None) -> tuple[Path, ...]:
    """The files of the fabric that ``--fabric`` names: they are read, and never replaced."""
    from wsc.isa.fabric import description_files, find_fabric

    return () if fabric is None else description_files(find_fabric(fabric))


class Memory(click.ParamType):
    """A number of bytes: ``500M``, ``1.5G``, or plain."""

    name = "bytes"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The number; powers of 1024."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", str(value))
        if not found:
            self.fail(f"{value!r} is no number of bytes, as in 500M or 1.5G", param, ctx)
        bytes_ = float(found[1]) * 1024 ** " KMG".index(found[2] or " ")
        if bytes_ > LARGEST:
            self.fail("no machine has so many bytes", param, ctx)
        return int(bytes_)


def bind_option(text: str) -> Callable[[_Command], _Command]:
    """``--bind INPUT=FILE.npy``, with the help text of the command."""
    return click.option("--bind", "bind", multiple=True, metavar="INPUT=FILE.npy", help=text)


def read_dims(values: Iterable[str]) -> dict[str, int]:
    """``NAME=N`` of each ``--dim``; a Refusal for anything else and for contradictions."""
    dims: dict[str, int] = {}
    for value in values:
        name, _, size = value.rpartition("=")
        if not name or not re.fullmatch(r"-?\d{1,18}", size):
            raise Refusal(f"--dim {value}: wants NAME=N with a whole number N of up to 18 digits")
        if dims.setdefault(name, int(size)) != int(size):
            raise Refusal(f"--dim {name} is given as both {dims[name]} and {size}")
    return dims


def coordinates(flag: str, text: str) -> tuple[int, int]:
    """The numbers of ``X,Y``.

    Raises:
        Refusal: it is something else.
    """
    found = re.fullmatch(r"(\d+),(\d+)", text.replace(" ", ""))
    if not found:
        raise Refusal(f"{flag} {text}: wants X,Y")
    return int(found[1]), int(found[2])


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
    path = standard_file("array.npy") if path == STANDARD else path
    reason = refusal(path)
    if reason:
        raise Refusal(f"{what}: {path}: {reason}")
    try:
        with path.open("rb") as file:
            return _array_of(file)
    except OSError as error:
        raise Refusal(f"{what}: {path} cannot be read ({error.strerror or error})") from error
    except MemoryError:
        raise Refusal(f"{what}: {path} does not fit in this machine's memory") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise Refusal(f"{what}: {path}: {reason}") from error


def _array_of(file: BinaryIO) -> np.ndarray:
    """The array in a ``.npy`` file. Raises ValueError for one that does not hold what it says."""
    from numpy.lib import format as npy

    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
        raise ValueError("is not a .npy file")
    file.seek(0)
    try:
        version = npy.read_magic(file)
        if version not in headers:
            raise ValueError(f"version {version[0]}.{version[1]} of the format")
        shape, _, dtype = headers[version](file)
    except Exception as error:
        raise ValueError(f"is damaged ({error})") from error
    if dtype.hasobject or dtype.names is not None or not dtype.itemsize:
        raise ValueError(f"holds objects or records, not numbers ({dtype})")
    # Before any memory is taken for them: whether the data are there.
    wanted = math.prod(shape) * dtype.itemsize
    start = file.tell()
    stored = file.seek(0, SEEK_END) - start
    plain = all(type(size) is int and size >= 0 for size in shape)
    if not plain or wanted > stored:
        raise ValueError(f"is damaged: shape {list(shape)} of {dtype} and {stored} bytes of data")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)


def load_program(
    path: Path, work: str, fabric: str | None = None, settings: Iterable[str] = ()
) -> Program:
    """``wsc.load``, with a line for each thing that the user should know of the program.

    path: - is standard input. work: what is said to go on meanwhile. fabric, settings: of
    ``--fabric`` and ``--set``, which put the program on another machine.
    """
    from wsc.isa.machine import read_settings

    changes = dict(read_settings(settings))
    with working(f"{work} {path}"):
        from wsc.api import load, parse
        from wsc.errors import OtherMachine

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OtherMachine)  # told below
            text = None if path != STANDARD else standard_text()
            program = (load(path) if text is None else parse(text)).on(fabric, changes)
    for note in program.notes:
        say(f"note: {path}: {note}", error=True)
    return program


def given_program(
    path: Path,
    fabric: str | None,
    dims: Iterable[str],
    arrays: dict[str, np.ndarray],
    precision: str | None,
    settings: Iterable[str],
    located: bool = False,
    held: Mapping[str, Any] | None = None,
) -> Program:
    """The program that an argument names: an assembly file, or a model, which is compiled.

    arrays: of ``--bind``. Of an assembly file, dims and precision are refused. located: a program
    that is compiled knows the lines of its text too, as one that is read does. held: of
    ``wsc.compile``, what stays on the fabric.
    """
    from wsc.isa.machine import read_settings

    if not is_model(path):
        for flag, given in (("--dim", tuple(dims)), ("--precision", precision)):
            if given:
                raise Refusal(f"{flag}: {path} is compiled, and says that itself")
        return load_program(path, "reading", fabric, settings)
    from wsc.api import compile as compile_model

    with noted(), working("compiling") as line:
        program = compile_model(
            path,
            observe=following(line),
            fabric=fabric,
            dims=read_dims(dims),
            precision=precision or "f32",
            bind=arrays,
            settings=dict(read_settings(settings)),
            **(held or {}),
        )
        if located:
            program.locate(f"{path.stem}.wsa")
    return program


def is_model(path: Path) -> bool:
    """Whether an argument is a model; else it is assembly."""
    return path.suffix == ".onnx"


def standard_text() -> str:
    """All of standard input. Raises a Refusal for what is no text."""
    try:
        return standard_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("standard input: is no assembly: not UTF-8 text") from None


def standard_bytes() -> bytes:
    """All of standard input; it is read once, however often it is asked for."""
    known = click.get_current_context().meta  # of the command line as a whole
    if _STANDARD not in known:
        known[_STANDARD] = sys.stdin.buffer.read()
    return known[_STANDARD]


def standard_file(name: str) -> Path:
    """A file of that name with all of standard input, which is gone when the command ends."""
    folder = tempfile.TemporaryDirectory(prefix="wsc-")
    path = Path(click.get_current_context().with_resource(folder)) / name
    path.write_bytes(standard_bytes())
    return path


# --- the terminal -----------------------------------------------------------------


def say(text: str, error: bool = False, end: str = "\n") -> None:
    """Print lines as they are, but for what is not printable in them.

    A single line goes on in the next one on a screen that is narrower; of several lines, marks in
    one may be below what they mark in another.

    error: on standard error.
    """
    shown = escaped(text, keep="\n")
    if "\n" not in shown and (sys.stderr if error else sys.stdout).isatty():
        shown = wrapped(shown, get_terminal_size().columns)
    click.echo(shown + end, nl=False, err=error)


def say_facts(facts: Iterable[tuple[str, str]], width: int = 13, error: bool = False) -> None:
    """Print a line for each head and its text, which on a screen goes on below itself.

    width: of the heads. error: on standard error.
    """
    stream = sys.stderr if error else sys.stdout
    columns = get_terminal_size().columns if stream.isatty() else PIPE_WIDTH
    for head, text in facts:
        line = escaped(f"{head:<{width}} {text}", keep="\n")
        click.echo(wrapped(line, columns, width + 1), err=error)


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """A text in lines of a screen, all but the first one indented; words are kept whole."""
    lines = wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return "\n".join(lines) if len(lines) > 1 else text


def say_json(value: Any) -> None:
    """Print an object as JSON, all of it in printable characters of ASCII."""
    text = json.dumps(value, indent=2, allow_nan=False)
    click.echo(text.replace("\x7f", "\\u007f"))
    _objects.append(None)


def say_json_error(message: str) -> None:
    """Print the object of a command that failed, unless it has given one: that says why."""
    if not _objects:
        say_json({"error": message})


def expect_json() -> None:
    """A command begins, and has given no object."""
    _objects.clear()


_objects: list[None] = []  # that have been printed


def console(stderr: bool = False) -> Console:
    """A console that shows what is not printable escaped, and keeps long lines whole in a pipe."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1, which means another thing here

        def render_str(self, text: str, **options: Any) -> Text:  # cells of tables, too
            return super().render_str(escaped(text, keep="\n"), **options)

    # Rich takes a pipe for a terminal where FORCE_COLOR is set, as Jupyter does: tables would be
    # cut to a screen there, and lines that move would be written to it.
    stream = sys.stderr if stderr else sys.stdout
    made = Screen(
        stderr=stderr,
        soft_wrap=not stream.isatty(),
        highlight=False,
        emoji=False,
        markup=False,
        force_terminal=stream.isatty(),
    )
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


class Line:
    """A line that says what goes on, on a terminal; without a status nothing is said."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def __call__(self, text: str) -> None:
        """Say something else."""
        if self._status is not None:
            self._status.update(_plain(text))
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


def following(line: Line) -> Callable[[str, Any], None]:
    """Observes passes, and says on a line which of them is done."""
    return lambda name, _: line(f"compiling: {name} done")


def _plain(text: str) -> Text:
    """A text for a status line, which would take brackets in it for markup."""
    from rich.text import Text

    return Text(escaped(text))


@contextmanager
def noted() -> Generator[None]:
    """Say what the compiler warns of, one line each, on standard error."""
    from wsc.errors import PrecisionWarning

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", PrecisionWarning)
        yield
    for item in found:
        if issubclass(item.category, PrecisionWarning):
            say_facts([("note", str(item.message))], 9, error=True)
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


@contextmanager
def working(text: str) -> Generator[Line]:
    """A line that says what goes on, on a terminal alone; call the result to change it.

    An interrupt says what it interrupted, if it does not know better.
    """
    screen = console(stderr=True)
    _doing.append(text)
    try:
        if screen.is_terminal:
            with screen.status(_plain(text), refresh_per_second=REFRESHES) as status:
                yield Line(status)
        else:
            yield Line(None)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error) or doing()) from None
    finally:
        _doing.remove(text)


_doing: list[str] = []  # the texts of ``working``, the innermost last


def doing() -> str:
    """What an interrupt interrupts, as a sentence; empty if nothing is known of it."""
    return f"interrupted while {_doing[-1]}" if _doing else ""
