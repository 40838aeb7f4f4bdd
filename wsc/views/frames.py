"""Rows as a frame of pandas, which only those need who ask for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsc.errors import CompileError


def frame(
    rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]],
    columns: Sequence[str] | None = None,
) -> Any:
    """A ``pandas.DataFrame`` of rows.

    columns: names of what a row has, where the rows do not say so themselves.

    Raises:
        CompileError: pandas is missing.
    """
    try:
        from pandas import DataFrame
    except ImportError:
        raise CompileError("a frame needs pandas: pip install 'wsc[frames]'") from None
    return DataFrame(rows, columns=None if columns is None else list(columns))
