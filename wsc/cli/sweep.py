"""``wsc sweep``: a model or program on every combination of machines, and what matters."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import (
    LARGEST,
    STANDARD,
    Memory,
    Refusal,
    console,
    fabric_files,
    general,
    say,
    say_json,
)
from wsc.cli.completion import Given, Word, numbers
from wsc.cli.completion import engines as known_engines
from wsc.cli.completion import fabrics as known_fabrics
from wsc.cli.names import Sizes, is_name, named_model, sized
from wsc.cli.outputs import require_outputs
from wsc.cli.tables import PlainTable, print_table

if TYPE_CHECKING:
    from wsc.sweeps import Sweep
    from wsc.sweeps.points import Model

MOST_ROWS = 20  # of the table on a screen, if the rows are in a file too
SEPARATOR = re.compile(r",(?![^\[]*\])")  # a comma that is in no list
JOURNAL = ".journal"
SHOWN = {  # what was measured, for people, and its heading
    "cycles": "cycles",
    "utilization": "utilization",
    "sram_bytes": "SRAM",
    "energy_picojoules": "energy, uJ",
}


@click.command("sweep")
@click.argument(
    "models",
    nargs=-1,
    required=True,
    type=Given(),
    metavar="MODEL.onnx|NAME|PROGRAM.wsa...",
)
@click.option(
    "--set",
    "settings",
    type=Word(numbers),
    multiple=True,
    metavar="KEY=VALUE,...",
    help="Values of a number of the fabric, as in router.buffer_depth=2,4,8. May be repeated.",
)
@click.option(
    "--fabric",
    "fabrics",
    type=Word(known_fabrics, listed=True),
    multiple=True,
    metavar="FABRIC,...",
    help="As in 8x8,tiny.",
)
@click.option(
    "-p",
    "--precision",
    "precisions",
    multiple=True,
    metavar="f32,f16",
    help="Element types of the floats of models.",
)
@click.option(
    "--engine",
    "engines",
    type=Word(known_engines, listed=True),
    multiple=True,
    metavar="NAME,...",
    help="Engines; estimate asks the cost model, and executes nothing.",
)
@click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=N,...",
    help="Sizes of a symbolic dimension. May be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the inputs, which are drawn.",
)
@click.option("--max-cycles", type=click.IntRange(1, LARGEST), metavar="N", help="Of each run.")
@click.option("--max-memory", type=Memory(), metavar="BYTES", help="Of each run.")
@click.option(
    "--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes. [default: one a core]"
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="A Dask scheduler, as in tcp://host:8786, in place of processes here.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.csv|FILE.parquet",
    help="Write the rows. An interrupted sweep goes on when it is given again.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw cycles as curves."
)
@click.option("--x", metavar="COLUMN", help="With --plot: what goes along x.")
@click.option("--y", metavar="COLUMN", help="With --plot: what is drawn in place of cycles.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@sized
@general
def command(
    models: tuple[Path, ...],
    settings: tuple[str, ...],
    fabrics: tuple[str, ...],
    precisions: tuple[str, ...],
    engines: tuple[str, ...],
    dims: tuple[str, ...],
    seed: int,
    max_cycles: int | None,
    max_memory: int | None,
    workers: int | None,
    cluster: str | None,
    output: Path | None,
    plot: Path | None,
    x: str | None,
    y: str | None,
    as_json: bool,
    sizes: Sizes,
) -> int:
    """Run models and programs on every combination of what is given.

    Every option of a machine takes several values, with commas between them. The rows do not
    depend on the workers. A point that fails is a row with its reason, and then the exit code is
    1. The last table says which of the axes matter: how many times more cycles its worst value
    takes than its best, all else equal.

    \b
    wsc sweep digits.onnx --fabric 4x4,8x8 --set router.buffer_depth=2,4,8 --plot depth.svg
    """
    from wsc.sweeps.points import Axes
    from wsc.sweeps.run import run_axes
    from wsc.sweeps.table import require_parquet

    if plot is None and (x or y):
        raise Refusal("--x and --y only serve --plot FILE.svg")
    if workers is not None and cluster is not None:
        raise Refusal("--workers are processes here; a cluster has its own")
    if STANDARD in models:
        raise Refusal("-: the points of a sweep are run by other processes: name a file")
    found, read = _models(models, sizes)
    axes = Axes(
        found,
        _split("--fabric", fabrics),
        _split("--precision", precisions),
        _engines(engines),
        _settings(settings),
        _dims(dims),
        seed,
        max_cycles,
        max_memory,
    )
    read += [*(file for fabric in axes.fabrics for file in fabric_files(fabric))]
    require_outputs([path for path in (output, plot) if path is not None], None, read)
    _require_ending("-o", output, "the rows", (".csv", ".parquet"))
    _require_ending("--plot", plot, "the plot", (".svg",))
    if output is not None:
        require_parquet(output)
    journal = None if output is None else output.with_name(output.name + JOURNAL)
    with _progress(journal) as progress:
        made = run_axes(axes, workers, cluster, journal, progress, keep=True)
    if output is not None:
        made.save(output, read)
    if journal is not None:
        journal.unlink(missing_ok=True)
    if plot is not None:
        from wsc.store.files import write_text

        write_text(plot, made.plot(x, y or "cycles"), read)
    if as_json:
        say_json(as_object(made))
    else:
        show(made, output)
    return int(any(row["status"] != "ok" for row in made.rows))


def _models(paths: Iterable[Path], sizes: Sizes) -> tuple[list[Model], list[Path]]:
    """Models and programs, those by name in the sizes that were asked for, and the files of all.

    Raises:
        Refusal: there is no model of a name, or sizes are given and all are files.
    """
    from wsc.sweeps.points import Model

    found, files = list[Model](), list[Path]()
    for path in paths:
        if not is_name(path):
            found.append(Model(str(path), str(path)))
            files.append(path)
            continue
        named = named_model(str(path), sizes)
        found.append(Model(str(path), named.proto.SerializeToString(), named.store))
        files += named.store.files
    if sizes.given() and not any(isinstance(model.source, bytes) for model in found):
        raise Refusal(f"{sizes.given()[0]}: is for models by name, and all of these are files")
    return found, files


# --- options ----------------------------------------------------------------------


def _require_ending(flag: str, path: Path | None, what: str, endings: tuple[str, ...]) -> None:
    """Refuse a name that promises another format than what is written under it."""
    if path is not None and path.suffix not in ("", *endings):
        raise Refusal(f"{flag} {path}: {what} can be written as {' or '.join(endings)} alone")


def _split(flag: str, values: Iterable[str]) -> list[str]:
    """The values of a list with commas, which may be given in several parts."""
    found = [part.strip() for value in values for part in SEPARATOR.split(value)]
    if "" in found:
        raise Refusal(f"{flag}: has an empty value")
    return found


def _engines(values: Iterable[str]) -> list[str]:
    from wsc.runtime.engine import choose_engine
    from wsc.sweeps.points import ESTIMATE

    found = _split("--engine", values)
    for name in found:
        if name != ESTIMATE:
            choose_engine(name, check_races=False)
    return found


def _settings(values: Iterable[str]) -> dict[str, list[Any]]:
    """The values of each number of the fabric."""
    from wsc.isa.machine import read_settings

    found: dict[str, list[Any]] = {}
    for text in values:
        key, mark, rest = text.partition("=")
        for value in _split(f"--set {text}", [rest]) if mark else [""]:
            ((name, number),) = read_settings([f"{key}{mark}{value}"])
            found.setdefault(name, []).append(number)
    return found


def _dims(values: Iterable[str]) -> dict[str, list[int]]:
    from wsc.cli.common import read_dims

    found: dict[str, list[int]] = {}
    for text in values:
        name, _, rest = text.rpartition("=")
        for size in _split(f"--dim {text}", [rest]):
            for key, value in read_dims([f"{name}={size}"]).items():
                found.setdefault(key, []).append(value)
    return found


# --- saying it --------------------------------------------------------------------


@contextmanager
def _progress(journal: Path | None) -> Generator[Callable[[int, int], None]]:
    """A bar on a terminal; an interrupt says how far the sweep was."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    screen = console(stderr=True)
    counts = [0, 0]
    bar = Progress(
        "sweep",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int) -> None:
            if done and not counts[1]:
                say(f"{done} of {total} points are done already: the sweep goes on", error=True)
            counts[:] = done, total
            bar.update(task, completed=done, total=total)

        try:
            yield progress
        except KeyboardInterrupt:
            rest = f"; {journal} has them, and the same command goes on" if journal else ""
            raise KeyboardInterrupt(
                f"interrupted after {counts[0]} of {counts[1]} points{rest}"
            ) from None


def as_object(made: Sweep) -> dict[str, Any]:
    """The sweep for JSON."""
    return {
        "axes": list(made.varied),
        "columns": list(made.columns),
        "rows": [{name: row.get(name) for name in made.columns} for row in made.rows],
        "sensitivity": [
            {
                "axis": effect.axis,
                "values": list(effect.values),
                "best": effect.best,
                "mean": effect.mean,
                "most": effect.most,
                "settings": effect.settings,
            }
            for effect in made.sensitivity()
        ],
    }


def show(made: Sweep, output: Path | None) -> None:
    """The rows, those that failed, and what matters."""
    screen = console()
    measured = [name for name in SHOWN if name in made.columns]
    names = [*made.varied, *measured]
    heads = [*made.varied, *(SHOWN[name] for name in measured)]
    words = [head for name, head in zip(names, heads, strict=True) if _is_text(made, name)]
    table = PlainTable(
        *heads,
        "status",
        right=[head for head in heads if head not in words],
        leaving=["energy, uJ", "SRAM", "utilization"],
    )
    shown = made.rows[:MOST_ROWS] if output is not None and screen.is_terminal else made.rows
    for row in shown:
        reason = row["reason"]
        status = f"{row['status']}: {reason}" if reason else str(row["status"])
        table.add_row(*(_cell(name, row.get(name)) for name in names), status)
    print_table(screen, table)
    if len(shown) < len(made.rows):
        screen.print(f"{len(made.rows) - len(shown)} more rows are in {output}")
    effects = made.sensitivity()
    if effects:
        screen.print("\ncycles of the worst value over those of the best one, all else equal:")
        heads = ["axis", "on average", "at most", "fewest at"]
        matters = PlainTable(*heads, right=heads[1:3])
        for effect in effects:
            best = "all" if effect.best is None else str(effect.best)
            matters.add_row(effect.axis, f"{effect.mean:.3f}", f"{effect.most:.3f}", best)
        print_table(screen, matters)
    failed = sum(row["status"] != "ok" for row in made.rows)
    if failed:
        screen.print(f"\n{failed} of {len(made.rows)} points gave nothing; their rows say why")


def _is_text(made: Sweep, name: str) -> bool:
    return name in made.axes and any(isinstance(value, str) for value in made.values(name))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "utilization":
        return f"{value:.2%}"
    if name == "energy_picojoules":
        return f"{value * 1e-6:,.3f}"
    return f"{value:,}" if name in SHOWN else str(value)
