"""Values and time of one run: each by an engine of its own, and who tells what went wrong.

Values never depend on time, and time depends on values only where a loaded register decides
(``runtime.decisions``). So a program runs twice, for its values and for its cycles. What data
decide is noted in the first run and replayed in the second, and what both count must be equal.

A run that does not end well is told in the words of the reference engine, with its cycle. Where
the reason may be in the data, that engine runs the program once more, as it alone knows values
and cycles at once.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from wsc.isa.asked import option
from wsc.runtime.counters import Counters
from wsc.runtime.decisions import Decisions, decisions
from wsc.runtime.errors import CycleLimit, Deadlock, ExecutionFault, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.runs import Options, Outcome
from wsc.runtime.work import Work

if TYPE_CHECKING:
    from wsc.runtime.values.engine import Executed

Arrays = dict[str, np.ndarray]


def run_both(
    image: Image, inputs: Arrays, options: Options, max_memory: int | None
) -> tuple[Outcome, bool]:
    """Run for values and for time. inputs: flat arrays of the fabric's types.

    Returns:
        The outcome, and whether the reference engine gave it.

    Raises:
        RuntimeFault: as ``wsc.runtime.runs.Engine.run``.
    """
    found = decisions(image)
    both = _Both(image, inputs, options, max_memory, found)
    if options.max_cycles is None:
        outcome = both.values_first()
    elif found.first is None:
        outcome = both.time_first()
    else:  # nobody knows how long the run for values would take
        outcome = None
    if outcome is None:
        return both.reference(), True
    return outcome, False


class _Both:
    """One run, in parts. What gives None could not tell how the run ends."""

    def __init__(
        self,
        image: Image,
        inputs: Arrays,
        options: Options,
        max_memory: int | None,
        found: Decisions,
    ) -> None:
        self.image, self.inputs, self.options = image, inputs, options
        self.max_memory, self.found = max_memory, found

    def values_first(self) -> Outcome | None:
        """Values, then time with what data decided."""
        from wsc.runtime.time.engine import run_time  # compiled code is loaded only now

        try:
            values = self._values()
        except ExecutionFault:
            return None
        except Deadlock as error:
            # Nothing faults in such a run, and time gets no further than values did.
            run_time(self.image, error.record, self.options)
            return None
        timed = run_time(self.image, values.record, self.options)
        return joined(timed, values.outputs, values.work)

    def time_first(self) -> Outcome | None:
        """Time up to its limit, then values, for a program in which data decide nothing."""
        from wsc.runtime.time.engine import run_time

        try:
            timed = run_time(self.image, None, self.options)
        except (ExecutionFault, Deadlock, CycleLimit):
            if self.found.faults:  # data might have stopped the run before
                return None
            raise
        try:
            values = self._values()
        except (ExecutionFault, Deadlock):
            return None
        return joined(timed, values.outputs, values.work)

    def _values(self) -> Executed:
        from wsc.runtime.values.engine import execute

        progress = self.options.progress
        return execute(
            self.image,
            self.inputs,
            max_memory=self.max_memory,
            progress=None if progress is None else lambda part: progress(0, part),
            deciding=None if self.found.first is None else self.found.deciding,
            compiling=self.options.compiling,
        )

    def reference(self) -> Outcome:
        """The engine that knows both at once."""
        from wsc.runtime.reference.engine import ReferenceEngine

        return ReferenceEngine().run(self.image, self.inputs, self.options)


def joined(timed: Outcome, outputs: Arrays, work: Work) -> Outcome:
    """The outcome of a run from its two halves.

    Raises:
        RuntimeFault: they have not counted the same, which is a fault of this simulator.
    """
    for name in differing(timed.counters, work):
        raise RuntimeFault(
            f"the engines for values and for time disagree about {name}: this is a fault of the "
            f"simulator; {option('engine', 'reference')} runs the program without them"
        )
    return Outcome(outputs, timed.cycles, timed.counters, timed.trace, timed.windows)


def differing(counters: Counters, work: Work) -> list[str]:
    """The names of the counters that two runs of a program do not agree about."""
    links = {color.color: color.wavelets for color in counters.colors}
    hops = int(counters.dynamic_links[..., :4].sum())
    found = [] if hops == work.dynamic_hops else ["dynamic_hops"]
    for color, moved in work.wavelets.items():
        if not np.array_equal(links[color], moved):
            found.append(f"the wavelets of color '{color}'")
    rest = [item.name for item in fields(Work) if item.name not in ("wavelets", "dynamic_hops")]
    return found + [name for name in rest if getattr(counters, name) != getattr(work, name)]
