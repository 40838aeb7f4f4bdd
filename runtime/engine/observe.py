"""What is noted beside a run: the tables for races and traces, and what they say at its end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from wsc.isa.program import Location
from wsc.runtime.code import MainStatement
from wsc.runtime.engine import Options
from wsc.runtime.engine.kernel_races import READS
from wsc.runtime.engine.layout import NEVER, G, Mode, Reason, State, T, U
from wsc.runtime.engine.observed import Does, E, M, N, R, Seen
from wsc.runtime.errors import CycleLimit, Finding, Interrupted, Race, RuntimeFault, spot
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.stops import coordinates, unit_name
from wsc.runtime.tables import COUNTED, Col, Kind, Ocol
from wsc.runtime.trace import read_trace

MOST_FOUND = 100  # pairs of lines
_DOING = {
    Does.READ: ("reads", "read"), Does.WRITE: ("writes", "wrote"),
    Does.STORE: ("stores into", "stored into"), Does.TAKE: ("takes from", "took from"),
    Does.PUT: ("puts into", "put into"),
}  # fmt: skip


# --- tables -----------------------------------------------------------------------------


def observers(image: Image, options: Options, g: np.ndarray) -> dict[str, np.ndarray]:
    """The state's tables for what is to be noted, and the globals that switch it on."""
    return _trace_tables(image, options, g) | _race_tables(image, options.check_races, g)


def _trace_tables(image: Image, options: Options, g: np.ndarray) -> dict[str, np.ndarray]:
    request, units = options.trace, int(g[G.UNITS])
    if request is None:
        return {"traced": np.zeros((1, len(R)), np.int64), "trace": np.zeros((1, len(E)), np.int64)}
    tiles = request.chosen(image.program.width, image.program.height)
    room = max(request.events // (len(tiles) * units), 1)
    traced = np.full((image.tiles, units, len(R)), -1, np.int64)
    places = np.arange(len(tiles) * units).reshape(len(tiles), units)
    traced[list(tiles), :, R.FIRST] = places * room
    traced[:, :, [R.USED, R.LOST]] = 0
    g[G.TRACE] = room
    return {
        "traced": traced.reshape(-1, len(R)),
        "trace": np.zeros((places.size * room, len(E)), np.int64),
    }


def _race_tables(image: Image, check: bool, g: np.ndarray) -> dict[str, np.ndarray]:
    sizes = race_sizes(image, int(g[G.UNITS])) if check else {}
    made = {
        name: np.zeros(sizes.get(name, shape), dtype)
        for name, (shape, dtype) in _EMPTY.items()
    }  # fmt: skip
    if check:
        made["race_clock"].reshape(int(g[G.TILES] * g[G.UNITS]), -1)[:] = np.eye(
            int(g[G.TILES] * g[G.UNITS]), dtype=np.int32
        )
        made["race_messages"][:, M.NEXT] = np.arange(1, len(made["race_messages"]) + 1)
        g[G.RACES], g[G.RACE_SHIFT] = MOST_FOUND, _granule(image)
    return made


_EMPTY: dict[str, tuple[int | tuple[int, int], type]] = {
    "race_shadow": (1, np.int64),
    "race_clock": (1, np.int32),
    "race_cell": (1, np.int32),
    "race_message": (1, np.int32),
    "race_counted": (1, np.int32),
    "race_messages": ((1, len(M)), np.int64),
    "race_counts": ((1, len(N)), np.int64),
    "race_pending": (1, np.int64),
    "race_current": (1, np.int64),
    "race_queue": ((1, 4), np.int64),
    "race_found": ((1, int(Seen.SIZE)), np.int64),
}


def race_sizes(image: Image, units: int) -> dict[str, int | tuple[int, int]]:
    """Shapes of the tables that the race check keeps for an image with so many threads a tile."""
    threads, semaphores = image.tiles * units, image.tiles * image.fabric.semaphores
    granules = image.tiles * (image.data_bytes >> _granule(image))
    # A message under way holds a place in some buffer, or its sender's ramp queue.
    messages = image.tiles * (5 * image.fabric.dynamic_buffer_depth + 1) if image.code.sends else 1
    return {
        "race_shadow": granules * (READS + units),
        "race_clock": threads * threads,
        "race_cell": image.routes.cells * threads,
        "race_message": messages * threads,
        "race_counted": semaphores * threads if image.code.sends else 1,
        "race_messages": (messages, len(M)),
        "race_counts": (semaphores, len(N)),
        "race_pending": threads,
        "race_current": image.tiles,
        "race_queue": (len(image.routes.slots), 4),
        "race_found": (MOST_FOUND, int(Seen.SIZE)),
    }


def _granule(image: Image) -> int:
    """Bits of an address within the smallest element that the program has."""
    return 1 if (image.code.operands[:, Ocol.TYPE] == 1).any() else 2


# --- at the end ---------------------------------------------------------------------------


@contextmanager
def observed_run(image: Image, state: State, options: Options) -> Generator[None]:
    """Turn what was noted into errors when the block ends, however it does.

    Raises:
        Race: races were found; they come before what else stopped the run, which they may
            have caused.
        Interrupted: in place of ``KeyboardInterrupt``, with the place where the run was.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(_standing(image, state)) from None
    except RuntimeFault as error:
        if isinstance(error, CycleLimit):
            error.trace = read_trace(image, state, error.cycle)
        _refuse_races(image, state, error)
        raise
    _refuse_races(image, state, None)


def _standing(image: Image, state: State) -> str:
    """Cycle, part of the edge's work that is done, and the statement that most tiles are in."""
    g, total = state.g, image.schedule.elements
    runs = np.nonzero(image.tile_region != NO_REGION)[0]
    main = state.unit[:: g[G.UNITS]]
    running = runs[main[runs, U.MODE] != Mode.HALT]
    # In an engine that runs ahead, what has no order to keep is far beyond its own cycle.
    times = main[running, U.WAKE][main[running, U.REASON] == Reason.NONE]
    cycle = max(int(g[G.NOW]), int(times.min(initial=NEVER)) if len(times) else 0, 0)
    text = f"interrupted in cycle {cycle:,}"
    if total:
        text += f", {int(g[G.MOVED]) / total:.0%} of the edge's elements moved"
    if not len(running):
        return text + "; all main threads have ended"
    at = state.tile[running, T.STATEMENT]
    numbers, counts = np.unique(at[at >= 0], return_counts=True)
    if not len(numbers):
        return text + "; no tile has begun"
    most = int(numbers[counts.argmax()])
    return (
        f"{text}; {int(counts.max()):,} of {len(runs):,} tiles in "
        f"{_statement(image.code.statements[most])}"
    )


def _statement(statement: MainStatement) -> str:
    node = f" ({statement.node})" if statement.node else ""
    return f"'{statement.text}'{node} at {spot(statement.where)}"


def _refuse_races(image: Image, state: State, error: RuntimeFault | None) -> None:
    count = int(state.g[G.RACE_COUNT])
    if not count:
        return
    found: dict[tuple[Location, Location], Finding] = {}
    for row in state.race_found[:count].tolist():
        finding = _finding(image, state, row)
        found.setdefault(finding.places, finding)
    lines = [f"{len(found)} race{'s' * (len(found) > 1)}: the values may depend on timing"]
    lines += [f"  {finding.text}" for finding in found.values()]
    if count == MOST_FOUND:
        lines.append(f"  and maybe more: {MOST_FOUND} is the most that is noted")
    if error is not None:
        lines.append(f"the run then stopped: {error}")
    raise Race("\n".join(lines), tuple(found.values())) from error


def _finding(image: Image, state: State, row: list[int]) -> Finding:
    before, now = image.code.where[row[Seen.ROW]], image.code.where[row[Seen.NOW_ROW]]
    does, at, tile = Does(row[Seen.DOES]), row[Seen.AT], row[Seen.TILE]
    lead = f"{spot(now)}: tile {coordinates(image.program, tile)}, cycle {row[Seen.CYCLE]:,}: "
    later = _who(image, does, row[Seen.NOW_WHO])
    if row[Seen.DID] == Does.WAIT:
        text = (
            f"{lead}{later} adds to semaphore s{at} by 'send' and could do so before the 'wait' at "
            f"{spot(before)} has what it relies on"
        )
        return Finding(text, row[Seen.CYCLE], (before, now))
    did = Does(row[Seen.DID])
    if did is Does.WRITE and state.rows[row[Seen.ROW], Col.KIND] == Kind.SEND:
        did, row[Seen.WHO] = Does.STORE, tile  # a store that main knows of counts as its own
    earlier = _who(image, did, row[Seen.WHO])
    what = _place(image, state, does, at)
    ops = [
        COUNTED[int(state.rows[number, Col.OPCODE])]
        for number in (row[Seen.ROW], row[Seen.NOW_ROW])
    ]
    text = (
        f"{lead}{later} {_DOING[does][0]} {what} by '{ops[1]}'; {earlier} {_DOING[did][1]} it by "
        f"'{ops[0]}' at {spot(before)}, with no synchronisation between them"
    )
    return Finding(text, row[Seen.CYCLE], (before, now))


def _who(image: Image, does: Does, who: int) -> str:
    if does is Does.STORE:
        return f"tile {coordinates(image.program, who)}"
    return f"the {unit_name(who)}"


def _place(image: Image, state: State, does: Does, at: int) -> str:
    if does in (Does.TAKE, Does.PUT):
        from wsc.runtime.routes import Scol

        color = image.program.colors[int(state.slots[at, Scol.COLOR])][0]
        return f"the {'input' if does is Does.TAKE else 'output'} queue of color '{color}'"
    names = [
        f"'{tensor.name}'"
        for tensor in image.program.tensors
        if tensor.address <= at < tensor.address + tensor.bytes
    ]
    return f"SRAM byte {at}{' of ' * bool(names)}{' or '.join(names)}"
