"""One tile among the lanes of its block: its bit in a value, and the slot that is there.

A lane is ``64 * line + bit``: the row in the block, which is a word of the value, and the column.
Where something is to be done tile by tile, the set bits are gone through word by word: ``rest``
has those of a line that are still to come, the lowest is next, and is cleared.
"""

from __future__ import annotations

from wsc.runtime.kernels.calls import longs_at
from wsc.runtime.kernels.lanes import Lanes, one, word
from wsc.runtime.kernels.words import WORD
from wsc.runtime.time.compiled import Machine, kernel


@kernel
def has(which: Lanes, lane: int) -> bool:
    """Whether a lane is set."""
    return (word(which, lane // WORD) >> (lane % WORD)) & 1 != 0


@kernel
def only(lane: int) -> Lanes:
    """Lanes of which this one is set."""
    return one(lane // WORD, lane % WORD)


@kernel
def set_lane(at: int, lane: int) -> None:
    """Set a lane of a value in memory. at: its address."""
    words = longs_at(at)
    words[lane // WORD] |= 1 << (lane % WORD)


@kernel
def tile_at(s: Machine, block: int, line: int, bit: int) -> int:
    """The tile of a lane of a block."""
    return s.corner[block] + line * s.now[0].width + bit


@kernel
def slot_at(s: Machine, station: int, line: int, bit: int) -> int:
    """The slot of a lane of a station."""
    tile = tile_at(s, s.stations[station].block, line, bit)
    return s.slot_of[tile * s.now[0].colors + s.stations[station].color]


@kernel
def lane_of(s: Machine, slot: int) -> int:
    """The lane of the tile that a slot is in."""
    return s.tile_lane[s.slots[slot].tile]
