"""Compiled kernels: optimised by LLVM, once for an installation, and kept on disk.

A file holds the machine code of all kernels. Its name is a digest of what decides its contents:
the sources, the versions of what compiles them, and the processor. Where nothing can be written,
each process compiles anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import llvmlite
from llvmlite import binding

from wsc import isa
from wsc.runtime.engine.keep import find_folder, processor
from wsc.runtime.values.records import TABLES
from wsc.runtime.values.translate import Function, Translator

# The files beside this folder, and the contract's, that kernels have functions or numbers of.
_BESIDE = ("tables.py", "routes.py", "schedule.py")
_CONTRACT = ("values.py", "limits.py", "rounding.py", "table.py", "types.py")
_SEAL = hashlib.sha256().digest_size

_lock = Lock()
_loaded: dict[str, int] = {}
_engines: list[Any] = []  # they own the code


def library(entries: Sequence[Function]) -> dict[str, int]:
    """Addresses of the entries' compiled code, by name."""
    with _lock:
        if not _loaded:
            _loaded.update(attach(kept(entries), entries))
    return _loaded


def kept(entries: Sequence[Function]) -> bytes:
    """Machine code of the entries: what an earlier process has kept, or made now and kept."""
    folder, _ = find_folder()
    if folder is None:
        return build(entries, TABLES)
    path = folder / f"values-{_digest()}.o"
    code = _read(path)
    if code is None:
        code = build(entries, TABLES)
        _write(path, code)
    return code


def build(entries: Sequence[Function], tables: Mapping[str, tuple[Any, int]]) -> bytes:
    """Machine code of the entries, and of all that they call."""
    target = _target()
    module = binding.parse_assembly(Translator(tables).translate(entries))
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    # Inner loops run over many rows: more turns at once make the code larger and not faster.
    options.loop_unrolling = options.loop_interleaving = False
    passes = binding.create_pass_builder(target, options)
    passes.getModulePassManager().run(module, passes)
    return target.emit_object(module)


def attach(code: bytes, entries: Sequence[Function]) -> dict[str, int]:
    """Load machine code into this process; addresses of the entries, by name."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return {function.name: engine.get_function_address(function.name) for function in entries}


def _target() -> Any:
    """This machine's processor, as LLVM knows it."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    name, features = processor()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(
        cpu=name, features=features, opt=2, codemodel="jitdefault", jit=True
    )


def _digest() -> str:
    """Over all that decides what the compiled code does."""
    here, contract = Path(__file__).parent, Path(isa.__file__).parent
    files = [*sorted(here.glob("*.py")), *(here.parent / name for name in _BESIDE)]
    files += [contract / name for name in _CONTRACT]
    total = hashlib.sha256(repr((llvmlite.__version__, *processor())).encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()[:24]


def _read(path: Path) -> bytes | None:
    """What is in a file, if it is whole."""
    try:
        held = path.read_bytes()
    except OSError:
        return None
    seal, code = held[:_SEAL], held[_SEAL:]
    return code if hashlib.sha256(code).digest() == seal else None


def _write(path: Path, code: bytes) -> None:
    """Write a file, beside it first: nobody finds half of it."""
    partial = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        partial.write_bytes(hashlib.sha256(code).digest() + code)
        partial.replace(path)
