"""What lanes say of slots and FIFOs when a run stands: those who look at it know no lanes."""

from __future__ import annotations

import numpy as np

from wsc.runtime.clocked.basics import RAMP
from wsc.runtime.clocked.routers import EDGE_QUEUES, INTO_ROUTER
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.routes import FIFO
from wsc.runtime.tables import by_name
from wsc.runtime.time.blocks import SIDES, Stations
from wsc.runtime.time.compiled import Machine
from wsc.runtime.time.records import PASSED_DIGITS
from wsc.runtime.time.records import SIDES as SIDES_OF_A_ROUTER


def show(machine: Machine, stations: Stations) -> None:
    """Write counts of wavelets and pending sides to the tables that others look at."""
    slots, laned, fifos = stations.slots, stations.laned, by_name(machine.fifos, FIFO)
    if not laned.any():
        return
    # What is not free is held: in a router, what has arrived since the last commit too.
    arrived = stations.get("fed") + _arriving(machine, stations)
    held = fifos.depth[: len(slots)] - stations.count("free") + arrived
    fifos.count[: len(slots)][laned] = held[laned]
    # In the queues of a core, what it has taken and put since then.
    put, taken = stations.get("put"), stations.get("taken")
    for name, queue, more in (("in_free", slots.input, -taken), ("out_free", slots.output, put)):
        has = laned & (queue >= 0)
        fifos.count[queue[has]] = (fifos.depth[queue] - stations.count(name) + more)[has]
    # A head that has left on some of its sides is to leave on the others.
    send = stations.first.send
    had = np.zeros(len(slots), np.int64)
    for side, name in enumerate((*SIDES, "core")):
        had |= stations.get(f"had_{name}") << side
    slots.pending[laned] = np.where(had != 0, send & ~had, 0)[laned]


def show_messages(machine: Machine) -> None:
    """The same for the dynamic network: wavelets in input buffers, and those over its links."""
    if not machine.now["meshed"][0]:
        return
    block, line, bit = machine.tile_block, machine.tile_lane // WORD, machine.tile_lane % WORD
    tiles, depth = len(block), int(machine.now["depth"][0])
    # [block, input, cell, line] becomes [tile, input, cell].
    taken = machine.message_cells["taken"].view(np.int64)
    taken = taken.reshape(-1, SIDES_OF_A_ROUTER, depth, WORDS)[block, :, :, line]
    held = (taken >> bit[:, None, None] & 1).sum(axis=2)
    machine.dynamic_inputs["count"][: tiles * SIDES_OF_A_ROUTER] = held.reshape(-1)
    # What was counted as lanes goes to the counts of tiles.
    for digit in range(PASSED_DIGITS):
        passed = machine.message_outputs[f"passed{digit}"].view(np.int64)
        passed = passed.reshape(-1, SIDES_OF_A_ROUTER, WORDS)
        ones = passed[block, :, line] >> bit[:, None] & 1
        machine.dynamic_links[:] += ones << digit
        machine.message_outputs[f"passed{digit}"] = 0


def _arriving(machine: Machine, stations: Stations) -> np.ndarray:
    """1 for the slots to which a neighbour sent a wavelet in the last cycle."""
    slots, accept = stations.slots, stations.first.accept
    sent = machine.sent.reshape(4, -1)
    place = stations.table["first"][stations.station] + stations.lane // WORD
    arriving = np.zeros(len(slots), np.int64)
    for side in range(4):
        beyond = slots.next[:, side]
        comes = np.flatnonzero((accept == side) & (beyond >= 0) & stations.laned)
        sender = beyond[comes]
        words = sent[(side + 2) & 3, place[sender]]
        arriving[comes] = words >> (stations.lane[sender] % WORD) & 1
    return arriving


def count_moves(machine: Machine, stations: Stations) -> None:
    """Wavelets of the slots that are lanes, from how many came to the root of each tree."""
    slots, laned, fifos = stations.slots, stations.laned, by_name(machine.fifos, FIFO)
    moves = machine.moves[: len(slots)]
    accept, send = stations.first.accept, stations.first.send
    held, pushed = fifos.count[: len(slots)], fifos.pushed[: len(slots)]
    pending = np.where(slots.pending != 0, slots.pending, send)
    # Roots: where a core puts wavelets into the router, and where the edge does.
    rises = laned & (accept == RAMP) & (slots.output >= 0)
    puts = machine.puts[: len(slots)]
    pushed[rises] = puts[rises] - fifos.count[slots.output[rises]]
    moves[rises, INTO_ROUTER] = pushed[rises]
    roots = rises.copy()
    for side in range(4):
        roots |= laned & (accept == side) & (slots.next[:, side] <= EDGE_QUEUES)
    # From there on along the routes: what a buffer got and holds no more has left on every side,
    # and its head on some. What left for a neighbour is what that got.
    front = np.flatnonzero(roots)
    while len(front):
        following: list[np.ndarray] = []
        for side in range(5):
            sends = front[send[front] >> side & 1 == 1]
            served = pending[sends] >> side & 1 == 0
            left = pushed[sends] - held[sends] + served
            moves[sends, side] = left
            if side < 4:
                beyond = slots.next[sends, side]
                takes = (beyond >= 0) & (accept[np.maximum(beyond, 0)] == (side + 2) & 3)
                pushed[beyond[takes]] = left[takes]
                following.append(beyond[takes])
        front = np.concatenate(following)
