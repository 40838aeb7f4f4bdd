"""Links that several colors want: who takes them in which cycle, decided as soon as it is known.

A contender whose head could leave in a known cycle is a candidate. When no other color can
come before the first candidates, the one whose turn it is takes the link in that cycle there and
then, without waiting for the order of time.
"""

from __future__ import annotations

from wsc.runtime.clocked.basics import head_cell
from wsc.runtime.clocked.routers import INTO_ROUTER, first_after, lose
from wsc.runtime.time.basics import LATE, enqueue, look_at_link, target
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.delivery import cross, left_by, rise_at
from wsc.runtime.time.lookahead import far, near_slots, rival_bound
from wsc.runtime.time.records import NEVER
from wsc.runtime.time.times import contender_time


@kernel
def candidate_time(s: Machine, slot: int, side: int) -> int:
    """First cycle in which the head of a slot without switches could take a link inside the fabric.

    NEVER if there is none or its cycle is not known.
    """
    return NEVER if s.slots[slot].guided != 0 else contender_time(s, slot, side)


@kernel
def take_turn(s: Machine, tile: int, side: int, slot: int, t: int) -> None:
    """Move the head of a slot without switches over a link inside the fabric in cycle t."""
    if side == INTO_ROUTER:
        rise_at(s, slot, t)
        if s.fifos[s.slots[slot].output].count > 0:
            enqueue(s, s.now[0].slots + slot)
        return
    pending, served = s.slots[slot].pending, s.fifos[slot].served
    if pending == 0:
        pending, served = s.positions[s.slots[slot].first].send, 0
    cross(s, slot, tile, side, target(s, slot, side), head_cell(s, slot), t)
    left_by(s, slot, pending & ~(1 << side), max(served, t))
    if s.fifos[slot].count > 0 and s.queued[slot] & LATE == 0:
        enqueue(s, slot)


@kernel
def arbitrate(s: Machine, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot that could take a link in cycle t does; otherwise it will be tried again.

    Those that come before it have their turn first. If no other can come up to then, it has the
    link for itself until the first could.
    """
    link, first = tile * 6 + side, s.slot_first[tile]
    mine, soonest = 1 << (slot - first), 0
    while soonest < t:
        wanted, soonest, bound, later = mine, t, NEVER, NEVER
        mask, bit = near_slots(s, link, s.link[link].mask & ~mine, t), 0
        while (mask >> bit) != 0:
            if (mask >> bit) & 1:
                time = candidate_time(s, first + bit, side)
                if time == NEVER:
                    own = rival_bound(s, side, first + bit, t)
                    if not far(s, link, bit, own, t):
                        bound = min(bound, own)
                        if bound <= s.now[0].now + 1:
                            break
                else:
                    time = max(time, s.link[link].free)
                    if time < soonest:
                        wanted, soonest = 1 << bit, time
                    elif time == soonest:
                        wanted |= 1 << bit
                    else:
                        later = min(later, time)
            bit += 1
        if bound <= soonest:
            look_at_link(s, link, max(t, s.now[0].now + 1))
            return False
        if wanted == mine:
            s.link[link].owner, s.link[link].safe = slot, min(bound, later, s.link[link].until)
            return True
        winner = first_after(wanted, s.turns[tile, side])
        lose(s, first, wanted & ~(1 << winner), side)
        if winner == slot - first:
            return True
        take_turn(s, tile, side, first + winner, soonest)
        if s.link[link].free > t:  # the link is taken for longer than up to then
            break
    enqueue(s, slot + (s.now[0].slots if side == INTO_ROUTER else 0))
    return False


@kernel
def gets(s: Machine, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot takes a link inside the fabric in cycle t; otherwise it is tried again."""
    link = tile * 6 + side
    if s.link[link].owner == slot and t < s.link[link].safe:
        return True
    if s.link[link].mask == 1 << s.slots[slot].bit:
        return True
    return arbitrate(s, tile, side, slot, t)
