"""A run that is taken in steps and looked at in between: the reference engine by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from wsc.isa.program import Location, Tensor
from wsc.isa.shown import Facts, Shown, named
from wsc.runtime.clocked.tables import observe
from wsc.runtime.code import window
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.image import NO_REGION, Image
from wsc.runtime.observations import deadlock
from wsc.runtime.observations.records import NEVER, Mode, Reason, Status
from wsc.runtime.reference.compiled import LIBRARY
from wsc.runtime.reference.cycles import run_until
from wsc.runtime.reference.tables import make_machine
from wsc.runtime.runs import Options
from wsc.runtime.stops import unit_name
from wsc.runtime.store import make_outputs
from wsc.runtime.tables import COUNTED


@dataclass(frozen=True, slots=True)
class ThreadState:
    """A unit of a tile. where: of its instruction; doing: what it does or waits for, in words."""

    name: str
    where: Location
    instruction: str
    node: str
    doing: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """A place for wavelets of one color at a tile.

    kind: the router's buffer, or the core's input or output queue. values: of the wavelets, the
    oldest first, as bits; None for a control wavelet. depth: room. note: the switch position of a
    router's buffer, and where its head has still to go.
    """

    color: str
    kind: str
    values: tuple[int | None, ...]
    depth: int
    note: str = ""


class Session(Shown):
    """A run of an image, from before its first cycle on.

    inputs: flat arrays of the fabric's types, as engines take them. outputs: what left so far.
    """

    def _facts(self) -> Facts:
        return [
            ("program", repr(self.image.program)),
            ("cycle", f"{self.cycle:,}"),
            *([("ended", self.ending())] if self.ended else []),
        ]

    def __init__(self, image: Image, inputs: Mapping[str, np.ndarray], options: Options) -> None:
        LIBRARY.prepare(options.compiling)
        self.image, self.outputs = image, make_outputs(image.program)
        self._machine, self._kept = make_machine(image, {**inputs, **self.outputs}, options)
        self._seen = observe(self._machine)
        self._status = Status.RUNNING
        self._next = 0

    @property
    def cycle(self) -> int:
        """The cycle that comes next."""
        return self._next

    @property
    def ended(self) -> bool:
        """Whether nothing can move any more, or a fault has stopped the run."""
        return self._status != Status.RUNNING

    def advance(self, cycle: int) -> None:
        """Run to the beginning of a cycle, or to the end."""
        cycle = min(cycle, NEVER)
        now = self._machine.now
        while not self.ended and now["now"][0] < cycle:
            self._status = Status(run_until(self._machine, cycle))
        # Where nothing happens the engine is beyond that cycle already; all is as it was then.
        self._next = int(now["last"][0]) + 1 if self.ended else max(cycle, self._next)

    def ending(self) -> str:
        """How the run has ended, in words; empty while it goes on."""
        if self._status == Status.RUNNING:
            return ""
        if self._status == Status.FAULTED:
            return deadlock.describe_fault(self.image, self._seen)[0]
        cycles = int(self._machine.now["last"][0]) + 1
        if deadlock.finished(self.image, self._seen):
            return f"the run has ended after {cycles:,} cycles"
        return deadlock.report(self.image, self._seen, cycles)

    def tile(self, x: int, y: int) -> int:
        """The number of a tile.

        Raises:
            RuntimeFault: there is none at this place, or it runs nothing.
        """
        program = self.image.program
        if not (0 <= x < program.width and 0 <= y < program.height):
            raise RuntimeFault(
                f"there is no tile {x},{y}: x is 0 to {program.width - 1}, y 0 to "
                f"{program.height - 1}"
            )
        tile = y * program.width + x
        if self.image.tile_region[tile] == NO_REGION:
            raise RuntimeFault(f"tile {x},{y} belongs to no region and runs nothing")
        return tile

    # --- threads --------------------------------------------------------------------

    def rows(self, tile: int) -> tuple[int, ...]:
        """The row of the code that each unit of a tile is at; -1 for one that is idle."""
        if self._machine.now["now"][0] < 0:  # nothing has begun
            return (int(self._machine.tile["pc"][tile]), *[-1] * (self._seen.units - 1))
        first = tile * self._seen.units
        return tuple(
            -1 if unit["mode"] in (Mode.IDLE, Mode.HALT) else int(unit["row"])
            for unit in self._seen.unit[first : first + self._seen.units]
        )

    def lines(self, tile: int) -> tuple[int, ...]:
        """The lines that the units of a tile are at; 0 for one that is idle."""
        where = self.image.code.where
        return tuple(where[row].line if row >= 0 else 0 for row in self.rows(tile))

    def threads(self, tile: int) -> Iterator[ThreadState]:
        """What each unit of a tile does; those that are idle, too."""
        code = self.image.code
        for number, row in enumerate(self.rows(tile)):
            me = tile * self._seen.units + number
            unit = self._seen.unit[me]
            if row < 0:
                doing = "has ended" if unit["mode"] == Mode.HALT else "is idle"
                yield ThreadState(unit_name(number), Location(), "", "", doing)
                continue
            statement = int(unit["statement"])
            node = named(code.statements[statement].nodes) if code.statements else ""
            name = COUNTED[int(code.records.opcode[row])]
            yield ThreadState(unit_name(number), code.where[row], name, node, self._doing(tile, me))

    def _doing(self, tile: int, me: int) -> str:
        unit = self._seen.unit[me]
        if unit["reason"] != Reason.NONE:
            since = self.cycle - int(unit["since"])
            what = deadlock.waits_for(self.image, self._seen, tile, me)
            return f"has waited {max(since, 0):,} cycles for {what}"
        busy = int(unit["wake"]) - self.cycle
        left = f", {int(unit['left']):,} rows to go" if unit["mode"] == Mode.ROWS else ""
        return f"is busy for {busy:,} cycles more{left}" if busy > 0 else f"goes on{left}"

    def registers(self, tile: int) -> dict[str, int]:
        """The registers of the window that the main thread is in, by name."""
        code, machine = self.image.code, self._machine
        starts, names = code.procedures
        row = int(machine.tile["pc"][tile])
        owner = names[bisect_right(starts, row) - 1]
        program = self.image.program
        bodies = {item.name: (item.parameters, item.body) for item in program.procedures}
        region = program.regions[int(self.image.tile_region[tile])]
        parameters, body = bodies.get(owner, ((), region.main))
        first = tile * self.image.fabric.registers + int(machine.tile["frame"][tile])
        return {
            name: int(machine.regs[first + place])
            for place, name in enumerate(window(parameters, body))
        }

    def semaphores(self, tile: int) -> dict[int, int]:
        """The semaphores of a tile that are not zero."""
        count = self.image.fabric.semaphores
        records = self._machine.semaphores[tile * count : (tile + 1) * count]
        values = records["value"] + records["added"]
        return {number: int(values[number]) for number in np.nonzero(values)[0].tolist()}

    # --- queues and memory ----------------------------------------------------------

    def queues(self, tile: int) -> Iterator[QueueState]:
        """The router's buffers of a tile, and its core's queues, by color."""
        slots, routes = self._seen.slots, self.image.routes
        for slot in range(int(routes.slot_first[tile]), int(routes.slot_first[tile + 1])):
            color = self.image.program.colors[int(slots.color[slot])][0]
            yield self._queue(color, "router", slot, self._position(slot))
            if slots.input[slot] >= 0:
                yield self._queue(color, "input queue", int(slots.input[slot]))
            if slots.output[slot] >= 0:
                yield self._queue(color, "output queue", int(slots.output[slot]))

    def _queue(self, color: str, kind: str, fifo: int, note: str = "") -> QueueState:
        queue = self._seen.fifos[fifo]
        head, count = int(queue.head), int(queue.count)
        depth, offset = int(queue.depth), int(queue.offset)
        cells = [self._machine.cells[offset + (head + place) % depth] for place in range(count)]
        values = tuple(None if cell["control"] else int(cell["value"]) for cell in cells)
        return QueueState(color, kind, values, depth, note)

    def _position(self, slot: int) -> str:
        position, of = (int(self._seen.slots[name][slot]) for name in ("position", "positions"))
        head = self.image.routes.way(slot, position)
        return head + (f", position {position + 1} of {of}" * (of > 1))

    def memory(self, tile: int) -> np.ndarray:
        """The bytes of a tile's SRAM, as a view."""
        return self._machine.sram.reshape(self.image.tiles, -1)[tile].view(np.uint8)

    def tensor(self, tile: int, tensor: Tensor) -> np.ndarray:
        """What a tile holds of a tensor, one element behind the other."""
        held = self.memory(tile)[tensor.address : tensor.address + tensor.bytes]
        return held.view(tensor.dtype.numpy)
