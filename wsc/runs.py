"""Runs of a program that know it: heat maps of them, and their outputs against the model's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from wsc.comparison.compare import Comparison, Reference, compare_all
from wsc.errors import CompileError
from wsc.frontend.source import read_model
from wsc.isa.fabric import Fabric
from wsc.isa.program import Kind, Program
from wsc.isa.shown import Facts, Shown, few
from wsc.runtime.api import RunResult, ValuesResult
from wsc.runtime.errors import Deadlock
from wsc.runtime.store import as_array
from wsc.views.maps import HeatMap, heat_map

if TYPE_CHECKING:
    import onnx_ir as ir
    from onnx import ModelProto

    from wsc.runtime.runs import Capture, Dump
    from wsc.runtime.trace import TraceRequest

__all__ = [
    "Comparisons",
    "Deadlock",
    "Ran",
    "Run",
    "RunOptions",
    "ValuesOptions",
    "ValuesRun",
    "known_run",
]


class ValuesOptions(TypedDict, total=False):
    """Options of a run for values; see ``wsc.runtime.run``."""

    max_memory: int | None
    progress: Callable[[int, float], None] | None
    compiling: Callable[[str], None] | None
    changed_weights: bool


class RunOptions(ValuesOptions, total=False):
    """Options of a run with a clock, beside its engine; see ``wsc.runtime.run``."""

    delays: int | None
    max_cycles: int | None
    shuffle: int | None
    check_races: bool
    trace: TraceRequest | None
    windows: Sequence[tuple[int, int]]
    causes: bool
    captures: Sequence[Capture]
    dumps: Sequence[Dump]


@dataclass(frozen=True, slots=True, repr=False)
class Ran(Shown):
    """What was run: the program on its machine, with these inputs."""

    program: Program
    fabric: Fabric
    inputs: Mapping[str, Any]

    def _facts(self) -> Facts:
        return [("program", repr(self.program)), ("inputs", few(list(self.inputs)))]


class Comparisons(Shown, tuple[Comparison, ...]):
    """Each output against the reference. It is true if all of them agree."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return all(item.agrees for item in self)

    def _facts(self) -> list[tuple[str, str]]:
        return [
            (
                item.name,
                f"{'agrees' if item.agrees else 'DIFFERS'}: largest error {item.absolute:.3g}, "
                f"{item.relative:.3g} of the largest magnitude; {item.tolerance:g} is allowed",
            )
            for item in self
        ]

    def __str__(self) -> str:
        return "\n".join(f"{head} {text}" for head, text in self._facts())


@dataclass(frozen=True, slots=True, repr=False)
class Run(RunResult):
    """A run of ``wsc.Program.run``: outputs, cycles and counters, and views of them."""

    ran: Ran | None = field(default=None, compare=False)

    def heatmap(self, kind: str = "busy", window: int | None = None) -> HeatMap:
        """A number for each tile: ``grid`` has them; printed, it is a map, in a notebook a picture.

        kind: ``busy`` or ``stall``, cycles of main threads; ``links``, wavelets over the busiest
        link; ``sram``, bytes. window: the number of one of the ``windows`` of the run; None is all
        of it.

        Raises:
            CompileError: there is no such kind or window.
        """
        assert self.ran is not None
        if window is not None and not 0 <= window < len(self.windows):
            known = f"it has {len(self.windows)}" if self.windows else "run with windows=[...]"
            raise CompileError(f"the run has no window {window}: {known}")
        counters = self.counters if window is None else self.windows[window]
        return heat_map(kind, self.ran.program, self.ran.fabric, counters)

    def compare(
        self,
        model: str | PathLike[str] | bytes | ModelProto | ir.Model,
        bind: Mapping[str, np.ndarray] | None = None,
        carry: Mapping[str, str] | None = None,
    ) -> Comparisons:
        """The outputs against those of the model in ONNX Runtime.

        model, carry: as for ``wsc.compile``. bind: inputs that the program was compiled with as
        constants.

        Raises:
            CompileError: ONNX Runtime is missing or does not take the model, or the program is of
                another one.
        """
        return _compare(self, self.ran, model, bind, carry)


@dataclass(frozen=True, slots=True, repr=False)
class ValuesRun(ValuesResult):
    """A run of ``wsc.Program.run`` without a clock."""

    ran: Ran | None = field(default=None, compare=False)

    def compare(
        self,
        model: str | PathLike[str] | bytes | ModelProto | ir.Model,
        bind: Mapping[str, np.ndarray] | None = None,
        carry: Mapping[str, str] | None = None,
    ) -> Comparisons:
        """As that of ``Run``."""
        return _compare(self, self.ran, model, bind, carry)


def known_run(result: RunResult | ValuesResult, ran: Ran) -> Run | ValuesRun:
    """A run that knows its program."""
    kind = Run if isinstance(result, RunResult) else ValuesRun
    return kind(**{item.name: getattr(result, item.name) for item in fields(result)}, ran=ran)


def _compare(
    result: RunResult | ValuesResult,
    ran: Ran | None,
    model: Any,
    bind: Mapping[str, np.ndarray] | None,
    carry: Mapping[str, str] | None,
) -> Comparisons:
    assert ran is not None
    source = read_model(model)
    tensors = {tensor.name: tensor for tensor in ran.program.shown(Kind.INPUT)}
    inputs = {name: as_array(tensors[name], value) for name, value in ran.inputs.items()}
    inputs |= {name: np.asarray(value) for name, value in (bind or {}).items()}
    with tempfile.TemporaryDirectory(prefix="wsc-") as folder:
        if not isinstance(source, Path):  # ONNX Runtime takes files, with weights beside them
            path = Path(folder) / "model.onnx"
            path.write_bytes(source.SerializeToString())
            source = path
        reference = Reference(source)
        reference.require(list(inputs), list(result.outputs))
        precision = ran.program.precision
        compared, _ = compare_all(reference, result.outputs, inputs, precision, carry or {})
    return Comparisons(compared)
