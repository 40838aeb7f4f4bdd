"""A program on disk: its text, and its weights beside it; both appear, or neither does.

The text gives the SHA-256 of each file that holds weights, so that a run sees when a file is not
the one that the program was saved with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wsc.errors import CompileError
from wsc.ir.graph import Constant, Member, Raw
from wsc.isa.operands import show_string
from wsc.isa.printer import print_program
from wsc.isa.program import EdgeTensor, Kind, Program, WeightFile
from wsc.store.files import appearing, require_writable

MARK = {"written by": "wsc"}  # metadata of the files of weights


def weights_path(program: Path) -> Path:
    """Where the weights of the program at ``program`` are: its whole name, and an ending."""
    return program.with_name(f"{program.name}.safetensors")


def save_program(
    program: Program, constants: Iterable[Constant], path: Path, inputs: Iterable[Path]
) -> Program:
    """Write the text of a program to ``path`` and what its weights name beside it.

    Data that are stored raw in the program's own folder already, as the external data of a model
    may be, are referred to where they are.

    inputs: files that are read, and never replaced.

    Returns:
        The program that refers to its files, as it is written.

    Raises:
        CompileError: the files cannot, or must not, be written.
    """
    target = weights_path(path)
    read = tuple(inputs)
    places = _Places(path.parent, target.name, {item.name: item for item in constants})
    tensors = tuple(map(places.of, program.edge_tensors))
    if places.arrays:
        _require_ours(target, path, read)
    paths = (target, path) if places.arrays else (path,)
    digests = {file.name: file.sha256 for file in program.files}
    current = paths[0]  # which file cannot be written, for the message
    try:
        with appearing(*paths, inputs=read) as partials:
            digests |= {name: _sha256(file) for name, file in places.referred.items()}
            if places.arrays:
                _write_arrays(places.arrays, partials[0], target)
                digests[target.name] = _sha256(partials[0])
            names = dict.fromkeys(item.file for item in tensors if item.kind is Kind.WEIGHT)
            files = tuple(WeightFile(name, digests[name]) for name in names if name in digests)
            saved = program.with_(edge_tensors=tensors, files=files)
            current = path
            partials[-1].write_text(print_program(saved), encoding="utf-8")
    except OSError as error:
        raise CompileError(f"{current}: cannot be written ({error.strerror or error})") from error
    return saved


@dataclass(slots=True)
class _Places:
    """Where the weights of a program are to be.

    arrays: those that the file ``target`` takes, by key. referred: other files that hold some, by
    the names that the text has for them.
    """

    folder: Path
    target: str
    constants: dict[str, Constant]
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    referred: dict[str, Path] = field(default_factory=dict[str, Path])

    def of(self, tensor: EdgeTensor) -> EdgeTensor:
        """The tensor with its place; one that is no weight, or stays where it is, as it was."""
        constant = self.constants.get(tensor.key)
        if tensor.kind is not Kind.WEIGHT or constant is None or tensor.drawn is not None:
            return tensor
        source = constant.source
        match source:
            case Member():
                name = _place(source, self.folder)
                self.referred[name] = source.path
                return replace(tensor, file=name, key=source.key, byte_offset=None)
            case Raw() if Path(source.file).resolve().parent == self.folder.resolve():
                name = Path(source.file).name
                self.referred[name] = Path(source.file)
                return replace(tensor, file=name, byte_offset=source.offset)
            case _:
                pass  # it is copied
        # An expanded or transposed constant is a view; the file takes the bytes as they are.
        array = np.ascontiguousarray(constant.load()).reshape(tensor.shape)
        self.arrays[tensor.key] = array
        return replace(tensor, file=self.target, byte_offset=None)


def _place(member: Member, folder: Path) -> str:
    """The name of a file of a checkpoint: as the program's folder has it, or the checkpoint's."""
    path, here = member.path.resolve(), folder.resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else member.path.name)


def _require_ours(target: Path, path: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace a file that only happens to have the name that the weights would get.

    A checkpoint beside a model may be called so. What wsc wrote says so, or the text that is
    there already names it.

    Raises:
        CompileError: something else has that name.
    """
    from safetensors import SafetensorError, safe_open

    require_writable(target, inputs)
    if not target.exists():
        return
    try:
        with safe_open(target, "numpy") as file:
            if MARK.items() <= (file.metadata() or {}).items():
                return
    except (OSError, SafetensorError):
        pass  # damaged, or something else: the text knows
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if f"file {show_string(target.name)} sha256 " not in text:
        raise CompileError(
            f"{target}: is in the place of the weights, and was not written by wsc: it is not "
            "replaced; remove it, or name another output"
        )


def _write_arrays(arrays: dict[str, np.ndarray], partial: Path, target: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(arrays, partial, MARK)
    except SafetensorError as error:
        raise CompileError(f"{target}: cannot be written ({error})") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
