"""Models that are wrong in one or more ways, made from right ones and a seed.

``mutated(model, inputs, rng)`` gives the bytes of a file and what was done to it. A change of the
structure is one of ``CHANGES``; a change of the bytes may leave no protobuf at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, numpy_helper

from conformance.fuzz import contents, structure
from conformance.fuzz.parts import NotApplicable

# Shares of the models whose bytes are changed, and of those that get initializers first.
BYTES_SHARE, FROZEN_SHARE = 0.1, 0.5

Change = Callable[[ModelProto, random.Random], str]
# Each is as likely as it stands here.
CHANGES: tuple[Change, ...] = (
    *[contents.change_attribute] * 5,
    *[contents.change_shape] * 4,
    *[structure.change_inputs] * 2,
    *[contents.change_stored_value] * 4,
    contents.change_attribute_type,
    contents.change_attribute_set,
    contents.change_element_type,
    contents.change_kind,
    contents.change_stored_size,
    contents.change_stored_shape,
    contents.change_stored_type,
    contents.change_stored_place,
    structure.change_outputs,
    structure.change_nodes,
    structure.change_operator,
    structure.change_nesting,
    structure.change_function,
    structure.change_name,
    structure.change_interface,
    structure.change_version,
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """data: the file. changes: what was done, in order."""

    data: bytes
    changes: tuple[str, ...]


def mutated(model: ModelProto, inputs: Sequence[Any], rng: random.Random) -> Mutant:
    """A changed copy of a model. inputs: arrays for its inputs, some of which become constants."""
    copy = ModelProto()
    copy.CopyFrom(model)
    changes: list[str] = []
    if rng.random() < FROZEN_SHARE:
        changes += _freeze(copy, inputs, rng)
    if rng.random() < BYTES_SHARE:
        data, what = _change_bytes(copy.SerializeToString(), rng)
        return Mutant(data, (*changes, what))
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        changes.append(_change(copy, rng))
    return Mutant(copy.SerializeToString(), tuple(changes))


def _change(model: ModelProto, rng: random.Random) -> str:
    while True:
        change = rng.choice(CHANGES)
        try:
            what = change(model, rng)
        except (NotApplicable, DecodeError):  # nothing to change, or as deep as protobuf goes
            continue
        name = change.__name__.removeprefix("change_").replace("_", " ")
        return f"{name}: {what}"[:160]


def _freeze(model: ModelProto, inputs: Sequence[Any], rng: random.Random) -> list[str]:
    """Some inputs become initializers: the suite's models have few of these."""
    frozen: list[str] = []
    for value, array in zip(list(model.graph.input), inputs, strict=False):
        numeric = isinstance(array, np.ndarray) and array.dtype != object
        if not numeric or not value.type.HasField("tensor_type") or rng.random() < 0.5:
            continue
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        if rng.random() < 0.8:
            model.graph.input.remove(value)
        frozen.append(f"freeze: {value.name}")
    return frozen


# --- bytes ---------------------------------------------------------------------------


def _change_bytes(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """A few changes of the bytes themselves."""
    how = rng.choice(("flip", "cut", "insert", "remove", "repeat", "varint", "noise"))
    place = rng.randrange(len(data))
    size = rng.choice((1, 2, 8, 64))
    if how == "flip":
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 20))):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(changed), "flip bits"
    replaced = {
        "cut": data[:place],
        "insert": data[:place] + rng.randbytes(size) + data[place:],
        "remove": data[:place] + data[place + size :],
        "repeat": data[: place + size] + data[place:],
        "varint": data[:place] + b"\xff" * 9 + b"\x01" + data[place + 1 :],
        "noise": rng.randbytes(size * 8),
    }
    return replaced[how], f"{how} at byte {place}"
