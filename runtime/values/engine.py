"""A run of the values engine, from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from wsc.runtime.errors import Deadlock, ExecutionFault, Interrupted, MemoryLimit, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.memory import require_memory
from wsc.runtime.record import Record, gather
from wsc.runtime.routes import POSITION
from wsc.runtime.store import make_outputs
from wsc.runtime.tables import COUNTED, as_columns, as_records
from wsc.runtime.values.bands import exchange, worthwhile
from wsc.runtime.values.build import Builder, Slots, Traced
from wsc.runtime.values.compiled import LIBRARY, Machine
from wsc.runtime.values.edge import settle
from wsc.runtime.values.records import SIDES, Fault, Mode
from wsc.runtime.values.report import deadlock, describe, out_of_memory, sent
from wsc.runtime.values.routers import FROM_CORE
from wsc.runtime.values.sweep import post, serve_edge, serve_routers, sweep, sweep_on
from wsc.runtime.work import Work

SLICE = 1 << 27  # steps of instructions until Python looks whether someone wants to stop
BAND_SLICE = 1 << 26  # and until bands hand over what they have for each other
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
    bands: int | None = None,
) -> Executed:
    """Run an image for its outputs.

    inputs: flat arrays of the fabric's element types. progress: called now and then with the
    part of the edge's elements that has moved. max_memory: bytes that the run may take.
    deciding: what to note for a run for time; see ``wsc.runtime.decisions``. compiling: as for
    ``wsc.runtime.run``. bands: how many cores of the host share the columns; None stands for as
    many as pay. It changes nothing but the time that the run takes.

    Raises:
        ExecutionFault, Deadlock, MemoryLimit: the run did not end well.
        Interrupted: a ``KeyboardInterrupt``.
    """
    LIBRARY.prepare(compiling)
    count = worthwhile(image) if bands is None else min(bands, image.program.width)
    if count > 1:
        with suppress(ExecutionFault, Deadlock, MemoryLimit):
            return Execution(image, inputs, max_memory, deciding, count).run(progress)
        # One band alone tells what is wrong, and has the memory of all.
    return Execution(image, inputs, max_memory, deciding, 1).run(progress)


class Execution:
    """One run, with a machine for each band."""

    def __init__(
        self,
        image: Image,
        inputs: dict[str, np.ndarray],
        max_memory: int | None,
        deciding: np.ndarray | None,
        bands: int,
    ) -> None:
        self.image, self.deciding = image, deciding
        self.outputs = make_outputs(image.program)
        noted = np.zeros(len(image.code.rows), np.int8) if deciding is None else deciding
        self.builder = Builder(image, inputs, self.outputs, max_memory, noted, bands)
        self.machines = self.builder.machines()
        self.slice = SLICE if bands == 1 else BAND_SLICE

    def run(self, progress: Progress | None) -> Executed:
        """From beginning to end."""
        elements = max(self.image.schedule.elements, 1)
        try:
            for queue in range(len(self.builder.queues)):
                settle(self.machines[0], queue)
            with ThreadPoolExecutor(len(self.machines)) as cores:
                self._sweeps(cores, lambda: progress and progress(self._sum("moved") / elements))
        except KeyboardInterrupt:
            part = self._sum("moved") / elements
            raise Interrupted(
                f"interrupted when {part:.0%} of the edge's elements had moved"
            ) from None
        record = None if self.deciding is None else self._record(self.deciding)
        report = deadlock(self.image, self.machines[0], self.builder.traced)
        if report:
            raise Deadlock(report, None, record)
        return Executed(self.outputs, self.work(), record)

    def _sum(self, name: str) -> int:
        """A number of the run, over all bands."""
        return sum(int(machine.now[name][0]) for machine in self.machines)

    def _sweeps(self, cores: ThreadPoolExecutor, tell: Callable[[], object]) -> None:
        """Sweep over the columns until nothing can go on."""
        mode = int(Mode.WHOLE)
        while True:
            some = self._sweep(cores, mode)
            for machine in self.machines:
                if machine.now["fault"][0] != Fault.NONE:
                    raise _error(self.image, machine)
            tell()
            for machine in self.machines:
                if machine.now["noted"][0] == machine.now["note_room"][0]:
                    _make_room_for_notes(machine)
            if some:
                mode = int(Mode.WHOLE)
            elif any(self._needs_runs(machine) for machine in self.machines):
                # Routers have more to hand on than there was room for.
                self._make_room_for_runs()
            elif any(machine.now["limited"][0] for machine in self.machines):
                # Producers were held back for their readers, but these wait for something else.
                for machine in self.machines:
                    machine.now["limited"], machine.now["blocked"] = 0, 1
                    machine.now["ahead"] = MORE * machine.now["ahead"][0]
                self.machines[0].dirty[:] = 1
            elif mode == Mode.WHOLE:
                mode = int(Mode.STEPS)
                self.machines[0].dirty[:] = 1
            else:
                return

    def _sweep(self, cores: ThreadPoolExecutor, mode: int) -> bool:
        """To the east and back, in all bands at once; what bands have for each other, and the edge.

        Whether anything went on.
        """
        some = False
        for _ in range(2):
            for machine in self.machines:
                machine.now["left"] = self.slice
            if len(self.machines) == 1:
                some = sweep(self.machines[0], mode) or some
            else:
                some = self._side_by_side(cores, mode) or some
            if any(machine.now["fault"][0] != Fault.NONE for machine in self.machines):
                return True
            some = serve_edge(self.machines[0]) or some
        return some

    def _side_by_side(self, cores: ThreadPoolExecutor, mode: int) -> bool:
        """Sweep in all bands, each on a core, and then hand over what they have for each other."""
        some = any(list(cores.map(lambda machine: sweep_on(machine, mode), self.machines)))
        for machine in self.machines:
            some = serve_routers(machine) or some
            if machine.now["posts"][0]:
                some = post(machine, mode) or some
        return exchange(self.machines[0]) or some

    def _needs_runs(self, machine: Machine) -> bool:
        now = machine.now
        room = int(now["run_room"][0] - now["runs_used"][0])
        return bool(room < 2 * self.image.program.height + 64)

    def _make_room_for_runs(self) -> None:
        """As many again; each band has a part of them, and goes on there if it needs to."""
        runs = self.machines[0].runs
        each = len(runs) // len(self.machines)
        more = np.concatenate([runs, np.zeros_like(runs)])
        for band, machine in enumerate(self.machines):
            if self._needs_runs(machine):
                machine.now["runs_used"] = len(runs) + band * each
                machine.now["run_room"] = len(runs) + (band + 1) * each
            machine.replace("runs", more)
            machine.now["blocked"] = 1
        self.machines[0].dirty[:] = 1

    def _record(self, deciding: np.ndarray) -> Record:
        notes = [machine.notes[: int(machine.now["noted"][0])] for machine in self.machines]
        program = self.image.program
        taken = as_columns(np.concatenate(notes), np.int64)
        return gather(deciding, taken, program.width, program.height)

    def work(self) -> Work:
        """What was done, over all bands."""
        machine, total = self.machines[0], self._sum
        done = np.sum([machine.counted for machine in self.machines], axis=0)
        counted = zip(COUNTED, done.tolist(), strict=True)
        return Work(
            macs_f32=total("macs_f32"),
            macs_f16=total("macs_f16"),
            elements=total("elements"),
            instructions={name: count for name, count in counted if count},
            wavelets=_wavelets(self.image, machine, self.builder.traced, self.builder.fields),
            dynamic_hops=total("dynamic_hops"),
            io_bytes_in=total("bytes_in"),
            io_bytes_out=total("bytes_out"),
            sram_bytes=total("sram_bytes"),
            sram_high_water=max(int(machine.now["sram_top"][0]) for machine in self.machines),
        )


def _make_room_for_notes(machine: Machine) -> None:
    """Twice as much, as far as the machine has memory."""
    require_memory({"what was loaded, for the run for time": 2 * machine.notes.nbytes}, None)
    machine.replace("notes", np.concatenate([machine.notes, np.zeros_like(machine.notes)]))
    machine.now["note_room"] = len(machine.notes)


def _error(image: Image, machine: Machine) -> RuntimeFault:
    now = machine.now[0]
    if now["fault"] == Fault.MEMORY:
        limit = 4 * int(now["end_of_storage"])
        return MemoryLimit(out_of_memory(image, machine), limit + 1, limit)
    message, where = describe(image, machine)
    return ExecutionFault(message, None, where)


def _wavelets(
    image: Image, machine: Machine, traced: Traced, slots: Slots
) -> dict[str, np.ndarray]:
    """Wavelets that left each tile, by color: all that its routes' origins have sent."""
    program = image.program
    sends = as_records(image.routes.positions, POSITION)["send"]
    found: dict[str, np.ndarray] = {}
    for number, (name, _) in enumerate(program.colors):
        mine = np.flatnonzero(slots.color == number)
        # By the way that they take: a field of tiles for each.
        moved = np.zeros((SIDES + 2, image.tiles), np.int64)
        led = mine[slots.guided[mine]]
        if len(led):
            # Routers that hand on runs have counted.
            moved[:, slots.tile[led]] = machine.moves[led].T
            passed = np.zeros((SIDES, image.tiles), np.int64)
            passed[:, slots.tile[led]] = machine.passes[led].T
            moved[:SIDES] += _along(passed.reshape(SIDES, program.height, -1)).reshape(SIDES, -1)
        known = mine[traced.origin[mine] >= 0]
        if len(known):
            # Of others, what their route's origin has sent.
            origin, tiles = traced.origin[known], slots.tile[known]
            totals = sent(image, machine, traced, origin)
            send = sends[slots.first[known]]
            for side in range(SIDES + 1):
                moved[side, tiles] = totals * (send >> side & 1)
            moved[FROM_CORE, tiles] = totals * (traced.from_core[known] & (origin == known))
        found[name] = moved.T.reshape(program.height, program.width, SIDES + 2)
    return found


def _along(passed: np.ndarray) -> np.ndarray:
    """What each tile has handed on, from where that began and ended: sums along N, E, S, W.

    passed: [side, row, column], as is what it gives.
    """
    north, east, south, west = passed
    sums = (
        north[::-1].cumsum(axis=0)[::-1],
        east.cumsum(axis=1),
        south.cumsum(axis=0),
        west[:, ::-1].cumsum(axis=1)[:, ::-1],
    )
    return np.stack(sums)
