"""The loop over cycles: what moves in a cycle reads what the one before has left."""

from __future__ import annotations

from wsc.runtime.clocked.basics import schedule
from wsc.runtime.clocked.edge import edge_phase, settle
from wsc.runtime.clocked.messages import dynamic_phase
from wsc.runtime.clocked.records import MOST_VISITS
from wsc.runtime.kernels.lanes import lowest
from wsc.runtime.time import own
from wsc.runtime.time.arbiters import arbitrate, claim
from wsc.runtime.time.buffers import commit
from wsc.runtime.time.compiled import LIBRARY, Machine, entry, kernel
from wsc.runtime.time.cores import visit_cores
from wsc.runtime.time.crossbar import move
from wsc.runtime.time.edge import request_feeds
from wsc.runtime.time.groups import step_groups, wait_on
from wsc.runtime.time.links import LINKS, take_links
from wsc.runtime.time.members import settle_group
from wsc.runtime.time.messages import message_phase
from wsc.runtime.time.records import DUE, WHEEL, Mode, Status
from wsc.runtime.time.stations import activate
from wsc.runtime.time.switches import claim_switched, move_switched

LIBRARY.includes(own)


@kernel
def start(s: Machine) -> None:
    """Put every main thread, every edge queue and every station in its first state."""
    now = s.now[0]
    for station in range(now.stations):
        activate(s, station, -1)
    for tile in range(now.tiles):
        if s.unit[tile * now.units].mode == Mode.FETCH:
            schedule(s, tile, 0)
    for queue in range(now.queues):
        settle(s, queue)


@kernel
def step_network(s: Machine, first: int, count: int, t: int) -> None:
    """The static network and the edge, in cycle t; the stations on the list have been committed."""
    now = s.now[0]
    # Ports and heads say what they could do, before anything does.
    feeding = request_feeds(s, t) if now.ports > 0 else 0
    now.requests = 0
    for index in range(first, first + count):
        claim(s, s.listing[index], t)
    if now.switched > 0:
        claim_switched(s, t)
    # The arbiters of the links that several colors want.
    for index in range(now.blocks):
        block = s.wanting_blocks[index]
        for side in range(LINKS):
            if (s.wanting[block] >> side) & 1:
                arbitrate(s, block, side)
        s.wanting[block] = 0
    now.blocks = 0
    # Heads that got their links leave; those over the edge ask for its bandwidth, as feeds did.
    for index in range(first, first + count):
        move(s, s.listing[index], t)
    if now.claimants > 0:
        move_switched(s, t)
    if feeding > 0 or now.requests > 0:
        edge_phase(s, feeding, now.requests, t)


@kernel
def first_due(s: Machine, t: int) -> int:
    """How many cycles after t the first group is due; WHEEL if none is."""
    due = s.now[0].due_mask
    if due == 0:
        return WHEEL
    # The mask, turned so that its lowest bit is cycle t + 1.
    turn = (t + 1) & (DUE - 1)
    if turn > 0:
        low = due & ((1 << turn) - 1)
        due = (due >> turn) & ((1 << (DUE - turn)) - 1) | low << (DUE - turn)
    return 1 + lowest(due)


@kernel
def next_time(s: Machine, t: int) -> int:
    """The next cycle in which anything can happen; -1 if nothing ever can."""
    now = s.now[0]
    # Where a wavelet, a port or a message may move, it is the next one.
    if now.listed > 0 or now.switched > 0 or now.ports > 0 or now.dynamics > 0:
        return t + 1
    # Else that in which the first group or the first tile is due. A tile that is due beyond the
    # wheel is in its last bucket, and looked at again there.
    most = first_due(s, t)
    for ahead in range(1, most):
        if s.wheel[(t + ahead) & (WHEEL - 1)] >= 0:
            return t + ahead
    if now.due_mask != 0 or s.wheel[(t + most) & (WHEEL - 1)] >= 0:
        return t + most
    return -1


@entry
def run_cycles(s: Machine, until: int) -> int:
    """Step to cycle ``until`` at most; RUNNING, QUIET (nothing can ever move) or FAULTED."""
    now = s.now[0]
    now.visits = 0
    now.until = until
    if now.now < 0:
        now.now, now.local = 0, -1
        start(s)
    while now.now < until and now.visits < MOST_VISITS:
        # The lists that were filled for this cycle; what follows fills those of the next.
        t = now.now
        now.local = t
        first, count = now.which * now.stations, now.listed
        now.which = 1 - now.which
        now.listed = 0
        now.visits += count + now.groups + now.switched + now.ports + now.dynamics
        # What moved in the last cycle arrives. Then cores take and put, and wavelets move.
        for index in range(first, first + count):
            commit(s, s.listing[index], t)
        if s.wheel[t & (WHEEL - 1)] >= 0:
            visit_cores(s, t)
        if now.groups > 0:
            step_groups(s, t)
        step_network(s, first, count, t)
        if now.dynamics > 0:
            current, dynamics = now.dynamic_which, now.dynamics
            now.dynamic_which = 1 - current
            now.dynamics = 0
            if now.meshed != 0:
                message_phase(s, current, dynamics, t)
            else:
                dynamic_phase(s, current, dynamics, t)
        # What ends the run, or this call: two units at one end of a queue, a fault, quiet.
        if now.shared != 0 and now.alone == 0:
            return Status.RUNNING
        if now.error != 0 and now.error_time <= t:
            return Status.FAULTED
        following = next_time(s, t)
        # A thread that went ahead may have come to a fault: nothing after its cycle counts.
        if now.error != 0:
            following = now.error_time if following < 0 else min(following, now.error_time)
        if following < 0:
            return Status.QUIET
        # Time goes on; in the cycles between, waits go on and links become free.
        now.now = min(following, until)
        if now.now > t + 1:
            wait_on(s, now.now - t - 1)
        if now.taken_links > 0:
            take_links(s, now.now - t)
    return Status.RUNNING


@entry
def settle_groups(s: Machine, t: int) -> None:
    """Write what the units of all groups have done before cycle t."""
    for index in range(s.now[0].groups):
        settle_group(s, s.live[index], t)
