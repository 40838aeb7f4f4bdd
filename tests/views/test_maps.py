"""Heat maps: their marks, their scale, and their picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from wsc.views.maps import MOST, HeatMap


def marks(shown: str) -> list[str]:
    """The marks of a map."""
    return [line[1:-1] for line in shown.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (33, 70), (5, 300)])
def test_a_map_has_all_tiles(shape: tuple[int, int]) -> None:
    grid = np.zeros(shape, np.int64)
    grid[-1, -1] = 1000
    shown = str(HeatMap("busy", grid))
    rows = marks(shown)
    assert len({len(row) for row in rows}) == 1
    assert len(rows) <= MOST[1]
    assert len(rows[0]) <= MOST[0]
    assert rows[-1][-1] == "@"
    assert shown.count("@") == 2  # and in the scale
    assert shown.isascii()
    block = max(-(-shape[1] // MOST[0]), -(-shape[0] // MOST[1]))
    assert (len(rows), len(rows[0])) == (-(-shape[0] // block), -(-shape[1] // block))


def test_what_is_not_nothing_is_seen() -> None:
    assert marks(str(HeatMap("busy", np.array([[0, 1, 10**6]])))) == [" .@"]
    assert marks(str(HeatMap("busy", np.zeros((2, 2), np.int64)))) == ["  ", "  "]


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (33, 70)])
def test_the_picture_has_a_rectangle_for_each_mark(shape: tuple[int, int]) -> None:
    grid = np.arange(shape[0] * shape[1]).reshape(shape)
    made = HeatMap("sram", grid, ("<b> & \x1b",))
    root = ET.fromstring(f"<div>{made._repr_html_()}</div>".replace("<br>", "<br/>"))
    rectangles = root.findall(".//rect")
    assert len(rectangles) == sum(map(len, marks(str(made))))
    shades = [float(item.attrib["fill-opacity"]) for item in rectangles]
    assert max(shades) == (1.0 if grid.any() else 0.0)
    assert "<b>" not in made._repr_html_()
