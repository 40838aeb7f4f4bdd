"""Calls between kernels, with less to compile than Numba's own.

Numba asks after each call whether the function raised something, and goes on from there to
the caller's caller. A kernel raises nothing: what goes wrong is written into the state.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from numba.core import base
from numba.core.callconv import CPUCallConv

from wsc.runtime.engine.replacing import replacing


def _user_function(described: Any, libraries: Any) -> Any:
    """``numba.core.imputils.user_function``: code that calls a compiled function."""

    def call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        callee, convention = context.declare_function(builder.module, described), context.call_conv
        with builder.goto_entry_block():
            result = builder.alloca(convention.get_return_type(described.restype).pointee)
        packer = convention._get_arg_packer(described.argtypes)
        raised = convention._get_excinfo_argument(builder.function)
        builder.call(callee, [result, raised, *packer.as_arguments(builder, args)])
        return context.get_returned_value(builder, described.restype, builder.load(result))

    made: Any = call
    made.signature, made.libs = described.argtypes, tuple(libraries)
    return made


def _never(_convention: Any, builder: Any, *_args: Any, **_options: Any) -> None:
    """Where Numba's own code would raise, such as in a range whose step is zero."""
    builder.unreachable()


@contextmanager
def calls_that_return() -> Generator[None]:
    """While the block lasts, functions are compiled that call each other and raise nothing."""
    with replacing(
        (base, "user_function", _user_function), (CPUCallConv, "return_user_exc", _never)
    ):
        yield
