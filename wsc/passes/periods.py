"""Where a sequence repeats itself: the steps of an unrolled recurrence, found again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from wsc.ir.tasks import Run

Flags = npt.NDArray[np.bool_]
LEAST = 8  # turns: what repeats less often stays as it is


def numbered(keys: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    """Equal keys as equal numbers."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def runs(
    ids: npt.NDArray[np.int64], steady: Callable[[int], Flags] | None = None, offset: int = 0
) -> list[Run]:
    """The repetitions in a sequence of ids, in order, none within another.

    Of all periods the one that leaves the fewest items is taken, a shorter one before a longer
    one; then what remains between its runs is searched. Runs of other periods may all be runs of
    a common multiple of these: each is then taken with its own.

    steady: for a period p, whether items i, i + p and i + 2p of the whole sequence go on evenly
    (an array over i); without it, equal ids suffice.
    """
    reach = 1 if steady is None else 2
    best, found = 0, list[Run]()
    for bound, period in _candidates(ids):
        if bound <= best:
            break
        turns = _runs(_going_on(ids, steady, offset, period), period, reach)
        saved = _saved(turns)
        if saved > best:
            best, found = saved, turns
    found = _shortened(found, ids, partial(_going_on, ids, steady, offset), reach)
    edges = [0, *(edge for run in found for edge in (run.start, run.end)), len(ids)]
    rest = zip(edges[::2], edges[1::2], strict=True) if found else ()
    inner = [run for a, b in rest for run in runs(ids[a:b], steady, offset + a)]
    whole = [Run(run.start + offset, run.period, run.count) for run in found]
    return sorted([*whole, *inner], key=lambda run: run.start)


def _going_on(
    ids: npt.NDArray[np.int64], steady: Callable[[int], Flags] | None, offset: int, period: int
) -> Flags:
    """Of each item whether the one a period later, or the two, go on from it."""
    same = ids[:-period] == ids[period:]
    if steady is None:
        return same
    return same[:-period] & same[period:] & steady(period)[offset:][: len(ids) - 2 * period]


def _shortened(
    found: Sequence[Run],
    ids: npt.NDArray[np.int64],
    going_on: Callable[[int], Flags],
    reach: int,
) -> list[Run]:
    """Runs with the shortest periods that they have; these may go further than the longer ones."""
    short: list[Run] = []
    for run in found:
        divisors = (part for part in range(1, run.period) if run.period % part == 0)
        for period in divisors:
            # Whether numbers go on evenly is only asked where the items do.
            if (ids[run.start : run.end - period] != ids[run.start + period : run.end]).any():
                continue
            flags = going_on(period)
            if flags[run.start : run.end - reach * period].all():
                ends = np.flatnonzero(~flags[run.start :])
                last = int(ends[0]) if len(ends) else len(flags) - run.start
                run = Run(run.start, period, last // period + reach)
                break
        if not short or run.start >= short[-1].end:
            short.append(run)
    return short


def _candidates(ids: npt.NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    """(items that it would save at most, period) of all periods, the best first."""
    found: list[tuple[int, int]] = []
    for period in range(1, len(ids) // LEAST + 1):
        saved = _saved(_runs(ids[:-period] == ids[period:], period, 1))
        if saved:
            found.append((saved, period))
    return sorted(found, key=lambda item: (-item[0], item[1]))


def _saved(found: list[Run]) -> int:
    return sum((run.count - 1) * run.period for run in found)


def _runs(same: Flags, period: int, reach: int) -> list[Run]:
    """Stretches where items go on as those ``period`` before; each looks ``reach`` turns on."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    found: list[Run] = []
    end = 0
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        first = max(first, end)
        count = (last - first) // period + reach
        if last > first and count >= LEAST:
            found.append(Run(first, period, count))
            end = found[-1].end
    return found
