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
class Options:
    """How to run.

    delays: seed of random delays, None for none. max_cycles: stop with an error there.
    progress: called with (cycle, fraction of the edge's elements moved) now and then.
    shuffle: seed of a random order of visiting tiles, which must never show.
    compiling: called before the engine's code is compiled, once for an installation, with an
    empty text; with the reason, if the code cannot be kept for later processes.
    check_races, causes: look for races, and keep who waited for whom; the reference engine alone
    can. trace: what to record.
    """

    delays: int | None = None
    max_cycles: int | None = None
    progress: Progress | None = None
    shuffle: int | None = None
    compiling: Callable[[str], None] | None = None
    check_races: bool = False
    trace: TraceRequest | None = None
    causes: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: flat outputs in the fabric's types, counters, trace and causes."""

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters
    trace: Trace | None = None
    causes: Causes | None = None


class Engine(Protocol):
    """Executes an image. ``inputs`` are flat arrays of the fabric's element types."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end.

        Raises:
            wsc.runtime.errors.RuntimeFault: a fault, a deadlock, or the cycle limit.
        """
        ...
