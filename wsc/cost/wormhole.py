"""Messages on the dynamic network one by one: who holds which link from when to when.

A message holds each output on its way from the cycle in which its header passes to the one in
which its last wavelet does. Behind a header that waits, its wavelets fill the buffers
on the way and hold the links there; messages behind it in a buffer wait too. Of the headers that
want an output in the cycle in which it is free, the next one round robin gets it. So a message
takes a few steps for each router, whatever its length.

On a large mesh a router of the grid stands for a cell of tiles, and a message for all those from
one cell to another. On the links along x, those along y and at their targets these are spread over
more or fewer lines, so a message has a time of its own for each. Behind a cell's many routers, a
message from before them has next to none of the turns, since each router gives half of them to
those that enter there. What goes along one row of a cell does not wait for what goes along another
one, so the links of the grid have lanes, each for some rows or columns of its cell.

The code is that of Python for few messages, and compiled by Numba for many.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsc.cost.compiled import run_on_arrays

RAMP = 4  # outputs and inputs of a router: N, E, S, W, this, and from ...
INSIDE = 5  # ... here on to and from links within its cell, by their side
ENTRIES, SIDES = 9, 9  # inputs and outputs of a router: those within its cell as well
SHORT, FAR = 1, 2  # ways within a cell: on links there, or on those by which others leave it too
ACROSS, WITHIN_X, DOWN, WITHIN_Y, INTO = range(5)  # kinds of what a message passes

# Events: a number from 0 on is a stage of its way that a message's last wavelet has passed; ASK
# that a header asks for its output; below, the output SERVE - event is to be looked at.
ASK, SERVE = -1, -2
MOST_TURNS = 10  # powers of two
LINES = 1024  # cycles of which the events stand in lines
MOST_PLACED = 4096  # events that are forgotten together
BLOCK = 32  # cycles side by side that are passed at once if there is nothing in them
TINY = 1e-6  # of a link, or a wavelet


@dataclass(frozen=True, slots=True)
class Sends:
    """Messages in the order in which their senders send them.

    begin: for each sender its first message; one more entry for the end. Senders are the lanes of
    routers along x, by (lanes * row + lane) * columns + column. target: the lanes of routers along
    y, by row * lanes * columns + lanes * column + lane.
    cycles: [5, messages], those that each takes to pass a link along x, what it passes along x
    within the cell of its target, a link along y, what it passes along y within that cell, and to
    its target. shares: [5, messages], the part of each of these that it takes. inside: [2,
    messages], whether it goes along x and along y within that cell: ``SHORT`` or ``FAR`` towards
    larger coordinates, less than zero towards smaller ones, 0 not at all. first, last: the cycles
    in which the first and the last of its wavelets would leave the core if it never waited.
    """

    begin: np.ndarray
    target: np.ndarray
    cycles: np.ndarray
    shares: np.ndarray
    inside: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @staticmethod
    def of_tiles(
        begin: np.ndarray,
        target: np.ndarray,
        wavelets: np.ndarray,
        first: np.ndarray,
        last: np.ndarray,
    ) -> Sends:
        """Messages of so many wavelets, where each router stands for one tile."""
        cycles = np.tile(wavelets, (5, 1))
        none = np.zeros((2, len(target)), np.int64)
        return Sends(begin, target, cycles, np.ones(cycles.shape), none, first, last)


@dataclass(frozen=True, slots=True)
class Grid:
    """Routers side by side, each of which stands for so many columns and rows of tiles.

    lanes: those of each of its outputs. Messages on different ones do not meet.
    """

    columns: np.ndarray
    rows: np.ndarray
    lanes: int = 1

    @staticmethod
    def of_tiles(width: int, height: int) -> Grid:
        """Where each router stands for itself."""
        return Grid(np.ones(width), np.ones(height))

    def lengths(self) -> np.ndarray:
        """Tiles from a router to the one beyond each output, as ``Ways`` numbers these."""
        found = np.ones((len(self.rows), len(self.columns), SIDES))
        found[:, :, (0, 2, 5, 7)] = self.rows[:, None, None]
        found[:, :, (1, 3, 6, 8)] = self.columns[None, :, None]
        return np.repeat(found.ravel(), self.lanes)

    def straight(self) -> np.ndarray:
        """The input of each output from which messages go straight on; one beyond all: none."""
        ahead = np.array([2, 3, 0, 1, ENTRIES, 2, 3, 0, 1]) * self.lanes
        return np.tile(np.repeat(ahead, self.lanes), len(self.rows) * len(self.columns))


def follow(
    sends: Sends, grid: Grid, depth: int, ramp: float, hop: float, compiled: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Follow messages on a grid until all are there.

    depth: wavelets of an input buffer of a tile. ramp: cycles from a core into its router. hop:
    those from a router of a tile to the next one, less than one where a message stands for several.
    compiled: by Numba, which is worth while for many messages.

    Returns:
        For each target the cycle after that in which its last wavelet has arrived, and for each
        sender the one after its own last one was off; zero where there is none.
    """
    count, ends = len(sends.target), len(sends.begin) - 1
    source = np.repeat(np.arange(ends), np.diff(sends.begin))
    ways = _ways(source, sends.target, sends.inside, grid)
    apart, inputs = grid.lengths(), ENTRIES * grid.lanes
    outputs, stages = len(apart), len(ways.output)
    given = [
        source,
        sends.begin,
        sends.target,
        sends.cycles.T.ravel().astype(float),
        sends.shares.T.ravel().astype(float),
        sends.first,
        sends.last,
        ways.output,
        ways.entry,
        ways.kind,
        ways.start,
        ways.length,
        grid.straight(),
        apart * depth,
        apart * hop,
        np.where(apart > 1, 2.0 ** np.minimum(apart, MOST_TURNS) - 1, 0.0),  # room, far, before
    ]
    state = [
        np.zeros(ends),  # late
        np.zeros(outputs, np.int64),
        np.zeros(outputs, np.int64),
        np.full(outputs, -1),  # held, asking, served
        np.full(outputs, -1),
        np.full(count, -1),
        np.zeros(outputs),  # waiting, others, still
        np.full(outputs, -1),
        np.zeros(outputs),  # back, turns
        np.zeros(count),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),  # came ... released
        np.full(stages, -1),
        np.zeros(stages),  # behind, need
    ]
    arrived, ended = np.zeros(ends), np.zeros(ends)
    numbers = [depth, float(ramp), inputs]
    run_on_arrays(_run, numbers, [*given, *state], [arrived, ended], compiled)
    return arrived, ended


@dataclass(frozen=True, slots=True)
class Ways:
    """The outputs that messages pass, those of all messages one behind the other.

    output: by (router * SIDES + side) * lanes + lane. entry: the input of that output, which is its
    side * lanes + lane, the lane being told where several lead to an output. kind: what is passed
    there (``ACROSS`` and so on). start, length: of each message.
    """

    output: np.ndarray
    entry: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    length: np.ndarray


def _ways(source: np.ndarray, target: np.ndarray, inside: np.ndarray, grid: Grid) -> Ways:
    """The outputs that each message passes: along x, along y, to the core."""
    width, lanes = len(grid.columns), grid.lanes
    x, row = source % width, source // width
    column, to_y = target % (width * lanes), target // (width * lanes)
    y, to_x = row // lanes, column // lanes
    # Along each axis it may use an output of its last router, for what it passes within the cell.
    counts = np.stack(
        [np.abs(to_x - x), inside[0] != 0, np.abs(to_y - y), inside[1] != 0, np.ones(len(x), int)]
    ).astype(np.int64)
    ends = np.cumsum(counts, axis=0)
    lengths = ends[-1]
    starts = np.cumsum(lengths) - lengths

    def each(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, lengths)

    stage = np.arange(int(lengths.sum())) - each(starts)
    kinds = np.zeros(len(stage), np.int64)
    for end in ends[:-1]:
        kinds += stage >= each(end)
    sign_x, sign_y = np.sign(to_x - x), np.sign(to_y - y)
    here_x = np.where(kinds == ACROSS, each(x) + stage * each(sign_x), each(to_x))
    here_y = np.where(kinds < DOWN, each(y), each(to_y))
    here_y = np.where(kinds == DOWN, each(y) + (stage - each(ends[1])) * each(sign_y), here_y)
    right, below = (
        np.where(sign_x != 0, sign_x, inside[0]),
        np.where(sign_y != 0, sign_y, inside[1]),
    )
    out_x, out_y = each(np.where(right > 0, 1, 3)), each(np.where(below > 0, 2, 0))
    side = np.where(kinds < DOWN, out_x, np.where(kinds < INTO, out_y, RAMP))
    # What goes on for a short way only does not meet those that leave the cell on that side.
    short = (kinds == WITHIN_X) & each(np.abs(inside[0]) == SHORT)
    short |= (kinds == WITHIN_Y) & each(np.abs(inside[1]) == SHORT)
    router, lane = here_y * width + here_x, each(row % lanes)
    # A message comes from its core, from within the cell, or from the router before.
    left = np.roll(side, 1)
    before = np.where(np.diff(router, prepend=-1) == 0, INSIDE + left, (left + 2) % 4)
    entry = np.where(stage == 0, RAMP, before)
    several = (kinds >= DOWN) & ((stage == 0) | (left % 2 == 1))
    side += INSIDE * short
    return Ways(
        (router * SIDES + side) * lanes + np.where(kinds < DOWN, lane, each(column % lanes)),
        entry * lanes + np.where(several, lane, 0),
        kinds,
        starts,
        lengths,
    )


def _run(
    depth: Any,
    ramp: Any,
    inputs: Any,
    source: Any,
    begin: Any,
    target: Any,
    cycles: Any,
    shares: Any,
    first: Any,
    last: Any,
    ways: Any,
    entries: Any,
    kinds: Any,
    way_start: Any,
    way_length: Any,
    straight: Any,
    room: Any,
    far: Any,
    before_others: Any,
    late: Any,
    held: Any,
    asking: Any,
    served: Any,
    waiting: Any,
    others: Any,
    still: Any,
    back: Any,
    turns: Any,
    came: Any,
    stage: Any,
    released: Any,
    behind: Any,
    need: Any,
    arrived: Any,
    ended: Any,
) -> None:
    """Take events in the order of their cycles until all is quiet.

    inputs: those of each output. Of each output: straight, the input from which messages go
    straight on; room, wavelets for which there is place up to the next one; far, cycles to there;
    before_others, messages that enter here for each that goes straight on; held, whether a message
    passes; asking, messages that want it; served, the input served last; waiting, the last one that
    asked, of which ``others`` leads to those before it; still, the wavelets of messages in the
    buffer behind it that wait for the next output; back, the last message in that buffer, as its
    place in ``behind``; turns, messages that have entered while another waits to go straight on. Of
    each message: cycles, shares, five as in ``Sends``; came, when its header is in its buffer;
    stage, the output that it goes for; released, how many it has left. Of each stage of its way:
    entries, the input by which it comes; kinds, which of the five it is; behind, the next message
    in the buffer there; need, when its last wavelet passes, as far as known.
    """
    # An event: its cycle, whether an output is looked at, what, the message. In each cycle those
    # who ask, and what is left, come before those who are served, in the order in which they were
    # found. So the events of near cycles stand in lines, two for each cycle, and only those of far
    # cycles in a heap: a line costs next to nothing. What was found: fresh; so many of them stand
    # somewhere. The list is emptied when it is long, as memory that goes and comes takes time.
    fresh = [(0.0, 0, 0, 0)]
    fresh.pop()
    placed = 0
    distant = [(0, 0, 0.0, 0, 0, 0)]  # cycle, running number, event
    distant.pop()
    count = 0
    # Events in lines, each with the next one of its line; the first and the last of each line.
    lined = [(0.0, 0, 0)]
    after = [-1]
    unused = 0
    heads = [-1] * (2 * LINES)
    tails = [-1] * (2 * LINES)
    near = 0  # events in lines
    blocks = [0] * (LINES // BLOCK)  # the same, of each block of cycles
    now = 0
    for tile in range(len(begin) - 1):
        if begin[tile] < begin[tile + 1]:
            message = begin[tile]
            fresh.append((max(first[message] + ramp, 0.0), 0, ASK, message))
    while True:
        # The next cycle in which there is something; far ones come into its sight in their order.
        line = 2 * (now % LINES)
        if placed == len(fresh) and heads[line] < 0 and heads[line + 1] < 0:
            if near > 0:
                now += 1
                while now % BLOCK == 0 and blocks[now % LINES // BLOCK] == 0:
                    now += BLOCK
            elif len(distant) > 0:
                now = distant[0][0]
            else:
                return
            while len(distant) > 0 and distant[0][0] < now + LINES:
                _, _, time, rank, what, message = heapq.heappop(distant)
                fresh.append((time, rank, what, message))
        while placed < len(fresh):
            time, rank, what, message = fresh[placed]
            placed += 1
            cycle = max(int(time), now)
            if cycle >= now + LINES:
                count += 1
                heapq.heappush(distant, (cycle, count, time, rank, what, message))
                continue
            place = unused
            if place >= 0:
                unused = after[place]
                lined[place] = (time, what, message)
                after[place] = -1
            else:
                place = len(lined)
                lined.append((time, what, message))
                after.append(-1)
            line = 2 * (cycle % LINES) + rank
            if heads[line] < 0:
                heads[line] = place
            else:
                after[tails[line]] = place
            tails[line] = place
            blocks[cycle % LINES // BLOCK] += 1
            near += 1
        if placed > MOST_PLACED:
            fresh.clear()
            placed = 0
        line = 2 * (now % LINES)
        if heads[line] < 0:
            line += 1
        place = heads[line]
        if place < 0:
            continue
        time, what, message = lined[place]
        heads[line] = after[place]
        after[place] = unused
        unused = place
        blocks[now % LINES // BLOCK] -= 1
        near -= 1
        if what >= 0:
            # The last wavelet has passed an output: it is free, and so is the buffer before it.
            output = ways[way_start[message] + what]
            held[output] = 0
            if asking[output] > 0:
                fresh.append((time, 1, SERVE - output, message))
            if what > 0:
                before = ways[way_start[message] + what - 1]
                following = behind[way_start[message] + what - 1]
                if following >= 0:  # its header is at the head now
                    fresh.append((max(came[following], time), 0, ASK, following))
                else:
                    back[before] = -1
            continue
        if what == ASK:
            # The header asks; those who have asked before stand behind it in the list.
            output = ways[way_start[message] + stage[message]]
            others[message] = waiting[output]
            waiting[output] = message
            asking[output] += 1
            if held[output] == 0:
                fresh.append((time, 1, SERVE - output, message))
            continue
        # An output takes the next header round robin, if the buffer behind it has room.
        output = SERVE - what
        if held[output] != 0 or asking[output] == 0:
            continue
        message, nearest = -1, inputs
        put_off, further = -1, inputs  # one that goes straight on, and waits
        other = waiting[output]
        while other >= 0:
            entry = entries[way_start[other] + stage[other]]
            around = entry - served[output] - 1
            around = around + inputs if around < 0 else around
            if entry == straight[output] and turns[output] < before_others[output]:
                # Each of the routers that this one stands for takes turns with those that enter.
                put_off, further = other, around
            elif around <= nearest:  # of one input, the first that has come
                message, nearest = other, around
            other = others[other]
        if nearest < further:
            put_off = -1
        if message < 0:
            message, put_off = put_off, -1
        if message < 0:
            continue
        here, start = stage[message], way_start[message]
        kind = 5 * message + kinds[start + here]
        whole = cycles[kind]
        share = shares[kind]
        if still[output] > TINY and still[output] + min(whole * share, room[output]) > room[output]:
            continue
        served[output] = entries[start + here]
        asking[output] -= 1
        if waiting[output] == message:
            waiting[output] = others[message]
        else:
            other = waiting[output]
            while others[other] != message:
                other = others[other]
            others[other] = others[message]
        held[output] = 1
        turns[output] = turns[output] + 1 if put_off >= 0 else 0
        if here > 0:  # it begins to leave the buffer before, where others may follow
            before = ways[start + here - 1]
            kind = 5 * message + kinds[start + here - 1]
            still[before] -= cycles[kind] * shares[kind]
            if asking[before] > 0:
                fresh.append((time + 1, 1, SERVE - before, message))
        # Behind a header that waits there is room for so many wavelets in each buffer; the
        # outputs further back are held until the others have moved up.
        more = whole - 1
        need[start + here] = time + whole * share - 1
        is_last = here == way_length[message] - 1
        moved_up = 0.0
        inside = room[output]
        for back_by in range(1, here - released[message] + 1):
            earlier = here - back_by
            behind_it = ways[start + earlier]
            kind = 5 * message + kinds[start + earlier]
            scale = whole / cycles[kind]
            moved_up += (room[behind_it] - 1) * scale  # room is seen a cycle later
            inside += room[behind_it] * scale
            bound = time + (more - moved_up) * shares[kind]
            need[start + earlier] = max(need[start + earlier], bound)
        while released[message] <= here:
            earlier = released[message]
            if not is_last and inside <= more:
                break
            behind_it = ways[start + earlier]
            if earlier < here:
                kind = 5 * message + kinds[start + earlier]
                inside -= room[behind_it] * whole / cycles[kind]
            passed = need[start + earlier]
            fresh.append((passed + 1, 0, earlier, message))
            released[message] += 1
            if earlier == 0:
                # All of it is off: the sender may begin with its next one.
                tile = source[message]
                end = max(last[message] + late[tile], passed - ramp - min(whole, depth) + 1)
                late[tile] = end - last[message]
                ended[tile] = end + 1
                following = message + 1
                if following < begin[tile + 1]:
                    soonest = max(first[following] + late[tile] + ramp, passed + 1)
                    fresh.append((soonest, 0, ASK, following))
        if is_last:
            tile = target[message]
            arrived[tile] = max(arrived[tile], time + more + 1)
            continue
        # The header goes on, and asks when it is at the head of the next buffer.
        stage[message] += 1
        came[message] = time + far[output]
        still[output] += whole * share
        if back[output] < 0:
            fresh.append((time + far[output], 0, ASK, message))
        else:
            behind[back[output]] = message
        back[output] = start + here
