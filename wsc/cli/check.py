"""``wsc check``: everything that is wrong with a program, or that would stop a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsc.cli.common import (
    STANDARD,
    Refusal,
    general,
    load_program,
    model_options,
    read_arrays,
    read_dims,
    say,
    verbose,
    working,
)
from wsc.cli.completion import Given

if TYPE_CHECKING:
    import numpy as np


@click.command("check")
@click.argument("file", type=Given(), metavar="PROGRAM.wsa|MODEL.onnx|-")
@model_options
@general
def command(
    file: Path, fabric: str | None, dims: tuple[str, ...], bind: tuple[str, ...], precision: str
) -> int:
    """Check FILE. Exit code 2 if something stops it.

    A program is parsed and verified; - is standard input. A model is compiled as far as it
    goes; all that would stop it is listed at once: operators, dimensions without a size,
    external data, and what does not fit the fabric. The options are for models.
    """
    if file == STANDARD or file.suffix == ".wsa":
        if fabric or dims or bind:
            raise Refusal("--fabric, --dim and --bind are for models; a program states its own")
        _program(file)
        return 0
    return _model(file, fabric, read_dims(dims), read_arrays("--bind", bind), precision)


def _program(file: Path) -> None:
    """Parse and verify; the diagnostics are the error's text."""
    from wsc.isa.turns import each_transfer
    from wsc.views.inspect import sram_use

    program = load_program(file, "checking")
    transfers = list(each_transfer(program.assembly.transfers))
    assembly, use = program.assembly, sram_use(program.assembly, program.fabric)
    say(
        f"{file}: OK: {assembly.width}x{assembly.height} tiles of {program.fabric.name}, "
        f"{use.total:,} of {use.limit:,} bytes of SRAM, {len(assembly.colors)} colors, "
        f"{len(assembly.procedures)} procedures, {len(transfers)} transfers"
    )


def _model(
    file: Path,
    fabric: str | None,
    dims: dict[str, int],
    arrays: dict[str, np.ndarray],
    precision: str,
) -> int:
    from wsc.functions.obstacles import obstacles

    with working(f"checking {file}"):
        found, program = obstacles(file, fabric, dims, arrays, precision)
    if program is not None:
        assembly = program.assembly
        say(
            f"{file}: OK: compiles for {assembly.width}x{assembly.height} tiles of "
            f"{program.fabric.name}, {program.text.count(chr(10)):,} lines of assembly"
        )
        if verbose():
            say(f"{len(assembly.procedures)} procedures, {len(assembly.colors)} colors")
        return 0
    count = f"{len(found)} thing{'s' * (len(found) != 1)}"
    say(f"error: {file}: {count} would stop it", error=True)
    for text in found:
        say(f"- {text}", error=True)
    return 2
