"""What Numba does for functions that are unlike kernels, left out or made cheaper."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

from numba.core import byteflow, errors, ir, lowering, ssa, typeinfer
from numba.core.cpu import CPUContext
from numba.core.interpreter import Interpreter

from wsc.runtime.engine.replacing import replacing

_ERRORS: Any = errors  # it has no stubs
_PLAIN = (str, int, ir.Loc, type(None))
_SILENT = SimpleNamespace(debug=lambda *_args: None)


class _ErrorContext:
    """``new_error_context``, which costs nothing as long as there is no error."""

    __slots__ = ("args", "words")

    def __init__(self, *args: Any, **words: Any) -> None:
        self.args, self.words = args, words

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if error is None:
            return False
        context: AbstractContextManager[None] = _ERRORS.new_error_context(*self.args, **self.words)
        context.__enter__()
        return context.__exit__(kind, error, trace)


def _variables(instruction: Any, value: Any) -> list[Any]:
    """``ir.Inst._rec_list_vars``: the variables within a part of an instruction."""
    if isinstance(value, ir.Var):
        return [value]
    if isinstance(value, ir.Inst):
        return value.list_vars()
    found: list[Any] = []
    if isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            if type(part) is ir.Var:
                found.append(part)
            elif not isinstance(part, _PLAIN):
                found += _variables(instruction, part)
    return found


def _no_fixer(*_args: Any, **_words: Any) -> AbstractContextManager[None]:
    return nullcontext()


def _as_it_is(_interpreter: Any, _rewrites: Any, function: Any) -> Any:
    return function


def _install_again(context: Any) -> None:
    """Declare what has come to the registries that are known, and import no others."""
    for registry in list(context._registries):
        context.install_registry(registry)


@contextmanager
def sparing() -> Generator[None]:
    """While the block lasts, only kernels are compiled.

    They have no ``with`` blocks, starred arguments or long literals, for which Numba looks
    in every function; its own functions are declared already; and a warning need not be
    led back to a line.
    """
    with replacing(
        (Interpreter, "post_process", _as_it_is),
        (CPUContext, "load_additional_registries", _install_again),
        (_ERRORS.WarningsFixer, "catch_warnings", _no_fixer),
        (ir.Inst, "_rec_list_vars", _variables),
        (typeinfer, "new_error_context", _ErrorContext),
        (lowering, "new_error_context", _ErrorContext),
        (byteflow, "_logger", _SILENT),
        (ssa, "_logger", _SILENT),
    ):
        yield
