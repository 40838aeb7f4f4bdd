"""Tables of the engine that runs ahead: links, origins of wavelets, queues of work."""

from __future__ import annotations

import numpy as np

from isa.types import Side
from runtime.engine import Options
from runtime.engine.drive import engine_state
from runtime.engine.kernel_lookahead import NO_ORIGIN, UNKNOWN
from runtime.engine.kernel_router import INTO_ROUTER
from runtime.engine.layout import NEVER, WHEEL, G, K, L, State
from runtime.image import Image
from runtime.routes import Fcol, Scol
from runtime.schedule import Qcol

RAMP = Side.RAMP.index


def with_lookahead(image: Image, state: State, options: Options) -> State:
    """The state with the tables that running ahead needs."""
    g, slots = state.g, len(state.slots)
    ports = len(image.schedule.port_first) - 1
    tasks = 2 * slots + len(state.unit)
    ring = 1 << max(tasks - 1, 1).bit_length()
    nodes = np.zeros((4 * (image.tiles * 6 + ports) + 1024, 3), np.int64)
    nodes[:, 1] = np.arange(1, len(nodes) + 1)
    nodes[-1, 1] = -1
    color, emitters = _colors(image)
    g[G.AHEAD], g[G.TASK_MASK], g[G.SLOTS] = 1, ring - 1, slots
    g[G.LIMIT] = options.max_cycles or NEVER
    return engine_state(
        state,
        {
            "link": _links(image), "origins": _origins(image), "color": color,
            "emitters": emitters, "tasks": np.zeros(ring, np.int64),
            "queued": np.zeros(tasks, np.int8), "events": np.full(WHEEL, -1, np.int64),
            "nodes": nodes, "port_due": np.full(ports, NEVER, np.int64),
        },
    )  # fmt: skip


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
    link = np.zeros((image.tiles * 6, len(L)), dtype=np.int64)
    bits = np.left_shift(np.int64(1), slots[:, Scol.BIT].astype(np.int64)).astype(np.float64)
    for side in range(6):
        mine = (used >> side & 1).astype(bool)
        where = slots[mine, Scol.TILE].astype(np.int64)
        link[side::6, L.MASK] = np.bincount(where, bits[mine], image.tiles).astype(np.int64)
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


def _colors(image: Image) -> tuple[np.ndarray, np.ndarray]:
    slots = image.routes.slots
    color = np.zeros((max(len(image.program.colors), 1), len(K)), dtype=np.int64)
    fed = image.schedule.queues
    fed = fed[fed[:, Qcol.END] > 0]
    np.add.at(color[:, K.FEEDS], slots[fed[:, Qcol.SLOT], Scol.COLOR], 1)
    senders = np.nonzero(slots[:, Scol.OUTPUT] >= 0)[0]
    order = senders[np.argsort(slots[senders, Scol.COLOR], kind="stable")]
    color[:, K.EMITTERS] = np.bincount(slots[order, Scol.COLOR], minlength=len(color))
    color[:, K.FIRST] = np.cumsum(color[:, K.EMITTERS]) - color[:, K.EMITTERS]
    return color, np.append(order, 0)


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
