"""What most of a run consists of: wavelets over one or two links, many at a time.

A router buffer passes them on over links that it has for itself. What one wavelet changes is kept
in variables and written once. Whatever is not as simple is left to the general way.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import RAMP, tail_cell
from wsc.runtime.clocked.routers import WHOLE, under_way
from wsc.runtime.time.arbiter import gets
from wsc.runtime.time.basics import emptied, target
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.delivery import delivered, first_side, freed, safe_until


@kernel
def relay(s: Machine, slot: int, send: int) -> int:
    """Pass wavelets to all sides of a buffer without switches, as long as nothing is in the way.

    Returns:
        The side over which its head does not get the link, as a mask.
    """
    tile = s.slots[slot].tile
    side1 = first_side(send)
    others = send & ~(1 << side1)
    side2 = first_side(others) if others != 0 else side1
    to1, to2 = target(s, slot, side1), target(s, slot, side2)
    if others & (others - 1) != 0 or to1 < 0 or to2 < 0:
        return 0
    count = s.fifos[slot].count
    most = min(count, s.fifos[to1].depth - s.fifos[to1].count)
    most = min(most, s.fifos[to2].depth - s.fifos[to2].count)
    if most <= 0:
        return 0
    link1, link2, limit = tile * 6 + side1, tile * 6 + side2, s.now[0].limit
    safe1 = min(safe_until(s, slot, link1), limit)
    safe2 = min(safe_until(s, slot, link2), limit)
    free1, free2 = s.link[link1].free, s.link[link2].free
    hop1, hop2 = under_way(s, slot, side1), under_way(s, slot, side2)
    rest1, rest2 = s.link[link1].rest, s.link[link2].rest
    # A wavelet takes a link for whole cycles and thousandths of one, the ramp for a cycle.
    whole1 = 1 if side1 == RAMP else s.now[0].link_cycles
    whole2 = 1 if side2 == RAMP else s.now[0].link_cycles
    part1 = 0 if side1 == RAMP else s.now[0].link_rest
    part2 = 0 if side2 == RAMP else s.now[0].link_rest
    slow = max(whole1, whole2) > 1 or part1 + part2 > 0
    head, popped = s.fifos[slot].head, s.fifos[slot].popped
    offset, depth = s.fifos[slot].offset, s.fifos[slot].depth
    tail1, tail2 = tail_cell(s, to1), tail_cell(s, to2)
    end1 = s.fifos[to1].offset + s.fifos[to1].depth
    end2 = s.fifos[to2].offset + s.fifos[to2].depth
    done = 0
    while done < most:
        cell = offset + head
        time = max(s.cells[cell].time, popped + 1)
        at1 = max(time, s.cells[tail1].time, free1)
        at2 = at1
        if others != 0:
            at2 = max(time, s.cells[tail2].time, free2)
        if at1 >= safe1 or (others != 0 and at2 >= safe2):
            if done > 0 or at1 >= limit or at2 >= limit:
                break
            if others != 0 and at1 >= safe1 and at2 >= safe2:
                break
            if others != 0 and slow:  # who comes first on one link may take the other for longer
                break
            if at1 >= safe1:
                if not gets(s, tile, side1, slot, at1):
                    return 1 << side1
                rest1 = s.link[link1].rest
                safe1 = min(safe_until(s, slot, link1), limit)
            else:
                if not gets(s, tile, side2, slot, at2):
                    return 1 << side2
                safe2 = min(safe_until(s, slot, link2), limit)
        control = s.cells[cell].control
        s.cells[tail1].time, s.cells[tail1].control = at1 + hop1, control
        free1, tail1, rest1 = at1 + whole1, tail1 + 1, rest1 + part1
        if rest1 >= WHOLE:
            free1 += 1
            rest1 -= WHOLE
        if tail1 == end1:
            tail1 = s.fifos[to1].offset
        popped = at1
        if others != 0:
            s.cells[tail2].time, s.cells[tail2].control = at2 + hop2, control
            free2, tail2, rest2 = at2 + whole2, tail2 + 1, rest2 + part2
            if rest2 >= WHOLE:
                free2 += 1
                rest2 -= WHOLE
            if tail2 == end2:
                tail2 = s.fifos[to2].offset
            popped = max(at1, at2)
        s.cells[cell].time = popped + 1
        head = 0 if head + 1 == depth else head + 1
        done += 1
    if done == 0:
        return 0
    s.fifos[slot].head, s.fifos[slot].count = head, count - done
    s.fifos[slot].popped = s.fifos[slot].served = popped
    s.link[link1].rest = rest1
    delivered(s, slot, tile, side1, to1, done, free1)
    if others != 0:
        s.link[link2].rest = rest2
        delivered(s, slot, tile, side2, to2, done, free2)
    if count == done:
        emptied(s, slot)
    freed(s, slot, count)
    s.now[0].last = max(s.now[0].last, popped)
    return 0
