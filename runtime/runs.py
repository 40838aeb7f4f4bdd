"""How to run an image on an engine with a clock, and what such a run leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wsc.runtime.counters import Counters
from wsc.runtime.image import Image
from wsc.runtime.observations.causes import Causes
from wsc.runtime.trace import Trace, TraceRequest

Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Capture:
    """A range of SRAM of every tile, as it is when the tile ends a stay at a statement of main.

    stay: number of the stay (``wsc.runtime.code.Code.stays``). address, bytes: in words of four
    bytes.
    """

    stay: int
    address: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Dump:
    """The SRAM of a tile as it is when a cycle begins; at the end, if that comes before."""

    x: int
    y: int
    cycle: int


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    delays: seed of random delays, None for none. max_cycles: stop with an error there.
    progress: called with (cycle, fraction of the edge's elements moved) now and then.
    shuffle: seed of a random order of visiting tiles, which must never show.
    compiling: called before the engine's code is compiled, once for an installation, with an
    empty text; with the reason, if the code cannot be kept for later processes.
    check_races, causes: look for races, and keep who waited for whom; the reference engine alone
    can. trace: what to record. windows: each a first cycle, and the one after its last, of
    which the counts are kept. captures: what to keep of SRAM when tiles leave a statement, and
    dumps: what a tile holds when a cycle begins; the reference engine alone has values and time.
    """

    delays: int | None = None
    max_cycles: int | None = None
    progress: Progress | None = None
    shuffle: int | None = None
    compiling: Callable[[str], None] | None = None
    check_races: bool = False
    trace: TraceRequest | None = None
    windows: tuple[tuple[int, int], ...] = ()
    causes: bool = False
    captures: tuple[Capture, ...] = ()
    dumps: tuple[Dump, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: flat outputs in the fabric's types, counters, trace and causes.

    windows: what was counted in each. captured: of each capture [tile, word]. dumped: of each
    dump the bytes of the tile.
    """

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters
    trace: Trace | None = None
    windows: tuple[Counters, ...] = ()
    causes: Causes | None = None
    captured: tuple[np.ndarray, ...] = ()
    dumped: tuple[np.ndarray, ...] = ()


class Engine(Protocol):
    """Executes an image. ``inputs`` are flat arrays of the fabric's element types."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end.

        Raises:
            wsc.runtime.errors.RuntimeFault: a fault, a deadlock, or the cycle limit.
        """
        ...
