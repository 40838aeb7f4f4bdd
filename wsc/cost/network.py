"""Times of remote stores on meshes whose tiles are all sampled: one by one, or some for others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from wsc.cost.messages import Messages
from wsc.cost.tiles import GOLDEN, Axis, sample
from wsc.cost.wormhole import Grid, Sends, follow

MOST = 12_000  # messages of one move that are followed one by one ...
BUDGET = (
    250_000  # ... and so many more of the first moves of a program: small ones are followed whole
)
MANY = 8_000  # messages, from which on it is worth to load compiled code


def simulate(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: float,
    hop: float = 1.0,
    compiled: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """[rows, columns]: the cycle in which the last message has arrived, and that in which the
    sender's last wavelet is off; 0 where there is none.

    batches: one at least. depth: wavelets of an input buffer. ramp: cycles from a core into the
    network. hop: those from a router to the next one. compiled: by Numba, which is worth while for
    many messages.
    """
    width, height = len(x.places), len(y.places)
    sender, target, wavelets, first, last = (
        np.concatenate(parts)
        for parts in zip(*(_one_by_one(batch, width) for batch in batches), strict=True)
    )
    order = np.argsort(sender, kind="stable")
    begin = np.searchsorted(sender[order], np.arange(width * height + 1))
    sends = Sends.of_tiles(begin, target[order], wavelets[order], first[order], last[order])
    grid = Grid.of_tiles(width, height)
    arrived, ends = follow(sends, grid, depth, ramp, hop, compiled)
    return arrived.reshape(height, width), ends.reshape(height, width)


def _one_by_one(batch: Messages, width: int) -> tuple[np.ndarray, ...]:
    """The messages of a batch: sender, target, wavelets, first and last cycle of each."""
    count = batch.count.astype(np.int64)
    numbers = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step = np.repeat((batch.last - batch.first + 1) / batch.count, count)
    first = np.repeat(batch.first, count) + numbers * step
    last = np.repeat(batch.first, count) + (numbers + 1) * step - 1
    source = np.repeat(batch.row * width + batch.column, count).astype(np.int64)
    target = np.repeat(batch.to_y * width + batch.to_x, count).astype(np.int64)
    wavelets = np.repeat(batch.wavelets // batch.count, count).astype(np.int64)
    return source, target, wavelets, first, last


def _thinned(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: int,
    hop: int,
    scale: float,
    compiled: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``simulate``, with one of ``scale`` messages, and time that runs so much faster.

    Each sender begins to count elsewhere, or those that are kept would all be of the same batches.
    """
    rows, columns = np.mgrid[: len(y.places), : len(x.places)]
    sent = (rows * GOLDEN + columns * GOLDEN**2) % 1.0 * scale  # messages before, by sender
    fewer: list[Messages] = []
    for batch in batches:
        before = sent[batch.row, batch.column]
        sent[batch.row, batch.column] += batch.count
        after = sent[batch.row, batch.column]
        kept = np.floor(after / scale) - np.floor(before / scale)
        some = kept > 0
        fields = {name: getattr(batch, name)[some] for name in Messages.__slots__}
        fields["wavelets"] = fields["wavelets"] // fields["count"] * kept[some]
        fields["count"] = kept[some]
        fields["first"] = fields["first"] / scale
        fields["last"] = (fields["last"] + 1) / scale - 1
        fewer.append(Messages(**fields))
    came, ends = simulate(fewer, x, y, depth, ramp / scale, hop / scale, compiled)
    return came * scale, ends * scale


def followed(
    batches: list[Messages],
    x: Axis,
    y: Axis,
    depth: int,
    ramp: int,
    most: float,
    compiled: bool = False,
    hop: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``simulate`` from cycle 0 on, following at most about ``most`` messages.

    Where there are more, the times with fewer and with half of these are continued to all of them:
    messages get into each other's way the less, the fewer stand for the others.
    """
    total = _count(batches)
    scale = total / most * 1.5
    if total <= most:
        return simulate(batches, x, y, depth, ramp, hop, compiled)
    near, far = (_thinned(batches, x, y, depth, ramp, hop, s, compiled) for s in (scale, 2 * scale))
    latest = [max(float(array.max(initial=0)) for array in found) for found in (near, far)]
    longer = 1.0
    if latest[1] > 0:
        longer = min(max(1.0 + (1.0 - latest[1] / latest[0]) * (1 - 1 / scale), 1.0), 2.0)
    return near[0] * longer, near[1] * longer


def _count(batches: list[Messages]) -> float:
    return sum(float(batch.count.sum()) for batch in batches)


def _lines(batches: list[Messages]) -> str:
    """``row`` or ``column`` if every message stays in that of its sender; empty otherwise."""
    if all((batch.to_y == batch.row).all() for batch in batches):
        return "row"
    return "column" if all((batch.to_x == batch.column).all() for batch in batches) else ""


def _of_line(batches: list[Messages], along: str, line: int) -> list[Messages]:
    """The messages of one row, or column, as those of a mesh that has no other."""
    to = "to_y" if along == "row" else "to_x"
    found: list[Messages] = []
    for batch in batches:
        mine = getattr(batch, along) == line
        if mine.any():
            fields = {name: getattr(batch, name)[mine] for name in Messages.__slots__}
            nothing = np.zeros_like(fields[along])
            found.append(Messages(**fields | {along: nothing, to: nothing}))
    return found


@dataclass(slots=True)
class Patterns:
    """Results of ``simulate``, kept: equal layers send the same messages in the same rhythm.

    count: messages followed so far; code is compiled for them when there are many.
    """

    seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    budget: float = BUDGET
    count: float = 0.0

    def times(
        self, batches: list[Messages], x: Axis, y: Axis, depth: int, ramp: int, hop: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """As ``simulate``."""
        along = _lines(batches)
        if not along or min(len(x.places), len(y.places)) == 1:
            return self._times(batches, x, y, depth, ramp, hop)
        # Rows that send along themselves alone do not meet, and mostly do the same.
        came = np.zeros((len(y.places), len(x.places)))
        ends = came.copy()
        one = sample(1)
        for line in range(len(y.places) if along == "row" else len(x.places)):
            mine = _of_line(batches, along, line)
            if mine:
                place = (line, slice(None)) if along == "row" else (slice(None), line)
                axes = (x, one) if along == "row" else (one, y)
                found = self._times(mine, *axes, depth, ramp, hop)
                came[place], ends[place] = (array.ravel() for array in found)
        return came, ends

    def _times(
        self, batches: list[Messages], x: Axis, y: Axis, depth: int, ramp: int, hop: int
    ) -> tuple[np.ndarray, np.ndarray]:
        begin = min(float(batch.first.min()) for batch in batches)
        moved = [
            replace(batch, first=batch.first - begin, last=batch.last - begin) for batch in batches
        ]
        key = b"|".join(
            np.ascontiguousarray(getattr(batch, name)).tobytes()
            for batch in moved
            for name in Messages.__slots__
        )
        key += b"%d,%d" % (len(x.places), len(y.places))
        if key not in self.seen:
            count = _count(moved)
            most = max(self.budget, MOST)
            self.budget -= count if count <= most else 0
            most = most if count <= most else MOST
            self.count += min(count, most)
            self.seen[key] = followed(moved, x, y, depth, ramp, most, self.count > MANY, hop)
        came, ends = (np.where(cycle > 0, cycle + begin, 0.0) for cycle in self.seen[key])
        return came, ends
