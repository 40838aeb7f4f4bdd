"""Remote stores that are on their way at the same time, as tiles of a sample send them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HEADERS = 2  # wavelets of each message before its elements


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
