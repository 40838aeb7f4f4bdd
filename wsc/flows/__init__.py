"""The flows that kernels use, each with its paths, its conflicts and its timing.

A kernel names a strand of a flow where an instruction or a transfer names a color. The routing
pass gives strands their colors; the cost model finds the flows of a program by the paths that its
colors take, and walks with their streams.
"""

from __future__ import annotations

from wsc.flows.cast import COLUMN_CAST, ROW_CAST, Cast
from wsc.flows.chain import EAST, NORTH, RISE, SOUTH, WEST, Chain
from wsc.flows.collect import COLLECT
from wsc.flows.flow import REGION, ROOT_X, ROOT_Y, SAMPLE, Flow, Path, Strand
from wsc.flows.inward import INWARD, LEAD, Inward, Lead
from wsc.flows.leave import LEAVE
from wsc.flows.multicast import WEIGHTS
from wsc.flows.requests import INDICES
from wsc.flows.scatter import SCATTER

__all__ = [
    "COLLECT",
    "COLUMN_CAST",
    "EAST",
    "FLOWS",
    "INDICES",
    "INWARD",
    "LEAD",
    "LEAVE",
    "NORTH",
    "REGION",
    "RISE",
    "ROOT_X",
    "ROOT_Y",
    "ROW_CAST",
    "SAMPLE",
    "SCATTER",
    "SOUTH",
    "STRANDS",
    "WEIGHTS",
    "WEST",
    "Cast",
    "Chain",
    "Flow",
    "Inward",
    "Lead",
    "Path",
    "Strand",
]

# In the order in which they get their colors: the ramp's first queues are the deepest.
FLOWS: tuple[Flow, ...] = (
    WEIGHTS,
    SCATTER,
    COLLECT,
    INDICES,
    EAST,
    WEST,
    SOUTH,
    NORTH,
    *INWARD.values(),
    *LEAD.values(),
    ROW_CAST,
    COLUMN_CAST,
    LEAVE,
    RISE,
)
STRANDS: dict[str, Strand] = {strand.name: strand for flow in FLOWS for strand in flow.strands}
