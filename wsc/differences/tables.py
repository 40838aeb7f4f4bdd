"""The two sides of a comparison as tables: rows by name, fields by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Value = int | float | str | None
Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by name. weight: the field by which changes are ranked; without, they keep the order.

    nodes: the ONNX nodes of each row, in a table of nodes: rows that share a node are one, and
    their numbers are added up.
    """

    title: str
    rows: Mapping[str, Fields]
    weight: str = ""
    nodes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. kind: only sides of one kind are compared. notes: what is not known."""

    kind: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = field(default=())


def added(rows: Iterable[tuple[str, Fields]]) -> dict[str, Fields]:
    """Rows by name; those of one name are one row: numbers are added, texts listed."""
    found: dict[str, dict[str, Value]] = {}
    for name, fields in rows:
        into = found.setdefault(name, {})
        for key, value in fields.items():
            into[key] = plus(into.get(key), value)
    return dict(found)


def plus(one: Value, other: Value) -> Value:
    """The sum of two numbers, the list of two texts; what is not known takes no part."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, str) or isinstance(other, str):
        parts = [*str(one).split(", "), *str(other).split(", ")]
        return ", ".join(dict.fromkeys(parts))
    return one + other
