"""Parts of what tiles have of a value, which cross the edge beside other work."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import TypeVar

from wsc.cost import CostModel
from wsc.ir.layout import View
from wsc.ir.tasks import Part
from wsc.isa.fabric import Fabric
from wsc.isa.types import DType

_Key = TypeVar("_Key")


def crossing(view: View, fabric: Fabric) -> int:
    """Cycles in which a value crosses the edge, block after block of each column's tiles."""
    cost = CostModel(fabric)
    # A control wavelet is behind each block, at each port.
    controls = fabric.height * cost.edge_interval(fabric.width, DType.F32)
    at_edge = prod(view.shape) * view.dtype.bytes / fabric.io_bytes_per_cycle
    along = fabric.height * view.local_size * cost.link
    return ceil(max(at_edge, along) + controls)


def parts(view: View, shares: Sequence[tuple[_Key, int]]) -> list[tuple[_Key, Part]]:
    """A part for each share, of what tiles have along their longest dimension in blocks.

    shares: how much each is of all of them. Of many some may get nothing: they are left out.
    """
    if len(shares) == 1:
        return [(shares[0][0], ())]
    extents = view.extents
    blocks = (number for number, extent in enumerate(extents) if extent.axis)
    place = max(blocks, key=lambda number: extents[number].length)
    length, whole = extents[place].length, sum(share for _, share in shares)
    found: list[tuple[_Key, Part]] = []
    first = until = 0
    for key, share in shares:
        until += share
        end = length * until // whole
        if end > first:
            found.append((key, (place, first, end)))
        first = end
    return found
