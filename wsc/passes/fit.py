"""What to say of a program that does not fit: what takes the bytes, and what would make it fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wsc.errors import DoesNotFit, shortened
from wsc.ir.graph import Type
from wsc.ir.layout import Mesh, local_size
from wsc.ir.tasks import Load, Placed, scratch
from wsc.isa.fabric import Fabric
from wsc.isa.program import Kind, Program
from wsc.isa.shown import named
from wsc.passes.contraction import Choice, out_bytes
from wsc.views.inspect import sram_kinds
from wsc.views.parts import code_of_layers

FEW = 3  # buffers of a kind that are named
VALUES, WEIGHTS, SCRATCH = "values", "weights", "scratch of one kernel"
LONG_CODE = (
    "the code is as long on any number of tiles: compile a part of the model, or a shorter sequence"
)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of SRAM that something takes, and the nodes that it is for."""

    kind: str
    nodes: tuple[str, ...]
    bytes: int


def kinds_of(placed: Placed) -> dict[str, str]:
    """What each buffer of a placed program is for."""
    weights = {item.name for item in placed.edge_tensors if item.kind is Kind.WEIGHT}
    found = {buffer.name: VALUES for buffer in placed.buffers}
    for task in placed.tasks:
        found |= dict.fromkeys(scratch(task), SCRATCH)
        if isinstance(task, Load) and task.source in weights:
            found[task.out.buffer] = WEIGHTS
    return found


def values_too_large(
    placed: Placed, fabric: Fabric, nodes: tuple[str, ...], held: Iterable[Held], top: int
) -> DoesNotFit:
    """The values alone do not fit.

    nodes: of the fullest task. held: what is alive there. top: bytes that it takes, with what lies
    between.
    """
    more = max(math.ceil(top / fabric.sram_bytes), 2)
    return DoesNotFit(
        f"node '{named(nodes)}': the values alive there need {top} bytes of each "
        f"tile, but a tile of fabric '{fabric.name}' has {fabric.sram_bytes}: {_listed(held)}; "
        f"use more tiles (now {placed.mesh.width}x{placed.mesh.height}), about {more} times as "
        f"many{_smaller(placed)}"
    )


def no_layout(
    nodes: tuple[str, ...],
    fabric: Fabric,
    mesh: Mesh,
    choice: Choice | None,
    operands: Sequence[tuple[str, Type]],
    out: Type,
    streamed: bool,
) -> DoesNotFit:
    """No form of a contraction fits.

    choice: the smallest one, None if there is no form. operands: names and types of those that are
    in SRAM. out: type of the result. streamed: whether the other operand comes from the edge.
    """
    head = (
        f"node '{named(nodes)}': no layout of its operands and result fits the "
        f"{fabric.sram_bytes} bytes of a tile on {mesh.width}x{mesh.height} tiles"
    )
    if choice is None:
        return DoesNotFit(f"{head}; use more tiles")
    layouts = (choice.a, *(() if streamed else (choice.b,)))
    parts = [
        f"{local_size(layout) * type_.dtype.bytes} for '{shortened(name, 80)}' {list(type_.shape)}"
        for (name, type_), layout in zip(operands, layouts, strict=True)
    ]
    result = local_size(choice.out) * out_bytes(out.dtype)
    parts.append(f"{result} for the result {list(out.shape)} and its sums")
    more = max(math.ceil(choice.bytes / fabric.sram_bytes), 2)
    return DoesNotFit(
        f"{head}: the smallest takes {choice.bytes}, {', '.join(parts)} among them; use more tiles "
        f"(about {more} times as many), or fewer tokens"
    )


def _smaller(placed: Placed) -> str:
    floats = [buffer.dtype for buffer in placed.buffers if buffer.dtype.is_float]
    wide = floats and all(dtype.bytes == 4 for dtype in floats)
    return ", fewer tokens or a smaller precision" if wide else ", or fewer tokens"


def _listed(items: Iterable[Held]) -> str:
    """``40,960 of values (32,768 of 'logits', ...), 512 of weights (512 of 'ln_f')``."""
    kinds: dict[str, dict[str, int]] = {}
    for item in items:
        sizes, shown = kinds.setdefault(item.kind, {}), named(item.nodes)
        sizes[shown] = sizes.get(shown, 0) + item.bytes
    order = sorted(kinds, key=lambda kind: -sum(kinds[kind].values()))
    return ", ".join(
        f"{sum(kinds[kind].values())} of {kind} ({_few(kinds[kind])})" for kind in order
    )


def _few(nodes: Mapping[str, int]) -> str:
    largest = sorted(nodes.items(), key=lambda item: -item[1])
    named = [f"{size} for '{shortened(node, 80)}'" for node, size in largest[:FEW]]
    return ", ".join(named + (["..."] if len(largest) > FEW else []))


def no_room_for_code(program: Program, fabric: Fabric, code: int) -> DoesNotFit:
    """Values and code do not fit together; ``code`` bytes of it."""
    top = max(program.tensors, key=lambda t: (t.address + t.bytes, t.bytes) if t.nodes else (0, 0))
    kinds = sram_kinds(program, fabric)
    data = kinds.values + kinds.weights
    text, layers = _code(program, fabric, code, data)
    advice = f"use more tiles (now {program.width}x{program.height}) or a smaller precision"
    if code > fabric.sram_bytes // 2:
        advice = layers or LONG_CODE
    parts = [f"{kinds.values} of values"] + ([f"{kinds.weights} of weights"] * bool(kinds.weights))
    held = ", ".join([*parts, text])
    return DoesNotFit(
        f"node '{named(top.nodes)}': {data} bytes of values and {code} bytes of code are "
        f"{data + code}, but a tile of fabric '{fabric.name}' has {fabric.sram_bytes}: {held}; "
        f"{advice}"
    )


def code_too_long(program: Program, fabric: Fabric, code: int) -> DoesNotFit:
    """The code alone does not fit, so that no more tiles help."""
    text, layers = _code(program, fabric, code, 0)
    return DoesNotFit(
        f"{code} bytes of code alone do not fit into the {fabric.sram_bytes} of a tile of fabric "
        f"'{fabric.name}': {text}; {layers or LONG_CODE}"
    )


def _code(program: Program, fabric: Fabric, code: int, data: int) -> tuple[str, str]:
    """What the code consists of, and how many layers would fit, if it has some."""
    layers = code_of_layers(program, fabric)
    layers.pop("", None)
    if len(layers) < 2:
        return f"{code} of code", ""
    each = max(layers.values())
    shared = code - sum(layers.values())
    text = f"{code} of code ({each} in each of {len(layers)} layers, {shared} in what they share)"
    fit = (fabric.sram_bytes - data - shared) // each
    if fit < 1:
        return text, ""
    return text, f"the code is as long on any number of tiles: about {fit} layers would fit"
