"""``--map``: heat maps of the fabric in characters, for any terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wsc.cli.common import console

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.runtime.counters import Counters
    from wsc.views.maps import HeatMap

KINDS = ("busy", "stall", "links", "sram")  # of wsc.views.maps, which is not read for each command
map_option = click.option(
    "--map",
    "maps",
    type=click.Choice(KINDS),
    multiple=True,
    help="Show the fabric as a heat map of characters. May be repeated.",
)


def show_maps(kinds: tuple[str, ...], program: Program, counters: Counters) -> None:
    """Each heat map that was asked for, with its scale and what is outstanding in it."""
    from wsc.views.maps import heat_map

    for kind in kinds:
        _show(heat_map(kind, program.assembly, program.fabric, counters))


def show_sram(program: Program) -> None:
    """The heat map of SRAM, which needs no run."""
    from wsc.views.maps import sram_map

    _show(sram_map(program.assembly, program.fabric))


def _show(made: HeatMap) -> None:
    screen = console()
    screen.print()
    for line in made.lines():
        screen.print(line)
