"""Tables for people: whole in a pipe, as wide as the screen on a terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsc.cli.common import Refusal
from wsc.isa.shown import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 3  # columns of a screen between two columns of a table
LONGEST_WORD = 32  # characters of a word that keep a column as wide
SHORTEST = 16  # characters that are left of a name, however narrow the screen is


_Command = TypeVar("_Command", bound=Callable[..., Any])


def arranged(function: _Command) -> _Command:
    """``--sort`` and ``--columns`` of a table of kernels: see ``PlainTable.chosen``."""
    for option in (
        click.option(
            "--columns",
            metavar="NAME,...",
            help="Columns of the table of kernels, as in kernel,added,wait. [default: all]",
        ),
        click.option(
            "--sort",
            metavar="NAME",
            help="Sort the table of kernels by a column. [default: the order of the run]",
        ),
    ):
        function = option(function)
    return function


class PlainTable:
    """A table without frames.

    right: headings of columns that hold numbers. leaving: headings of columns that leave a screen
    on which not all of them have room, the first one first. cut: the heading of the column
    whose texts then lose their beginning; their ends tell them apart.
    """

    def __init__(
        self,
        *headings: str,
        right: Iterable[str] = (),
        leaving: Sequence[str] = (),
        cut: str = "",
    ) -> None:
        self.headings, self.right = headings, frozenset(right)
        self.leaving, self.cut = leaving, cut
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row, with a cell for each heading."""
        self.rows.append(tuple(escaped(cell) for cell in cells))

    def chosen(self, sort: str | None, columns: str | None) -> PlainTable:
        """The table with its rows in another order, or with a few of its columns.

        sort: a heading; numbers go down from the largest, texts up. columns: headings, with commas
        between them; on a screen none of them leaves.

        Raises:
            Refusal: there is no such heading.
        """
        require_headings(self.headings, sort, columns)
        names = list(self.headings) if columns is None else columns.split(",")
        leaving = self.leaving if columns is None else ()
        made = PlainTable(*names, right=self.right, leaving=leaving, cut=self.cut)
        rows = self.rows
        if sort is not None:
            place, number = self.headings.index(sort), sort in self.right
            rows = sorted(rows, key=lambda row: _measure(row[place], number), reverse=number)
        places = [self.headings.index(name) for name in names]
        made.rows = [tuple(row[place] for place in places) for row in rows]
        return made

    def fitted(self, width: int) -> tuple[PlainTable, list[str]]:
        """The table in ``width`` columns of a screen, as far as it can be, and what has left it."""
        kept, gone = list(self.headings), list[str]()
        for heading in self.leaving:
            if self._width(kept) <= width:
                break
            kept.remove(heading)
            gone.append(heading)
        made = PlainTable(*kept, right=self.right)
        places = [self.headings.index(heading) for heading in kept]
        most = width - self._width([heading for heading in kept if heading != self.cut]) - GAP
        for row in self.rows:
            cells = [row[place] for place in places]
            if self.cut in kept and self._width(kept) > width:
                place = kept.index(self.cut)
                cells[place] = shortened(cells[place], max(most, SHORTEST))
            made.rows.append(tuple(cells))
        return made, gone

    def _width(self, headings: Iterable[str]) -> int:
        """Columns of a screen that these columns of the table take."""
        from rich.cells import cell_len

        places = [self.headings.index(heading) for heading in headings]
        lines = [self.headings, *self.rows]
        return sum(max(cell_len(line[i]) for line in lines) + GAP for i in places) - GAP

    def rich(self) -> Table:
        """The table for a console."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
        for place, heading in enumerate(self.headings):
            # Numbers stay in one line, and texts go on in another one between words.
            number = heading in self.right
            cells = [heading, *(row[place] for row in self.rows)]
            words = cells if number else [word for cell in cells for word in cell.split()]
            table.add_column(
                heading,
                justify="right" if number else "left",
                no_wrap=number,
                overflow="fold",
                min_width=min(max(map(len, words), default=0), LONGEST_WORD),
            )
        for row in self.rows:
            table.add_row(*row)
        return table


def require_headings(known: Sequence[str], sort: str | None, columns: str | None) -> None:
    """Raise Refusal for a heading that a table with these has not."""
    asked = [("--sort", sort)] if sort is not None else []
    asked += [("--columns", name) for name in (columns or "").split(",") if columns is not None]
    for flag, heading in asked:
        if heading not in known:
            raise Refusal(f"{flag} {heading}: the table has {', '.join(known)}")


def _measure(cell: str, number: bool) -> tuple[float, str]:
    """What a cell is sorted by; an empty one is less than any number."""
    if not number:
        return 0.0, cell
    found = re.match(r"[+-]?[\d,]*\.?\d+", cell)
    return (float(found[0].replace(",", "")) if found else -math.inf), ""


def shortened(text: str, most: int) -> str:
    """The end of a long name, which tells nodes apart."""
    return text if len(text) <= most else "..." + text[3 - most :]


def print_table(to: Console, table: PlainTable) -> None:
    """Print a table as wide as the screen is; in a pipe whole, its lines without spaces at the end.

    Columns that have left are named below.
    """
    if to.is_terminal:
        fitting, gone = table.fitted(to.width)
        to.print(fitting.rich(), soft_wrap=False, no_wrap=False)
        if gone:
            to.print(f"no room for: {', '.join(gone)}; a wider window or a pipe shows them")
        return
    with to.capture() as capture:
        to.print(table.rich(), soft_wrap=False, no_wrap=True, overflow="ignore", crop=False)
    for line in capture.get().splitlines():
        to.print(line.rstrip())
