"""Cycles of waits through cores: a thread that takes one color and sends another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wsc.isa.program import Op, Queue
from wsc.isa.types import Side
from wsc.isa.verify.context import SIDES, Context, Mask, bit
from wsc.isa.verify.graph import Indices, find_cycle
from wsc.isa.verify.routes import Network, edges_of, show_tiles, ways
from wsc.isa.verify.tiles import Site


@dataclass
class _Kernel:
    """One procedure (or main): color taken, color sent -> the instruction and its tiles."""

    links: dict[tuple[str, str], Mask] = field(default_factory=dict[tuple[str, str], Mask])
    ops: dict[tuple[str, str], Op] = field(default_factory=dict[tuple[str, str], Op])


def through_cores(context: Context, network: Network, found: list[Site]) -> None:
    """Within a procedure, instructions that pass wavelets on between colors form no circle.

    An instruction that takes a color and sends another waits for the first while it holds
    the second; followed over routes and cores, such waits must end. Instructions of
    different procedures are not held against each other: they run at different times.
    """
    for kernel in _kernels(context, network, found).values():
        colors = _in_circles(list(kernel.links))
        if colors:
            _check(context, network, kernel, colors)


def _kernels(context: Context, network: Network, found: list[Site]) -> dict[str, _Kernel]:
    shape = (context.program.height, context.program.width)
    kernels: dict[str, _Kernel] = {}
    for site in found:
        operands = site.op.operands
        if not operands or not isinstance(operands[0], Queue):
            continue
        target = operands[0].color
        scope = f"{site.region.name}/main" if site.scope == "main" else site.scope
        for operand in operands[1:]:
            if isinstance(operand, Queue) and {operand.color, target} <= set(network.paths):
                kernel = kernels.setdefault(scope, _Kernel())
                link = operand.color, target
                mask = kernel.links.setdefault(link, np.zeros(shape, bool))
                mask[context.tiles(site.region)] |= site.reach.mask
                kernel.ops.setdefault(link, site.op)
    return kernels


def _in_circles(links: list[tuple[str, str]]) -> list[str]:
    """The colors that lie on a circle of colors, whatever the tiles."""
    colors = sorted({color for link in links for color in link})
    number = {color: index for index, color in enumerate(colors)}
    reached = np.zeros((len(colors), len(colors)), bool)
    for color, other in links:
        reached[number[color], number[other]] = True
    # What leads to a color also leads to where that one leads: a circle leads to itself.
    for over in range(len(colors)):
        reached |= np.outer(reached[:, over], reached[over])
    return [color for color in colors if reached[number[color], number[color]]]


def _one_way(network: Network, colors: list[str]) -> bool:
    """The colors go one way along each axis at most, and no router sends a ramp to itself.

    Each hop then brings a wavelet further along, and what is passed on in a core goes on to
    a hop: no circle can close.
    """
    used = ways(network, colors)
    both = {Side.EAST, Side.WEST} <= used or {Side.NORTH, Side.SOUTH} <= used
    returned = any((network.paths[c][Side.RAMP] & bit(Side.RAMP)).any() for c in colors)
    return not both and not returned


def _check(context: Context, network: Network, kernel: _Kernel, colors: list[str]) -> None:
    if _one_way(network, colors):
        return
    height, width = context.program.height, context.program.width
    area = height * width
    tails: list[Indices] = []
    heads: list[Indices] = []
    base = {color: index * len(SIDES) * area for index, color in enumerate(colors)}
    for color in colors:
        _, some, others = edges_of(network, color, base[color])
        tails.append(some)
        heads.append(others)
    for (source, target), mask in kernel.links.items():
        if source in base and target in base:
            for entry, leaves in network.paths[source].items():
                tile = np.flatnonzero(mask & ((leaves & bit(Side.RAMP)) != 0))
                tails.append(base[source] + entry.index * area + tile)
                heads.append(base[target] + Side.RAMP.index * area + tile)
    nodes = len(colors) * len(SIDES) * area
    cycle = find_cycle(nodes, np.concatenate(tails), np.concatenate(heads))
    if not cycle:
        return
    names = [colors[node // (len(SIDES) * area)] for node in cycle]
    tiles = [node % area for node in cycle]
    involved = list(dict.fromkeys(names))
    link = next((pair for pair in kernel.ops if set(pair) <= set(involved)), next(iter(kernel.ops)))
    shown = show_tiles(_without_repeats(tiles), width)
    message = f"{', '.join(involved)} wait for each other in a circle through tiles {shown}"
    context.say(message, kernel.ops[link])


def _without_repeats(tiles: list[int]) -> list[int]:
    """A closed walk without standing still: a core and its router are the same tile."""
    return [tile for index, tile in enumerate(tiles) if tile != tiles[index - 1]] or tiles[:1]
