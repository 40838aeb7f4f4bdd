"""The benchmarks: each measures in processes of its own and gives a table with its targets."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.process import measured
from benchmarks.report import Result, Target

GIB = 2**30
STREAMED = "matmul_streamed"
NAMES = ("minilm", "magika", "orientation", "silero")


@functools.cache
def folder() -> Path:
    """Where compiled programs lie until the benchmarks end."""
    made = tempfile.TemporaryDirectory(prefix="wsc-bench-")
    folder.made = made  # type: ignore[attr-defined]  # removed with the process
    return Path(made.name)


@functools.cache
def compiled(network: str, fabric: str, precision: str) -> tuple[str, dict[str, Any]]:
    """Path of a compiled network, and what compiling it took."""
    path = str(folder() / f"{network}-{fabric}-{precision}.wsa")
    found = measured(
        "compile",
        {"network": network, "fabric": fabric, "precision": precision, "output": path},
    )
    return path, found


@functools.cache
def ran(network: str, fabric: str, precision: str) -> dict[str, Any]:
    """What a run of a network gave and took."""
    path, _ = compiled(network, fabric, precision)
    return measured("run", {"network": network, "path": path, "precision": precision})


def gib(found: dict[str, Any]) -> float:
    """Peak memory in GiB."""
    return found["peak_bytes"] / GIB


def minilm(quick: bool) -> Result:
    """MiniLM at 128 tokens on a mesh of the size that the targets name."""
    fabric = "8x8" if quick else "32x32"
    _, made = compiled("minilm", fabric, "f32")
    run = ran("minilm", fabric, "f32")
    rows = [
        [
            what,
            *(f"{found[name]:.1f}" for name in ("cpu_seconds", "seconds", "process_seconds")),
            f"{gib(found):.2f}",
        ]
        for what, found in (("compile", made), ("run", run))
    ]
    targets = [
        Target(f"MiniLM, 128 tokens, {fabric}, compile", made["process_seconds"], 20, "s"),
        Target(f"MiniLM, 128 tokens, {fabric}, run", run["process_seconds"], 40, "s"),
        Target("the larger peak memory of the two", max(gib(made), gib(run)), 4, "GiB"),
    ]
    error = max(run["errors"].values())
    notes = [
        f"{run['cycles']:,} cycles; largest error {error:.1e} of the output's largest "
        "magnitude. CPU s and seconds: the work alone; they differ where other work takes the "
        "machine. The process: with the start of Python and imports, and the engine's compiled "
        "code on disk (see cold start); the targets are held against it."
    ]
    return Result(
        "minilm",
        f"MiniLM, 128 tokens, {fabric}, f32",
        ("", "CPU s", "seconds", "seconds of the process", "peak GiB"),
        rows,
        targets,
        notes,
        raw={"compile": made, "run": run},
    )


def text(quick: bool) -> Result:
    """The size of the text, and the cost of compiling for a whole wafer."""
    sizes = ("8x8", "12x12") if quick else ("8x8", "32x32", "750x994")
    rows: list[list[str]] = []
    raw: dict[str, Any] = {}
    for fabric in sizes:
        path, made = compiled("minilm", fabric, "f32")
        read = measured("parse", {"path": path})
        raw[fabric] = {"compile": made, "parse": read}
        rows.append(
            [
                fabric,
                f"{made['lines']:,}",
                *(f"{read[name]['cpu_seconds']:.2f}" for name in ("parse", "verify")),
                f"{made['cpu_seconds']:.1f}",
                f"{made['seconds']:.1f}",
                f"{gib(made):.2f}",
            ]
        )
    lines = [raw[fabric]["compile"]["lines"] for fabric in sizes]
    growth = max(later / earlier for earlier, later in combinations(lines, 2))
    parses = [raw[fabric]["parse"]["parse"]["seconds"] for fabric in sizes]
    small, large = raw[sizes[-2]]["compile"], raw[sizes[-1]]["compile"]
    pair = f"{sizes[-1]} over {sizes[-2]}"
    targets = [
        Target("lines of MiniLM's assembly, the longest", max(lines), 5000, "lines"),
        # Forms are chosen for the mesh, so texts differ; a larger mesh may not make them longer.
        Target("growth in lines from any mesh to a larger one", 100 * (growth - 1), 2, "%"),
        Target("parse, the slowest", max(parses), 2, "s"),
        Target(
            f"compile, CPU seconds, {pair}", large["cpu_seconds"] / small["cpu_seconds"], 2, "times"
        ),
        Target(f"peak memory, {pair}", large["peak_bytes"] / small["peak_bytes"], 2, "times"),
    ]
    return Result(
        "text",
        "MiniLM's text on meshes of different sizes",
        (
            "mesh",
            "lines",
            "parse CPU s",
            "verify CPU s",
            "compile CPU s",
            "compile s",
            "compile peak GiB",
        ),
        rows,
        targets,
        raw=raw,
    )


def utilisation(quick: bool) -> Result:
    """Each streamed matmul against its roofline, and where its other cycles go."""
    fabric = "8x8" if quick else "16x16"
    rows: list[list[str]] = []
    targets: list[Target] = []
    raw: dict[str, Any] = {}
    for precision in ("f32",) if quick else ("f32", "f16"):
        kernels = ran("minilm", fabric, precision)["kernels"]
        streamed = [row for row in kernels if row["kernel"].startswith(STREAMED)]
        raw[precision] = streamed
        for row in streamed:
            bounds, shares = row["bounds"], row["shares"]
            rows.append(
                [
                    f"{precision} {short(', '.join(row['nodes']))}",
                    f"{row['cycles']:,}",
                    *(f"{bounds[name]:,}" for name in ("compute", "link", "io")),
                    row["bound_by"],
                    f"{row['utilization']:.0%}",
                    *(f"{shares[name]:.0%}" for name in ("mac", "other", "wait")),
                ]
            )
        least = 100 * min(row["utilization"] for row in streamed)
        what = f"lowest of MiniLM's {len(streamed)} streamed matmuls on {fabric}, {precision}"
        targets.append(Target(what, least, 50, "% of roofline", at_least=True))
    notes = [
        "compute, link, I/O: cycles that each resource alone would need; the roofline is the "
        "largest. Of the cycles: mac, multiply-accumulates at full rate; other, the rest of "
        "the busy cycles (start-up, clearing, issue, sums, and rows that do not fill the "
        "core's width); wait, main threads stalled on the fabric or a semaphore, or not yet "
        "(no longer) at this statement."
    ]
    return Result(
        "utilisation",
        f"Streamed matmuls of MiniLM, 128 tokens, {fabric}",
        (
            "matmul",
            "cycles",
            "compute",
            "link",
            "I/O",
            "bound by",
            "of bound",
            "mac",
            "other",
            "wait",
        ),
        rows,
        targets,
        notes,
        raw=raw,
    )


def short(node: str) -> str:
    """The part of a node's name that tells layers apart."""
    return node if len(node) <= 48 else "..." + node[-45:]


def networks(quick: bool) -> Result:
    """The four real networks against ONNX Runtime."""
    fabric = "16x16"
    rows: list[list[str]] = []
    targets: list[Target] = []
    raw: dict[str, Any] = {}
    for name in ("magika", "silero") if quick else NAMES:
        for precision, tolerance in (("f32", 1e-4), ("f16", 2e-2)):
            path_and_made = compiled(name, fabric, precision)
            made, run = path_and_made[1], ran(name, fabric, precision)
            error = max(run["errors"].values())
            rows.append(
                [
                    name,
                    precision,
                    f"{run['cycles']:,}",
                    f"{run['utilization']:.1%}",
                    f"{error:.1e}",
                    f"{made['lines']:,}",
                    f"{made['cpu_seconds']:.1f}",
                    f"{run['cpu_seconds']:.1f}",
                    f"{run['seconds']:.1f}",
                    f"{gib(run):.2f}",
                ]
            )
            raw[f"{name} {precision}"] = {"compile": made, "run": run}
            what = f"{name} {precision}, error against ONNX Runtime"
            targets.append(Target(what, error, tolerance, "of the largest magnitude"))
    return Result(
        "networks",
        f"The four networks on {fabric}",
        (
            "network",
            "precision",
            "cycles",
            "utilisation",
            "error",
            "lines",
            "compile CPU s",
            "run CPU s",
            "run s",
            "run peak GiB",
        ),
        rows,
        targets,
        left=2,
        raw=raw,
    )


ENGINES = ("reference", "time")


def _engine_row(program: str, size: str, count: int, raw: dict[str, Any]) -> list[str]:
    """One program on both engines, one after the other."""
    found = {
        name: measured(
            "engine",
            {"program": program, "size": size, "count": count, "repeats": 2, "name": name},
        )
        for name in ENGINES
    }
    raw[f"{program} {size}"] = found
    seconds = {name: found[name]["cpu_seconds"] for name in ENGINES}
    timed = found["time"]
    assert timed["cycles"] == found["reference"]["cycles"]
    events = timed["links"] + timed["flit_hops"] + timed["flits"]
    return [
        f"{program}, {size}",
        f"{timed['cycles']:,}",
        f"{events / 1e6:.1f}",
        *(f"{seconds[name]:.2f}" for name in ENGINES),
        *(f"{events / seconds[name] / 1e6:.1f}" for name in ENGINES),
        f"{seconds['reference'] / seconds['time']:.2f}",
    ]


def engine(quick: bool) -> Result:
    """Both engines side by side, and what a first start costs."""
    scale = 1 if quick else 4
    sizes = ("8x8",) if quick else ("32x32", "128x128")
    rows: list[list[str]] = []
    raw: dict[str, Any] = {}
    for program, count in (("saturated links", 1000 * scale), ("streamed fmac", 500 * scale)):
        for step, size in enumerate(sizes):
            rows.append(_engine_row(program, size, count >> 3 * step, raw))
    first = raw[f"streamed fmac {sizes[0]}"]["time"]
    plain = measured("plain", {"size": sizes[0], "count": 500 * scale, "repeats": 3})
    raw["plain"] = plain
    for size in ("8x8",) if quick else ("8x8", "16x16", "32x32"):
        for percent in (5, 15, 29):
            rows.append(_engine_row(f"uniform load {percent} %", size, 10 * scale, raw))
    with tempfile.TemporaryDirectory(prefix="wsc-cold-") as cache:
        settings = {"program": "streamed fmac", "size": "2x2", "count": 8, "repeats": 1}
        cold = measured("engine", settings, {"NUMBA_CACHE_DIR": cache})
        warm = measured("engine", settings, {"NUMBA_CACHE_DIR": cache})
    raw["cold"], raw["warm"] = cold, warm
    ratios = [
        raw[f"streamed fmac {size}"]["reference"]["cpu_seconds"]
        / raw[f"streamed fmac {size}"]["time"]["cpu_seconds"]
        for size in sizes
    ]
    targets = [
        Target(
            "streamed fmac, time over reference, the lesser",
            min(ratios),
            3,
            "times",
            at_least=True,
        ),
        Target(
            f"link events of streamed fmac, {sizes[0]}",
            first["links"] / first["cpu_seconds"] / 1e6,
            60,
            "M/s",
            at_least=True,
        ),
        Target("cold start of a process", cold["process_seconds"], 20, "s"),
    ]
    bare = first["links"] / plain["cpu_seconds"] / 1e6
    notes = [
        "Events: wavelets over any link, ramps included, and flits of the dynamic network over "
        "a hop or to a core. One core; seconds of CPU, the better of two runs, loading excluded.",
        f"A plain compiled loop with the copies and sums of streamed fmac, {sizes[0]}, but no time "
        f"and no queues: {bare:.1f} M/s; the time engine takes "
        f"{first['cpu_seconds'] / plain['cpu_seconds']:.1f} times as long.",
        "Flit-hops a second under uniform load are the events of those rows less one per flit "
        "(its last step, to a core); messages of ten flits, BookSim2's packet_size 10.",
        f"Cold start (a 2x2 program in a new process with an empty Numba cache): "
        f"{cold['process_seconds']:.1f} s; with the cache filled: "
        f"{warm['process_seconds']:.1f} s.",
    ]
    return Result(
        "engine",
        "The engines side by side",
        (
            "program",
            "cycles",
            "M events",
            "reference CPU s",
            "time CPU s",
            "reference M/s",
            "time M/s",
            "ratio",
        ),
        rows,
        targets,
        notes=notes,
        raw=raw,
    )


def wafer(quick: bool) -> Result:
    """About three billion multiply-accumulates on a whole wafer, and the way there."""
    sizes = ("8x8", "16x16") if quick else ("32x32", "128x128", "375x497", "750x994")
    rows: list[list[str]] = []
    raw: dict[str, Any] = {}
    for size in sizes:
        found = measured(
            "engine", {"program": "streamed fmac", "size": size, "count": 250, "repeats": 1}
        )
        raw[size] = found
        rows.append(
            [
                size,
                f"{found['cycles']:,}",
                f"{found['macs'] / 1e9:.2f}",
                f"{found['load_seconds']:.1f}",
                f"{found['cpu_seconds']:.1f}",
                f"{found['links'] / found['cpu_seconds'] / 1e6:.1f}",
                f"{found['process_seconds']:.1f}",
                f"{gib(found):.2f}",
            ]
        )
    last = raw[sizes[-1]]
    targets = [
        Target(
            f"streamed fmac on {sizes[-1]}, loading and one run",
            last["load_seconds"] + last["first_seconds"],
            90,
            "s",
        ),
        Target(f"loading for {sizes[-1]}", last["load_seconds"], 20, "s"),
        Target("peak memory", gib(last), 12, "GiB"),
    ]
    return Result(
        "wafer",
        "A streamed multiply-accumulate on meshes up to the wafer, time engine",
        (
            "mesh",
            "cycles",
            "G MACs",
            "load s",
            "run CPU s",
            "M link events/s",
            "process s (two runs)",
            "peak GiB",
        ),
        rows,
        targets,
        raw=raw,
    )


def collectives(quick: bool) -> Result:
    """Collectives against formulas: all agree with the machine's, or the target is missed."""
    from benchmarks.collectives import TILES, WORDS, grid
    from benchmarks.collectives_page import DOCS, HEADINGS, TITLES, count, page, plot, summary_rows

    cells = grid(TITLES, TILES[:5:2] if quick else TILES, WORDS[::2][:3] if quick else WORDS)
    targets = [
        Target(
            "collectives within 4 % or 5 cycles of the machine's formula",
            100 * count(cells, True) / len(cells),
            100,
            "%",
            at_least=True,
        )
    ]
    return Result(
        "collectives",
        "Collectives against formulas",
        HEADINGS,
        summary_rows(cells),
        targets,
        raw=[asdict(cell) for cell in cells],
        files={
            DOCS / "collectives.md": page(cells, "python -m benchmarks collectives"),
            DOCS / "collectives.svg": plot(cells),
        },
    )


def values(quick: bool, large: bool = False) -> Result:
    """The values engine: large networks, the reference engine beside it, and a first use."""
    from benchmarks.shapes import SHAPES

    fabric = "8x8" if quick else "32x32"
    path, _ = compiled("minilm", fabric, "f32")
    small = str(folder() / "digits.wsa")
    measured("compile_digits", {"fabric": "8x8", "output": small})
    first: dict[str, float] = {}
    for name, program in (("digits, 8x8", small), (f"MiniLM, {fabric}", path)):
        with tempfile.TemporaryDirectory(prefix="wsc-values-") as cache:
            settings = {"path": program, "repeats": 0}
            found = measured("values", settings, {"NUMBA_CACHE_DIR": cache})
            first[name] = found["process_seconds"]
    found = measured("values", {"path": path, "repeats": 3})
    clock = measured("timed", {"path": path, "name": "reference"})["cpu_seconds"]
    name = f"MiniLM, 128 tokens, {fabric}"
    raw: dict[str, Any] = {name: found, "first": first, "reference": clock}
    rows = [_values_row(name, found)]
    targets = [
        Target(f"values of {name}", found["seconds"], 1, "s"),
        Target(
            f"reference over values, {name}",
            clock / found["cpu_seconds"],
            100,
            "times",
            at_least=True,
        ),
        Target("first use, all compiling included, digits", first["digits, 8x8"], 5, "s"),
    ]
    for shape, wanted in SHAPES.items():
        if quick or (wanted.large and not large):
            continue
        path = str(folder() / "shape.wsa")
        measured("compile_shape", {"shape": shape, "fabric": wanted.fabric, "output": path})
        row = raw[shape] = measured("values", {"path": path, "repeats": 1})
        rows.append(_values_row(f"{shape}, {wanted.fabric}", row))
        if wanted.seconds:
            targets.append(Target(f"values of {shape}", row["seconds"], wanted.seconds, "s"))
        if wanted.gib:
            targets.append(Target(f"peak memory of {shape}", gib(row), wanted.gib, "GiB"))
        if wanted.rate:
            rate = row["macs"] / row["seconds"] / 1e6
            targets.append(Target(f"rate of {shape}", rate, wanted.rate, "M/s", at_least=True))
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in first.items())
    notes = [
        f"{name} takes {clock:.1f} CPU s on the reference engine. Seconds: a run of a loaded "
        "program, the best of some; the process: with the start of Python, imports, loading, and "
        f"all runs. First use, in a process with nothing compiled yet: {took}.",
    ]
    if not large:
        notes.append("--large adds what takes minutes and gigabytes.")
    return Result(
        "values",
        "The values engine: outputs without a clock",
        ("network", "G MACs", "load s", "run s", "run CPU s", "M MACs/s", "process s", "peak GiB"),
        rows,
        targets,
        notes,
        raw=raw,
    )


def _values_row(name: str, found: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{found['macs'] / 1e9:.2f}",
        f"{found['load']['seconds']:.1f}",
        f"{found['seconds']:.2f}",
        f"{found['cpu_seconds']:.2f}",
        f"{found['macs'] / found['seconds'] / 1e6:,.0f}",
        f"{found['process_seconds']:.1f}",
        f"{gib(found):.2f}",
    ]


def published(quick: bool) -> Result:
    """Published products by hand beside the compiler's, in cycles."""
    del quick
    from benchmarks.published import measure

    rows = measure()
    worst = max(float(row[-1]) for row in rows)
    return Result(
        "published",
        "Published products: by hand and compiled, in cycles",
        ("program", "product", "by hand", "compiled", "compiled over hand"),
        rows,
        [Target("compiled over hand, the largest", worst, 1.01, "times")],
        ["MeshGEMM and MeshGEMV are in docs/published/; operands are outside the fabric before."],
        left=2,
        raw=rows,
    )


# The engine first: it leaves its compiled code on disk, and the others start warm.
SUITES: dict[str, Callable[[bool], Result]] = {
    "engine": engine,
    "wafer": wafer,
    "minilm": minilm,
    "text": text,
    "utilisation": utilisation,
    "networks": networks,
    "collectives": collectives,
    "values": values,
    "published": published,
}

# What ``--large`` measures instead.
LARGE: dict[str, Callable[[bool], Result]] = {"values": functools.partial(values, large=True)}

# In full only by name: minutes in which nothing is measured that another machine would change.
BY_NAME = frozenset({"collectives"})
