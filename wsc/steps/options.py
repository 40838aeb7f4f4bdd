"""Arguments of ``wsc.train`` as they must be; what is wrong with them is said before a step."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

from wsc.errors import CompileError, shortened
from wsc.runtime.engine import ENGINES, VALUES


def text(name: str, value: Any, example: str) -> str:
    """An argument that is text. Raises CompileError for one that is none."""
    if not isinstance(value, str):
        raise CompileError(f"{name} is text, as in {example!r}, not {type(value).__name__}")
    return value


def texts(name: str, value: Any, example: str) -> tuple[str, ...]:
    """An argument that is a sequence of texts; a text alone is none, as it is one of letters.

    Raises CompileError for one that is none.
    """
    items = None if isinstance(value, str | Mapping) else _items(value)
    if items is None:
        raise CompileError(f"{name} is a list of texts, as in [{example!r}], not {_shown(value)}")
    return tuple(text(f"each item of {name}", item, example) for item in items)


def number(name: str, value: Any) -> float:
    """An argument that is a number. Raises CompileError for one that is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CompileError(f"{name} is a number, not {_shown(value)}") from None


def numbers(name: str, value: Any) -> tuple[float, ...]:
    """An argument that is a sequence of numbers. Raises CompileError for one that is none."""
    items = None if isinstance(value, str | Mapping) else _items(value)
    if items is None:
        raise CompileError(f"{name} is a list of numbers, not {_shown(value)}")
    return tuple(number(f"each item of {name}", item) for item in items)


def count(name: str, value: Any) -> int:
    """An argument that is a number of things, from 1 on. Raises CompileError for another one."""
    try:
        found = index(value)
    except TypeError:
        found = 0
    if found < 1:
        raise CompileError(f"{name} is a number from 1 on, not {_shown(value)}")
    return found


def engine(name: Any) -> str:
    """An engine whose runs have values. Raises CompileError for another one."""
    known = (VALUES, *ENGINES)
    if name not in known:
        raise CompileError(f"engine {_shown(name)}: training runs with {', '.join(known)}")
    return name


def _items(value: Any) -> tuple[Any, ...] | None:
    try:
        return tuple(value)
    except TypeError:
        return None


def _shown(value: Any) -> str:
    return shortened(repr(value))
