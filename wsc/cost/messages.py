"""Remote stores that are on their way at the same time, as tiles of a sample send them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsc.cost.tiles import Axis

NARROW = 8  # tiles between sampled ones, so few that one stands for all of them
WIDE = 2  # such gaps, where they are wider: the messages of one tile's neighbours are spread so far


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of some sampled tiles, one entry for each tile.

    row, column: index of the sending tile among the sampled ones. to_x, to_y: target's
    coordinates. count: messages, one after the other. wavelets: of all of them, headers
    included. first, last: cycles in which the first and
    the last wavelet leave the core.
    """

    row: np.ndarray
    column: np.ndarray
    to_x: np.ndarray
    to_y: np.ndarray
    count: np.ndarray
    wavelets: np.ndarray
    first: np.ndarray
    last: np.ndarray


def joined(batches: list[Messages]) -> Messages:
    """The messages of all batches, of which there is at least one."""
    return Messages(
        *(
            np.concatenate([getattr(batch, name) for batch in batches])
            for name in Messages.__slots__
        )
    )


def several(places: np.ndarray, axis: Axis) -> bool:
    """Whether these are more than one sampled coordinate, or one that stands for itself alone."""
    return bool((places != places[0]).any() or axis.weight[places[0]] == 1)
