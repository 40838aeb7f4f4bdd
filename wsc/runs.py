"""Runs of a program that know it: heat maps of them, and their outputs against the model's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsc.comparison.compare import Comparison, Reference, compare_all
from wsc.frontend.source import read_model
from wsc.isa.fabric import Fabric
from wsc.isa.program import Kind, Program
from wsc.isa.shown import table_html
from wsc.runtime.api import RunResult, ValuesResult
from wsc.runtime.errors import Deadlock
from wsc.runtime.store import as_array
from wsc.views.maps import HeatMap, heat_map

if TYPE_CHECKING:
    import onnx_ir as ir
    from onnx import ModelProto

__all__ = ["Comparisons", "Deadlock", "Ran", "Run", "ValuesRun", "known_run"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What was run: the program on its machine, with these inputs."""

    program: Program
    fabric: Fabric
    inputs: Mapping[str, Any]


class Comparisons(tuple[Comparison, ...]):
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

    def __repr__(self) -> str:
        return "\n".join(f"{head} {text}" for head, text in self._facts())

    def _repr_html_(self) -> str:
        return table_html(self._facts())


@dataclass(frozen=True, slots=True, repr=False)
class Run(RunResult):
    """A run of ``wsc.Program.run``: outputs, cycles and counters, and views of them."""

    ran: Ran | None = field(default=None, compare=False)

    def heatmap(self, kind: str = "busy") -> HeatMap:
        """A number for each tile: ``grid`` has them; shown, it is a map in characters or a picture.

        kind: ``busy`` or ``stall``, cycles of main threads; ``links``, wavelets over the busiest
        link; ``sram``, bytes.

        Raises:
            CompileError: there is no such kind.
        """
        assert self.ran is not None
        return heat_map(kind, self.ran.program, self.ran.fabric, self.counters)

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
