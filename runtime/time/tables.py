"""The tables of a run for time: made for an image, before the first cycle."""

from __future__ import annotations

import numpy as np

from wsc.isa.types import Side
from wsc.runtime.clocked.routers import INTO_ROUTER
from wsc.runtime.clocked.tables import code, cores, counts, edge, messages, numbers, routers
from wsc.runtime.image import Image
from wsc.runtime.record import Record
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.runs import Options
from wsc.runtime.schedule import FEED, Hcol, Qcol, Rcol
from wsc.runtime.tables import Col, Kind
from wsc.runtime.time.compiled import Machine
from wsc.runtime.time.distance import distances
from wsc.runtime.time.forms import forms
from wsc.runtime.time.lookahead import NO_ORIGIN, REMOTES, UNKNOWN
from wsc.runtime.time.records import (
    BRANCH,
    CELL,
    DEEPEST,
    LARGEST,
    LATE_BUCKETS,
    LINK,
    NEVER,
    NODE,
    OCCUPIED,
    ORIGIN,
    RUN,
    STREAM,
    TILE,
    WHEEL,
)
from wsc.runtime.time.trees import NO_TREE
from wsc.runtime.values.operations import domains, operations

RAMP = Side.RAMP.index
LOOKS = 4  # nodes for each link and port; one is enough, more are tidied up less often


def make_machine(image: Image, record: Record | None, options: Options) -> Machine:
    """The tables of a run; those of the image that a run changes are copied.

    record: what registers were loaded with, where data decide.
    """
    units = image.code.units + 1
    form = forms(image)
    tables: dict[str, np.ndarray] = {
        "now": _run(image, options, units),
        "forms": form,
        "near": distances(image, form).ravel(),
        **_code(image, record),
        **cores(image, units, TILE),
        **_routers(image),
        **edge(image),
        **_ports(image),
        **messages(image),
        **_waiting(image, units, options),
        **counts(image, units, options),
    }
    tables["tile"]["record"] = tables["record_first"][:-1]
    return Machine(tables)


def _run(image: Image, options: Options, units: int) -> np.ndarray:
    """Numbers of the fabric and of the run."""
    slots, threads = len(image.routes.slots), image.tiles * units
    ports = len(image.schedule.port_first) - 1
    now = np.zeros(1, RUN)
    values = numbers(image, units, options) | {
        "limit": options.max_cycles or NEVER,
        "remote": _remote_signals(image),
        "slots": slots,
        "unit_tasks": 2 * slots,
        "port_tasks": 2 * slots + threads,
        "tasks_end": 2 * slots + threads + ports,
    }
    for name, value in values.items():
        now[name] = value
    now["free_in"], now["free_out"] = _bandwidth(image)
    return now


def _code(image: Image, record: Record | None) -> dict[str, np.ndarray]:
    """The code, what its integer instructions do, and what was loaded where data decide."""
    rows = image.code.rows
    scalar = rows[rows[:, Col.KIND] == Kind.SCALAR, Col.OPCODE]
    wanted = {(opcode, True) for opcode in np.unique(scalar).tolist()}
    if record is None:
        deciding, loaded = np.zeros(len(rows), np.int8), np.zeros(1, np.int32)
        first = np.zeros(image.tiles + 1, np.int64)
    else:
        deciding, loaded, first = record.deciding, np.append(record.loaded, 0), record.first
    return {
        **code(image),
        "operations": operations(wanted),
        "domains": domains(wanted),
        "words": np.zeros(4, np.int32),
        "deciding": deciding,
        "record": loaded.astype(np.int32),
        "record_first": first,
    }


def _routers(image: Image) -> dict[str, np.ndarray]:
    """Slots, FIFOs and links in their first state."""
    return {
        **routers(image),
        "cells": np.zeros(max(image.routes.cells, 1), CELL),
        "occupied": np.zeros(image.tiles, OCCUPIED),
        "link": _links(image),
        "origins": _origins(image),
    }


def _ports(image: Image) -> dict[str, np.ndarray]:
    """What is known of the ports of the edge."""
    ports = len(image.schedule.port_first) - 1
    return {
        "port_due": np.full(ports, NEVER, np.int64),
        "port_free": np.zeros(ports, np.int64),
        "port_owner": np.full(ports, -1, np.int64),
        "port_safe": np.zeros(ports, np.int64),
    }


def _waiting(image: Image, units: int, options: Options) -> dict[str, np.ndarray]:
    """Stacks and queues of what may go on, all empty."""
    slots, ports = len(image.routes.slots), len(image.schedule.port_first) - 1
    tasks = 2 * slots + image.tiles * units + ports
    nodes = np.zeros(LOOKS * (image.tiles * 6 + ports) + 1, NODE)
    nodes["next"] = np.arange(1, len(nodes) + 1)
    nodes["next"][-1] = -1
    stream, streams, stream_slots, stream_queues = _streams(image)
    branches = min(slots, LARGEST) + 1
    return {
        "quiet": np.zeros(slots, np.int64),
        "stream": stream,
        "streams": streams,
        "stream_slots": stream_slots,
        "stream_queues": stream_queues,
        "tasks": np.zeros(tasks, np.int64),
        "queued": np.zeros(tasks, np.int8),
        "late": np.zeros(slots + ports, np.int64),
        "late_first": np.full(LATE_BUCKETS, -1, np.int64),
        "events": np.full(WHEEL, -1, np.int64),
        "nodes": nodes,
        "unrest": _trees(image, options),
        "branches": np.zeros(branches, BRANCH),
        "branch_cells": np.zeros((branches, DEEPEST), np.int64),
        "branch_queue": np.zeros((branches, DEEPEST), np.int64),
    }


def _trees(image: Image, options: Options) -> np.ndarray:
    """``unrest`` of the slots: which may pass their wavelets through a whole tree."""
    routes = image.routes
    depths, slots = routes.fifos[:, Fcol.DEPTH], routes.slots
    fit = (slots[:, Scol.GUIDED] == 0) & (depths[: len(slots)] <= DEEPEST)
    queue = slots[:, Scol.INPUT]
    fit &= np.where(queue >= 0, depths[np.maximum(queue, 0)], 0) <= DEEPEST
    if options.delays is not None or options.trace is not None:
        fit[:] = False
    return np.where(fit, -1, NO_TREE)


def _remote_signals(image: Image) -> int:
    """Mask of the semaphores that remote stores add to, as far as there is room for them."""
    rows = image.code.rows
    numbers = rows[rows[:, Col.KIND] == Kind.SEND, Col.COUNTED_ON]
    return sum(1 << int(number) for number in np.unique(numbers) if number < REMOTES)


def _bandwidth(image: Image) -> tuple[bool, bool]:
    """Whether all ports that feed, and all that drain, could move a wavelet every cycle."""
    schedule = image.schedule
    shapes = schedule.shapes[schedule.records[:, Rcol.SHAPE]]
    feeding: set[int] = set()
    draining: set[int] = set()
    for queue in schedule.queues[schedule.queues[:, Qcol.END] > 0]:
        ways = shapes[int(queue[Qcol.RECORD]) : int(queue[Qcol.END]), Hcol.DIRECTION]
        if (ways == FEED).any():
            feeding.add(int(queue[Qcol.PORT]))
        if (ways != FEED).any():
            draining.add(int(queue[Qcol.PORT]))
    rate = image.fabric.io_bytes_per_cycle
    return 4 * len(feeding) <= rate, 4 * len(draining) <= rate


def _used(image: Image) -> np.ndarray:
    """Mask of the sides that each slot could ever send on, ``INTO_ROUTER`` included."""
    routes = image.routes
    slots, positions = routes.slots, routes.positions
    used = np.where(slots[:, Scol.OUTPUT] >= 0, 1 << INTO_ROUTER, 0)
    for step in range(int(slots[:, Scol.POSITIONS].max(initial=0))):
        has = slots[:, Scol.POSITIONS] > step
        used |= np.where(has, positions[np.where(has, slots[:, Scol.FIRST] + step, 0), 1], 0)
    return used


def _links(image: Image) -> np.ndarray:
    slots, used = image.routes.slots, _used(image)
    link = np.zeros(image.tiles * 6, LINK)
    bits = np.left_shift(np.int64(1), slots[:, Scol.BIT].astype(np.int64))
    for side in range(6):
        mine = (used >> side & 1).astype(bool)
        masks = np.zeros(image.tiles, dtype=np.int64)
        np.bitwise_or.at(masks, slots[mine, Scol.TILE], bits[mine])
        link["mask"][side::6] = masks
    link["due"] = NEVER
    link["owner"] = -1
    return link


def _origins(image: Image) -> np.ndarray:
    """Where the wavelets of each slot come from, and how many cycles hops and turns take.

    The slot at whose ramp they enter; -2 - number of the edge queue that feeds them;
    NO_ORIGIN if none can come; UNKNOWN for guided colors.
    """
    routes = image.routes
    slots = routes.slots
    count = len(slots)
    receive = routes.positions[slots[:, Scol.FIRST], 0].astype(np.int64)
    side = np.where(receive == RAMP, 0, receive)
    before = slots[np.arange(count), Scol.NEXT + side].astype(np.int64)
    parent = np.where((receive == RAMP) | (before < 0), np.arange(count), before)
    origin = np.where(receive == RAMP, np.arange(count), np.where(before <= -2, before, NO_ORIGIN))
    origin = np.where(origin < UNKNOWN + 1, NO_ORIGIN, origin)  # the neighbour has no route
    came = receive[parent]
    turns = (came != RAMP) & ((came ^ side) & 1 == 1)
    ways = image.fabric.hop_cycles + np.where(turns, image.fabric.turn_cycles, 0)
    hops = np.where(parent != np.arange(count), ways, 0).astype(np.int64)
    for _ in range(count.bit_length()):
        further = parent[parent]
        if (further == parent).all():
            break
        hops += hops[parent]
        parent = further
    found = np.zeros(count, ORIGIN)
    found["origin"], found["hops"] = origin[parent], hops
    circular = parent[parent] != parent
    found["origin"][circular | (slots[:, Scol.GUIDED] != 0)] = UNKNOWN
    return found


def _streams(image: Image) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The stream of each slot, the stream table, and slots and edge queues in its order.

    A stream is what hangs together: slots of a color whose wavelets could ever meet.
    """
    slots, queues = image.routes.slots, image.schedule.queues
    stream = _connected(slots, _used(image))
    table = np.zeros(int(stream.max(initial=0)) + 1, STREAM)
    routed = np.nonzero(slots[:, Scol.POSITIONS] > 0)[0]
    used = np.nonzero(queues[:, Qcol.END] > 0)[0]
    orders: list[np.ndarray] = []
    for which, streams, first, size in (
        (routed, stream[routed], "first", "slots"),
        (used, stream[queues[used, Qcol.SLOT]], "feeders", "queues"),
    ):
        counts = np.bincount(streams, minlength=len(table))
        table[first] = np.cumsum(counts) - counts
        table[size] = counts
        orders.append(np.append(which[np.argsort(streams, kind="stable")], 0))
    return stream, table, orders[0], orders[1]


def _connected(slots: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Numbers of the connected components of the slots, over the sides that they send on."""
    label = np.arange(len(slots))
    edges: list[tuple[np.ndarray, np.ndarray]] = []
    for side in range(4):
        to = slots[:, Scol.NEXT + side]
        sends = np.nonzero((used >> side & 1 == 1) & (to >= 0))[0]
        edges.append((sends, to[sends].astype(np.int64)))
    while True:
        before = label.copy()
        for sends, to in edges:  # one slot at most sends to another over a side
            least = np.minimum(label[sends], label[to])
            label[sends] = np.minimum(label[sends], least)
            label[to] = np.minimum(label[to], least)
            np.minimum.at(label, before[sends], least)
            np.minimum.at(label, before[to], least)
        label = label[label]
        if (label == before).all():
            return np.unique(label, return_inverse=True)[1].astype(np.int64)


def count_moves(state: Machine) -> None:
    """Wavelets of the slots without switches, from how many entered and how many are there."""
    slots = state.slots
    plain = (slots["guided"] == 0) & (slots["positions"] > 0)
    pushed, held = state.fifos["pushed"][: len(slots)], state.fifos["count"][: len(slots)]
    first = state.positions[slots["first"]]
    send = first["send"]
    pending = np.where(slots["pending"] != 0, slots["pending"], send)
    for side in range(5):
        has = plain & (send >> side & 1 == 1)
        served = pending >> side & 1 == 0
        state.moves[has, side] = (pushed - held + served)[has]
    rises = plain & (first["accept"] == RAMP)
    state.moves[rises, INTO_ROUTER] = pushed[rises]
