"""How much memory a run of a loaded program takes; too much is refused before it begins."""

from __future__ import annotations

import numpy as np

from wsc.runtime.image import Image
from wsc.runtime.memory import require_memory
from wsc.runtime.observations.records import ENTRY, TRACED
from wsc.runtime.reference.chains import cause_bytes
from wsc.runtime.reference.findings import race_sizes
from wsc.runtime.reference.records import TABLES
from wsc.runtime.runs import Options
from wsc.runtime.sizes import Sizes, parts_of


def sizes_of(image: Image) -> Sizes:
    """The sizes of a loaded program."""
    routes, schedule = image.routes, image.schedule
    return Sizes(
        tiles=image.tiles,
        units=image.code.units + 1,
        colors=max(len(image.program.colors), 1),
        slots=len(routes.slots),
        queues=len(routes.depths) - len(routes.slots),
        cells=routes.cells,
        pool=image.code.pool.size,
        records=len(schedule.records),
        lookups=int(schedule.lookups[:, 1].sum()),
        sends=image.code.sends,
        data_bytes=image.data_bytes,
    )


def observer_bytes(image: Image, options: Options) -> int:
    """Bytes of the tables for the trace, the race check and causes that a run asks for."""

    units, total = image.code.units + 1, 0
    if options.trace is not None:
        total += image.tiles * units * TRACED.itemsize + options.trace.events * ENTRY.itemsize
    total += sum(image.tiles * capture.bytes for capture in options.captures)
    if options.causes:
        total += cause_bytes(image, units)
    if options.check_races:
        for name, shape in race_sizes(image, units).items():
            total += int(np.prod(shape)) * np.dtype(TABLES[name][0]).itemsize
    return total


def require_for_run(image: Image, engine: str, limit: int | None, observing: int = 0) -> None:
    """Refuse, before its state is made, a run that would not fit.

    limit: includes what is loaded. observing: bytes of traces and checks.
    """
    parts = parts_of(sizes_of(image), image.fabric, image.program, engine)
    parts["the weights"] = image.weight_bytes
    if limit is None:
        del parts["the program"], parts["the weights"]  # they are no longer free
    require_memory(parts | {"traces and checks": observing}, limit)
