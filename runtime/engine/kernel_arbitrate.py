"""Links that several colors want: who takes them in which cycle, decided as soon as it is known.

A contender whose head could leave in a known cycle is a candidate. When no other color can
come before the first candidates, the one whose turn it is takes the link in that cycle, without
waiting for the order of time. Those that have to try again wait at the link, until something
moves over it.
"""

from __future__ import annotations

from runtime.engine.dispatch import inlined, jit
from runtime.engine.kernel_common import enqueue, look_at_link
from runtime.engine.kernel_lookahead import alone, far, near_slots, rival_bound
from runtime.engine.kernel_router import INTO_ROUTER, first_after, lose
from runtime.engine.kernel_times import contender_time
from runtime.engine.layout import NEVER, G, L, State
from runtime.routes import Scol


@inlined
def candidate_time(s: State, slot: int, side: int) -> int:
    """First cycle in which the head of a slot without switches could take a link inside the fabric.

    NEVER if there is none or its cycle is not known.
    """
    return NEVER if s.slots[slot, Scol.GUIDED] != 0 else contender_time(s, slot, side)


@jit
def arbitrate(s: State, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot that could take a link in cycle t does; otherwise it will be tried again."""
    k, link, first = s.link, tile * 6 + side, s.slot_first[tile]
    me = 1 << (slot - first)
    wanted, soonest, bound = me, t, NEVER
    mask, bit = near_slots(s, link, k[link, L.MASK] & ~me, t), 0
    while (mask >> bit) != 0:
        if (mask >> bit) & 1:
            time = candidate_time(s, first + bit, side)
            if time == NEVER:
                own = rival_bound(s, side, first + bit, t)
                if not far(s, link, bit, own, t):
                    bound = min(bound, own)
                    if bound <= s.g[G.NOW] + 1:
                        break
            else:
                time = max(time, k[link, L.FREE])
                if time < soonest:
                    wanted, soonest = 1 << bit, time
                elif time == soonest:
                    wanted |= 1 << bit
        bit += 1
    if bound <= soonest:
        look_at_link(s, link, max(t, s.g[G.NOW] + 1))
        return False
    winner = first_after(wanted, s.turns[tile, side])
    if winner != slot - first:
        k[link, L.WAITING] |= me
        enqueue(s, first + winner + (s.g[G.SLOTS] if side == INTO_ROUTER else 0))
        return False
    lose(s, first, wanted & ~me, side)
    return True


@inlined
def gets(s: State, tile: int, side: int, slot: int, t: int) -> bool:
    """Whether a slot takes a link inside the fabric in cycle t; otherwise it is tried again."""
    return alone(s, tile, side, slot, t) or arbitrate(s, tile, side, slot, t)


@inlined
def wake_waiting(s: State, link: int) -> None:
    """Something moved over a link: those that wait for it try again."""
    if s.link[link, L.WAITING] != 0:
        _wake_all(s, link)


@jit
def _wake_all(s: State, link: int) -> None:
    waiting, tile, bit = s.link[link, L.WAITING], link // 6, 0
    task = s.slot_first[tile] + (s.g[G.SLOTS] if link % 6 == INTO_ROUTER else 0)
    s.link[link, L.WAITING] = 0
    while (waiting >> bit) != 0:
        if (waiting >> bit) & 1:
            enqueue(s, task + bit)
        bit += 1
