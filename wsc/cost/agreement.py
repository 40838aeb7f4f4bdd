"""How well predictions agreed with runs, where both were made: a table that ships with wsc.

``python -m benchmarks.agreement`` makes the table (``agreement.json``) and its page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsc.cost.predict import Prediction
from wsc.isa.counted import StatementCycles
from wsc.isa.program import Program
from wsc.isa.statements import calls

TABLE = Path(__file__).with_name("agreement.json")
KERNEL, NETWORK = 0.10, 0.05  # tolerances: of a kernel's cycles, of a whole network's
# Cycles by which a kernel may be off in any case. Where one ends and the next begins is known
# to a few router and queue lengths at most: what one gains the other loses.
FLOOR = 40


@dataclass(frozen=True, slots=True)
class Pair:
    """Predicted and measured cycles of one kernel (``Prediction.calls``), or of a whole run."""

    name: str
    predicted: int
    measured: int

    @property
    def off(self) -> float:
        """The difference, as a part of what was measured."""
        return abs(self.predicted - self.measured) / max(self.measured, 1)

    @property
    def agrees(self) -> bool:
        """Whether a kernel is within its tolerance."""
        return abs(self.predicted - self.measured) <= max(KERNEL * self.measured, FLOOR)


@dataclass(frozen=True, slots=True)
class Kind:
    """Agreement of all checked calls of one kind of kernel.

    cycles: measured, all of them together. mean, worst: of the deviations of those calls that
    are long enough for the relative tolerance to be the larger one; of none of them 0.
    beyond: calls that were not within the tolerance.
    """

    kind: str
    calls: int
    cycles: int
    mean: float
    worst: float
    beyond: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A whole network that was predicted and run."""

    network: str
    fabric: str
    precision: str
    predicted: int
    measured: int

    @property
    def off(self) -> float:
        """The difference, as a part of what was measured."""
        return abs(self.predicted - self.measured) / self.measured


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was checked.

    fabric: whose numbers; largest: width and height up to which kinds and networks were. meshes:
    kernels alone, on larger meshes. models: language models made narrow, on meshes between these.
    wide: language models of their own width with fewer layers, on all columns of the wafer.
    """

    fabric: str
    largest: tuple[int, int]
    kinds: tuple[Kind, ...]
    networks: tuple[Checked, ...]
    meshes: tuple[Checked, ...] = ()
    models: tuple[Checked, ...] = ()
    wide: tuple[Checked, ...] = ()

    def sentences(self, program: Program, fabric: str) -> list[str]:
        """How far a prediction of this program may be trusted, for the user."""
        known = {item.kind: item for item in self.kinds}
        used = sorted({kind(c) for c in called(program)})
        here = [known[name] for name in used if name in known]
        said: list[str] = []
        if here:
            calls = sum(item.calls for item in here)
            mean = sum(item.mean * item.cycles for item in here) / sum(i.cycles for i in here)
            worst = max(here, key=lambda item: item.worst)
            said.append(
                f"its kinds of kernels were off by {mean:.1%} on average and {worst.worst:.1%} at "
                f"worst ({worst.kind}) in {calls:,} calls that were run"
            )
        if self.networks:
            worst_network = max(self.networks, key=lambda item: item.off)
            said.append(
                f"{len(self.networks)} whole networks by {worst_network.off:.1%} at worst "
                f"({worst_network.network} on {worst_network.fabric})"
            )
        width, height = self.largest
        for models, which in (
            (self.models, "narrow language models"),
            (self.wide, "language models of full width"),
        ):
            if not models:
                continue
            wide, high = _largest(models)
            width, height = max(width, wide), max(height, high)
            worst_model = max(models, key=lambda item: item.off)
            said.append(
                f"{len(models)} {which} on meshes of up to {wide}x{high} by "
                f"{worst_model.off:.1%} at worst ({worst_model.network} on {worst_model.fabric})"
            )
        if unknown := [name for name in used if name not in known]:
            said.append(f"never checked: {', '.join(unknown)}")
        if fabric != self.fabric:
            said.append(f"all checks were made with the numbers of '{self.fabric}'")
        if program.width > width or program.height > height:
            said.append(f"no network on a mesh beyond {width}x{height} was checked")
            said += self._on_large_meshes(program)
        return said

    def _on_large_meshes(self, program: Program) -> list[str]:
        """What is known of meshes as large as the program's."""
        if not self.meshes:
            return []
        worst = max(self.meshes, key=lambda item: item.off)
        width, height = _largest(self.meshes)
        tiles = max(width * height for width, height in map(_sides, self.meshes))
        said = (
            f"{len(self.meshes)} runs of single kernels on meshes of up to {width} columns, "
            f"{height} rows or {tiles:,} tiles were off by {worst.off:.1%} at worst "
            f"({worst.network} on {worst.fabric})"
        )
        mine = program.width, program.height
        if mine[0] > width or mine[1] > height or mine[0] * mine[1] > tiles:
            said += "; this one is beyond them"
        return [said]


def _largest(found: Iterable[Checked]) -> tuple[int, int]:
    """The most columns and the most rows of the meshes of these, be it of different ones."""
    widths, heights = zip(*map(_sides, found), strict=True)
    return max(widths), max(heights)


def _sides(item: Checked) -> tuple[int, int]:
    """Columns and rows of its mesh."""
    width, height = map(int, item.fabric.rpartition(":")[2].split("x"))
    return width, height


def kind(procedure: str) -> str:
    """The kind of a kernel from its procedure's name: ``move_2`` is a move, maps are maps.

    A move that goes on while a product is made is two procedures, of one kind.
    """
    stem = re.sub(r"_\d+$", "", procedure)
    if stem.startswith("map_"):
        return "map"
    return "move" if stem in ("move_send", "move_take") else stem


def called(program: Program) -> list[str]:
    """Procedures that main calls."""

    return [call.procedure for region in program.regions for call in calls(region.main)]


def pairs(prediction: Prediction, measured: Iterable[StatementCycles]) -> list[Pair]:
    """Each call's predicted and measured cycles.

    measured: what was counted of the statements of main, in the order of the text. All calls
    must have run.
    """
    calls = [item for item in measured if item.statement.call is not None]
    return [
        Pair(item.call.procedure, item.added, found.added)
        for item, found in zip(prediction.calls, calls, strict=True)
    ]


def summarised(found: Sequence[Pair]) -> tuple[Kind, ...]:
    """One row for each kind of kernel."""
    grouped: dict[str, list[Pair]] = {}
    for pair in found:
        grouped.setdefault(kind(pair.name), []).append(pair)
    return tuple(
        Kind(
            name,
            len(group),
            sum(pair.measured for pair in group),
            sum(offs) / len(offs) if (offs := [p.off for p in group if _long(p)]) else 0.0,
            max((p.off for p in group if _long(p)), default=0.0),
            sum(not pair.agrees for pair in group),
        )
        for name, group in sorted(grouped.items())
    )


def _long(pair: Pair) -> bool:
    return pair.measured * KERNEL >= FLOOR


def load() -> Agreement:
    """The table that ships with wsc."""
    data: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return Agreement(
        data["fabric"],
        tuple(data["largest"]),
        tuple(Kind(**item) for item in data["kinds"]),
        tuple(Checked(**item) for item in data["networks"]),
        tuple(Checked(**item) for item in data["meshes"]),
        tuple(Checked(**item) for item in data["models"]),
        tuple(Checked(**item) for item in data["wide"]),
    )


def dump(agreement: Agreement) -> str:
    """The table as it is stored."""
    return json.dumps(asdict(agreement), indent=1) + "\n"
