"""Bands: neighbouring columns that one core of the host runs, while others run the other bands.

What cores and the edge make in a band is stored and read there. A stream that is also read in
another band has a *mirror* there: a stream that repeats it. Mirrors are filled, and remote stores
to other bands are done, between the turns, when no band runs; so no band sees another one at
work, and what a run does is the same however fast each of them is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from wsc.runtime.image import Image
from wsc.runtime.values.compiled import Machine, entry, kernel
from wsc.runtime.values.edge import supply
from wsc.runtime.values.streams import copy, reclaim, reserve, wake_producer, wake_readers

LEAST_WORK = 1 << 34  # multiply-accumulates of a network from which on bands are worth their turns
LEAST_COLUMNS = 4  # of a band
MOST_BANDS = 8


def hosts() -> int:
    """Cores of the host that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worthwhile(image: Image) -> int:
    """Into how many bands a program is parted for a run on this host."""
    if (image.program.work or 0) < LEAST_WORK:
        return 1
    return max(min(hosts(), image.program.width // LEAST_COLUMNS, MOST_BANDS), 1)


def parted(width: int, count: int) -> Sequence[int]:
    """The first columns of so many bands, and the width."""
    return [width * number // count for number in range(count + 1)]


@kernel
def room_end(m: Machine, mirror: int) -> int:
    """The position up to which a mirror has room; its readers first give up what they took."""
    t, ahead = m.streams[mirror], m.now[0].ahead
    most = max(ahead // t.lanes, 1)
    if m.written[t.first] - t.base >= most:
        reclaim(m, mirror)
    return m.streams[mirror].base + most


@kernel
def repeat(m: Machine, mirror: int, stream: int, end: int) -> int:
    """Copy what a mirror does not have yet, up to a position; how much the rows got in all."""
    lanes = m.streams[stream].lanes
    ours, theirs = m.streams[mirror].first, m.streams[stream].first
    low, high, top = m.written[ours], m.written[ours], 0
    least = m.written[theirs]
    for lane in range(lanes):
        low, high = min(low, m.written[ours + lane]), max(high, m.written[ours + lane])
        least, top = min(least, m.written[theirs + lane]), max(top, m.written[theirs + lane])
    top = min(top, end)
    if top <= low or not reserve(m, mirror, max(top, high)):
        return 0
    t, s = m.streams[mirror], m.streams[stream]
    into, given = t.address - t.base * lanes, s.address - s.base * lanes
    if low == high and least >= top:  # mostly all rows agree
        copy(m, into + low * lanes, given + low * lanes, (top - low) * lanes)
        for lane in range(lanes):
            m.written[ours + lane] = top
        return (top - low) * lanes
    total = 0
    for lane in range(lanes):
        last = min(m.written[theirs + lane], end)
        for at in range(m.written[ours + lane], last):
            m.words[into + at * lanes + lane] = m.words[given + at * lanes + lane]
            total += 1
        m.written[ours + lane] = max(m.written[ours + lane], last)
    return total


@entry
def exchange(m: Machine) -> bool:
    """Fill all mirrors, as far as there is something for them and room; whether any got more."""
    now, some = m.now[0], False
    first = now.width * now.colors * now.height + now.edge_queues
    for number in range(now.mirrors):
        mirror, stream = m.mirrors[number].mirror, m.mirrors[number].stream
        end, lanes = room_end(m, mirror), m.streams[stream].lanes
        ours, theirs = m.streams[mirror].first, m.streams[stream].first
        supply(m, stream, end)
        waits = False
        for lane in range(lanes):
            waits = waits or m.written[theirs + lane] > end
        if waits:
            now.limited = 1
        if repeat(m, mirror, stream, end) == 0:
            continue
        some = True
        low = m.written[ours]
        for lane in range(1, lanes):
            low = min(low, m.written[ours + lane])
        m.cursor[first + number] = low
        wake_readers(m, mirror)
        wake_producer(m, stream)
    return some
