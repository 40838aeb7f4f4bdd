"""What all parts of the machine use: FIFOs, who is due when, semaphores, waits and faults."""

from __future__ import annotations

from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.records import NEVER, WHEEL, Fault, Reason
from wsc.runtime.kernels.calls import prefetch
from wsc.runtime.tables import LINE

RAMP = 4


# --- faults and delays ------------------------------------------------------------------


@kernel
def fault(s: Machine, code: int, tile: int, unit: int, row: int, value: int, bound: int) -> None:
    """Stop the run at the end of this cycle.

    Of several faults the first cycle's counts, then the first tile's; at a tile the core's comes
    before those of the edge, and those in the order of the transfers. So the engines, which meet
    them in other orders, tell of the same one. value: what was found; bound: what it is held
    against, or a second number that its sentence tells.
    """
    now = s.now[0]
    time = now.local
    turn = row + 1 if code == Fault.LOOKUP else 0
    sooner = now.error == 0 or time < now.error_time
    if not sooner and time == now.error_time:
        same = tile == now.error_tile
        sooner = tile < now.error_tile or (same and turn < now.error_turn)
    if sooner:
        now.error = code
        now.error_time = time
        now.error_tile = tile
        now.error_unit = unit
        now.error_turn = turn
        now.error_row = row
        now.error_value = value
        now.error_bound = bound


@kernel
def delay(seed: int, where: int, count: int) -> int:
    """Random extra cycles, a hash of the seed, the place and how many passed before."""
    if seed == 0:
        return 0
    mixed = seed * 0x1E3779B97F4A7C15 + where * 0x2545F4914F6CDD1D + count
    mixed = (mixed ^ ((mixed >> 30) & 0x3FFFFFFFF)) * 0x3F58476D1CE4E5B9
    mixed = (mixed ^ ((mixed >> 27) & 0x1FFFFFFFFF)) * 0x14D049BB133111EB
    mixed = (mixed >> 31) & 0x7FFFFFFF
    if mixed & 3 != 0:
        return 0
    return (mixed >> 5) & 7


@kernel
def delay_on_link(s: Machine, slot: int, link: int, count: int) -> int:
    """Extra cycles of a wavelet on a link of a slot, after ``count`` others into the same FIFO."""
    return delay(s.now[0].seed, slot * 8 + link, count)


@kernel
def delay_of_message(s: Machine, buffer: int) -> int:
    """Extra cycles of the next wavelet into an input buffer of the dynamic network."""
    return delay(s.now[0].seed, -7 - buffer, s.dynamic_inputs[buffer].pushed)


# --- FIFOs: input buffers of routers, queues of cores -----------------------------------


@kernel
def head_cell(s: Machine, fifo: int) -> int:
    """The cell of the oldest wavelet."""
    return s.fifos[fifo].offset + s.fifos[fifo].head


@kernel
def tail_cell(s: Machine, fifo: int) -> int:
    """The cell that is filled next; of a full FIFO the head's."""
    cell = s.fifos[fifo].head + s.fifos[fifo].count
    if cell >= s.fifos[fifo].depth:
        cell -= s.fifos[fifo].depth
    return s.fifos[fifo].offset + cell


@kernel
def control_in(s: Machine, cell: int) -> int:
    """What a control wavelet asks for; 0 for data."""
    return s.cells[cell].control


@kernel
def room(s: Machine, fifo: int, t: int) -> bool:
    """Whether the state before cycle t has a free cell and accepts."""
    if s.fifos[fifo].count >= s.fifos[fifo].depth or t < s.fifos[fifo].open:
        return False
    return s.cells[tail_cell(s, fifo)].time <= t


@kernel
def pop(s: Machine, fifo: int, t: int) -> None:
    """Drop the head in cycle t; its cell is free from the next on."""
    s.cells[head_cell(s, fifo)].time = t + 1
    head = s.fifos[fifo].head + 1
    s.fifos[fifo].head = 0 if head == s.fifos[fifo].depth else head
    s.fifos[fifo].count -= 1
    s.fifos[fifo].popped = t


# --- what is looked at soon -------------------------------------------------------------


@kernel
def fetch(first: int, size: int) -> None:
    """Fetch so many bytes at an address from memory: the host's, not the machine's."""
    for place in range(first, first + size, LINE):
        prefetch(place)


# --- the wheel of tiles that are due ----------------------------------------------------


@kernel
def unlink(s: Machine, tile: int) -> None:
    """Take a tile out of the timing wheel."""
    mine = s.appointments[tile]
    if mine.bucket >= 0:
        if mine.previous >= 0:
            s.appointments[mine.previous].next = mine.next
        else:
            s.wheel[mine.bucket] = mine.next
        if mine.next >= 0:
            s.appointments[mine.next].previous = mine.previous
        mine.bucket = -1


@kernel
def schedule(s: Machine, tile: int, time: int) -> None:
    """Visit a tile's units in cycle ``time``, if not earlier."""
    mine = s.appointments[tile]
    if mine.bucket >= 0 and mine.time <= time:
        return
    unlink(s, tile)
    # A cycle beyond the wheel is in the last bucket, and the tile is scheduled again from there.
    horizon = s.now[0].now + WHEEL - 1
    bucket = (time if time < horizon else horizon) & (WHEEL - 1)
    first = s.wheel[bucket]
    mine.time = time
    mine.bucket = bucket
    mine.next = first
    mine.previous = -1
    if first >= 0:
        s.appointments[first].previous = tile
    s.wheel[bucket] = tile


@kernel
def wake_unit(s: Machine, tile: int, unit: int, time: int) -> None:
    """End a unit's wait in cycle ``time``; it then looks again."""
    row = tile * s.now[0].units + unit
    if s.unit[row].wake > time:
        s.unit[row].wake = time
        schedule(s, tile, time)


# --- semaphores -------------------------------------------------------------------------


@kernel
def fold(s: Machine, semaphore: int, t: int) -> None:
    """Make the additions of earlier cycles visible."""
    if s.semaphores[semaphore].cycle < t:
        s.semaphores[semaphore].value += s.semaphores[semaphore].added
        s.semaphores[semaphore].added = 0


@kernel
def add_semaphore(s: Machine, tile: int, number: int, count: int, t: int) -> None:
    """Add to a semaphore at the end of cycle t."""
    semaphore = tile * s.now[0].semaphores + number
    fold(s, semaphore, t)
    s.semaphores[semaphore].added += count
    s.semaphores[semaphore].cycle = t
    main = tile * s.now[0].units
    if s.unit[main].reason == Reason.SEMAPHORE and s.unit[main].what == number:
        wake_unit(s, tile, 0, t + 1)


# --- waits ------------------------------------------------------------------------------


@kernel
def block(s: Machine, thread: int, reason: int, what: int, t: int) -> None:
    """Wait until woken; the cycles from t on count for the reason."""
    s.unit[thread].reason = reason
    s.unit[thread].what = what
    s.unit[thread].since = t
    s.unit[thread].wake = NEVER


@kernel
def moved(s: Machine, t: int) -> None:
    """Note that something happened in cycle t."""
    s.now[0].last = max(s.now[0].last, t)
