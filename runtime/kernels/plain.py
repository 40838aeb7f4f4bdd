"""Kernels that need no machine, for all engines."""

from __future__ import annotations

from wsc.runtime.kernels.library import shared


@shared
def holds(relation: int, left: int, right: int) -> bool:
    """The relations in the order of ``wsc.runtime.tables.RELATIONS``."""
    if relation == 0:
        return left == right
    if relation == 1:
        return left != right
    if relation == 2:
        return left < right
    if relation == 3:
        return left <= right
    return left > right if relation == 4 else left >= right


@shared
def side_of(port: int, width: int, height: int) -> int:
    """0..3 for a port on N, E, S, W."""
    if port < width:
        return 0
    if port < width + height:
        return 1
    return 2 if port < 2 * width + height else 3
