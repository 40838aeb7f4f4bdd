"""Inner loops of the cost model that Numba compiles, where there is enough to do for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache


@cache
def by_numba(run: Callable[..., None]) -> Callable[..., None]:
    """A function as Numba compiles it, kept for later processes where it can be."""
    import numba

    try:
        return numba.njit(cache=True)(run)
    except RuntimeError:  # there is no folder for what is compiled
        return numba.njit(run)
