"""The points of a sweep in processes of this machine, by joblib.

A process that is killed takes the pool of all with it, and nobody knows which of the points at
work was the cause. Each of them is then tried by itself; the one that ends its process again is
a row that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from wsc.sweeps.point import KILLED, Row, run_point, stopped
from wsc.sweeps.points import Point

ENDED = "its process was killed, twice; it may have taken more memory than there was"


def run_local(points: Sequence[Point], workers: int) -> Iterator[tuple[Point, Row]]:
    """The row of each point, as they come."""
    left = {point.number: point for point in points}
    while left:
        at_work: dict[int, Point] = {}
        try:
            for point, row in _pool(list(left.values()), workers, at_work):
                del left[point.number]
                at_work.pop(point.number, None)
                yield point, row
        except BrokenProcessPool:
            for point in sorted(at_work.values(), key=lambda item: item.number):
                del left[point.number]
                yield point, _alone(point)


def _alone(point: Point) -> Row:
    try:
        return next(row for _, row in _pool([point], 1, {}))
    except BrokenProcessPool:
        return stopped(point, KILLED, ENDED)


def _pool(
    points: Sequence[Point], workers: int, at_work: dict[int, Point]
) -> Iterator[tuple[Point, Row]]:
    """Run points in a pool. at_work: gets those that have been handed to a process."""
    from joblib import Parallel, delayed

    def handed() -> Iterator[Any]:
        for point in points:
            at_work[point.number] = point
            yield delayed(_both)(point)

    # A process takes seconds to start, and one without a point would only be in the way of others.
    workers = min(workers, len(points))
    # With one job joblib would run the points in this process, which none may end: there are
    # two processes, and as many points at work as the user wants.
    options: dict[str, Any] = {"batch_size": 1, "pre_dispatch": workers}
    pool: Any = Parallel(
        n_jobs=max(workers, 2), backend="loky", return_as="generator_unordered", **options
    )
    yield from pool(handed())


def _both(point: Point) -> tuple[Point, Row]:
    return point, run_point(point)
