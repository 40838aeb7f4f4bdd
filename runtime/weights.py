"""Weights: the files beside a program, held to the digests that the program gives for them.

A run does not see what happens to the files meanwhile: they are read whole or, if they would take
too much of the free memory, copied on the disk and mapped there. What was digested is what runs.
A digest costs about a second for each gigabyte: every byte is looked at.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np

from wsc.isa.asked import asked
from wsc.isa.drawing import draw_weight, drawing_key, shifted_key
from wsc.isa.limits import CODE_WORD
from wsc.isa.program import Drawn, EdgeTensor, Kind, Program
from wsc.isa.sections import code_tensors
from wsc.isa.storage import SAFETENSORS, STORAGE
from wsc.runtime.errors import LoadError, place
from wsc.runtime.memory import available_bytes

DRAWN = len(STORAGE)
"""In the engines, the code of what is not stored: after those of all types that may be."""

_SHARE = 4  # weights take no more than this part of the memory that is free
_CHUNK = 1 << 22  # bytes that are copied, or digested, at once
_SHOWN = 12  # digits of a digest in a message


@dataclass(slots=True)
class Mapped:
    """One tensor of the store: a flat array (maybe mapped), and its type on the fabric.

    Of a tensor that is drawn, the array has three numbers of 64 bits: its key, and in double
    precision the mean and the deviation. One whose elements are in another order is held whole.
    """

    tensor: EdgeTensor
    data: np.ndarray

    @property
    def storage(self) -> int:
        """How it is held: the place of its type in ``STORAGE``, or ``DRAWN``."""
        drawn = self.tensor.drawn
        return DRAWN if drawn is not None and not drawn.order else STORAGE.index(self.data.dtype)


def storage_code(name: str) -> int:
    """The code of a type, by the name that safetensors has for it."""
    return STORAGE.index(SAFETENSORS[name])


def _recipe(tensor: EdgeTensor, how: Drawn) -> np.ndarray:
    recipe = np.zeros(3, np.uint64)
    # To begin later is to count from another key.
    recipe[0] = shifted_key(drawing_key(how.seed, tensor.key), how.first)
    recipe[1:] = np.array([how.mean, how.deviation]).view(np.uint64)
    return recipe


def _drawn(tensor: EdgeTensor, how: Drawn) -> np.ndarray:
    """What ``Mapped`` has of a tensor that is drawn."""
    if not how.order:
        return _recipe(tensor, how)
    values = draw_weight(tensor.key, how, math.prod(tensor.shape))
    return values.astype(tensor.dtype.numpy, copy=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor in a safetensors file: the library's name of its type, its shape, first byte."""

    kind: str
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of weights. data: all of its bytes. in_memory: or in a copy on the disk.

    state: its number, size and time of the last change, when it was opened.
    """

    path: Path
    data: np.ndarray
    in_memory: bool
    state: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a program by name. memory: bytes that they take of it."""

    tensors: dict[str, Mapped]
    memory: int


def open_weights(
    program: Program,
    folder: Path,
    changed: bool = False,
    room: int | None = None,
    checkpoint: Path | None = None,
) -> Weights:
    """The weights of a program, from the files in its folder, or in that of a checkpoint.

    changed: take weights whose digest is not the one in the program. room: bytes of memory that
    they may take; None stands for a part of what the machine has free. checkpoint: a folder in
    which files are looked for first.

    Raises:
        LoadError: a file or key is missing, leaves the folder, is too short, has a shape
            other than the program says, or is not the file that the program was saved with.
    """
    wanted = {} if changed else {file.name: file for file in program.files}
    if room is None:
        free = available_bytes()
        room = sys.maxsize if free is None else free // _SHARE
    files: dict[str, WeightFile] = {}
    entries: dict[str, dict[str, Entry]] = {}
    tensors: dict[str, Mapped] = {}
    held = 0
    for number, tensor in enumerate(code_tensors(program), 1):
        words = np.full(math.prod(tensor.shape), CODE_WORD + number, np.int32)
        tensors[tensor.name] = Mapped(tensor, words)
    for tensor in program.edge_tensors:
        if tensor.kind is not Kind.WEIGHT:
            continue
        if tensor.drawn is not None:
            tensors[tensor.name] = Mapped(tensor, _drawn(tensor, tensor.drawn))
            held += tensors[tensor.name].data.nbytes if tensor.drawn.order else 0
            continue
        lead = f"{place(tensor.where)}weight '{tensor.name}'"
        if tensor.file not in files:
            opened = _open(_found(folder, checkpoint, tensor.file, lead), lead, room)
            files[tensor.file] = opened
            room -= opened.data.size if opened.in_memory else 0
            if tensor.file in wanted:
                declared = wanted[tensor.file]
                _require_digest(opened, declared.sha256, place(declared.where))
        opened = files[tensor.file]
        if tensor.byte_offset is None and tensor.file not in entries:
            entries[tensor.file] = _entries(opened, lead)
        data = _elements(tensor, opened, entries.get(tensor.file, {}), lead)
        tensors[tensor.name] = Mapped(tensor, data)
    return Weights(tensors, held + sum(f.data.size for f in files.values() if f.in_memory))


def _found(folder: Path, checkpoint: Path | None, name: str, lead: str) -> Path:
    """The path of a file of the program, in the checkpoint or in the program's folder."""
    if checkpoint is not None and not (folder / name).is_file():
        return _inside(checkpoint, name, lead)
    return _inside(folder, name, lead)


def _inside(folder: Path, name: str, lead: str) -> Path:
    """The path of a file of the program, which is in the program's folder or below it."""
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a circle of links, NUL
        raise LoadError(f"{lead}: {name!r} cannot be read ({error})") from error
    if not inside:
        raise LoadError(f"{lead}: '{name}' leaves the folder {folder}")
    if not path.is_file():
        raise LoadError(
            f"{lead}: no file {path}; one of a checkpoint is found with its folder "
            f"({asked('--checkpoint DIR', 'program.checkpoint')})"
        )
    return path


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _open(path: Path, lead: str, room: int) -> WeightFile:
    """Read a file of at most ``room`` bytes, and copy a larger one to where nobody else can."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size <= max(room, 0):
                return WeightFile(path, np.frombuffer(file.read(), np.uint8), True, _state(found))
            _require_disk(path, found.st_size, lead)
            return WeightFile(path, _copied(file, path), False, _state(found))
    except OSError as error:
        raise LoadError(f"{lead}: {path} cannot be read ({error.strerror or error})") from error


def _beside(path: Path) -> str:
    """The folder for a copy: that of the file, or the one for temporary files."""
    return str(path.parent) if os.access(path.parent, os.W_OK) else tempfile.gettempdir()


def _require_disk(path: Path, size: int, lead: str) -> None:
    """Refuse, before anything is written, a copy that would fill the disk."""
    free = shutil.disk_usage(_beside(path)).free
    if size > free // 2:
        raise LoadError(
            f"{lead}: {path} has {size:,} bytes: that is too much for the memory that is free, and "
            f"a copy would take more than half of the {free:,} bytes that are free on the disk"
        )


def _copied(file: BufferedReader, path: Path) -> np.ndarray:
    """The bytes of a copy that has no name and is gone when nobody uses it; mapped.

    The file itself is not mapped: when another process cuts a mapped file short, to read there is
    a bus error, which ends the process.
    """
    with tempfile.TemporaryFile(dir=_beside(path)) as copy:
        shutil.copyfileobj(file, copy, _CHUNK)
        copy.flush()
        return np.frombuffer(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def _require_digest(opened: WeightFile, wanted: str, lead: str) -> None:
    digest = hashlib.sha256()
    for start in range(0, opened.data.size, _CHUNK):  # in parts, so that Ctrl-C is heard
        digest.update(opened.data[start : start + _CHUNK].data)
    found = digest.hexdigest()
    if found != wanted:
        raise LoadError(
            f"{lead}the weights in {opened.path} are not those that the program was compiled with "
            f"(SHA-256 {found[:_SHOWN]}..., wanted {wanted[:_SHOWN]}...): compile it again, or run "
            "it with changed weights, if they were changed on purpose "
            f"({asked('--changed-weights', 'changed_weights=True')})"
        )


def _entries(opened: WeightFile, lead: str) -> dict[str, Entry]:
    """What the header of a safetensors file says, as its library understands and checks it.

    The library says no byte offsets. But it takes no file in which data overlap or leave holes:
    in the order of their offsets they fill the file behind the header.
    """
    from safetensors import SafetensorError, safe_open

    path = opened.path
    try:
        with safe_open(path, "numpy") as file:
            slices = [(key, file.get_slice(key)) for key in file.offset_keys()]
            found = [(key, item.get_dtype(), tuple(item.get_shape())) for key, item in slices]
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise LoadError(f"{lead}: {path} is not a sound safetensors file ({reason})") from error
    entries: dict[str, Entry] = {}
    start = 8 + int.from_bytes(opened.data[:8].tobytes(), "little")
    for key, kind, shape in found:
        entries[key] = Entry(kind, shape, start)
        start += math.prod(shape) * _bits(kind) // 8
    if start != opened.data.size or _state(path.stat()) != opened.state:
        raise LoadError(f"{lead}: {path} was changed while it was read")
    return entries


def _bits(kind: str) -> int:
    """Bits of an element: ``F32``, ``BF16``, ``F8_E4M3`` say so themselves."""
    digits = re.search(r"\d+", kind)
    return int(digits[0]) if digits else 8  # of BOOL


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the dimensions of one, which move no element."""
    return tuple(size for size in shape if size != 1)


def _elements(
    tensor: EdgeTensor, opened: WeightFile, entries: dict[str, Entry], lead: str
) -> np.ndarray:
    """The elements of one weight, flat, as they are stored."""
    path = opened.path
    if tensor.byte_offset is not None:
        dtype, start = tensor.host, tensor.byte_offset
    else:
        if tensor.key not in entries:
            raise LoadError(f"{lead}: no key '{tensor.key}' in {path}")
        entry = entries[tensor.key]
        if entry.kind not in SAFETENSORS:
            raise LoadError(f"{lead}: elements of type {entry.kind} cannot be served")
        dtype, start = SAFETENSORS[entry.kind], entry.start
        if _plain(entry.shape) != _plain(tensor.shape):
            wanted, there = list(tensor.shape), list(entry.shape)
            raise LoadError(f"{lead}: shape {wanted} wanted, {there} in {path}")
    if dtype not in STORAGE:
        raise LoadError(f"{lead}: elements of type {dtype} cannot be served")
    size = math.prod(tensor.shape) * dtype.itemsize
    if start < 0 or start + size > opened.data.size:
        raise LoadError(f"{lead}: {path} ends before its data")
    return opened.data[start : start + size].view(dtype)
