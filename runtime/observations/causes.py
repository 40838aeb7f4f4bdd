"""Why a thread waited: the chain of deeds behind a wait, and behind the run as a whole.

An engine that keeps causes leaves *events*, stretches of the time of a unit or of a queue of the
edge: what it waited for before, whose event ended that, and when (``runtime.reference.causes``).
From an event and a cycle the chain goes back to the first cycle: its steps, and the ways between
them, take exactly the cycles until then, none twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsc.isa.program import Direction, Location, Transfer
from wsc.isa.shown import Facts, Shown, named
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.nodes import statements_of
from wsc.runtime.observations.records import Reason
from wsc.runtime.schedule import QUEUE
from wsc.runtime.stops import coordinates
from wsc.runtime.tables import COUNTED, by_name

EDGE = "the edge"
FEW = 3  # waits that are shown


@dataclass(frozen=True, slots=True, repr=False)
class Place(Shown):
    """What does something, and where that stands in the text.

    doer: a tile, with its stream unit if it is one, or the edge. text: the instruction, or the
    transfer of the edge. node: the ONNX node that it is for, or empty.
    """

    doer: str
    where: Location
    text: str
    node: str

    def _facts(self) -> Facts:
        return [("who", self.doer), ("line", f"{self.where.line}"), ("what", self.text)]

    def as_dict(self) -> dict[str, Any]:
        """The place, ready for JSON."""
        return {
            "doer": self.doer,
            "line": self.where.line,
            "text": self.text,
            "node": self.node or None,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Wait(Shown):
    """Cycles that one doer waited at one line for one thing, and who was late with it.

    late: the place of that deed; None if it is older than what was kept, or nobody's: the place
    itself was the one to wait for, or the network. ended: whether it did.
    """

    place: Place
    waited_for: str
    late: Place | None
    cycles: int
    ended: bool = True

    def _facts(self) -> Facts:
        late = "nobody" if self.late is None else f"{self.late.doer}, line {self.late.where.line}"
        return [
            ("who", self.place.doer),
            ("line", f"{self.place.where.line}"),
            ("waited for", self.waited_for),
            ("cycles", f"{self.cycles:,}"),
            ("late was", late),
        ]

    def as_dict(self) -> dict[str, Any]:
        """The wait, ready for JSON."""
        late = None if self.late is None else self.late.as_dict()
        return {
            **self.place.as_dict(),
            "waited_for": self.waited_for,
            "cycles": self.cycles,
            "late": late,
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Step(Shown):
    """A part of a chain: what a place did from cycle ``begin`` to ``end`` that the rest waited for.

    waited_for: what it waited for until ``begin``; empty if it only went on. way: the cycles
    between the deed that let it begin and ``begin``, in which wavelets were under way.
    """

    place: Place
    begin: int
    end: int
    way: int
    waited_for: str

    def _facts(self) -> Facts:
        return [
            ("who", self.place.doer),
            ("line", f"{self.place.where.line}"),
            ("cycles", f"{self.begin:,} to {self.end:,}"),
            ("way", f"{self.way:,}"),
        ]

    @property
    def cycles(self) -> int:
        """All that the step adds to the chain."""
        return self.end - self.begin + self.way

    def as_dict(self) -> dict[str, Any]:
        """The step, ready for JSON."""
        return {
            **self.place.as_dict(),
            "begin": self.begin,
            "end": self.end,
            "way": self.way,
            "waited_for": self.waited_for or None,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Why(Shown):
    """Who waited for whom.

    subject: of what this tells. waits: the longest first. steps: the chain behind the longest wait,
    or behind the whole run; the latest first. begins: the cycle that it goes back to; above 0 if
    what was before it is no longer kept.
    """

    subject: str
    waits: tuple[Wait, ...]
    steps: tuple[Step, ...]

    def _facts(self) -> Facts:
        waits = [
            (f"{wait.cycles:,} cycles", f"{wait.place.doer} waited for {wait.waited_for}")
            for wait in self.waits[:FEW]
        ]
        chain = f"{len(self.steps):,} steps, cycles {self.begins:,} to {self.ends:,}"
        return [("subject", self.subject), ("chain", chain), *waits]

    @property
    def begins(self) -> int:
        """The first cycle of the chain."""
        return self.steps[-1].begin - self.steps[-1].way if self.steps else 0

    @property
    def ends(self) -> int:
        """The cycle that the chain leads to."""
        return self.steps[0].end if self.steps else 0

    def lines(self) -> list[tuple[Place, int]]:
        """The cycles of the chain by line and node, the most first; of each a place."""
        sums: dict[tuple[Location, str, str], int] = {}
        places: dict[tuple[Location, str, str], Place] = {}
        for step in self.steps:
            key = (step.place.where, step.place.text, step.place.node)
            places.setdefault(key, step.place)
            sums[key] = sums.get(key, 0) + step.cycles
        order = sorted(sums.items(), key=lambda item: -item[1])
        return [(places[key], cycles) for key, cycles in order]

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "subject": self.subject,
            "waits": [wait.as_dict() for wait in self.waits],
            "begins": self.begins,
            "ends": self.ends,
            "path": [step.as_dict() for step in self.steps],
            "lines": [
                {**place.as_dict(), "doer": None, "cycles": cycles}
                for place, cycles in self.lines()
            ],
        }


@dataclass(frozen=True, slots=True, repr=False)
class Causes(Shown):
    """The events that an engine has kept, by number, and the doers: units, then edge queues.

    open: waits that had not ended when the run did, as events that nobody has caused.
    """

    image: Image
    events: np.ndarray
    doers: np.ndarray
    open: np.ndarray
    units: int
    cycles: int
    _places: dict[tuple[int, ...], Place] = field(default_factory=dict)

    def _facts(self) -> Facts:
        return [("events", f"{len(self.events):,}"), ("cycles", f"{self.cycles:,}")]

    def why(
        self, tile: tuple[int, int] | None = None, node: str | None = None, line: int | None = None
    ) -> Why:
        """What a tile, node or line waited for; of more than one, what is all of them.

        Without any, the chain that the run as a whole has waited for: its critical path.

        Raises:
            RuntimeFault: there is no such tile, node or line.
        """
        if tile is None and node is None and line is None:
            return Why("the run", (), tuple(self._chain(*self._last())))
        subject, chosen = self._chosen(self.events, tile, node, line)
        waiting = self.events[chosen & (self.events["waited"] > 0)]
        sums: dict[tuple[Place, str, Place | None, bool], int] = {}
        for event in (*waiting, *self.open[self._chosen(self.open, tile, node, line)[1]]):
            ended = bool(event["number"] >= 0)
            key = (self._place(event), self._waited_for(event), self._late(event), ended)
            sums[key] = sums.get(key, 0) + int(event["waited"])
        waits = sorted(
            (Wait(*key[:3], cycles, key[3]) for key, cycles in sums.items()),
            key=lambda wait: (-wait.cycles, wait.place.where.line, wait.place.doer),
        )
        steps: tuple[Step, ...] = ()
        if len(waiting):
            # Of equal waits the last: the run has waited for that one longer.
            longest = waiting[len(waiting) - 1 - int(np.argmax(waiting["waited"][::-1]))]
            steps = tuple(self._chain(int(longest["number"]), int(longest["begin"])))
        return Why(subject, tuple(waits), steps)

    # --- which events ---------------------------------------------------------------

    def _chosen(
        self, events: np.ndarray, tile: tuple[int, int] | None, node: str | None, line: int | None
    ) -> tuple[str, np.ndarray]:
        """What is asked for, in words, and whether each event is of it."""
        program = self.image.program
        chosen = events["who"] < self.image.tiles * self.units
        parts: list[str] = []
        if tile is not None:
            x, y = tile
            if not (0 <= x < program.width and 0 <= y < program.height):
                raise RuntimeFault(
                    f"there is no tile {x},{y}: x is 0 to {program.width - 1}, y 0 to "
                    f"{program.height - 1}"
                )
            chosen = chosen & (events["who"] // self.units == y * program.width + x)
            parts.append(f"tile ({x}, {y})")
        if node is not None:
            wanted = np.append(statements_of(program, node), False)  # of the edge
            chosen = chosen & wanted[events["statement"]]
            parts.append(f"node '{node}'")
        if line is not None:
            at = np.array([where.line == line for where in self.image.code.where])
            if not at.any():
                raise RuntimeFault(f"there is no instruction at line {line}")
            chosen = chosen & at[np.where(chosen, events["row"], 0)]
            parts.append(f"line {line}")
        return ", ".join(parts), chosen

    def _last(self) -> tuple[int, int]:
        """The event of the doer that ended last, and the cycle after it.

        Of a run that was stopped: the event that began last, and when.
        """
        last = int(np.argmax(self.doers["end"]))
        if len(self.open):
            latest = self.events[np.argmax(self.events["begin"])]
            return int(latest["number"]), int(latest["begin"])
        return int(self.doers["event"][last]), int(self.doers["end"][last])

    # --- the chain ------------------------------------------------------------------

    def _chain(self, number: int, time: int) -> Iterator[Step]:
        """From an event back to the first that is known. time: until when it is asked for."""
        while number >= 0:
            event = self._event(number)
            if event is None:
                return
            begin, left = int(event["begin"]), int(event["left"])
            if time < begin:  # one of the waits before the last, as long as that one
                left, begin = max(time - (begin - left), 0), time
            if int(event["cause"]) < 0:  # the first deed of all
                left = 0
            if begin > left or time > begin:
                yield Step(self._place(event), begin, time, begin - left, self._waited_for(event))
            number, time = int(event["cause"]), left

    def _event(self, number: int) -> np.void | None:
        """The event of a number, if it is still kept."""
        numbers = self.events["number"]
        at = int(np.searchsorted(numbers, number))
        return self.events[at] if at < len(numbers) and numbers[at] == number else None

    # --- in words -------------------------------------------------------------------

    def _late(self, event: np.void) -> Place | None:
        """Whose deed ended a wait; None if that is not known, or its own."""
        cause = self._event(int(event["cause"]))
        if cause is None or cause["who"] == event["who"]:
            return None
        return self._place(cause)

    def _place(self, event: np.void) -> Place:
        key = tuple(int(event[name]) for name in ("who", "row", "statement"))
        if key not in self._places:
            self._places[key] = self._named(*key)
        return self._places[key]

    def _named(self, who: int, row: int, statement: int) -> Place:
        image = self.image
        threads = image.tiles * self.units
        if who < threads:
            tile, unit = divmod(who, self.units)
            doer = f"tile {coordinates(image.program, tile)}"
            name = COUNTED[int(image.code.records.opcode[row])]
            node = image.code.statements[statement].nodes
            doer += f", stream unit {unit - 1}" if unit else ""
            return Place(doer, image.code.where[row], name, named(node))
        transfer = self._transfer(row)
        cursor = by_name(image.schedule.queues, QUEUE)[who - threads]
        slot = image.routes.records[int(cursor.slot)]
        at = coordinates(image.program, int(slot.tile))
        verb = "feed" if transfer.direction is Direction.FEED else "drain"
        text = f"{verb} {transfer.tensor}"
        return Place(f"{EDGE} at {at}", transfer.where, text, named(transfer.nodes))

    def _transfer(self, row: int) -> Transfer:
        """The entry of the schedule that a record of an edge queue is of."""
        return self.image.transfers[int(self.image.schedule.shape_of(row).transfer)]

    def _fed(self, event: np.void) -> Transfer | None:
        """The entry of the schedule that an event feeds; None if it is no feed of the edge."""
        if int(event["who"]) < self.image.tiles * self.units:
            return None
        transfer = self._transfer(int(event["row"]))
        return transfer if transfer.direction is Direction.FEED else None

    def _waited_for(self, event: np.void) -> str:
        """What an event waited for before it began, in words; empty if for nothing."""
        reason, what = Reason(int(event["reason"])), int(event["what"])
        transfer = self._fed(event)
        if reason is Reason.INPUT and transfer is not None and transfer.lookup is None:
            return f"the last element of '{transfer.tensor}' to be drained"
        if reason in (Reason.INPUT, Reason.OUTPUT):
            number = int(self.image.routes.records.color[what])
            color = self.image.program.colors[number][0]
            return f"{'a wavelet of' if reason is Reason.INPUT else 'room for'} color '{color}'"
        return {
            Reason.SEMAPHORE: f"semaphore s{what}",
            Reason.UNIT: f"stream unit {what - 1}",
            Reason.DYNAMIC: "the dynamic network",
        }.get(reason, "")
