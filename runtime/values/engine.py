"""A run of the values engine, from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsc.runtime.errors import Deadlock, ExecutionFault, Interrupted, MemoryLimit, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.memory import require_memory
from wsc.runtime.record import Record, gather
from wsc.runtime.routes import Scol
from wsc.runtime.store import make_outputs
from wsc.runtime.tables import COUNTED
from wsc.runtime.values.build import Builder, Traced
from wsc.runtime.values.compiled import LIBRARY, Machine
from wsc.runtime.values.edge import settle
from wsc.runtime.values.records import Fault, Mode
from wsc.runtime.values.report import deadlock, describe, out_of_memory, sent
from wsc.runtime.values.sweep import sweep
from wsc.runtime.work import Work

SLICE = 1 << 27  # steps of instructions until Python looks whether someone wants to stop
MORE = 4  # how much further a producer may be ahead when nothing else can go on

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Executed:
    """What a run leaves: flat outputs in the fabric's types, and what was done.

    record: what was loaded where that decides anything, if that was to be noted.
    """

    outputs: dict[str, np.ndarray]
    work: Work
    record: Record | None = None


def execute(
    image: Image,
    inputs: dict[str, np.ndarray],
    *,
    progress: Progress | None = None,
    max_memory: int | None = None,
    deciding: np.ndarray | None = None,
    compiling: Callable[[str], None] | None = None,
) -> Executed:
    """Run an image for its outputs.

    inputs: flat arrays of the fabric's element types. progress: called now and then with the
    part of the edge's elements that has moved. max_memory: bytes that the run may take.
    deciding: what to note for a run for time; see ``wsc.runtime.decisions``. compiling: as for
    ``wsc.runtime.run``.

    Raises:
        ExecutionFault, Deadlock, MemoryLimit: the run did not end well.
        Interrupted: a ``KeyboardInterrupt``.
    """
    LIBRARY.prepare(compiling)
    outputs = make_outputs(image.program)
    noted = np.zeros(len(image.code.rows), np.int8) if deciding is None else deciding
    builder = Builder(image, inputs, outputs, max_memory, noted)
    machine = builder.machine()
    total = max(image.schedule.elements, 1)
    try:
        for queue in range(int(machine.now["edge_queues"][0])):
            settle(machine, queue)
        _run(image, machine, lambda: progress and progress(int(machine.now["moved"][0]) / total))
    except KeyboardInterrupt:
        moved = int(machine.now["moved"][0]) / total
        raise Interrupted(
            f"interrupted when {moved:.0%} of the edge's elements had moved"
        ) from None
    record = None if deciding is None else _record(image, machine, deciding)
    report = deadlock(image, machine, builder.traced)
    if report:
        raise Deadlock(report, None, record)
    return Executed(outputs, _work(image, machine, builder.traced), record)


def _record(image: Image, machine: Machine, deciding: np.ndarray) -> Record:
    notes = machine.notes[: int(machine.now["noted"][0])]
    return gather(deciding, notes, image.program.width, image.program.height)


def _run(image: Image, machine: Machine, tell: Callable[[], None]) -> None:
    """Sweep over the columns until nothing can go on."""
    now, mode = machine.now, int(Mode.WHOLE)
    while True:
        now["left"] = SLICE
        some = sweep(machine, mode)
        if now["fault"][0] != Fault.NONE:
            raise _error(image, machine)
        tell()
        if now["noted"][0] == now["note_room"][0]:
            _make_room_for_notes(machine)
        if some:
            mode = int(Mode.WHOLE)
        elif _needs_runs(image, machine):
            # Routers have more to hand on than there was room for.
            machine.replace("runs", np.concatenate([machine.runs, np.zeros_like(machine.runs)]))
            now["run_room"], now["blocked"] = len(machine.runs), 1
            machine.dirty[:] = 1
        elif now["limited"][0]:
            # Producers were held back for their readers, but these wait for something else.
            now["limited"], now["blocked"] = 0, 1
            now["ahead"] = MORE * now["ahead"][0]
            machine.dirty[:] = 1
        elif mode == Mode.WHOLE:
            mode = int(Mode.STEPS)
            machine.dirty[:] = 1
        else:
            return


def _make_room_for_notes(machine: Machine) -> None:
    """Twice as much, as far as the machine has memory."""
    require_memory({"what was loaded, for the run for time": 2 * machine.notes.nbytes}, None)
    machine.replace("notes", np.concatenate([machine.notes, np.zeros_like(machine.notes)]))
    machine.now["note_room"] = len(machine.notes)


def _needs_runs(image: Image, machine: Machine) -> bool:
    now = machine.now
    room = int(now["run_room"][0] - now["runs_used"][0])
    return bool(room < 2 * image.program.height + 64)


def _error(image: Image, machine: Machine) -> RuntimeFault:
    now = machine.now[0]
    if now["fault"] == Fault.MEMORY:
        limit = 4 * int(now["end_of_storage"])
        return MemoryLimit(out_of_memory(image, machine), limit + 1, limit)
    message, where = describe(image, machine)
    return ExecutionFault(message, None, where)


def _work(image: Image, machine: Machine, traced: Traced) -> Work:
    now = machine.now[0]
    counted = zip(COUNTED, machine.counted.tolist(), strict=True)
    return Work(
        macs_f32=int(now["macs_f32"]),
        macs_f16=int(now["macs_f16"]),
        elements=int(now["elements"]),
        instructions={name: count for name, count in counted if count},
        wavelets=_wavelets(image, machine, traced),
        dynamic_hops=int(now["dynamic_hops"]),
        io_bytes_in=int(now["bytes_in"]),
        io_bytes_out=int(now["bytes_out"]),
        sram_bytes=int(now["sram_bytes"]),
        sram_high_water=int(now["sram_top"]),
    )


def _wavelets(image: Image, machine: Machine, traced: Traced) -> dict[str, np.ndarray]:
    """Wavelets that left each tile, by color: all that its routes' origins have sent."""
    program = image.program
    slots = image.routes.slots[: len(traced.origin)]
    moves = machine.moves[: len(slots)].copy()
    known = np.nonzero((traced.origin >= 0) & (slots[:, Scol.GUIDED] == 0))[0]
    origins, which = np.unique(traced.origin[known], return_inverse=True)
    totals = sent(image, machine, traced, origins)
    send = image.routes.positions[slots[:, Scol.FIRST], 1]
    for side in range(5):
        moves[known, side] += np.where(send[known] >> side & 1, totals[which], 0)
    core = traced.from_core[known] & (traced.origin[known] == known)
    moves[known[core], 5] += totals[which[core]]
    found: dict[str, np.ndarray] = {}
    for number, (name, _) in enumerate(program.colors):
        mine = slots[:, Scol.COLOR] == number
        tiles = slots[mine, Scol.TILE]
        moved = np.zeros((image.tiles, 6), np.int64)
        moved[tiles] = moves[mine]
        moved = moved.reshape(program.height, program.width, 6)
        if slots[mine, Scol.GUIDED].any():
            passed = np.zeros((image.tiles, 4), np.int64)
            passed[tiles] = machine.passes[: len(slots)][mine]
            moved[..., :4] += _along(passed.reshape(program.height, program.width, 4))
        found[name] = moved
    return found


def _along(passed: np.ndarray) -> np.ndarray:
    """What each tile has handed on, from where that began and ended: sums along N, E, S, W."""
    north, east, south, west = np.moveaxis(passed, 2, 0)
    sums = (
        north[::-1].cumsum(axis=0)[::-1],
        east.cumsum(axis=1),
        south.cumsum(axis=0),
        west[:, ::-1].cumsum(axis=1)[:, ::-1],
    )
    return np.stack(sums, axis=2)
