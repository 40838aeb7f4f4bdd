"""Parts of a network, as the names of its nodes tell them: ``h.3.attn.q_proj.matmul`` is a node of
layer ``h.3``, in its part ``attn.q_proj``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wsc.cost.model import Bound
from wsc.isa.code_size import block_bytes
from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.statements import calls
from wsc.views.report import EstimatedRow

# Last words of names that say what is computed, or of what, and not where.
_OPERATOR = re.compile(
    r"(add|cast|constant|div|expand|gather|gemm|identity|matmul|mul|pow|reshape|slice|split|sqrt"
    r"|sub|sum|transpose|unsqueeze|bias|weight)[_\d]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is. layer: "" outside of the layers."""

    layer: str
    part: str


def place_of(nodes: Sequence[str]) -> Place:
    """The place of the first of some nodes."""
    first = re.sub(r"~\d+$", "", nodes[0] if nodes else "")
    words = [word for word in re.split(r"[./]", first) if word]
    numbers = [place for place, word in enumerate(words) if word.isdecimal()]
    if not numbers or numbers[0] == 0:
        return Place("", _part(words))
    place = numbers[0]
    # What is of a layer as a whole, as what is kept for it, is called as the layers are.
    part = words[place + 1 :] or words[:place]
    return Place(".".join(words[place - 1 : place + 1]), _part(part))


def _part(words: Sequence[str]) -> str:
    kept = list(words)
    while len(kept) > 1 and _OPERATOR.fullmatch(kept[-1]):
        kept.pop()
    return ".".join(kept)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of all layers, or of the network around them, as predicted.

    layers: how many have it, 0 for what is in none. cycles, macs, bound: of all of them. beside:
    the part before it while which most of it runs, if it adds fewer cycles than its bound.
    """

    part: str
    layers: int
    cycles: int
    macs: int
    bound: Bound
    beside: str = ""

    @property
    def utilization(self) -> float:
        """Roofline over cycles; above one where it overlaps with what runs before it."""
        return self.bound.part_of(self.cycles)

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        return {
            "part": self.part,
            "layers": self.layers,
            "predicted_cycles": self.cycles,
            "macs": self.macs,
            "beside": self.beside or None,
            **self.bound.facts(),
        }


def part_rows(rows: Iterable[EstimatedRow]) -> list[PartRow]:
    """One row for each part, in the order in which they first run."""
    groups: dict[tuple[bool, str], list[tuple[str, EstimatedRow]]] = {}
    for row in rows:
        place = place_of(row.nodes)
        groups.setdefault((bool(place.layer), place.part), []).append((place.layer, row))
    found: list[PartRow] = []
    before = ""  # the last part whose cycles are its own
    for (inside, part), group in groups.items():
        cycles = sum(row.cycles for _, row in group)
        bound = Bound(
            sum(row.bound.compute for _, row in group),
            sum(row.bound.link for _, row in group),
            sum(row.bound.io for _, row in group),
        )
        beside = before if bound.beside(cycles) else ""
        before = before if beside else part
        layers = len({layer for layer, _ in group}) if inside else 0
        macs = sum(row.macs for _, row in group)
        found.append(PartRow(part, layers, cycles, macs, bound, beside))
    return found


def code_of_layers(program: Program, fabric: Fabric) -> dict[str, int]:
    """Layer -> bytes of its calls in main; what all layers share is not counted."""
    found: dict[str, int] = {}
    for region in program.regions:
        for statement in region.main:
            call = next(iter(calls((statement,))), None)
            layer = "" if call is None else place_of(call.nodes).layer
            size = block_bytes((statement,), fabric)
            found[layer] = found.get(layer, 0) + size
    return found
