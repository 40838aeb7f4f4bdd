"""The tasks that ``benchmarks.process`` runs: ``python -m benchmarks.tasks NAME JSON``."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.process import peak_bytes

Task = Callable[..., dict[str, Any]]


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def spent(self) -> dict[str, float]:
        """By the clock, and of the processor: the same where nothing else runs."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
        }


def compile_network(network: str, fabric: str, precision: str, output: str) -> dict[str, Any]:
    """Compile one of the four networks and save it; seconds of the work alone."""
    import wsc
    from tests.networks import NETWORKS

    (chosen,) = [item for item in NETWORKS if item.name == network]
    start = Watch()
    program = wsc.compile(chosen.path, fabric=fabric, dims=dict(chosen.dims), precision=precision)
    program.save(output)
    return {**start.spent(), "lines": len(program.text.splitlines())}


def parse(path: str) -> dict[str, Any]:
    """Parse a saved program; then verify it."""
    from wsc.isa.fabric import find_fabric
    from wsc.isa.parser import parse as parse_text
    from wsc.isa.verifier import verify

    text = Path(path).read_text(encoding="utf-8")
    start = Watch()
    program = parse_text(text, path)
    parsed, start = start.spent(), Watch()
    verify(program, find_fabric(program.fabric).sized(program.width, program.height))
    return {"parse": parsed, "verify": start.spent()}


def run_network(network: str, path: str, precision: str) -> dict[str, Any]:
    """Run a saved program on the network's own input; errors against ONNX Runtime."""
    import wsc
    from tests.networks import NETWORKS
    from wsc.comparison.compare import Reference, compare
    from wsc.isa.types import DType
    from wsc.views.report import busy_shares, kernel_rows, mac_rate

    (chosen,) = [item for item in NETWORKS if item.name == network]
    feeds = chosen.feeds()
    start = Watch()
    program = wsc.load(path)
    run = program.run(feeds)
    spent = start.spent()
    peak = peak_bytes()  # before ONNX Runtime comes in
    reference = Reference(chosen.path)
    expected = reference.run(feeds, list(run.outputs))
    kind = DType(precision)
    errors = {
        name: compare(name, value, expected[name], kind).relative
        for name, value in run.outputs.items()
    }
    assembly = program.assembly
    tiles, rate = assembly.width * assembly.height, mac_rate(program.fabric, kind)
    rows = [
        row.as_dict() | {"shares": dict(busy_shares(row, rate, tiles))}
        for row in kernel_rows(assembly, program.fabric, run.counters.statements)
    ]
    return {
        **spent,
        "cycles": run.cycles,
        "utilization": run.counters.utilization,
        "errors": errors,
        "kernels": rows,
        "counters": run.counters.as_dict(),
        "own_peak_bytes": peak,
    }


def engine(program: str, size: str, count: int, repeats: int, name: str = "time") -> dict[str, Any]:
    """Seconds of a written program: the first run of this process, then CPU seconds of more."""
    start = time.perf_counter()
    from benchmarks.patterns import PATTERNS
    from wsc import runtime

    pattern = PATTERNS[program](size, count)
    image = runtime.load(pattern.program, pattern.fabric)
    loaded = time.perf_counter()
    result = runtime.run(image, pattern.inputs, engine=name)
    first = time.perf_counter() - loaded
    best = math.inf
    for _ in range(repeats):
        watch = Watch()
        runtime.run(image, pattern.inputs, engine=name)
        best = min(best, watch.spent()["cpu_seconds"])
    counters = result.counters
    return {
        "load_seconds": loaded - start,
        "first_seconds": first,
        "cpu_seconds": best,
        "cycles": result.cycles,
        "tiles": counters.busy.size,
        "hops": int(counters.links[..., :4].sum()),
        "links": int(counters.links.sum()),
        "flit_hops": int(counters.dynamic_links[..., :4].sum()),
        "flits": int(counters.dynamic_links[..., 4].sum()),
        "macs": counters.macs_f32 + counters.macs_f16,
    }


def plain(size: str, count: int, repeats: int) -> dict[str, Any]:
    """``streamed fmac`` as a plain compiled loop: its copies and sums, no time and no queues."""
    import numpy as np
    from numba import njit

    from benchmarks.patterns import TOKENS

    width, height = (int(part) for part in size.split("x"))

    @njit  # pyright: ignore[reportUntypedFunctionDecorator]
    def loop(weights: Any, tiles: Any, activations: Any, sums: Any) -> None:
        for x in range(tiles.shape[0]):
            for k in range(len(weights)):
                value = weights[k]
                for y in range(tiles.shape[1]):
                    tiles[x, y, 0] = value  # over the link, and up the ramp
                    tiles[x, y, 1] = tiles[x, y, 0]
                    value = tiles[x, y, 1]
                    for i in range(sums.shape[2]):
                        sums[x, y, i] += activations[x, y, i] * value

    tiles = np.zeros((width, height, 2), np.float32)
    activations = np.full((width, height, TOKENS), 1.5, np.float32)
    sums = np.zeros_like(activations)
    weights = np.linspace(-1, 1, count, dtype=np.float32)
    loop(weights, tiles, activations, sums)
    best = math.inf
    for _ in range(repeats):
        watch = Watch()
        loop(weights, tiles, activations, sums)
        best = min(best, watch.spent()["cpu_seconds"])
    return {"cpu_seconds": best}


def compile_shape(shape: str, fabric: str, output: str) -> dict[str, Any]:
    """Compile one of ``benchmarks.shapes`` and save it."""
    import wsc
    from benchmarks.shapes import SHAPES

    model = SHAPES[shape].model()
    start = Watch()
    program = wsc.compile(model, fabric=fabric, same_order=SHAPES[shape].same_order)
    program.save(output)
    return start.spent()


def compile_digits(fabric: str, output: str) -> dict[str, Any]:
    """Compile the small network that reads digits, and save it."""
    import wsc
    from wsc import models

    start = Watch()
    wsc.compile(Path(models.__file__).parent / "digits.onnx", fabric=fabric).save(output)
    return start.spent()


def values(path: str, repeats: int) -> dict[str, Any]:
    """Runs of a saved program for its outputs, with drawn inputs: the first, and the best."""
    import wsc
    from wsc import runtime

    program = wsc.load(path)
    inputs = program.draw()
    start = Watch()
    image = runtime.load(program.assembly, program.fabric, program.folder, engine="values")
    loaded, start = start.spent(), Watch()
    result = runtime.run(image, inputs, engine="values")
    first, best = start.spent(), start.spent()
    for _ in range(repeats):
        start = Watch()
        result = runtime.run(image, inputs, engine="values")
        best = min(best, start.spent(), key=lambda spent: spent["cpu_seconds"])
    work = result.counters
    return {
        **best,
        "first": first,
        "load": loaded,
        "macs": work.macs_f32 + work.macs_f16,
        "elements": work.elements,
    }


def timed(path: str, name: str) -> dict[str, Any]:
    """One run of a saved program on an engine with a clock, with drawn inputs."""
    import wsc
    from wsc import runtime

    program = wsc.load(path)
    image = runtime.load(program.assembly, program.fabric, program.folder)
    inputs = program.draw()
    start = Watch()
    result = runtime.run(image, inputs, engine=name)
    return {**start.spent(), "cycles": result.cycles}


TASKS: dict[str, Task] = {
    "compile": compile_network,
    "parse": parse,
    "run": run_network,
    "engine": engine,
    "plain": plain,
    "compile_shape": compile_shape,
    "values": values,
    "timed": timed,
    "compile_digits": compile_digits,
}


if __name__ == "__main__":
    found = TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps({"peak_bytes": found.pop("own_peak_bytes", peak_bytes()), **found}))
