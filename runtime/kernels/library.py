"""Compiled kernels of an engine: declared, translated together, and kept on disk.

An engine has a schema of tables; a ``Library`` makes one file of machine code of all its kernels.
``translate`` says what kernels may be made of.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import update_wrapper
from pathlib import Path
from threading import RLock, get_ident
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypeVar

import llvmlite
import numpy as np
from llvmlite import binding

from wsc import isa
from wsc.runtime.keep import find_folder, processor
from wsc.runtime.kernels.translate import FLAT, INT, NOTHING, Function, Translator, annotated

P = ParamSpec("P")
R = TypeVar("R")
Tables = Mapping[str, tuple[Any, int]]
Compiling = Callable[[str], None]

# The files beside the rooms, and the contract's, that kernels have functions or numbers of.
_BESIDE = ("tables.py", "routes.py", "schedule.py", "observations/records.py")
_CONTRACT = ("values.py", "drawing.py", "limits.py", "rounding.py", "table.py", "types.py")
_engines: list[Any] = []  # they own the code of this process
_SEAL = hashlib.sha256().digest_size


class Machine:
    """The tables of a run. Kernels take it whole and see tables as attributes.

    To them it is one address, of the table of all tables' addresses.
    """

    def __init__(self, schema: Tables, tables: Mapping[str, np.ndarray]) -> None:
        assert set(tables) == set(schema), set(tables) ^ set(schema)
        self._schema, self._tables = schema, dict[str, np.ndarray]()
        self._numbers = {name: number for number, name in enumerate(schema)}
        self._addresses = np.zeros(len(schema), np.int64)
        self.address = self._addresses.ctypes.data
        for name, table in tables.items():
            self.replace(name, table)

    def replace(self, name: str, table: np.ndarray) -> None:
        """Put another table in the place of one."""
        kind, columns = self._schema[name]
        assert table.dtype == kind, (name, table.dtype)
        assert table.flags.c_contiguous, name
        assert columns == FLAT or table.shape[1] == columns, (name, table.shape)
        self._tables[name] = table
        self._addresses[self._numbers[name]] = table.ctypes.data

    def __getattr__(self, name: str) -> Any:
        try:
            return self._tables[name]
        except KeyError:
            raise AttributeError(name) from None


class Kernel(Generic[P, R]):
    """A function that other kernels call; Python calls it only if it is an entry.

    library: that it is of, None for one that several libraries translate.
    """

    def __init__(
        self, function: Callable[P, R], compiled: Function, library: Library | None = None
    ) -> None:
        update_wrapper(self, function)
        self.compiled, self.library = compiled, library

    def __call__(self, *args: P.args, **_none: P.kwargs) -> R:
        """Run the compiled function, without Python's lock."""
        if self.library is None or self.compiled not in self.library.entries:
            raise TypeError(f"'{self.compiled.name}' is called by other kernels alone")
        call = _prototype(self.compiled)(self.library.addresses()[self.compiled.name])
        given: list[Any] = [arg.address if isinstance(arg, Machine) else arg for arg in args]
        return call(*given)


def shared(function: Callable[P, R]) -> Kernel[P, R]:
    """Compile a function in each library whose kernels call it, with that library's tables."""
    return Kernel(function, annotated(function, outer=False))


def declared(function: Callable[P, R]) -> Kernel[P, R]:
    """Declare a function that shared ones call and that each library defines in its own way."""
    made = Kernel(function, annotated(function, outer=False))
    made.compiled.declared = True
    return made


def _prototype(function: Function) -> Any:
    gives = {NOTHING: None, INT: ctypes.c_int64}.get(function.gives, ctypes.c_bool)
    return ctypes.CFUNCTYPE(gives, *[ctypes.c_int64] * len(function.takes))


class Library:
    """The kernels of one engine. name: of the engine, and of the file that keeps its code.

    folders: hold the kernels' sources. vector: whether inner loops run over many elements.
    """

    def __init__(self, name: str, tables: Tables, *folders: Path, vector: bool = False) -> None:
        self.name, self.tables, self.folders, self.vector = name, tables, folders, vector
        self.entries: list[Function] = []
        self.own: dict[Function, Function] = {}
        self._loaded: dict[str, int] = {}
        self._lock = RLock()

    def kernel(self, function: Callable[P, R]) -> Kernel[P, R]:
        """Compile a function that other kernels call; its annotations are its types."""
        return Kernel(function, annotated(function, outer=False), self)

    def defines(self, kernel: Kernel[..., Any]) -> Callable[[Callable[P, R]], Kernel[P, R]]:
        """Compile a function as this library's own form of a declared one."""

        def define(function: Callable[P, R]) -> Kernel[P, R]:
            made, name = self.kernel(function), kernel.compiled.name
            assert (made.compiled.takes, made.compiled.gives) == (
                kernel.compiled.takes,
                kernel.compiled.gives,
            ), f"'{name}' is declared with other types"
            assert kernel.compiled not in self.own, f"'{name}' is defined twice"
            self.own[kernel.compiled] = made.compiled
            return made

        return define

    def includes(self, module: ModuleType) -> None:
        """Require that an imported module defines some of what is declared elsewhere."""
        names = {function.function.__module__ for function in self.own.values()}
        assert module.__name__ in names, f"'{module.__name__}' defines nothing that is declared"

    def entry(self, function: Callable[P, R]) -> Kernel[P, R]:
        """Compile a function that Python calls."""
        made = Kernel(function, annotated(function, outer=True), self)
        self.entries.append(made.compiled)
        return made

    def prepare(self, compiling: Compiling | None = None) -> None:
        """Load the code, or compile it; any thread may call it.

        compiling: called before something is compiled.
        """
        with self._lock:
            if not self._loaded:
                self._loaded.update(attach(self._kept(compiling), self.entries))

    def addresses(self) -> dict[str, int]:
        """Addresses of the entries' compiled code, by name."""
        if not self._loaded:
            self.prepare()
        return self._loaded

    def _kept(self, compiling: Compiling | None) -> bytes:
        """Machine code: what an earlier process has kept, or made now and kept."""
        folder, unkept = find_folder()
        if folder is None:
            _tell(compiling, unkept)
            return self.build()
        path = folder / f"{self.name}-{self.digest()}.o"
        code = _read(path)
        if code is None:
            if compiling is not None:
                compiling("")
            code = self.build()
            unkept = _write(path, code)
            if unkept:
                _tell(compiling, unkept)
        return code

    def build(self) -> bytes:
        """Machine code of the entries, and of all that they call."""
        target = _target()
        module = binding.parse_assembly(Translator(self.tables, self.own).translate(self.entries))
        module.verify()
        options = binding.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = self.vector
        # More turns of a loop at once make the code larger and not faster.
        options.loop_unrolling = options.loop_interleaving = False
        passes = binding.create_pass_builder(target, options)
        passes.getModulePassManager().run(module, passes)
        return target.emit_object(module)

    def digest(self) -> str:
        """Over all that decides what the compiled code does."""
        here, contract = Path(__file__).parent, Path(isa.__file__).parent
        files = [path for folder in (*self.folders, here) for path in sorted(folder.glob("*.py"))]
        files += [here.parent / name for name in _BESIDE]
        files += [contract / name for name in _CONTRACT]
        total = hashlib.sha256(repr((llvmlite.__version__, *processor())).encode())
        for file in files:
            total.update(file.read_bytes())
        return total.hexdigest()[:24]


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


def _read(path: Path) -> bytes | None:
    """What is in a file, if it is whole."""
    try:
        held = path.read_bytes()
    except OSError:
        return None
    seal, code = held[:_SEAL], held[_SEAL:]
    return code if hashlib.sha256(code).digest() == seal else None


def _write(path: Path, code: bytes) -> str:
    """Write a file, beside it first: nobody finds half of it. Why that was not possible, if so."""
    partial = path.with_suffix(f".{os.getpid()}-{get_ident()}")
    try:
        partial.write_bytes(hashlib.sha256(code).digest() + code)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        return f"{path} cannot be written ({error.strerror or error})"
    return ""


def _tell(compiling: Compiling | None, unkept: str) -> None:
    """Say why compiled code cannot be kept for other processes."""
    if compiling is not None:
        compiling(unkept)
    else:
        message = f"the engine is compiled for this process alone: {unkept}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
