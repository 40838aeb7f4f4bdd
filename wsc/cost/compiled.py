"""Inner loops of the cost model that Numba compiles, where there is enough to do for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np


@cache
def by_numba(run: Callable[..., None]) -> Callable[..., None]:
    """A function as Numba compiles it, kept for later processes where it can be."""
    import numba

    try:
        return numba.njit(cache=True)(run)
    except RuntimeError:  # there is no folder for what is compiled
        return numba.njit(run)


def run_on_arrays(
    run: Callable[..., None],
    numbers: Sequence[float],
    given: Sequence[np.ndarray],
    changed: Sequence[np.ndarray],
    compiled: bool,
) -> None:
    """Run a function of numbers and of arrays.

    given: arrays whose values are of no use afterwards. changed: the last ones, which it changes.
    compiled: by Numba, which is worth while where there is enough to do.
    """
    if compiled:
        by_numba(run)(*numbers, *given, *changed)
        return
    # Python's lists are faster than arrays of which one element is taken after the other.
    tables = [array.tolist() for array in changed]
    run(*numbers, *(array.tolist() for array in given), *tables)
    for array, values in zip(changed, tables, strict=True):
        array[...] = values
