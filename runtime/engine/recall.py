"""What Numba asks again for every statement, asked once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba.core import base, event, types
from numba.core.base import BaseContext

from wsc.runtime.engine.replacing import replacing


@contextmanager
def remembering() -> Generator[None]:
    """While the block lasts, Numba's answers to four of its questions are kept.

    These are: which version of a function or operator takes arguments of these types, how
    large a type is, whether code for an operation wants to know the line that it is for,
    and who listens to the beginning and end of every step (nobody).
    """
    resolve, size = types.BaseFunction.get_call_type, BaseContext.get_abi_sizeof
    signatures: dict[Any, Any] = {}
    sizes: dict[str, int] = {}

    def get_call_type(function: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws:
            return resolve(function, context, args, kws)
        # The value of a literal counts: some versions are for one value alone.
        key = function, tuple(args)
        found = signatures.get(key)
        if found is None:
            found = signatures[key] = resolve(function, context, args, kws)
        return found

    def get_abi_sizeof(context: Any, kind: Any) -> int:
        found = sizes.get(str(kind))
        if found is None:
            found = sizes[str(kind)] = size(context, kind)
        return found

    with replacing(
        (types.BaseFunction, "get_call_type", get_call_type),
        (BaseContext, "get_abi_sizeof", get_abi_sizeof),
        (base, "_has_loc", cache(getattr(base, "_has_loc"))),  # noqa: B009 - it is private
        (event, "broadcast", lambda event: None),
    ):
        yield
