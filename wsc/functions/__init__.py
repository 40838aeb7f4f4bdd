"""What a command does, in one call: run, estimate or check a program or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from wsc.api import Program, load
from wsc.api import compile as compile_model
from wsc.errors import CompileError
from wsc.isa.shown import Facts, Shown

if TYPE_CHECKING:
    from typing import Unpack

    import numpy as np
    import onnx_ir as ir
    from onnx import ModelProto

    from wsc.isa.fabric import Fabric
    from wsc.isa.program import Number
    from wsc.runs import Run, RunOptions, ValuesOptions, ValuesRun
    from wsc.views.estimate import Estimate

    Runnable = Program | str | PathLike[str] | bytes | ModelProto | ir.Model
    """A program, the path of one (FILE.wsa), or a model as ``wsc.compile`` takes it."""

    Machine = str | PathLike[str] | tuple[int, int] | Fabric

ASSEMBLY = ".wsa"


@dataclass(frozen=True, slots=True, repr=False)
class Findings(Shown):
    """What ``wsc.check`` has found; it is true if nothing stops the program or model.

    problems: of each what and where it is. program: that was made, if there are none.
    """

    problems: tuple[str, ...]
    program: Program | None = None

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(self.problems) or "OK"

    def _facts(self) -> Facts:
        program = [] if self.program is None else [("program", repr(self.program))]
        return [("problems", str(len(self.problems))), *program, *[("", t) for t in self.problems]]


@overload  # the more special one first: "values" is a str too
def run(  # pyright: ignore[reportOverlappingOverload]
    program: Runnable,
    inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
    *,
    engine: Literal["values"],
    seed: int | None = None,
    fabric: Machine | None = None,
    settings: Mapping[str, Number] | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
    **options: Unpack[ValuesOptions],
) -> ValuesRun: ...


@overload
def run(
    program: Runnable,
    inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
    *,
    engine: str | None = None,
    seed: int | None = None,
    fabric: Machine | None = None,
    settings: Mapping[str, Number] | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
    **options: Unpack[RunOptions],
) -> Run: ...


def run(
    program: Runnable,
    inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
    *,
    engine: str | None = None,
    seed: int | None = None,
    fabric: Machine | None = None,
    settings: Mapping[str, Number] | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> Run | ValuesRun:
    """Run a program, or compile a model and run it.

    program: a ``Program``, the path of one (FILE.wsa), or a model as ``compile`` takes it. inputs:
    arrays by name; the array alone where there is one input. seed: inputs that are not given are
    drawn from it. fabric, settings: the machine to compile a model for, or to put a program
    on; dims, precision, bind: of a model; all as for ``compile``. engine, options: as for
    ``Program.run``.

    Raises:
        InputError: an input is missing, unknown, or of the wrong shape or type.
        AssemblyError, CompileError, FabricError: as ``load`` and ``compile``.
        RuntimeFault: the run did not end well.
    """
    made = _made(program, fabric, settings, dims, precision, bind)
    given: Any = inputs
    if seed is not None:
        named = {} if inputs is None else made.named(inputs)
        given = {**made.draw(seed), **named}
    return made.run(given, engine=engine, **options)


def estimate(
    program: Runnable,
    *,
    fabric: Machine | None = None,
    settings: Mapping[str, Number] | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
) -> Estimate:
    """What the cost model predicts of a run: cycles, bounds, energy, a row for each kernel.

    The arguments are those of ``run``.

    Raises:
        CompileError: as ``compile``; or there is no formula for what the program does, as a
            hand-written one may.
        AssemblyError, FabricError: as ``load`` and ``compile``.
    """
    return _made(program, fabric, settings, dims, precision, bind).estimate()


def check(
    program: Runnable,
    *,
    fabric: Machine | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str | None = None,
    bind: Mapping[str, np.ndarray] | None = None,
) -> Findings:
    """Everything that is wrong with a program, or that would stop a model, at once.

    The arguments are those of ``run``.

    Raises:
        CompileError: there is no such file, or it is no model; options of models for a program.
        FabricError: there is no such fabric.
    """
    from wsc.isa.diagnostics import AssemblyError

    if _is_program(program):
        try:
            return Findings((), _made(program, fabric, None, dims, precision, bind))
        except AssemblyError as error:
            return Findings(tuple(item.render() for item in error.diagnostics))
    from wsc.functions.obstacles import obstacles

    found, made = obstacles(program, fabric, dims or {}, bind or {}, precision or "f32")
    return Findings(tuple(found), made)


def _is_program(program: Any) -> bool:
    """Whether it is assembly, and no model."""
    if isinstance(program, (str, PathLike)):
        return Path(fspath(program)).suffix == ASSEMBLY
    return isinstance(program, Program)


def _made(
    program: Any,
    fabric: Machine | None,
    settings: Mapping[str, Number] | None,
    dims: Mapping[str, int] | None,
    precision: str | None,
    bind: Mapping[str, np.ndarray] | None,
) -> Program:
    """The program that is meant, on its machine."""
    if not _is_program(program):
        return compile_model(program, fabric, dims, precision or "f32", bind, settings=settings)
    models = {"dims": dims, "precision": precision, "bind": bind}
    given = [name for name, value in models.items() if value]
    if given:
        raise CompileError(
            f"{', '.join(given)}: of models; a program has been compiled with its own"
        )
    loaded = program if isinstance(program, Program) else load(program)
    return loaded.on(fabric, settings)
