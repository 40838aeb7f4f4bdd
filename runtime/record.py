"""What a run for values notes for a run for time: the registers that were loaded, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Record:
    """What the instructions loaded that decide anything, in the order of each tile's main thread.

    deciding: for each row of the code, whether it is one of these; int8. loaded: the words, tile
    after tile; int32. first: of each tile, by rows, its first word in ``loaded``; one more at the
    end.
    """

    deciding: np.ndarray
    loaded: np.ndarray
    first: np.ndarray


def gather(deciding: np.ndarray, notes: np.ndarray, width: int, height: int) -> Record:
    """A record from notes in the order in which they were taken.

    notes: rows of (first tile, count, word): as many tiles below each other, from the first one
    on, have loaded the word. Tiles are numbered by columns here, x * height + y.
    """
    counts = notes[:, 1]
    starts = np.cumsum(counts) - counts
    tiles = np.repeat(notes[:, 0] - starts, counts) + np.arange(int(counts.sum()))
    numbers = tiles % height * width + tiles // height
    order = np.argsort(numbers, kind="stable")
    loaded = np.repeat(notes[:, 2].astype(np.int32), counts)[order]
    first = np.zeros(width * height + 1, np.int64)
    np.cumsum(np.bincount(numbers, minlength=width * height), out=first[1:])
    return Record(deciding, loaded, first)
