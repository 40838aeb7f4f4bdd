"""Tables: whole in a pipe; on a screen columns leave whole, then names lose their beginning."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.cli.helpers import done, mlp, refused, wsc
from wsc.cli.common import Refusal, console
from wsc.cli.tables import SHORTEST, PlainTable, print_table

NAME = "/encoder/layer.11/attention/output/dense/MatMul_quant_with_a_long_end"


def table() -> PlainTable:
    made = PlainTable(
        "line",
        "node",
        "share",
        "added",
        right=("line", "share", "added"),
        leaving=("added", "line"),
        cut="node",
    )
    made.add_row("1", NAME, "12.3%", "1,234,567")
    made.add_row("22", "short", "1.0%", "7")
    return made


def on_screen(width: int) -> list[str]:
    screen = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    print_table(screen, table())
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


@pytest.mark.parametrize("width", range(30, 110, 7))
def test_no_line_of_the_table_is_wider_than_the_screen(width: int) -> None:
    heading, rule, first, second, *said = on_screen(width)
    assert all(cell_len(line) <= width for line in (heading, rule, first, second))
    assert first.rstrip().count(NAME[-SHORTEST + 3 :]) == 1
    assert "12.3%" in first
    gone = [name for name in ("added", "line") if name not in heading]
    assert bool(said) == bool(gone)
    assert all(name in " ".join(said) for name in gone)


def test_columns_leave_in_their_order() -> None:
    assert table().fitted(200)[1] == []
    assert table().fitted(90)[1] == ["added"]
    assert table().fitted(80)[1] == ["added", "line"]


def test_in_a_pipe_everything_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    made = table()
    made.add_row("3", NAME * 10, "1%", "5")
    print_table(console(), made)
    lines = capsys.readouterr().out.splitlines()
    assert NAME * 10 in lines[-1]
    assert lines[0].split() == ["line", "node", "share", "added"]


def test_rows_are_sorted_and_columns_chosen() -> None:
    made = table()
    made.add_row("3", "none", "", "+20")
    assert [row[0] for row in made.chosen("added", None).rows] == ["1", "3", "22"]
    assert [row[0] for row in made.chosen("share", None).rows] == ["1", "22", "3"]
    assert [row[1] for row in made.chosen("node", None).rows] == [NAME, "none", "short"]
    few = made.chosen(None, "added,node")
    assert few.headings == ("added", "node")
    assert few.rows[1] == ("7", "short")
    for sort, columns in (("nothing", None), (None, "node,nothing"), (None, "")):
        with pytest.raises(Refusal, match="the table has line, node, share, added"):
            made.chosen(sort, columns)


@pytest.mark.parametrize("command", ["run", "estimate"])
def test_the_table_of_kernels_is_arranged(command: str, tmp_path: Path) -> None:
    model = mlp(tmp_path)
    options = ("--fabric", "2x2", "--sort", "added", "--columns", "kernel,added")
    lines = done(wsc(command, model, *options)).stdout.splitlines()
    first = lines.index(next(line for line in lines if line.split() == ["kernel", "added"]))
    rows = [line.split() for line in lines[first + 2 :] if len(line.split()) == 2]
    added = [int(row[1].replace(",", "")) for row in rows]
    assert len(added) > 3
    assert added == sorted(added, reverse=True)
    refused(wsc(command, model, "--sort", "none"), "--sort none: the table has line, kernel")
