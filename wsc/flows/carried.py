"""Which flows the colors of a program carry: found by the paths that they take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from wsc.flows import STRANDS, Strand
from wsc.flows.flow import Path
from wsc.isa.program import Program

Carried = Mapping[str, tuple[Strand, ...]]


def carried(program: Program) -> Carried:
    """Color -> the strands that share it.

    A color is left out if it takes other paths than those of our flows, or if a strand has
    two colors: such a program was not made by our kernels.
    """
    paths: defaultdict[str, set[Path]] = defaultdict(set)
    for route in program.routes:
        paths[route.color].add(Path(route.guard, route.positions))
    found: dict[str, tuple[Strand, ...]] = {}
    seen: set[Strand] = set()
    for color, _ in program.colors:
        mine = tuple(s for s in STRANDS.values() if paths[color].issuperset(s.paths))
        whole = paths[color] == {path for strand in mine for path in strand.paths}
        if whole and not seen.intersection(mine):
            found[color] = mine
            seen.update(mine)
    return found


def at_core(strands: tuple[Strand, ...], place: Mapping[str, int], leaves: bool) -> Strand | None:
    """Of the strands of a color the one that begins (or ends) at the core of a tile.

    place: x, y, W and H. leaves: wavelets leave the core, else they arrive.
    """
    crosses = (s for s in strands if (s.begins(place) if leaves else s.ends(place)))
    return next(crosses, None)
