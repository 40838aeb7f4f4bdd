"""Engines: what executes a loaded image. All of them keep the time of docs/machine.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from runtime.errors import RuntimeFault

if TYPE_CHECKING:
    from runtime.counters import Counters
    from runtime.image import Image

Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    delays: seed of random delays, None for none. max_cycles: stop with an error there.
    progress: called with (cycle, fraction of the edge's elements moved) now and then.
    shuffle: seed of a random order of visiting tiles, which must never show.
    compiling: called before the engine's code is compiled, once for an installation.
    """

    delays: int | None = None
    max_cycles: int | None = None
    progress: Progress | None = None
    shuffle: int | None = None
    compiling: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: flat outputs in the fabric's types, and the counters."""

    outputs: dict[str, np.ndarray]
    cycles: int
    counters: Counters


class Engine(Protocol):
    """Executes an image. ``inputs`` are flat arrays of the fabric's element types."""

    def run(self, image: Image, inputs: dict[str, np.ndarray], options: Options) -> Outcome:
        """Run to the end.

        Raises:
            runtime.errors.RuntimeFault: a fault, a deadlock, or the cycle limit.
        """
        ...


ENGINES = ("fast", "reference")


def find_engine(name: str) -> Engine:
    """The engine of that name; compiled code is loaded only now."""
    if name not in ENGINES:
        raise RuntimeFault(f"no engine '{name}'; there is: {', '.join(ENGINES)}")
    if name == "reference":
        from runtime.engine.reference import ReferenceEngine

        return ReferenceEngine()
    from runtime.engine.fast import FastEngine

    return FastEngine()
