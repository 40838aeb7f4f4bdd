"""Line plots as SVG text, with logarithmic axes: small files that git can compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 430, 330  # of a panel's frame
LEFT, TOP, GAP, BOTTOM, RIGHT = 62, 46, 66, 52, 190
COLORS = ("#0072b2", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#444444")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity: dots where it was measured, a line for a model, a dashed one for another."""

    name: str
    dots: Points
    line: Points
    dashed: Points = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of a figure."""

    title: str
    x_label: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Logarithmic: ``low`` at pixel ``start``, ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        part = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return self.start + part * (self.end - self.start)


def figure(panels: Sequence[Panel], y_label: str, description: str) -> str:
    """Panels side by side with one legend."""
    width = LEFT + len(panels) * WIDTH + (len(panels) - 1) * GAP + RIGHT
    height = TOP + HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(description)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, LEFT + number * (WIDTH + GAP), y_label if number == 0 else "")
    names = [series.name for series in panels[0].series]
    parts += _legend(names, width - RIGHT + 18)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, left: float, y_label: str) -> list[str]:
    points = [p for s in panel.series for p in (*s.dots, *s.line, *s.dashed)]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x = _Scale(min(xs) / 1.25, max(xs) * 1.25, left, left + WIDTH)
    low, high = 10.0 ** floor(log10(min(ys))), 10.0 ** ceil(log10(max(ys)))
    y = _Scale(low, high, TOP + HEIGHT, TOP)
    parts = [
        f'<text x="{left}" y="{TOP - 14}" font-weight="bold">{escape(panel.title)}</text>',
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>',
        f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 40}" text-anchor="middle">'
        f"{escape(panel.x_label)}</text>",
    ]
    for value in sorted(set(xs)):
        parts.append(
            f'<text x="{x(value):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">'
            f"{value:.0f}</text>"
        )
    for power in range(round(log10(low)), round(log10(high)) + 1):
        at = y(10.0**power)
        parts.append(f'<path d="M{left} {at:.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10**power:,}</text>'
        )
    if y_label:
        parts.append(f'<text x="10" y="{TOP - 14}">{escape(y_label)}</text>')
    for series, color in zip(panel.series, COLORS, strict=False):
        parts += _curve(series, color, x, y)
    return parts


def _curve(series: Series, color: str, x: _Scale, y: _Scale) -> list[str]:
    parts: list[str] = []
    for points, dash in ((series.line, ""), (series.dashed, ' stroke-dasharray="4 3"')):
        if points:
            way = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
            parts.append(f'<polyline points="{way}" fill="none" stroke="{color}"{dash}/>')
    for a, b in series.dots:
        parts.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.2" fill="{color}"/>')
    return parts


def _legend(names: Sequence[str], left: float) -> list[str]:
    parts: list[str] = []
    for number, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        at = TOP + 12 + 20 * number
        parts.append(f'<circle cx="{left}" cy="{at - 4}" r="4" fill="{color}"/>')
        parts.append(f'<text x="{left + 12}" y="{at}">{escape(name)}</text>')
    at = TOP + 24 + 20 * len(names)
    for text, dash in (("published", ""), ("the machine's", ' stroke-dasharray="4 3"')):
        parts.append(f'<path d="M{left - 6} {at - 4}h14" stroke="#444"{dash}/>')
        parts.append(f'<text x="{left + 12}" y="{at}">{text}</text>')
        at += 20
    parts.append(f'<circle cx="{left}" cy="{at - 4}" r="3.2" fill="#444"/>')
    parts.append(f'<text x="{left + 12}" y="{at}">simulated</text>')
    return parts
