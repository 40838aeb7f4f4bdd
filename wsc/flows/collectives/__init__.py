"""The flows of single collectives: one file each, with its paths and its cycles.

The kernels of networks use the flows of ``wsc/flows``. These are for looking at a collective by
itself, on a line of tiles or a rectangle that has nothing else to do. A walk of the cost model
knows no times of theirs; each has its cycles in closed form.
"""

from __future__ import annotations

from wsc.flows.collectives.alone import COLUMN, ROW, Alone, Collective, Line
from wsc.flows.collectives.broadcast import Broadcast
from wsc.flows.collectives.broadcast_2d import Broadcast2D
from wsc.flows.collectives.chain import ChainReduce
from wsc.flows.collectives.ends import Load, Unload
from wsc.flows.collectives.ring import RingReduce
from wsc.flows.collectives.star import StarReduce
from wsc.flows.collectives.tree import TreeReduce
from wsc.flows.collectives.two_phase import TwoPhaseReduce

__all__ = [
    "COLUMN",
    "ROW",
    "Alone",
    "Broadcast",
    "Broadcast2D",
    "ChainReduce",
    "Collective",
    "Line",
    "Load",
    "RingReduce",
    "StarReduce",
    "TreeReduce",
    "TwoPhaseReduce",
    "Unload",
]
