"""``python -m benchmarks.predictions``: kernels on large meshes, predicted and run.

Each kernel alone, with short streams; the engine that computes cycles alone runs them. It takes
minutes for a mesh of more than 20,000 tiles, so that ``--mesh`` and ``--kernel`` choose some.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.agreement import compared
from benchmarks.agreement import write as write_agreement
from tests.cost.cases import Feeds, single
from tests.fabric import build
from tests.frontend.cases import floats, ints, model_of, node
from wsc.cost.agreement import Checked, Pair, load
from wsc.cost.predict import predict
from wsc.isa.types import DType

# Long rows, long columns, squares.
MESHES = ("750x4", "200x4", "100x16", "64x64", "64x375", "375x64", "128x128", "256x256", "750x994")
PRECISION = "f16"
Build = Callable[[], tuple[onnx.ModelProto, Feeds]]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A model of one operator, for a mesh of ``width`` x ``height`` tiles."""

    name: str
    build: Callable[[int, int], Build]


def _product(tokens: int, inner: int, outer: int) -> Build:
    return single("MatMul", [(tokens, inner)], {"x1": floats(inner, outer)})


def _gather(width: int, height: int) -> Build:
    """Rows of a tensor on the fabric, by numbers that a run tells."""
    feeds = {"x0": floats(16, 2 * width), "x1": ints(2, height, low=-16, high=16)}
    return lambda: (model_of([node("Gather", 2, 1, axis=0)], feeds, {}, ("y0",)), feeds)


def _scatter(width: int, height: int) -> Build:
    """Rows added to those of a tensor on the fabric, by numbers that a run tells."""
    rows = ints(height, 1, low=-16, high=16).astype(np.int64)
    feeds = {"x0": floats(16, 2 * width), "x1": rows, "x2": floats(height, 2 * width)}
    made = node("ScatterND", 3, 1, reduction="add")
    return lambda: (model_of([made], feeds, {}, ("y0",)), feeds)


def _lookup(width: int, height: int) -> Build:
    """Rows of a table outside the fabric."""
    feeds = {"x0": ints(1, height, low=-90, high=90)}

    def build() -> tuple[onnx.ModelProto, Feeds]:
        made = helper.make_node("Gather", ["table", "x0"], ["y0"], name="/embed")
        model = model_of([made], feeds, {}, ["y0"])
        model.graph.initializer.append(numpy_helper.from_array(floats(100, 2 * width), "table"))
        return model, feeds

    return build


KERNELS = (
    Kernel("product", lambda w, h: _product(h, 768, 768)),
    Kernel("product, few tokens", lambda w, h: _product(min(h, 16), 768, 768)),
    Kernel("product, wide", lambda w, h: _product(h, w + w // 3, w + w // 3)),
    Kernel("product of inputs", lambda w, h: single("MatMul", [(2, h, 32), (2, 32, w)])),
    Kernel(
        "convolution",
        lambda w, h: single("Conv", [(1, 8, h, w)], {"x1": floats(8, 8, 3, 3)}, pads=[1, 1, 1, 1]),
    ),
    Kernel("sum of rows", lambda w, h: single("ReduceMean", [(h, 2 * w)], axes=[1])),
    Kernel("sum of columns", lambda w, h: single("ReduceMean", [(2 * h, w)], axes=[0])),
    Kernel("softmax", lambda w, h: single("Softmax", [(h, 2 * w)])),
    Kernel("transpose", lambda w, h: single("Transpose", [(h, w)], perm=[1, 0])),
    Kernel(
        "pool",
        lambda w, h: single("MaxPool", [(1, 8, 2 * h, w)], kernel_shape=[2, 2], strides=[2, 2]),
    ),
    Kernel("gather", _gather),
    Kernel("scatter", _scatter),
    Kernel("lookup", _lookup),
)


@click.command()
@click.option("--mesh", "meshes", multiple=True, default=MESHES, metavar="WxH", show_default=True)
@click.option("--kernel", "kernels", multiple=True, help="Those whose names begin so.")
@click.option("--measured", is_flag=True, help="Predict anew; run only what the table has not.")
@click.option("--write", is_flag=True, help="Put what was found into the table and its page.")
def main(meshes: tuple[str, ...], kernels: tuple[str, ...], measured: bool, write: bool) -> None:
    """Predict kernels on large meshes, run them, compare."""
    known = {(item.network, item.fabric): item for item in load().meshes}
    for mesh in meshes:
        width, height = map(int, mesh.split("x"))
        for kernel in KERNELS:
            if kernels and not kernel.name.startswith(kernels):
                continue
            model, feeds = kernel.build(width, height)()
            program = build(model, mesh, DType(PRECISION))
            if measured and (kernel.name, mesh) in known:
                cycles = predict(program.assembly, program.fabric).cycles
                found = replace(known[kernel.name, mesh], predicted=cycles)
                click.echo(f"{kernel.name}, {mesh}: {_told(Pair('', cycles, found.measured))}")
                if write:
                    _write(found)
                continue
            started = time.process_time()
            whole, calls = compared(program, feeds, {"engine": "time"})
            spent = time.process_time() - started
            found = Checked(kernel.name, mesh, PRECISION, whole.predicted, whole.measured)
            click.echo(f"{kernel.name}, {mesh}: {_told(whole)}, {spent:.0f} CPU s")
            for pair in calls:
                if not pair.agrees:
                    click.echo(f"  {pair.name}: {_told(pair)}")
            if write:
                _write(found)


def _write(found: Checked) -> None:
    """Put a row into the table, in the order of meshes and kernels.

    A run may take minutes: what it found is not lost with the next one.
    """
    agreement = load()
    rows = {(item.network, item.fabric): item for item in agreement.meshes}
    rows[found.network, found.fabric] = found
    names = [kernel.name for kernel in KERNELS]
    ordered = sorted(
        rows.values(), key=lambda row: (MESHES.index(row.fabric), names.index(row.network))
    )
    write_agreement(replace(agreement, meshes=tuple(ordered)))


def _told(pair: Pair) -> str:
    off = pair.predicted / max(pair.measured, 1) - 1
    return f"{pair.predicted:,}, {pair.measured:,} measured, {off:+.1%}"


if __name__ == "__main__":
    main()
