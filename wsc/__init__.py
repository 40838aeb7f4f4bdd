"""wsc: a compiler tool chain for wafer-scale machines.

program = wsc.compile("model.onnx", fabric="16x16")   # an ONNX model becomes assembly
program.save("model.wsa")                             # a text, and its weights beside it
program = wsc.load("model.wsa")                       # or one that is saved, or written by hand
result = program.run({"x": array})                    # executed on the simulated fabric
result.outputs["y"], result.cycles
result.compare("model.onnx"), result.heatmap("links")  # against ONNX Runtime; over the tiles
program.estimate(), program.node("conv1"), program.explain("conv1")
wsc.run("model.onnx", seed=1), wsc.estimate("model.onnx"), wsc.check("model.onnx")  # in one call
trainer = wsc.train("model.onnx", loss="mse")          # its weights change, step by step
wsc.sweep("model.onnx", fabric=["4x4", "8x8"])        # every combination, as a table
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing the package costs nothing, so not typing either
if TYPE_CHECKING:
    from wsc.api import Program, compile, load, parse  # noqa: A004
    from wsc.frontend.store import Checkpoint, Seed
    from wsc.functions import Findings, check, estimate, run
    from wsc.isa.fabric import Fabric
    from wsc.runs import Deadlock, Run
    from wsc.steps.trainer import Trainer, train
    from wsc.sweeps import Sweep, sweep

    __version__: str

__all__ = [
    "Checkpoint",
    "Deadlock",
    "Fabric",
    "Findings",
    "Program",
    "Run",
    "Seed",
    "Sweep",
    "Trainer",
    "check",
    "compile",
    "estimate",
    "load",
    "parse",
    "run",
    "sweep",
    "train",
]

# The others are in wsc.api.
_HOMES = {
    "Checkpoint": "wsc.frontend.store",
    "Deadlock": "wsc.runs",
    "Fabric": "wsc.isa.fabric",
    "Findings": "wsc.functions",
    "Run": "wsc.runs",
    "Seed": "wsc.frontend.store",
    "Sweep": "wsc.sweeps",
    "Trainer": "wsc.steps.trainer",
    "check": "wsc.functions",
    "estimate": "wsc.functions",
    "run": "wsc.functions",
    "sweep": "wsc.sweeps",
    "train": "wsc.steps.trainer",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("wsc")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "wsc.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"]
