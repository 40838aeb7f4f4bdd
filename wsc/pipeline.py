"""The compiler from top to bottom: ONNX in, verified program out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np

from wsc.cost.model import multiply_accumulates
from wsc.errors import CompileError, DoesNotFit, shortened
from wsc.ir.cut import Cut, NotAlike
from wsc.ir.forms import AUTO, RESIDENT, SECTIONS, Noted, Wish
from wsc.ir.graph import Constant, Contract, Graph, Move
from wsc.ir.tasks import Placed
from wsc.isa.code_size import block_bytes, code_bytes
from wsc.isa.expr import Int
from wsc.isa.fabric import Fabric
from wsc.isa.machine import strange
from wsc.isa.program import Loop, Program
from wsc.isa.types import DType
from wsc.kernels.library import long_lines
from wsc.passes.between import Between
from wsc.passes.blocks import Blocks
from wsc.passes.depth import Deep, shorten
from wsc.passes.dump import IMPORT, Dump
from wsc.passes.emit import Emit
from wsc.passes.fit import code_too_long
from wsc.passes.heads import Heads
from wsc.passes.layers import find_layers
from wsc.passes.memory import Allocate, check_room_for_code
from wsc.passes.place import Place
from wsc.passes.roll import LAYER
from wsc.passes.route import AssignColors
from wsc.passes.sections import Sections
from wsc.passes.simplify import Simplify
from wsc.passes.stage import Pass, Stage, run
from wsc.passes.steps import Residence, TakeSteps
from wsc.passes.tokens import Tokens

_FORMS: dict[type, str] = {Graph: "a graph", Placed: "a placed program", Program: "a program"}

Observer = Callable[[str, Stage], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the pipeline gives: the program, and the constants that its weights name.

    files: those that the model was read from. noted: how nodes got their forms; nothing where
    compiling went on behind their choice.
    """

    program: Program
    constants: tuple[Constant, ...]
    fabric: Fabric
    files: tuple[Path, ...] = ()
    noted: tuple[Noted, ...] = ()


def passes(
    fabric: Fabric,
    precision: DType,
    model: str,
    same_order: bool = False,
    alike: bool = True,
    work: int | None = None,
    residence: Residence | None = None,
    wishes: tuple[Wish, ...] = (),
    cut: Cut | None = None,
    together: bool = False,
    code: str = AUTO,
) -> tuple[Pass[Any, Any], ...]:
    """The passes, in order, each with its reason for standing there.

    alike: whether layers that repeat are laid out alike. work: multiply-accumulates of the
    network, for its reports. residence: what stays on the fabric from step to step.
    wishes: what is asked of the forms of nodes. cut: layers that the graph is without, and the
    program has. together: no part of a result leaves before all of it is made. code: whether it
    comes in sections.
    """
    together = together or residence is not None  # a step's results are among those of others
    resident = residence is not None and residence.weights
    handed = residence.carried if residence is not None and resident else ()
    carried = frozenset(name for name, _ in handed)
    return (
        Simplify(),  # first: fewer, larger nodes, so that layouts are chosen for what remains
        Tokens(fabric),  # batch and sequence as one, before layouts of attention are looked for
        Heads(
            fabric
        ),  # what no layout can hold as a whole, if that is quicker some heads at a time
        Blocks(fabric),  # what no layout can hold as a whole, before layouts are chosen
        Between(),  # what rotates queries and keys, once it is known how attention wants them
        # Layouts before addresses: sizes in each tile follow from layouts.
        Place(fabric, same_order, alike, resident, carried, wishes, cut, together),
        # What is done once before addresses: it is there all the time.
        *([] if residence is None else [TakeSteps(residence)]),
        Allocate(fabric),  # addresses before kernels: instructions name them
        # Kernels and the streams that they consume.
        Emit(fabric, precision, model, work, long_lines(fabric) if resident else frozenset()),
        Sections(fabric, code),  # code that leaves no room, once it is known how long it is
        AssignColors(fabric),  # routes last: which flows exist is known when all kernels are
    )


def run_passes(
    graph: Graph | Deep,
    fabric: Fabric,
    precision: DType,
    model: str,
    observe: Observer | None = None,
    same_order: bool = False,
    residence: Residence | None = None,
    dump: Dump | None = None,
    wishes: tuple[Wish, ...] = (),
    whole: bool = False,
    code: str = AUTO,
) -> Compiled:
    """Lower a graph to a verified program.

    graph: of all layers, or what stands for a deep network.
    same_order, residence: see ``wsc.compile``. dump: what a pass gave for this graph, where to go
    on from; the passes up to that one are left out. wishes: what is asked of the forms of nodes,
    the last one first. whole: all layers of a deep network go through every pass, as they do where
    nodes are asked for; else a few of them stand for all, if the program is the same. code: see
    ``wsc.passes.sections``.

    observe: called with each pass's name and result, ``import`` first.

    Raises:
        CompileError: something does not fit or cannot be lowered.
        AssemblyError: the verifier refuses the result, which is a defect of the compiler.
    """
    deep = graph if isinstance(graph, Deep) else None
    make = graph.whole if isinstance(graph, Deep) else lambda: graph
    lowered = partial(
        _run,
        fabric,
        precision,
        model,
        observe,
        same_order=same_order,
        residence=residence,
        dump=dump,
        wishes=wishes,
        code=code,
    )
    all_layers = cache(make)
    simplified = cache(lambda: Simplify().apply(all_layers()))
    if not (whole or wishes or dump is not None or residence is not None):
        deep = deep or _deep(all_layers(), simplified())
        while deep is not None:
            try:
                return lowered(deep, alike=True)
            except NotAlike:
                deep = deep.more()  # all blocks, or all layers, tell more
            except DoesNotFit as error:
                if isinstance(graph, Deep) and (error.surely or _too_few(lowered, deep)):
                    raise
                break
    try:
        return lowered(all_layers(), alike=True)
    except DoesNotFit as error:
        simple = simplified()
        # What sends a product out while it is made is code that its store does not need, and
        # layers that are all laid out alike may take more of a tile than each in its own way.
        ways = [(True, True)] if _gives_a_product(simple) else []
        ways += [(False, bool(ways))] if find_layers(simple) else []
        for alike, together in ways:
            try:
                return lowered(all_layers(), alike=alike, together=together)
            except DoesNotFit:
                continue
        raise error from None


def _too_few(lowered: Callable[..., Compiled], deep: Deep) -> bool:
    """Whether not even the few layers of a deep network fit if each is laid out in its own way."""
    if deep.cut is None:  # it has all layers
        return False
    try:
        lowered(deep, alike=False)
    except DoesNotFit:
        return True
    except NotAlike:
        return False
    raise AssertionError("layers that are no loop stand for no others")


def _deep(graph: Graph, simplified: Graph) -> Deep | None:
    """A deep network as a few of its layers; None if it is to be looked at as a whole.

    simplified: the graph, which may have fewer constants then.
    """
    short = shorten(simplified)
    if short is None:
        return None
    few, cut = short
    return Deep(few, cut, multiply_accumulates(graph), lambda: graph)


def _gives_a_product(graph: Graph) -> bool:
    """Whether a product is a graph's only output, in its own shape or another."""
    made = {node.output: node for node in graph.nodes}
    node = made.get(graph.outputs[0].value) if len(graph.outputs) == 1 else None
    while node is not None and isinstance(node.op, Move):
        node = made.get(node.inputs[0])
    return node is not None and isinstance(node.op, Contract)


def _run(
    fabric: Fabric,
    precision: DType,
    model: str,
    observe: Observer | None,
    graph: Graph | Deep,
    *,
    same_order: bool,
    residence: Residence | None,
    dump: Dump | None,
    wishes: tuple[Wish, ...],
    code: str,
    alike: bool,
    together: bool = False,
) -> Compiled:
    from wsc.isa.verifier import verify

    stage: Any  # a pass says itself what it takes
    if isinstance(graph, Deep):
        stage, cut, work = graph.few, graph.cut, graph.work
        constants = (stage if cut is None else cut.with_constants(stage)).constants
    else:
        stage, cut, work = graph, None, multiply_accumulates(graph)
        constants = graph.constants
    files = stage.files
    if observe is not None:
        observe(IMPORT, stage)
    steps = passes(
        fabric, precision, model, same_order, alike, work, residence, wishes, cut, together, code
    )
    if dump is not None:
        stage, steps = _resumed(dump, stage, fabric, steps)
        if wishes and not any(isinstance(step, Place) for step in steps):
            raise CompileError(
                f"{dump.file}: has the forms of nodes in it, so that no other can be asked for"
            )
    noted: tuple[Noted, ...] = ()
    for step in steps:
        try:
            stage = run(step, stage)
        except DoesNotFit as error:
            # Of a few layers, each laid out in its own way, there is no program to look at.
            if not isinstance(stage, Placed) or (isinstance(graph, Deep) and not alike):
                raise
            emit = Emit(fabric, precision, model)
            free = emit.apply(Allocate(fabric, limited=False).apply(stage))
            said = _code_too_long(free, fabric, code) or error
            raise _surely(said, free, fabric) from None
        if isinstance(stage, Placed):
            noted = stage.noted or noted
        if observe is not None:
            observe(step.name, stage)
    assert isinstance(stage, Program)
    try:
        check_room_for_code(stage, fabric)
    except DoesNotFit as error:
        raise _surely(error, stage, fabric) from None
    verify(stage, fabric)
    return Compiled(stage, constants, fabric, files, noted)


def _resumed(
    dump: Dump, graph: Graph, fabric: Fabric, steps: tuple[Pass[Any, Any], ...]
) -> tuple[Stage, tuple[Pass[Any, Any], ...]]:
    """What a dump holds, and the passes behind the one that gave it.

    Raises:
        CompileError: there is no such pass, or it gives something else; the dump is for another
            mesh; what it holds is not what the pass ensures.
    """
    names = [IMPORT, *(step.name for step in steps)]
    if dump.after not in names:
        raise CompileError(
            f"{dump.file}: there is no pass '{shortened(dump.after)}': {', '.join(names)}"
        )
    place = names.index(dump.after)
    wanted = Graph if place == 0 else steps[place - 1].gives
    if not isinstance(dump.stage, wanted):
        raise CompileError(
            f"{dump.file}: pass '{dump.after}' gives {_FORMS[wanted]}, and this is "
            f"{_FORMS[type(dump.stage)]}"
        )
    stage = dump.of({constant.name: constant for constant in graph.constants})
    size = dump.size
    if size not in (None, (fabric.width, fabric.height)):
        raise CompileError(
            f"{dump.file}: is for {size[0]}x{size[1]} tiles, and the fabric has "
            f"{fabric.width}x{fabric.height}"
        )
    other = strange(stage, fabric) if isinstance(stage, Program) else ""
    if other:
        raise CompileError(f"{dump.file}: {other}")
    if isinstance(stage, Placed):  # someone may have changed it; graph and program check the rest
        done = [step for step in steps[:place] if step.gives is Placed]
        for step in done:
            before = graph if step.takes is Graph else stage
            for sentence in step.broken(before, stage):
                raise CompileError(f"{dump.file}: {sentence}")
    return stage, steps[place:]


def _surely(error: DoesNotFit, program: Program, fabric: Fabric) -> DoesNotFit:
    """A refusal that says whether layers each in its own way would not fit either.

    program: with layers that are alike. Their turns one behind the other are code of main then.
    """
    loops = [
        statement
        for region in program.regions
        for statement in region.main
        if isinstance(statement, Loop) and statement.register == LAYER
    ]
    turns = [loop.count.value if isinstance(loop.count, Int) else 1 for loop in loops]
    each = [block_bytes(loop.body, fabric) for loop in loops]
    error.surely = sum(map(mul, turns, each)) > fabric.sram_bytes
    return error


def _code_too_long(program: Program, fabric: Fabric, held: str) -> DoesNotFit | None:
    """What to say of values that do not fit if the code alone does not: no more tiles help then.

    program: as if a tile had as much SRAM as it takes. held: whether code may come in sections.
    """
    if held != RESIDENT:
        program = Sections(fabric, SECTIONS).apply(program)
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
