"""Parts of what tiles have of a value, which cross the edge beside other work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import ceil, prod

from wsc.cost import CostModel
from wsc.ir.layout import View
from wsc.ir.tasks import Part
from wsc.isa.fabric import Fabric
from wsc.isa.types import DType


def crossing(view: View, fabric: Fabric) -> int:
    """Cycles in which a value crosses the edge, block after block of each column's tiles."""
    cost = CostModel(fabric)
    # A control wavelet is behind each block, at each port.
    controls = fabric.height * cost.edge_interval(fabric.width, DType.F32)
    at_edge = prod(view.shape) * view.dtype.bytes / fabric.io_bytes_per_cycle
    along = fabric.height * view.local_size * cost.link
    return ceil(max(at_edge, along) + controls)


def parts(view: View, shares: Sequence[int]) -> list[Part]:
    """A part for each share, of what tiles have along their longest dimension in blocks.

    Of many shares some may have the same end: their part is empty.
    """
    extents = view.extents
    blocks = (number for number, extent in enumerate(extents) if extent.axis)
    place = max(blocks, key=lambda number: extents[number].length)
    length, whole = extents[place].length, sum(shares)
    if len(shares) == 1:
        return [()]
    ends = [length * until // whole for until in accumulate(shares)]
    return [(place, first, end) for first, end in pairwise([0, *ends])]


def is_empty(part: Part) -> bool:
    """Whether a part holds nothing."""
    return bool(part) and part[1] == part[2]
