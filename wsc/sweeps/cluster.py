"""The points of a sweep on a Dask cluster: its scheduler hands them to workers.

The workers see the files of models, programs and fabrics under the same paths. What a worker
that died had at work is given to another one; a point that ends several is a row that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wsc.cluster import connect
from wsc.errors import CompileError
from wsc.sweeps.point import FAILED, KILLED, Row, run_point, stopped
from wsc.sweeps.points import Point

ENDED = "its workers were killed, one after another; it may have taken more memory than there was"


def run_cluster(points: Sequence[Point], address: str) -> Iterator[tuple[Point, Row]]:
    """The row of each point, as they come.

    Raises:
        CompileError: the package is missing, or the cluster is not there or has no worker.
    """
    client = connect(address)
    try:
        # Dask blames all that a worker had before it, also what it had not begun. So what is
        # blamed is tried again at the end, each point with the whole cluster to itself.
        blamed: list[Point] = []
        for point, row in _submitted(client, points, address):
            if row is None:
                blamed.append(point)
            else:
                yield point, row
        for point in blamed:
            ((_, row),) = _submitted(client, [point], address)
            yield point, stopped(point, KILLED, ENDED) if row is None else row
    finally:
        client.close()


def _submitted(
    client: Any, points: Sequence[Point], address: str
) -> Iterator[tuple[Point, Row | None]]:
    """The row of each point, as they come; None for one whose workers were killed."""
    from distributed import KilledWorker, as_completed

    # A row is not taken from an earlier sweep: the worker's code may be another one by now.
    futures = {client.submit(run_point, point, pure=False): point for point in points}
    for future in as_completed(list(futures), loop=client.loop):
        point = futures.pop(future)
        if future.status == "finished":
            yield point, future.result()
        elif future.status != "error":
            raise CompileError(f"the cluster at {address} ended before the sweep")
        elif isinstance(error := future.exception(), KilledWorker):
            yield point, None
        else:
            reason = f"its worker cannot run it: {type(error).__name__}: {error}"
            yield point, stopped(point, FAILED, reason)
        future.release()
