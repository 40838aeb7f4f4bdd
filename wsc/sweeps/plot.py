"""The plot of a sweep as SVG: one panel a model, one line for each setting of the other axes."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wsc.errors import CompileError, shortened
from wsc.sweeps.point import MEASURED
from wsc.sweeps.points import MODEL
from wsc.sweeps.table import Sweep

# Colors that people with any color vision tell apart (Okabe and Ito), and dashes beyond them.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8a6d3b", "#777777")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
MOST_LINES = len(COLORS) * len(DASHES)
MOST_PANELS = 24

PANEL = (320, 220)  # of the curves of one panel, in units of the picture
MARGIN = (64, 34, 24, 46)  # left, top, right, bottom
COLUMNS = 3  # of panels
ROW = 18  # height of a line of the legend
LOGARITHMIC = 4  # largest over least of an axis that is drawn in its logarithm
LABEL = 60  # characters of a model's name

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222; }
.title { font-weight: 600; }
.grid { stroke: #ddd; }
.axis { stroke: #888; }
.paper { fill: #fff; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; }
  .grid { stroke: #3a3a3a; }
  .paper { fill: #181818; }
}
"""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of all panels. label: the values of the axes that tell it from others."""

    label: str
    color: str
    dash: str


def plot(sweep: Sweep, x: str | None, y: str) -> str:
    """The picture; see ``Sweep.plot``."""
    x = _x_axis(sweep) if x is None else x
    if x not in sweep.axes:
        raise CompileError(f"a plot over '{x}': the axes are {', '.join(sweep.axes)}")
    if y not in MEASURED:
        raise CompileError(f"a plot of '{y}': there are {', '.join(MEASURED)}")
    models = sweep.values(MODEL) if x != MODEL else ("",)
    if len(models) > MOST_PANELS:
        raise CompileError(f"a plot has a panel a model, and at most {MOST_PANELS} panels")
    others = [axis for axis in sweep.varied if axis not in (x, MODEL)]
    lines = _lines(sweep, others)
    scale = _scale(sweep.values(x))
    columns = min(len(models), COLUMNS)
    rows = -(-len(models) // columns)
    width = columns * (PANEL[0] + MARGIN[0] + MARGIN[2])
    above = rows * (PANEL[1] + MARGIN[1] + MARGIN[3])
    body = [
        part
        for number, model in enumerate(models)
        for part in _panel(
            sweep,
            (x, y),
            others,
            lines,
            scale,
            model,
            (
                number % columns * (PANEL[0] + MARGIN[0] + MARGIN[2]),
                number // columns * (PANEL[1] + MARGIN[1] + MARGIN[3]),
            ),
        )
    ]
    legend = [
        part
        for place, line in enumerate(lines.values())
        if line.label
        for part in (
            f'<line x1="{MARGIN[0]}" x2="{MARGIN[0] + 30}" y1="{above + place * ROW + 6}" '
            f'y2="{above + place * ROW + 6}" {_stroke(line)}/>',
            f'<text x="{MARGIN[0] + 38}" y="{above + place * ROW + 10}">{_safe(line.label)}</text>',
        )
    ]
    height = above + ROW * (len(legend) // 2) + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            f"<title>{_safe(y)} over {_safe(x)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *body,
            *legend,
            "</svg>",
            "",
        ]
    )


def _x_axis(sweep: Sweep) -> str:
    """The varied number with the most values; else the first axis that is varied."""
    varied = [axis for axis in sweep.varied if axis != MODEL] or [MODEL]
    numeric = [axis for axis in varied if all(map(_is_number, sweep.values(axis)))]
    return max(numeric or varied[:1], key=lambda axis: len(sweep.values(axis)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _lines(sweep: Sweep, others: Sequence[str]) -> dict[tuple[Any, ...], _Line]:
    """The lines by their values of the other axes."""
    keys = list(dict.fromkeys(tuple(row.get(axis) for axis in others) for row in sweep.rows))
    if len(keys) > MOST_LINES:
        raise CompileError(
            f"a plot has at most {MOST_LINES} lines, and {len(keys)} settings are left: sweep "
            "fewer values, or choose another x"
        )
    return {
        key: _Line(
            ", ".join(f"{axis} {value}" for axis, value in zip(others, key, strict=True)),
            COLORS[place % len(COLORS)],
            DASHES[place // len(COLORS)],
        )
        for place, key in enumerate(keys)
    }


def _scale(values: Sequence[Any]) -> dict[Any, float]:
    """Where each value of the x axis is, from 0 to 1.

    Numbers are at their place, in the logarithm if they differ much; names are evenly apart.
    """
    if len(values) == 1:
        return {values[0]: 0.5}
    places = {value: float(place) for place, value in enumerate(values)}
    if all(map(_is_number, values)):
        large = min(values) > 0 and max(values) / min(values) >= LOGARITHMIC
        places = {value: math.log(value) if large else float(value) for value in values}
    low, high = min(places.values()), max(places.values())
    return {value: (place - low) / (high - low) for value, place in places.items()}


def _panel(
    sweep: Sweep,
    axes: tuple[str, str],
    others: Sequence[str],
    lines: dict[tuple[Any, ...], _Line],
    scale: dict[Any, float],
    model: str,
    corner: tuple[int, int],
) -> list[str]:
    """One panel: its frame, and a line with a mark for each point."""
    x, y = axes
    left, top = corner[0] + MARGIN[0], corner[1] + MARGIN[1]
    mine = [row for row in sweep.rows if model in ("", row[MODEL])]
    measured = [row for row in mine if row[y] is not None]
    step = _step(max((row[y] for row in measured), default=0))
    count = max(math.ceil(max((row[y] for row in measured), default=0) / step), 1)

    def across(value: Any) -> float:
        return round(left + (0.04 + 0.92 * scale[value]) * PANEL[0], 1)

    def down(value: float) -> float:
        return round(top + PANEL[1] * (1 - value / (step * count)), 1)

    parts = [f'<text class="title" x="{left}" y="{top - 12}">{_safe(model)}</text>']
    for tick in range(count + 1):
        high = down(step * tick)
        kind = "grid" if tick else "axis"
        parts += [
            f'<line class="{kind}" x1="{left}" x2="{left + PANEL[0]}" y1="{high}" y2="{high}"/>',
            f'<text x="{left - 6}" y="{high + 4}" text-anchor="end">{step * tick:,g}</text>',
        ]
    for value in _ticks(scale):
        parts.append(
            f'<text x="{across(value)}" y="{top + PANEL[1] + 16}" text-anchor="middle">'
            f"{_safe(str(value))}</text>"
        )
    middle = left + PANEL[0] // 2
    parts += [
        f'<text x="{middle}" y="{top + PANEL[1] + 34}" text-anchor="middle">{_safe(x)}</text>',
        f'<text x="{left - 56}" y="{top - 12}">{_safe(y)}</text>',
    ]
    for key, line in lines.items():
        points = {row[x]: row[y] for row in measured if tuple(map(row.get, others)) == key}
        places = [(v, points[v]) for v in sorted(points, key=scale.__getitem__)]
        path = " ".join(f"{across(v)},{down(n)}" for v, n in places)
        parts.append(f'<polyline fill="none" points="{path}" {_stroke(line)}/>')
        parts += [
            f'<circle cx="{across(v)}" cy="{down(n)}" r="3" fill="{line.color}">'
            f"<title>{_safe(f'{x} {v}: {n:,} {line.label}')}</title></circle>"
            for v, n in places
        ]
    lost = len(mine) - len(measured)
    if lost:
        text = f"{lost} of {len(mine)} points gave nothing"
        parts.append(f'<text x="{middle}" y="{top + 14}" text-anchor="middle">{text}</text>')
    return parts


def _ticks(scale: dict[Any, float]) -> list[Any]:
    """The values of the x axis that are written: those with room for their text."""
    kept: list[Any] = []
    end = -1.0
    for value, place in sorted(scale.items(), key=lambda item: item[1]):
        half = len(str(value)) * 7 / 2 / PANEL[0]
        if place - half > end:
            kept.append(value)
            end = place + half + 0.01
    return kept


def _step(most: float) -> float:
    """The distance of two ticks of the y axis: 1, 2 or 5 times a power of ten, or 1 for nothing."""
    if most <= 0:
        return 1
    rough = most / 5
    unit = 10 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)


def _stroke(line: _Line) -> str:
    dashes = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return f'stroke="{line.color}" stroke-width="2"{dashes}'


def _safe(text: str) -> str:
    return html.escape(shortened(text, LABEL))
