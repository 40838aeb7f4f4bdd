"""What most of a run consists of: wavelets over one or two links, many at a time.

A router buffer passes them on over links that it has for itself. What one wavelet changes is kept
in variables and written once. Whatever is not as simple is left to the general way.
"""

from __future__ import annotations

from wsc.runtime.engine.dispatch import jit
from wsc.runtime.engine.kernel_arbitrate import gets
from wsc.runtime.engine.kernel_common import RAMP, emptied, tail_cell, target
from wsc.runtime.engine.kernel_deliver import delivered, first_side, freed, safe_until
from wsc.runtime.engine.layout import G, L, State
from wsc.runtime.routes import Fcol, Scol


@jit
def relay(s: State, slot: int, send: int) -> int:
    """Pass wavelets to all sides of a buffer without switches, as long as nothing is in the way.

    Returns:
        The side over which its head does not get the link, as a mask.
    """
    fifos, cells, tile = s.fifos, s.cells, s.slots[slot, Scol.TILE]
    side1 = first_side(send)
    others = send & ~(1 << side1)
    side2 = first_side(others) if others != 0 else side1
    to1, to2 = target(s, slot, side1), target(s, slot, side2)
    if others & (others - 1) != 0 or to1 < 0 or to2 < 0:
        return 0
    count = fifos[slot, Fcol.COUNT]
    most = min(count, fifos[to1, Fcol.DEPTH] - fifos[to1, Fcol.COUNT])
    most = min(most, fifos[to2, Fcol.DEPTH] - fifos[to2, Fcol.COUNT])
    if most <= 0:
        return 0
    link1, link2, limit = tile * 6 + side1, tile * 6 + side2, s.g[G.LIMIT]
    safe1 = min(safe_until(s, slot, link1), limit)
    safe2 = min(safe_until(s, slot, link2), limit)
    free1, free2 = s.link[link1, L.FREE], s.link[link2, L.FREE]
    hop1 = s.g[G.RAMP] if side1 == RAMP else 1
    hop2 = s.g[G.RAMP] if side2 == RAMP else 1
    head, popped = fifos[slot, Fcol.HEAD], fifos[slot, Fcol.POPPED]
    offset, depth = fifos[slot, Fcol.OFFSET], fifos[slot, Fcol.DEPTH]
    tail1, tail2 = tail_cell(fifos, to1), tail_cell(fifos, to2)
    end1 = fifos[to1, Fcol.OFFSET] + fifos[to1, Fcol.DEPTH]
    end2 = fifos[to2, Fcol.OFFSET] + fifos[to2, Fcol.DEPTH]
    done = 0
    while done < most:
        cell = offset + head
        time = max(cells[cell, 0], popped + 1)
        at1 = max(time, cells[tail1, 0], free1)
        at2 = at1
        if others != 0:
            at2 = max(time, cells[tail2, 0], free2)
        if at1 >= safe1 or (others != 0 and at2 >= safe2):
            if done > 0 or at1 >= limit or at2 >= limit:
                break
            if others != 0 and at1 >= safe1 and at2 >= safe2:
                break
            if at1 >= safe1:
                if not gets(s, tile, side1, slot, at1):
                    return 1 << side1
                safe1 = min(safe_until(s, slot, link1), limit)
            else:
                if not gets(s, tile, side2, slot, at2):
                    return 1 << side2
                safe2 = min(safe_until(s, slot, link2), limit)
        bits = cells[cell, 1]
        cells[tail1, 0], cells[tail1, 1] = at1 + hop1, bits
        free1, tail1 = at1 + 1, tail1 + 1
        if tail1 == end1:
            tail1 = fifos[to1, Fcol.OFFSET]
        popped = at1
        if others != 0:
            cells[tail2, 0], cells[tail2, 1] = at2 + hop2, bits
            free2, tail2 = at2 + 1, tail2 + 1
            if tail2 == end2:
                tail2 = fifos[to2, Fcol.OFFSET]
            popped = max(at1, at2)
        cells[cell, 0] = popped + 1
        head = 0 if head + 1 == depth else head + 1
        done += 1
    if done == 0:
        return 0
    fifos[slot, Fcol.HEAD], fifos[slot, Fcol.COUNT] = head, count - done
    fifos[slot, Fcol.POPPED] = fifos[slot, Fcol.SERVED] = popped
    delivered(s, slot, tile, side1, to1, done, free1)
    if others != 0:
        delivered(s, slot, tile, side2, to2, done, free2)
    if count == done:
        emptied(s, slot)
    freed(s, slot, count)
    s.g[G.LAST] = max(s.g[G.LAST], popped)
    return 0
