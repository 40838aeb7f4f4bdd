"""Messages that hold each other up: those that enter a line further on go first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.cost.messages import NARROW, WIDE, Messages, joined, several
from wsc.cost.tiles import Axis

MERGES = 8  # routers of its way at which a message shares a link, from which on it is starved
DECIDING = 0.5  # of all words: from there on what waits for others decides how long a move takes


def serial(
    batches: list[Messages], x: Axis, y: Axis, ramp: int, hop: int = 1
) -> tuple[np.ndarray, bool]:
    """[rows, columns]: cycle in which the last message has arrived, 0 where none does; and whether
    most words wait for others than those that go before them on their own way.

    ramp: cycles from a core into the network. hop: those from a router to the next one.
    """
    found = np.zeros((len(y.places), len(x.places)))
    sent = joined(batches)
    row, column, to_x, to_y = sent.row, sent.column, sent.to_x, sent.to_y
    lines_x, wide_x = _targets(batches, "column", "to_x", x)
    lines_y, wide_y = _targets(batches, "row", "to_y", y)
    at_x, at_y = x.nearest(to_x), y.nearest(to_y)
    across = np.abs(to_x - x.places[column]) * hop
    hops = across + np.abs(to_y - y.places[row]) * hop
    begin = sent.first + ramp
    # Along its row a message shares links with those of the columns that its tile stands for.
    rows = _line(row, column, at_x, sent.wavelets * x.weight[column], begin, x.places)
    # In the column of its target it meets those of all rows that send there.
    words = sent.wavelets * x.weight[column] * y.weight[row]
    weight = words / wide_x
    columns = _line(lines_x, row, at_y, weight, begin + across, y.places)
    end = np.maximum(sent.last + ramp, np.maximum(rows.end, columns.end - across))
    # One that waits to turn into a column keeps those behind it in its row.
    held = columns.late > 0
    waiting = words[held | (rows.late > 0)].sum() >= DECIDING * words.sum()
    end = np.where(held, np.maximum(end, rows.end + columns.end - begin - across), end)
    end += hops + 1.0
    # A tile takes one wavelet a cycle.
    tiles, tile = np.unique(lines_x * 2 * y.size + lines_y, return_inverse=True)
    arrived, load = np.full(len(tiles), np.inf), np.zeros(len(tiles))
    np.minimum.at(arrived, tile, begin + hops)
    np.add.at(load, tile, weight / wide_y)
    end = np.maximum(end, (arrived + load)[tile] + 1.0)
    np.maximum.at(found, (at_y, at_x), end)
    return found, bool(waiting)


def _targets(
    batches: list[Messages], sender: str, target: str, axis: Axis
) -> tuple[np.ndarray, np.ndarray]:
    """Which coordinates the messages go to: a number for each, and how many tiles that is.

    Where most tiles are sampled, each message goes to the place that stands for its target. Else a
    sampled tile stands for many neighbours, whose targets are neighbours as well: such messages go
    to all of a stretch of tiles. Where tiles of several coordinates send to the same one, they go
    to that one; what tiles of a single coordinate have in common says nothing of their neighbours.
    """
    gap = int(axis.gaps.max(initial=1))
    numbers: list[np.ndarray] = []
    wide: list[np.ndarray] = []
    for batch in batches:
        to = getattr(batch, target).astype(np.int64)
        if gap <= NARROW:
            place = axis.nearest(to)
            numbers.append(place)
            wide.append(axis.weight[place])
            continue
        # Stretches that several sampled tiles send to: in a finer grid some would get nothing.
        length = WIDE * gap
        alike = (to == to[0]).all() and several(getattr(batch, sender), axis)
        stretch = to // length * length
        numbers.append(to if alike else axis.size + stretch)
        wide.append(
            np.ones(len(to)) if alike else np.minimum(length, axis.size - stretch).astype(float)
        )
    return np.concatenate(numbers), np.concatenate(wide)


@dataclass(frozen=True, slots=True)
class _Line:
    """When messages along lines are through. late: how much of that is not due to the words on
    the links of their own way, but to those that go first."""

    end: np.ndarray
    late: np.ndarray


def _line(
    line: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    wavelets: np.ndarray,
    begin: np.ndarray,
    places: np.ndarray,
) -> _Line:
    """For each message the cycle in which the latest link of its way along a line is through.

    line: which line it runs on. start, stop: indices of places on it. begin: when it starts there.
    places: coordinates.

    At each router on its way a message takes turns with those that enter there, so that one that
    has passed many has next to none left: it waits until they are through, and they, before,
    until those are that enter on their own way.
    """
    bound, whole = np.full(len(line), -np.inf), np.full(len(line), -np.inf)
    lines, links = int(line.max()) + 1, len(places) - 1
    for ahead in (True, False):
        low, high = (start, stop) if ahead else (stop, start)
        # What is through the link behind each place: the load of it and of those before it.
        through = np.zeros((links + 2, lines))
        # The links that come last on the ways come first.
        for link in range(links - 1, -1, -1) if ahead else range(links):  # to place link + 1
            over = (low <= link) & (high > link)
            if not over.any():
                continue
            mine = line[over]
            load, soonest = np.zeros(lines), np.full(lines, np.inf)
            np.add.at(load, mine, wavelets[over])
            np.minimum.at(soonest, mine, begin[over])
            bound[over] = np.maximum(bound[over], (load + soonest)[mine])
            # The link behind the place where these stop on average: what is through it without
            # them, or before them, goes first.
            stops = _mean(mine, places[stop[over]], wavelets[over], load)
            apart = _mean(
                mine, np.abs(places[stop[over]] - places[start[over]]), wavelets[over], load
            )
            middle = (places[1:] + places[:-1] + 1) // 2
            beyond = np.searchsorted(middle, stops, side="right") - (0 if ahead else 1)
            beyond = np.where(apart >= MERGES, np.clip(beyond, -1, links), links)
            both = over & (low <= beyond[line]) & (high > beyond[line])
            shared = np.zeros(lines)
            np.add.at(shared, line[both], wavelets[both])
            later = np.maximum(through[beyond, np.arange(lines)] - shared, 0.0)
            through[link] = load + later
            whole[over] = np.maximum(whole[over], (load + later + soonest)[mine])
    moves = np.isfinite(bound)
    return _Line(whole, np.where(moves, whole - np.where(moves, bound, 0.0), 0.0))


def _mean(
    line: np.ndarray, values: np.ndarray, weight: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """The weighted mean of the values on each line; 0 where there are none."""
    found = np.zeros(len(total))
    np.add.at(found, line, values * weight)
    return found / np.where(total > 0, total, 1.0)
