"""Inputs that are drawn for a program that nobody gives any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from wsc.isa.expr import Int, Name
from wsc.isa.program import Kind, Program, Scalar
from wsc.isa.statements import calls, instructions
from wsc.isa.turns import plain_transfers

INTEGER_BOUND = 16  # drawn integers lie below it: small enough for any vocabulary


def draw(assembly: Program, seed: int) -> dict[str, np.ndarray]:
    """Inputs for a program by name; each depends on the seed and on its place alone.

    Floats are from the standard normal distribution, integers from 0 to 15 (and below the rows of
    any table in the weight store and the size of any dimension that indices are checked for),
    booleans either; inputs with "mask" in their name are all ones.
    """
    rows = {tensor.name: tensor.shape[0] for tensor in assembly.edge_tensors if tensor.shape}
    tables = [rows[t.tensor] for t in plain_transfers(assembly) if t.lookup is not None]
    bound = max(min([INTEGER_BOUND, *tables, *_checked_sizes(assembly)]), 1)
    arrays: dict[str, np.ndarray] = {}
    shown = {tensor.name for tensor in assembly.shown(Kind.INPUT)}
    for place, tensor in enumerate(t for t in assembly.edge_tensors if t.kind is Kind.INPUT):
        if tensor.name not in shown:
            continue  # high words, which are part of another input
        random = np.random.default_rng([seed, place])
        dtype = tensor.host
        if "mask" in tensor.name.lower():
            values: Any = np.ones(tensor.shape)
        elif dtype.kind == "b":
            values = random.integers(0, 2, tensor.shape)
        elif dtype.kind in "iu":
            values = random.integers(0, bound, tensor.shape)
        else:
            values = random.standard_normal(tensor.shape)
        arrays[tensor.name] = np.asarray(values).astype(dtype)
    return arrays


def _checked_sizes(assembly: Program) -> Iterator[int]:
    """Sizes of the dimensions for which ``index`` instructions check positions.

    They are numbers, or parameters for which the calls in main give numbers.
    """
    given: dict[tuple[str, str], list[int]] = {}
    bodies = [(procedure.name, procedure.body) for procedure in assembly.procedures]
    bodies += [("", region.main) for region in assembly.regions]
    for _, body in bodies:
        for call in calls(body):
            for name, value in call.arguments:
                if isinstance(value, Int):
                    given.setdefault((call.procedure, name), []).append(value.value)
    for owner, body in bodies:
        for item in instructions(body):
            if item.name in ("index", "i.index", "within"):
                size = item.operands[-1]
                if isinstance(size, Scalar) and isinstance(size.value, Int):
                    yield size.value.value
                elif isinstance(size, Scalar) and isinstance(size.value, Name):
                    yield from given.get((owner, size.value.name), [])
