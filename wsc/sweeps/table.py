"""The rows of a sweep: as CSV, Parquet, a pandas frame, a plot, and what matters in them."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from wsc.errors import CompileError
from wsc.isa.shown import Facts, Shown
from wsc.store.files import appearing, write_text
from wsc.sweeps.point import MEASURED, NOTES, OK, REASON, STATUS, Row
from wsc.views.frames import frame

CYCLES = "cycles"
FEW = 20  # rows that a notebook shows


@dataclass(frozen=True, slots=True)
class Effect:
    """What one axis does to the cycles, all else equal.

    best: the value that most often takes the fewest; None if all take the same. mean, most: cycles
    of the worst value over those of the best one: the geometric mean over all settings of the
    others, and the largest. settings: how many those are.
    """

    axis: str
    values: tuple[Any, ...]
    best: Any
    mean: float
    most: float
    settings: int


@dataclass(frozen=True, slots=True, repr=False)
class Sweep(Shown):
    """The rows of a sweep, in the order of its points.

    axes: the columns that were varied. rows: dictionaries by column; what an engine does not give,
    and everything of a point that failed, is None.
    """

    axes: tuple[str, ...]
    rows: tuple[Row, ...]

    def _facts(self) -> Facts:
        failed = len(self.rows) - sum(row[STATUS] == OK for row in self.rows)
        varied = ", ".join(self.varied) or "nothing"
        return [("points", f"{len(self.rows)}, {failed} failed"), ("varied", varied)]

    def _repr_html_(self) -> str:
        columns = self.columns
        lines = [[_text(row.get(name)) for name in columns] for row in self.rows[:FEW]]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in line)}</tr>"
            for line in lines
        )
        more = f"<p>{len(self.rows) - FEW} more rows</p>" if len(self.rows) > FEW else ""
        return f"<table><tr>{head}</tr>{body}</table>{more}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold anything: axes, then what was measured, then how it ended."""
        names = (*self.axes, *MEASURED, REASON, NOTES)
        used = [n for n in names if any(row.get(n) not in (None, "") for row in self.rows)]
        place = next((i for i, name in enumerate(used) if name in (REASON, NOTES)), len(used))
        return (*used[:place], STATUS, *used[place:])

    @property
    def varied(self) -> tuple[str, ...]:
        """The axes that have more than one value."""
        return tuple(axis for axis in self.axes if len(self.values(axis)) > 1)

    def values(self, axis: str) -> tuple[Any, ...]:
        """The values of an axis, in the order of the points."""
        return tuple(dict.fromkeys(row.get(axis) for row in self.rows))

    def sensitivity(self) -> list[Effect]:
        """What each axis that was varied does to the cycles; the one that does most is first."""
        effects = [effect for axis in self.varied for effect in self._effect(axis)]
        return sorted(effects, key=lambda effect: -effect.mean)

    def _effect(self, axis: str) -> Iterator[Effect]:
        others = [name for name in self.axes if name != axis]
        groups: dict[tuple[Any, ...], dict[Any, int]] = {}
        for row in self.rows:
            if row[CYCLES]:
                rest = tuple(row.get(name) for name in others)
                groups.setdefault(rest, {})[row.get(axis)] = row[CYCLES]
        compared = [group for group in groups.values() if len(group) > 1]
        if not compared:
            return
        ratios = [max(group.values()) / min(group.values()) for group in compared]
        wins = [min(group, key=group.__getitem__) for group in compared]
        best = max(self.values(axis), key=wins.count) if max(ratios) > 1 else None
        yield Effect(
            axis,
            self.values(axis),
            best,
            math.exp(math.fsum(map(math.log, ratios)) / len(ratios)),
            max(ratios),
            len(ratios),
        )

    # --- other forms --------------------------------------------------------------

    def csv(self) -> str:
        """The rows as CSV, with a line of headings; what is not there is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.columns
        writer.writerow(columns)
        writer.writerows([_text(row.get(name)) for name in columns] for row in self.rows)
        return text.getvalue()

    def to_frame(self) -> Any:
        """The rows as a ``pandas.DataFrame``.

        Raises:
            CompileError: pandas is missing.
        """
        return frame([self._cells(row) for row in self.rows], self.columns)

    def save(self, path: str | PathLike[str], inputs: Sequence[Path] = ()) -> Path:
        """Write the rows, as Parquet if the name ends in ``.parquet``, else as CSV.

        inputs: files that are read, and never replaced.

        Raises:
            CompileError: the file cannot be written, or pyarrow is missing.
        """
        path = Path(path)
        if path.suffix != PARQUET:
            write_text(path, self.csv(), inputs)
            return path
        require_parquet(path)
        from pyarrow import parquet, table

        # A column of one type: an axis that has numbers and names is text.
        columns: dict[str, list[Any]] = {}
        for name in self.columns:
            cells = [row.get(name) for row in self.rows]
            mixed = len({isinstance(cell, str) for cell in cells if cell is not None}) > 1
            columns[name] = [_text(cell) for cell in cells] if mixed else cells
        with appearing(path, inputs=inputs) as (partial,):
            parquet.write_table(table(columns), partial)
        return path

    def plot(self, x: str | None = None, y: str = CYCLES) -> str:
        """An SVG: ``y`` over ``x``, a panel a model, a line for each setting of the others.

        x: an axis; None is the number of the machine, or size, with the most values.

        Raises:
            CompileError: there is no such column, or nothing was measured.
        """
        from wsc.sweeps.plot import plot

        return plot(self, x, y)

    def _cells(self, row: Row) -> list[Any]:
        return [row.get(name) for name in self.columns]


PARQUET = ".parquet"


def require_parquet(path: Path) -> None:
    """Refuse a file of Parquet if it cannot be written, before long work.

    Raises:
        CompileError: pyarrow is missing.
    """
    if path.suffix != PARQUET:
        return
    try:
        import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise CompileError(f"{path}: Parquet needs pyarrow: pip install 'wsc[frames]'") from None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
