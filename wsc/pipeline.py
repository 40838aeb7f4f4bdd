"""The compiler from top to bottom: ONNX in, verified program out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsc.cost.model import multiply_accumulates
from wsc.errors import DoesNotFit
from wsc.ir.graph import Constant, Graph
from wsc.ir.tasks import Placed
from wsc.isa.code_size import code_bytes
from wsc.isa.fabric import Fabric
from wsc.isa.program import Program
from wsc.isa.types import DType
from wsc.passes.between import Between
from wsc.passes.blocks import Blocks
from wsc.passes.emit import Emit
from wsc.passes.fit import code_too_long
from wsc.passes.layers import find_layers
from wsc.passes.memory import Allocate, check_room_for_code
from wsc.passes.place import Place
from wsc.passes.route import AssignColors
from wsc.passes.simplify import Simplify
from wsc.passes.stage import Pass, Stage, run
from wsc.passes.steps import Residence, TakeSteps
from wsc.passes.tokens import Tokens

Observer = Callable[[str, Stage], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the pipeline gives: the program, and the constants that its weights name.

    files: those that the model was read from.
    """

    program: Program
    constants: tuple[Constant, ...]
    fabric: Fabric
    files: tuple[Path, ...] = ()


def passes(
    fabric: Fabric,
    precision: DType,
    model: str,
    same_order: bool = False,
    alike: bool = True,
    work: int | None = None,
    residence: Residence | None = None,
) -> tuple[Pass[Any, Any], ...]:
    """The passes, in order, each with its reason for standing there.

    alike: whether layers that repeat are laid out alike. work: multiply-accumulates of the
    network, for its reports. residence: what stays on the fabric from step to step.
    """
    resident = residence is not None and residence.weights
    handed = residence.carried if residence is not None and resident else ()
    carried = frozenset(name for name, _ in handed)
    return (
        Simplify(),  # first: fewer, larger nodes, so that layouts are chosen for what remains
        Tokens(fabric),  # batch and sequence as one, before layouts of attention are looked for
        Blocks(fabric),  # what no layout can hold as a whole, before layouts are chosen
        Between(),  # what rotates queries and keys, once it is known how attention wants them
        # Layouts before addresses: sizes in each tile follow from layouts.
        Place(fabric, same_order, alike, resident, carried),
        # What is done once before addresses: it is there all the time.
        *([] if residence is None else [TakeSteps(residence)]),
        Allocate(fabric),  # addresses before kernels: instructions name them
        Emit(fabric, precision, model, work),  # kernels and the streams that they consume
        AssignColors(fabric),  # routes last: which flows exist is known when all kernels are
    )


def run_passes(
    graph: Graph,
    fabric: Fabric,
    precision: DType,
    model: str,
    observe: Observer | None = None,
    same_order: bool = False,
    residence: Residence | None = None,
) -> Compiled:
    """Lower a graph to a verified program.

    same_order, residence: see ``wsc.compile``.

    observe: called with each pass's name and result, ``import`` first.

    Raises:
        CompileError: something does not fit or cannot be lowered.
        AssemblyError: the verifier refuses the result, which is a defect of the compiler.
    """
    try:
        return _run(graph, fabric, precision, model, observe, same_order, residence, True)
    except DoesNotFit as error:
        # Layers that are all laid out alike may take more of a tile than each in its own way.
        if not find_layers(Simplify().apply(graph)):
            raise
        try:
            return _run(graph, fabric, precision, model, observe, same_order, residence, False)
        except DoesNotFit:
            raise error from None


def _run(
    graph: Graph,
    fabric: Fabric,
    precision: DType,
    model: str,
    observe: Observer | None,
    same_order: bool,
    residence: Residence | None,
    alike: bool,
) -> Compiled:
    from wsc.isa.verifier import verify

    stage: Stage = graph
    if observe is not None:
        observe("import", stage)
    work = multiply_accumulates(graph)
    for step in passes(fabric, precision, model, same_order, alike, work, residence):
        try:
            stage = run(step, stage)
        except DoesNotFit as error:
            if not isinstance(stage, Placed):
                raise
            emit = Emit(fabric, precision, model)
            raise _code_too_long(stage, fabric, emit) or error from None
        if observe is not None:
            observe(step.name, stage)
    assert isinstance(stage, Program)
    check_room_for_code(stage, fabric)
    verify(stage, fabric)
    return Compiled(stage, graph.constants, fabric, graph.files)


def _code_too_long(placed: Placed, fabric: Fabric, emit: Emit) -> DoesNotFit | None:
    """What to say of values that do not fit if the code alone does not: no more tiles help then."""
    program = emit.apply(Allocate(fabric, limited=False).apply(placed))
    code = max(code_bytes(program, fabric).values(), default=0)
    return code_too_long(program, fabric, code) if code > fabric.sram_bytes else None


def compile_model(
    model: Path,
    fabric: Fabric,
    *,
    dims: dict[str, int] | None = None,
    bind: dict[str, np.ndarray] | None = None,
    precision: DType = DType.F32,
    observe: Observer | None = None,
) -> Compiled:
    """Compile an ONNX file for a fabric whose size is the mesh to use."""
    from wsc.frontend import import_onnx

    graph = import_onnx(model, dims, bind, precision)
    return run_passes(graph, fabric, precision, str(model), observe)
