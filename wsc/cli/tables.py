"""Tables for people: whole in a pipe, as wide as the screen on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from wsc.isa.shown import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 3  # columns of a screen between two columns of a table
LONGEST_WORD = 32  # characters of a word that keep a column as wide
SHORTEST = 16  # characters that are left of a name, however narrow the screen is


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
