"""The public API: compile a model, look at the text, save it, run it.

program = wsc.compile("model.onnx", fabric="16x16", dims={"batch": 1})
print(program.text)
run = program.run({"x": array})
run.outputs["y"], run.cycles
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from isa.fabric import Fabric, find_fabric
from isa.program import Program as Assembly
from isa.types import DType
from wsc.errors import CompileError
from wsc.files import appearing
from wsc.ir.graph import Constant
from wsc.pipeline import Compiled, Observer, run_passes

if TYPE_CHECKING:
    from onnx import ModelProto

    from runtime.api import RunResult, ValuesResult

# Rectangles tried, smallest first, when the caller names no fabric.
SIZES = ((4, 4), (8, 8), (12, 12), (16, 16), (24, 24), (32, 32), (48, 48), (64, 64))
WORK_PER_TILE = 100_000  # multiply-accumulates a tile should at most have


@dataclass(slots=True)
class Program:
    """A compiled, or loaded, program.

    assembly: the program as data. folder: where its weights lie, None as long as
    they are only in the model. constants: the tensors that the weights name.
    """

    assembly: Assembly
    fabric: Fabric
    constants: tuple[Constant, ...] = ()
    folder: Path | None = None
    _temporary: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The assembly text."""
        from isa.printer import print_program

        return print_program(self.assembly)

    def save(self, path: str | Path) -> Path:
        """Write the text to ``path`` and the weights beside it (same stem, .safetensors).

        Both files appear complete or not at all. Weights whose data already lie raw in a
        file of the same folder are referred to, not copied.
        """
        from wsc.weights import write_weights

        path = Path(path)
        tensors = write_weights(self.assembly.edge_tensors, self.constants, path)
        self.assembly = replace(self.assembly, edge_tensors=tensors)
        self.folder = path.parent
        _write_whole(path, self.text)
        return path

    @overload
    def run(  # pyright: ignore[reportOverlappingOverload]
        self, inputs: dict[str, np.ndarray] | None = None, *, engine: Literal["values"],
        **options: Any,
    ) -> ValuesResult: ...  # fmt: skip

    @overload
    def run(
        self, inputs: dict[str, np.ndarray] | None = None, *, engine: str | None = None,
        **options: Any,
    ) -> RunResult: ...  # fmt: skip

    def run(
        self, inputs: dict[str, np.ndarray] | None = None, *, engine: str | None = None,
        **options: Any,
    ) -> RunResult | ValuesResult:  # fmt: skip
        """Execute on the simulated fabric; options as in ``runtime.run``.

        Raises:
            InputError: an input is missing, unknown, or of the wrong shape or type.
        """
        from runtime.api import run

        if self.folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="wsc-")
            self.save(Path(self._temporary.name) / "program.wsa")
        return run(
            self.assembly, inputs or {}, weights_dir=self.folder, fabric=self.fabric,
            engine=engine, **options,
        )  # fmt: skip


def _write_whole(path: Path, text: str) -> None:
    try:
        with appearing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CompileError(f"{path}: cannot be written ({error.strerror})") from error


def compile(  # noqa: A001 - the name of the command
    model: str | Path | ModelProto, fabric: str | Fabric | None = None,
    dims: dict[str, int] | None = None,
    precision: str = "f32", bind: dict[str, np.ndarray] | None = None,
    observe: Observer | None = None, same_order: bool = False,
) -> Program:  # fmt: skip
    """Compile an ONNX file, or a model in memory.

    fabric: preset, ``WxH`` tiles of the default preset, a TOML file, or a ``Fabric``; None
    chooses a small rectangle for the model. dims: values of symbolic dimensions.
    bind: inputs baked in as constants. observe: sees the result of each pass.
    same_order: add up each sum of a product or convolution in an order that does not depend on
    where its result lies, so that equal weights give results that are equal to the bit.

    Raises:
        CompileError: the model cannot be read or lowered, or does not fit.
        FabricError: there is no such fabric.
    """
    from wsc.frontend import import_onnx

    if precision not in (DType.F32.value, DType.F16.value):
        raise CompileError(f"precision '{precision}' is not known: f32 or f16")
    kind = DType(precision)
    graph = import_onnx(model, dims, bind, kind)
    name = str(model) if isinstance(model, (str, Path)) else model.graph.name
    if fabric is None:
        return _smallest(graph, kind, name, observe, same_order)
    chosen = find_fabric(fabric) if isinstance(fabric, str) else fabric
    printed = _printed_name(chosen)
    return _program(run_passes(graph, chosen, printed, kind, name, observe, same_order))


def _printed_name(fabric: Fabric) -> str:
    """A preset by name, another description by its path."""
    from isa.fabric import PRESETS

    source = Path(fabric.source)
    return fabric.name if source.parent == PRESETS else fabric.source


def _smallest(
    graph: Any, precision: DType, name: str, observe: Observer | None, same_order: bool
) -> Program:
    """The smallest square on which the model fits and no tile has too much to do."""
    from wsc.cost import multiply_accumulates

    work = multiply_accumulates(graph)
    failure: CompileError | None = None
    for width, height in SIZES:
        last = (width, height) == SIZES[-1]
        if work > WORK_PER_TILE * width * height * 8 and not last:
            continue
        fabric = find_fabric(f"{width}x{height}")
        try:
            compiled = run_passes(graph, fabric, fabric.name, precision, name, observe, same_order)
        except CompileError as error:
            failure = error
            continue
        return _program(compiled)
    assert failure is not None
    raise failure


def _program(compiled: Compiled) -> Program:
    return Program(compiled.program, compiled.fabric, compiled.constants)


def load(path: str | Path) -> Program:
    """Read and verify an assembly file.

    Raises:
        AssemblyError: the text is not a well-formed program (all findings, with carets).
        FabricError: its fabric is not known.
    """
    from isa.parser import parse
    from isa.verifier import verify

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CompileError(f"{path}: cannot be read ({reason})") from error
    assembly = parse(text, str(path))
    fabric = find_fabric(assembly.fabric).sized(assembly.width, assembly.height)
    verify(assembly, fabric)
    return Program(assembly, fabric, folder=path.parent)
