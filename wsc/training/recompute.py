"""What a step keeps of the layers of its forward pass, where, and what it computes again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from wsc.errors import CompileError, DoesNotFit, shortened
from wsc.ir.graph import Concat, Keep, Move, Node
from wsc.isa.fabric import Fabric
from wsc.isa.program import Kind, Program
from wsc.isa.sections import room_bytes
from wsc.passes.depth import Deep
from wsc.passes.simplify import Simplify
from wsc.pipeline import Compiled
from wsc.training.step import LOSS, Step

NONE, LAYERS, EDGE, AUTO = "none", "layers", "edge", "auto"
CHOICES = (NONE, LAYERS, EDGE, AUTO)
SURELY = 2  # times all SRAM: what is kept has no room then, however it is laid out
MUCH = 1 / 8  # of all SRAM, for what layers hand on: it is first seen what is left without it
PACKED = 0.95  # of the bytes up to the highest address, at least, are taken at one time


def require_choice(recompute: str) -> None:
    """Raise CompileError for what is none of the choices."""
    if recompute not in CHOICES:
        raise CompileError(f"recompute is {', '.join(CHOICES)}, not {shortened(recompute)!r}")


def lowered_step(
    step: Step, recompute: str, lower: Callable[[Step], Compiled], fabric: Fabric | None = None
) -> tuple[Compiled, str]:
    """The program of a step, and a sentence on what becomes of its activations.

    recompute: ``none`` keeps all of them until the backward pass. ``layers`` keeps what one layer
    hands to the next, and computes each layer again before its backward pass. ``edge`` does so too,
    and what is handed on leaves at the edge and comes back. ``auto`` takes the first of these that
    fits: what is kept need not be computed again, and what stays need not leave. Where layers hand
    on much, ``edge`` is tried before ``layers``: what it takes says whether more has room.
    lower: compiles a step. fabric: for which one, if that is known: where what would be kept is
        larger than all of its SRAM, ``auto`` does not try it.

    The sentence is empty for a model without layers that repeat.

    Raises:
        DoesNotFit: none fits, or the one that was asked for does not.
        CompileError: ``layers`` or ``edge`` for a model that has none that repeat.
    """
    require_choice(recompute)
    layers = step.layers
    if recompute in (LAYERS, EDGE) and not layers:
        raise CompileError(
            "recompute: the model has no layers that repeat, so there are none to compute again"
        )
    ways = (recompute,)
    if recompute == AUTO:
        ways = (NONE, LAYERS, EDGE) if layers else (NONE,)
        if layers and fabric is not None and _beyond(step, fabric):
            ways = ways[1:]
    made = {NONE: step}
    if layers:
        made |= {LAYERS: step.recomputing(), EDGE: step.recomputing(away=True)}

    @cache
    def tried(way: str) -> Compiled | DoesNotFit:
        """The program of one of the ways. What is computed again is no useful work."""
        try:
            compiled = lower(made[way])
        except DoesNotFit as error:
            return error
        if way == NONE:
            return compiled
        return replace(compiled, program=compiled.program.with_(work=step.work))

    refused: DoesNotFit | None = None
    for way in ways:
        if way == LAYERS and EDGE in ways and fabric is not None and _much(made[EDGE], fabric):
            apart = tried(EDGE)
            if isinstance(apart, Compiled) and _no_room_for_kept(apart.program, fabric):
                continue
        found = tried(way)
        if isinstance(found, Compiled):
            return found, _said(way, layers, found.program, recompute == AUTO)
        found.__cause__ = refused
        refused = found
    assert refused is not None
    raise refused


def _much(step: Step, fabric: Fabric) -> bool:
    """Whether what layers hand on, and sent to the edge takes no room, is much of all SRAM."""
    return _kept_bytes(step) > MUCH * fabric.sram_bytes * fabric.width * fabric.height


def _kept_bytes(step: Step) -> int:
    """What layers hand on, in all tiles together."""
    deep = step.deep
    graph = step.graph if deep is None else deep.few
    return sum(
        _times(deep, node) * node.type.size * node.type.dtype.bytes
        for node in graph.nodes
        if isinstance(node.op, Keep)
    )


def _no_room_for_kept(program: Program, fabric: Fabric) -> bool:
    """Whether what layers hand on has no room beside all that a step has without it.

    program: of the step in which it leaves at the edge. Without its code, and without as many bytes
    as three layers hand on: one comes back, and is copied where the layer was handed it.
    """
    kept = [tensor for tensor in program.edge_tensors if tensor.kind is Kind.KEPT]
    each = [tensor.bytes for tensor in kept]
    beside = sum(each) - 3 * max(each, default=0)
    values = max(t.address + t.bytes for t in program.tensors) - room_bytes(program)
    return PACKED * values + beside / (fabric.width * fabric.height) > fabric.sram_bytes


def _times(deep: Deep | None, node: Node) -> int:
    """How many nodes of all layers one stands for."""
    return 1 if deep is None or deep.cut is None else deep.cut.times(node)


def _said(way: str, layers: int, program: Program, chosen: bool) -> str:
    """What becomes of the activations. chosen: it was not asked for."""
    if way == NONE:
        return f"the activations of {layers} layers are kept" if layers else ""
    again = f"the activations of {layers} layers are computed again in the backward pass"
    if way == LAYERS:
        return f"{again}: kept, they do not fit" if chosen else again
    size = sum(tensor.bytes for tensor in program.edge_tensors if tensor.kind is Kind.KEPT)
    leaves = f"what layers hand on leaves at the edge and comes back, {size:,} bytes each way"
    return f"{again}; {leaves}{': there is no room for it' if chosen else ''}"


def _beyond(step: Step, fabric: Fabric) -> bool:
    """Whether a fabric has no room for all that the backward pass reads of the forward pass.

    It is taken for that if even a part of it has none: how much exactly the passes make of it,
    only they can tell.
    """
    step = step.whole or step  # in parts it keeps as much
    deep = step.deep
    graph = step.graph if deep is None else deep.few

    def bytes_of(node: Node) -> int:
        """Of what a node gives, in all layers that it stands for."""
        return _times(deep, node) * node.type.size * node.type.dtype.bytes

    room = SURELY * fabric.sram_bytes * fabric.width * fabric.height
    turn = graph.giver(LOSS)  # behind it a step goes backwards
    if sum(map(bytes_of, graph.nodes[: turn + 1])) <= room:  # most: no pass is needed to see that
        return False
    graph = Simplify().apply(graph)
    turn = graph.giver(LOSS)
    before = {
        node.output: bytes_of(node)
        for node in graph.nodes[: turn + 1]
        if not isinstance(node.op, Move | Concat)
    }
    read = {
        name
        for node in graph.nodes[turn + 1 :]
        if not isinstance(node.op, Move | Concat)
        for name in node.inputs
    }
    return sum(before[name] for name in read & before.keys()) > room
