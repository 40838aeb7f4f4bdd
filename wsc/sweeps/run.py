"""``wsc.sweep``: the rows of all points, from a journal or from workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from wsc.errors import CompileError
from wsc.isa.fabric import DEFAULT, find_fabric
from wsc.sweeps.cluster import run_cluster
from wsc.sweeps.journal import Journal
from wsc.sweeps.local import run_local
from wsc.sweeps.point import Row
from wsc.sweeps.points import ENGINE, FABRIC, MODEL, PRECISION, Axes, Model, Point, keys
from wsc.sweeps.table import Sweep

PRECISIONS = ("f32", "f16")


def sweep(
    models: Any,
    *,
    settings: Mapping[str, Any] | None = None,
    fabric: Any = (),
    precision: Any = (),
    engine: Any = (),
    dims: Mapping[str, Any] | None = None,
    seed: int = 0,
    workers: int | None = None,
    cluster: str | None = None,
    journal: str | PathLike[str] | None = None,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Every combination of models or programs, machines, precisions and engines.

    Each of ``models``, ``fabric``, ``precision`` and ``engine`` is a value or a list of values;
    ``settings`` and ``dims`` have a value or a list for each key, as in
    ``{"router.buffer_depth": [2, 4, 8]}``. What has no value is as without the option.

    models: paths of ONNX files and programs, bytes of ONNX files, or ONNX's objects. engine:
    those of ``run``, and "estimate", which asks the cost model. seed: of the inputs, which are
    drawn. workers: processes; None is one a core. cluster: the address of a Dask scheduler, as in
    "tcp://host:8786"; its workers read the files under the same paths. journal: a file that keeps
    the rows which are done: the same call goes on from there, and removes it at its end.
    max_cycles, max_memory: limits of each run. progress: is told (rows done, of all).

    The rows do not depend on the workers, nor on their number. A point that fails, or whose process
    is killed, is a row with its reason.

    Raises:
        CompileError: an option that is none, or the journal or the cluster cannot be used.
        FabricError: there is no number of that name.
    """
    axes = Axes(
        tuple(_models(models)),
        tuple(map(str, _listed(fabric))),
        tuple(_listed(precision)),
        tuple(_listed(engine)),
        {str(key): _numbers(key, values) for key, values in (settings or {}).items()},
        {str(key): _numbers(key, values) for key, values in (dims or {}).items()},
        seed,
        max_cycles,
        max_memory,
    )
    return run_axes(axes, workers, cluster, None if journal is None else Path(journal), progress)


def run_axes(
    axes: Axes,
    workers: int | None = None,
    cluster: str | None = None,
    journal: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep: bool = False,
) -> Sweep:
    """``sweep`` of axes; keep: the journal is removed by the caller."""
    _require(axes, workers)
    points = axes.points()
    names = keys(points)
    book = Journal(journal)
    done = False
    try:
        rows = {
            point.number: row
            for point, name in zip(points, names, strict=True)
            if (row := book.row(name)) is not None
        }
        left = [point for point in points if point.number not in rows]
        if progress is not None:
            progress(len(rows), len(points))
        for point, row in _run(left, workers, cluster):
            rows[point.number] = row
            book.add(names[point.number], row)
            if progress is not None:
                progress(len(rows), len(points))
        done = not keep
    finally:
        book.close(done)
    varied = (MODEL, FABRIC, PRECISION, ENGINE, *(axes.dims or {}), *(axes.settings or {}))
    return Sweep(varied, tuple(rows[point.number] for point in points))


def _run(
    points: Sequence[Point], workers: int | None, cluster: str | None
) -> Iterator[tuple[Point, Row]]:
    if not points:
        return iter(())
    if cluster is not None:
        return run_cluster(points, cluster)
    return run_local(points, workers or os.cpu_count() or 1)


def _require(axes: Axes, workers: int | None) -> None:
    """What is wrong with all points of an axis is said at once, and not in each row."""
    machine = find_fabric(DEFAULT)
    for key in axes.settings or {}:
        machine.require_key(key)
    for precision in axes.precisions:
        if precision not in PRECISIONS:
            raise CompileError(f"precision '{precision}' is not known: {' or '.join(PRECISIONS)}")
    for fabric in axes.fabrics:
        find_fabric(fabric)
    if workers is not None and workers < 1:
        raise CompileError(f"a sweep needs a worker, and has {workers}")


def _listed(values: Any) -> list[Any]:
    """A value, or several, as a list. A number of several parts stands in a list of such."""
    if values is None:
        return []
    if isinstance(values, (str, bytes, PathLike)) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def _numbers(key: str, values: Any) -> list[Any]:
    """The values of a number, of Python's own types: integers, floats, tuples of integers."""

    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(map(plain, value))
        if isinstance(value, float):
            return float(value)
        try:
            return index(value)
        except TypeError:
            raise CompileError(f"{key}: {value!r} is no number") from None

    return [plain(value) for value in _listed(values)]


def _models(models: Any) -> Iterator[Model]:
    for number, model in enumerate(_listed(models), 1):
        if isinstance(model, (str, PathLike)):
            path = str(fspath(model))
            yield Model(path, path)
            continue
        data = model if isinstance(model, bytes) else _bytes_of(model)
        yield Model(f"model {number}", data)


def _bytes_of(model: Any) -> bytes:
    import onnx
    import onnx_ir as ir

    if isinstance(model, ir.Model):
        model = ir.to_proto(model)
    if isinstance(model, onnx.ModelProto):
        return model.SerializeToString()
    raise CompileError(
        f"a sweep takes paths, bytes of ONNX files and objects of onnx or onnx_ir, not "
        f"{type(model).__name__}"
    )
