"""The demo: a small trained network, compiled, shown, run on real images, compared.

``python -m wsc.cli.demo`` (or ``make demo``) compiles the digits network that ships in
``models/`` and executes the assembly on the simulated fabric. Its predictions stand
beside the labels and beside ONNX Runtime's; the exit code is 1 if any output leaves
the precision's tolerance.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import click
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

import wsc
from wsc import models

TOLERANCE = {"f32": 1e-4, "f16": 2e-2}
"""Largest error, as a part of the output's largest magnitude."""

EXCERPT = 14
"""Lines shown of the header, and as many around the first multiply-accumulate."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """One image, read by the fabric and by ONNX Runtime."""

    image: Image  # [1, 8, 8]
    label: int
    ours: int
    reference: int
    error: float  # of the logits, as a part of the largest magnitude
    cycles: int
    utilization: float


def picture(image: Image, plain: bool = False) -> str:
    """An image [1, h, w] in 0 to 1 as text, two rows of pixels to a line.

    plain: in characters of ASCII alone.
    """
    shapes = " '.:" if plain else " ▀▄█"
    marks = dict(
        zip(((False, False), (True, False), (False, True), (True, True)), shapes, strict=True)
    )
    dark = image[0] > 0.4
    pairs = zip(dark[::2], dark[1::2], strict=True)
    return "\n".join(
        "".join(marks[bool(a), bool(b)] for a, b in zip(above, below, strict=True))
        for above, below in pairs
    )


def excerpt(text: str, mark: str = "fmac", size: int = EXCERPT) -> Iterator[tuple[int, str]]:
    """Numbered lines of a program: its head, and the surroundings of the first ``mark``.

    A line (0, "...") stands where lines were left out.
    """
    lines = text.splitlines()
    found = next((i for i, line in enumerate(lines) if mark in line), 0)
    middle = range(max(found - size // 2, 0), min(found + size - size // 2, len(lines)))
    shown = sorted({*range(min(size, len(lines))), *middle})
    last = -1
    for i in shown:
        if i != last + 1:
            yield 0, "..."
        yield i + 1, lines[i]
        last = i
    if last != len(lines) - 1:
        yield 0, "..."


def readings(program: wsc.Program, count: int, console: Console) -> Iterator[Reading]:
    """Run the program, and ONNX Runtime, on the first ``count`` samples."""
    session = onnxruntime.InferenceSession(models.DIGITS, providers=["CPUExecutionProvider"])
    images, labels = models.digits_samples()
    pairs = list(zip(images, labels, strict=True))[:count]
    quiet = not console.is_terminal
    for image, label in track(pairs, "running", console=console, transient=True, disable=quiet):
        run = program.run({"image": image[None]})
        ours = run.outputs["logits"]
        reference = np.asarray(session.run(["logits"], {"image": image[None]})[0])
        yield Reading(
            image=image,
            label=int(label),
            ours=int(ours.argmax()),
            reference=int(reference.argmax()),
            error=float(np.abs(ours - reference).max() / np.abs(reference).max()),
            cycles=run.cycles,
            utilization=run.counters.utilization,
        )


def table(read: list[Reading], plain: bool) -> Table:
    """One row an image. plain: pictures in ASCII."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    result.add_column("image")
    headings = ("label", "fabric", "ONNX Runtime", "error", "cycles", "utilisation")
    for heading in headings:
        result.add_column(heading, justify="right", vertical="middle")
    for r in read:
        result.add_row(
            Text(picture(r.image, plain)),
            str(r.label),
            Text(str(r.ours), style="green" if r.ours == r.label else "red"),
            str(r.reference),
            f"{r.error:.1e}",
            f"{r.cycles:,}",
            f"{r.utilization:.1%}",
        )
    return result


def _nearby(path: Path) -> Path:
    """The path from here, if it is below: the text then says the same on every machine."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def wsc_command() -> str:
    """How ``wsc`` of this environment is called from here."""
    script = Path(sys.executable).with_name("wsc")
    found = shutil.which("wsc")
    if found is not None and Path(found).absolute() == script.absolute():
        return "wsc"
    return str(_nearby(script.absolute()))


def show_program(console: Console, program: wsc.Program, file: Path, seconds: float) -> None:
    """Say what was compiled, and show an excerpt of it."""
    lines = len(program.text.splitlines())
    console.print(f"compiled {models.DIGITS.name} in {seconds:.1f} s: {lines} lines, {file}\n")
    for number, line in excerpt(program.text):
        console.out(f"{number or '':>5}  {line}", highlight=False)
    console.print()


@click.command()
@click.option("--fabric", default="8x8", show_default=True, help="Preset, WxH or a TOML file.")
@click.option("--precision", type=click.Choice(list(TOLERANCE)), default="f32", show_default=True)
@click.option("--samples", type=click.IntRange(1, 64), default=10, show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/demo/digits.wsa"),
    show_default=True,
    help="Where the assembly goes.",
)
def main(fabric: str, precision: str, samples: int, output: Path) -> None:
    """Compile the digits network, run it on real images, compare with ONNX Runtime."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # that cannot write every character
            stream.reconfigure(errors="backslashreplace")
    console = Console(soft_wrap=True, highlight=False)
    start = time.perf_counter()
    program = wsc.compile(_nearby(models.DIGITS), fabric=fabric, dims={}, precision=precision)
    output.parent.mkdir(parents=True, exist_ok=True)
    program.save(str(output))
    show_program(console, program, output, time.perf_counter() - start)

    start = time.perf_counter()
    read = list(readings(program, samples, console))
    seconds = time.perf_counter() - start
    console.print(table(read, plain=not console.encoding.startswith("utf")))
    right = sum(r.ours == r.label for r in read)
    agreed = sum(r.ours == r.reference for r in read)
    worst = max(r.error for r in read)
    console.print(
        f"{right} of {len(read)} digits read as labelled, {agreed} as ONNX Runtime reads them; "
        f"largest error {worst:.1e} of the output's largest magnitude"
    )
    console.print(
        f"{sum(r.cycles for r in read) // len(read):,} cycles an image, "
        f"{np.mean([r.utilization for r in read]):.1%} utilisation; simulated in {seconds:.1f} s "
        "(the engines are compiled at their first use, which takes a few seconds)"
    )
    console.print("go on with:")
    console.print(shlex.join([wsc_command(), "inspect", str(output), "--node", "conv0"]))
    if not worst <= TOLERANCE[precision]:
        console.print(f"beyond the tolerance of {precision}, {TOLERANCE[precision]:g}")
        sys.exit(1)


if __name__ == "__main__":
    main()
