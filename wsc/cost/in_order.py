"""Messages that pass each link of their way in the order in which they come to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.cost.messages import NARROW, WIDE, Messages, joined, several
from wsc.cost.tiles import Axis


def in_order(batches: list[Messages], x: Axis, y: Axis, ramp: int, hop: int = 1) -> np.ndarray:
    """[rows, columns]: cycle in which the last message has arrived; 0 where none does.

    ramp: cycles from a core into the network. hop: those from a router to the next one.
    """
    found = np.zeros((len(y.places), len(x.places)))
    sent = joined(batches)
    row, column, to_x, to_y = sent.row, sent.column, sent.to_x, sent.to_y
    lines_x, wide_x = _targets(batches, "to_x", x, y)
    lines_y, wide_y = _targets(batches, "to_y", x, y)
    at_x, at_y = x.nearest(to_x), y.nearest(to_y)
    across = np.abs(to_x - x.places[column]) * hop
    down = np.abs(to_y - y.places[row]) * hop
    # Along its row a message shares links with those of the columns that its tile stands for.
    begin, load = sent.first + ramp, sent.wavelets * x.weight[column]
    ways = Ways(row, x.places[column], to_x, column, at_x)
    through = _line(ways, load, begin, hop, x)
    begin = np.maximum(begin + across, through - load)
    end = np.maximum(sent.last + ramp + across, through) + down
    # In the column of its target it meets those of all rows that send there.
    load = sent.wavelets * x.weight[column] * y.weight[row] / wide_x
    ways = Ways(lines_x, y.places[row], to_y, row, at_y)
    through = _line(ways, load, begin, hop, y)
    begin = np.maximum(begin + down, through - load)
    end = np.maximum(end, through)
    # A tile takes one wavelet a cycle.
    _, tile = np.unique(lines_x * 2 * y.size + lines_y, return_inverse=True)
    end = np.maximum(end, _in_turn(tile, begin, load / wide_y)) + 1.0
    np.maximum.at(found, (at_y, at_x), end)
    return found


def _targets(batches: list[Messages], to: str, x: Axis, y: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Which columns (``to_x``) or rows (``to_y``) messages go to: a number for each, and how many.

    A sampled tile stands for many neighbours, whose targets may be neighbours as well: such
    messages go to a stretch of lines, and each line gets a part of them. Where tiles of several
    lines send to the same one, they go to that one; what tiles of a single line have in common says
    nothing of their neighbours.
    """
    axis, sender = (x, "column") if to == "to_x" else (y, "row")
    gap = int(axis.gaps.max(initial=1))
    numbers: list[np.ndarray] = []
    wide: list[np.ndarray] = []
    for batch in batches:
        target = getattr(batch, to).astype(np.int64)
        if (target == target[0]).all() and several(getattr(batch, sender), axis):
            numbers.append(target)
            wide.append(np.ones(len(target)))
            continue
        # Stretches that several sampled tiles send to: in a finer grid some would get nothing.
        stretch = axis.nearest(target) if gap <= NARROW else target // (WIDE * gap)
        numbers.append(axis.size + stretch)
        # How many lines of the stretch get some: those of one target and its neighbours', for each.
        one, which = np.unique(target, return_inverse=True)
        spans, lines = np.ones(len(one)), np.zeros(int(stretch.max()) + 1)
        np.maximum.at(spans, which, _span(batch, target, x, y))
        stretch_of = np.zeros(len(one), np.int64)
        stretch_of[which] = stretch
        np.add.at(lines, stretch_of, spans)
        wide.append(lines[stretch])
    return np.concatenate(numbers), np.concatenate(wide)


def _span(batch: Messages, target: np.ndarray, x: Axis, y: Axis) -> np.ndarray:
    """To how many lines the tiles send that each sampled one stands for."""
    shape = len(y.places), len(x.places)
    known, table = np.zeros(shape, bool), np.zeros(shape)
    known[batch.row, batch.column] = True
    table[batch.row, batch.column] = target
    span = _steps(table, known, y) * y.weight[:, None] + _steps(table.T, known.T, x).T * x.weight
    return np.maximum(span[batch.row, batch.column], 1.0)


def _steps(table: np.ndarray, known: np.ndarray, axis: Axis) -> np.ndarray:
    """By how much targets change from a tile to the next one along the first axis of a table."""
    both = known[1:] & known[:-1]
    step = np.where(both, np.abs(np.diff(table, axis=0)) / axis.gaps[1:, None], 0.0)
    found, count = np.zeros(table.shape), np.zeros(table.shape)
    for part in (slice(1, None), slice(None, -1)):
        found[part] += step
        count[part] += both
    return found / np.maximum(count, 1)


@dataclass(frozen=True, slots=True)
class Ways:
    """How messages go along a row or a column: one entry for each.

    line: which row or column. source, target: coordinates of both ends. start, stop: the sampled
    places that stand for them.
    """

    line: np.ndarray
    source: np.ndarray
    target: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def _line(ways: Ways, wavelets: np.ndarray, begin: np.ndarray, hop: int, axis: Axis) -> np.ndarray:
    """For each message the cycle in which it has come to the end of its way along a line.

    begin: when it starts there. A link takes a wavelet a cycle, of messages in the order in
    which they come to it.
    """
    latest = np.zeros(len(begin))
    for ahead in (1, -1):
        low, high = (ways.start, ways.stop) if ahead > 0 else (ways.stop, ways.start)
        # Cycles of a clock that moves along the line as fast as a wavelet does.
        moving = begin - ahead * ways.source * hop
        some = np.flatnonzero(low < high)
        order = some[np.lexsort((moving[some], ways.line[some]))]
        for link in range(len(axis.places) - 1):  # between the places link and link + 1
            over = order[(low[order] <= link) & (high[order] > link)]
            if len(over):
                through = _queued(ways.line[over], moving[over], wavelets[over])
                came = through + ahead * ways.target[over] * hop
                latest[over] = np.maximum(latest[over], came)
    return latest


def _in_turn(place: np.ndarray, begin: np.ndarray, wavelets: np.ndarray) -> np.ndarray:
    """When messages have passed that come to places which take a wavelet a cycle."""
    order = np.lexsort((begin, place))
    through = np.zeros(len(begin))
    through[order] = _queued(place[order], begin[order], wavelets[order])
    return through


def _queued(place: np.ndarray, begin: np.ndarray, wavelets: np.ndarray) -> np.ndarray:
    """As ``_in_turn``, for messages in the order of their places, and of their times."""
    sums = np.cumsum(wavelets)
    idle = begin - (sums - wavelets)  # when the first of a stretch without a pause would have come
    # Each place has a stretch of numbers of its own, above those of the places before it.
    _, number = np.unique(place, return_inverse=True)
    apart = number * (float(np.ptp(idle)) + 1.0)
    return np.maximum.accumulate(idle + apart) - apart + sums
