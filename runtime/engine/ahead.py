"""Tables of the engine that runs ahead: links, origins of wavelets, queues of work."""

from __future__ import annotations

import numpy as np

from wsc.isa.types import Side
from wsc.runtime.engine import Options
from wsc.runtime.engine.distance import distances
from wsc.runtime.engine.drive import engine_state
from wsc.runtime.engine.kernel_lookahead import NO_ORIGIN, REMOTES, UNKNOWN
from wsc.runtime.engine.kernel_router import INTO_ROUTER
from wsc.runtime.engine.kernel_tree import DEEPEST, LARGEST, MOST, NO_TREE
from wsc.runtime.engine.layout import LATE_BUCKETS, NEVER, WHEEL, B, G, K, L, State
from wsc.runtime.engine.state import zeros
from wsc.runtime.image import Image
from wsc.runtime.routes import Fcol, Scol
from wsc.runtime.schedule import FEED, Hcol, Qcol, Rcol
from wsc.runtime.tables import Col, Kind

RAMP = Side.RAMP.index


def with_lookahead(image: Image, state: State, options: Options) -> State:
    """The state with the tables that running ahead needs."""
    g, slots = state.g, len(state.slots)
    ports = len(image.schedule.port_first) - 1
    tasks = 2 * slots + len(state.unit) + ports
    nodes = np.zeros((4 * (image.tiles * 6 + ports) + 1024, 3), np.int64)
    nodes[:, 1] = np.arange(1, len(nodes) + 1)
    nodes[-1, 1] = -1
    stream, table, stream_slots, stream_queues = _streams(image)
    g[G.AHEAD], g[G.SLOTS] = 1, slots
    g[G.UNIT_TASKS], g[G.TASKS_END] = 2 * slots, tasks
    g[G.PORT_TASKS] = 2 * slots + len(state.unit)
    g[G.FREE_IN], g[G.FREE_OUT] = _bandwidth(image)
    g[G.LIMIT] = options.max_cycles or NEVER
    g[G.REMOTE] = _remote_signals(image)
    return engine_state(
        state,
        {
            "quiet": np.zeros(slots, np.int64), "occupied": np.zeros((image.tiles, 2), np.int64),
            "link": _links(image), "origins": _origins(image), "stream": stream,
            "streams": table, "stream_slots": stream_slots, "stream_queues": stream_queues,
            "tasks": np.zeros(tasks, np.int64), "late": np.zeros(slots + ports, np.int64),
            "late_first": np.full(LATE_BUCKETS, -1, np.int64),
            "unrest": _trees(image, state, options), "values": np.zeros(MOST, np.int64),
            "branches": zeros((min(slots, LARGEST) + 1, int(B.SIZE))),
            "near": distances(image, state.forms),
            "queued": np.zeros(tasks, np.int8), "events": np.full(WHEEL, -1, np.int64),
            "nodes": nodes, "port_due": np.full(ports, NEVER, np.int64),
            "port_free": np.zeros(ports, np.int64),
            "port_owner": np.full(ports, -1, np.int64), "port_safe": np.zeros(ports, np.int64),
        },
    )  # fmt: skip


def _remote_signals(image: Image) -> int:
    """Mask of the semaphores that remote stores add to, as far as there is room for them."""
    rows = image.code.rows
    numbers = rows[rows[:, Col.KIND] == Kind.SEND, Col.D]
    return sum(1 << int(number) for number in np.unique(numbers) if number < REMOTES)


def _trees(image: Image, state: State, options: Options) -> np.ndarray:
    """Column ``unrest`` of the slots: which may pass their wavelets through a whole tree."""
    slots = state.slots
    fit = (slots[:, Scol.GUIDED] == 0) & (int(state.fifos[:, Fcol.DEPTH].max(initial=0)) <= DEEPEST)
    if options.delays is not None or state.g[G.TRACE] != 0:
        fit[:] = False
    return np.where(fit, -1, NO_TREE)


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
    link = zeros((image.tiles * 6, int(L.SIZE)))
    bits = np.left_shift(np.int64(1), slots[:, Scol.BIT].astype(np.int64))
    for side in range(6):
        mine = (used >> side & 1).astype(bool)
        masks = np.zeros(image.tiles, dtype=np.int64)
        np.bitwise_or.at(masks, slots[mine, Scol.TILE], bits[mine])
        link[side::6, L.MASK] = masks
    link[:, L.DUE] = NEVER
    link[:, L.OWNER] = -1
    return link


def _origins(image: Image) -> np.ndarray:
    """Where the wavelets of each slot come from, and over how many hops.

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
    hops = (parent != np.arange(count)).astype(np.int64)
    for _ in range(count.bit_length()):
        further = parent[parent]
        if (further == parent).all():
            break
        hops += hops[parent]
        parent = further
    found = np.stack([origin[parent], hops], axis=1)
    circular = parent[parent] != parent
    found[circular | (slots[:, Scol.GUIDED] != 0), 0] = UNKNOWN
    return found


def _streams(image: Image) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The stream of each slot, the stream table, and slots and edge queues in its order.

    A stream is what hangs together: slots of a color whose wavelets could ever meet.
    """
    slots, queues = image.routes.slots, image.schedule.queues
    stream = _connected(slots, _used(image))
    table = np.zeros((int(stream.max(initial=0)) + 1, len(K)), dtype=np.int64)
    routed = np.nonzero(slots[:, Scol.POSITIONS] > 0)[0]
    used = np.nonzero(queues[:, Qcol.END] > 0)[0]
    orders: list[np.ndarray] = []
    for which, streams, first in (
        (routed, stream[routed], K.FIRST),
        (used, stream[queues[used, Qcol.SLOT]], K.FEEDERS),
    ):
        counts = np.bincount(streams, minlength=len(table))
        table[:, first] = np.cumsum(counts) - counts
        table[:, first + 1] = counts
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


def count_moves(image: Image, state: State) -> None:
    """Wavelets of the slots without switches, from how many entered and how many are there."""
    slots = state.slots
    plain = (slots[:, Scol.GUIDED] == 0) & (slots[:, Scol.POSITIONS] > 0)
    pushed, held = state.fifos[: len(slots), Fcol.PUSHED], state.fifos[: len(slots), Fcol.COUNT]
    send = state.positions[slots[:, Scol.FIRST], 1]
    pending = np.where(slots[:, Scol.PENDING] != 0, slots[:, Scol.PENDING], send)
    for side in range(5):
        has = plain & (send >> side & 1 == 1)
        served = pending >> side & 1 == 0
        state.moves[has, side] = (pushed - held + served)[has]
    rises = plain & (state.positions[slots[:, Scol.FIRST], 0] == RAMP)
    state.moves[rises, INTO_ROUTER] = pushed[rises]
