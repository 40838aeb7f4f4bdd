"""Row numbers for the weight store: from tile (0, 0) to the west edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.flows.flow import Flow, Path, Strand, at, both, when
from wsc.flows.stream import Site, Steps, Stream, Walker
from wsc.flows.work import Work
from wsc.isa.expr import X, Y
from wsc.isa.types import Side


@dataclass(frozen=True)
class Requests(Flow):
    """From tile (0, 0) over its west side."""

    def laid(self) -> tuple[Strand, ...]:
        """The only one."""
        first = both(when(X, "==", 0), when(Y, "==", 0))
        doc = "row numbers for the weight store to look up"
        return (Strand(self, "indices", doc, (Path(first, (at(Side.RAMP, Side.WEST),)),)),)

    def stream(self, site: Site) -> RequestStream:
        """The times of the numbers."""
        return RequestStream(site)


INDICES = Requests()


class RequestStream(Stream):
    """The numbers; what the edge looks up with them waits for the first one."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def run(self, walk: Walker, work: Work, receives: bool, sends: bool) -> Steps:
        """The tile sends numbers."""
        here = work.lanes.mask
        work.end(work.alone, here)
        ramp = self.site.model.fabric.ramp_latency
        self.site.asked = float(work.start[here].max()) + ramp + 3
        return
        yield

    def hops(self, words: np.ndarray, sends: bool) -> float:
        """None: the tile is at the edge."""
        del words, sends
        return 0.0
