"""The tables of captures, and what a run leaves in them; the SRAM of a tile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsc.runtime.image import Image
from wsc.runtime.reference.compiled import Machine
from wsc.runtime.reference.records import CAPTURE
from wsc.runtime.runs import Capture, Dump


def capture_tables(
    image: Image, captures: Sequence[Capture], now: np.ndarray
) -> dict[str, np.ndarray]:
    """The tables of captures. now: the record that says whether there are some."""
    at = np.full(len(image.code.stays) + 1, -1, np.int64)
    rows = np.zeros(len(captures) + 1, CAPTURE)
    total = 0
    for number, capture in enumerate(captures):
        at[capture.stay] = number
        rows[number] = capture.address >> 2, capture.bytes >> 2, total
        total += image.tiles * (capture.bytes >> 2)
    now["captures"] = int(bool(captures))
    return {"captured_at": at, "capture": rows, "captured": np.zeros(total + 1, np.int32)}


def read_captures(
    image: Image, machine: Machine, captures: Sequence[Capture]
) -> tuple[np.ndarray, ...]:
    """Of each capture the words [tile, word]."""
    found: list[np.ndarray] = []
    for row in machine.capture[: len(captures)].tolist():
        _, words, first = row
        found.append(machine.captured[first : first + image.tiles * words].reshape(-1, words))
    return tuple(found)


def memory_of(image: Image, machine: Machine, dump: Dump) -> np.ndarray:
    """The bytes of a tile's SRAM that the program's data take, as they are now."""
    tile = dump.y * image.program.width + dump.x
    words = machine.sram.reshape(image.tiles, -1)[tile]
    return words.copy().view(np.uint8)
