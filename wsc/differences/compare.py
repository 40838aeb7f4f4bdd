"""Two sides, table by table: what only one has, and what has changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from wsc.differences.tables import Fields, Side, Table, Value, plus
from wsc.errors import CompileError
from wsc.isa.shown import named

TOKEN = re.compile(r"[A-Za-z_][\w.]*|\d+(?:\.\d+)?|'[^']*'|\S")


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a row that is on both sides, and differs."""

    name: str
    field: str
    before: Value
    after: Value

    @property
    def amount(self) -> int | float | None:
        """By how much a number has grown; None for texts and for what is not known."""
        numbers = (int, float)
        if isinstance(self.before, numbers) and isinstance(self.after, numbers):
            return self.after - self.before
        return None

    @property
    def share(self) -> float | None:
        """``amount`` over the number before."""
        amount = self.amount
        if amount is None or not isinstance(self.before, (int, float)) or not self.before:
            return None
        return amount / self.before


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one table. removed, added: rows of the first, of the second side alone."""

    title: str
    removed: Mapping[str, Fields]
    added: Mapping[str, Fields]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed)


def compare(before: Side, after: Side) -> list[Difference]:
    """The differences of two sides, one for each table that either has.

    Raises:
        CompileError: the sides are of different kinds.
    """
    if before.kind != after.kind:
        raise CompileError(
            f"a {before.kind} and a {after.kind} have nothing to compare: name two of one kind"
        )
    first = {table.title: table for table in before.tables}
    second = {table.title: table for table in after.tables}
    return [
        _table(first.get(title, _empty(title, second)), second.get(title, _empty(title, first)))
        for title in dict.fromkeys([*first, *second])
    ]


def _empty(title: str, other: Mapping[str, Table]) -> Table:
    """A table of that title without rows; the other side has one."""
    known = other.get(title)
    return Table(title, {}) if known is None else Table(title, {}, known.weight, known.nodes)


def _table(before: Table, after: Table) -> Difference:
    old, new = before.rows, after.rows
    if before.nodes or after.nodes:
        groups = joined({**before.nodes, **after.nodes})
        old, new = _grouped(old, groups), _grouped(new, groups)
    changes = [
        Change(name, field, old[name].get(field), new[name].get(field))
        for name in old
        if name in new
        for field in dict.fromkeys([*old[name], *new[name]])
        if old[name].get(field) != new[name].get(field)
    ]
    if before.weight:
        changes = _ranked(changes, before.weight)
    return Difference(
        before.title,
        {name: fields for name, fields in old.items() if name not in new},
        {name: fields for name, fields in new.items() if name not in old},
        tuple(changes),
    )


def _ranked(changes: Sequence[Change], weight: str) -> list[Change]:
    """Rows whose weight changed most come first; the changes of a row stay together."""
    weights = {change.name: abs(change.amount or 0) for change in changes if change.field == weight}
    return sorted(changes, key=lambda change: -weights.get(change.name, 0))


def joined(rows: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Row -> the name of its group: rows that share a node are in one group.

    Two compilers may fuse other nodes; what they fused differently is compared as a whole.
    """
    groups: dict[str, list[str]] = {}  # by node; the nodes of a group share one list
    for parts in rows.values():
        merged: list[str] = []
        for part in parts:
            merged += [node for node in groups.get(part, [part]) if node not in merged]
        for node in merged:
            groups[node] = merged
    return {row: named(groups[parts[0]]) for row, parts in rows.items()}


def _grouped(rows: Mapping[str, Fields], groups: Mapping[str, str]) -> dict[str, Fields]:
    found: dict[str, dict[str, Value]] = {}
    for mark, fields in rows.items():
        into = found.setdefault(groups[mark], {})
        for key, value in fields.items():
            into[key] = plus(into.get(key), value)
    return dict(found)


def hunks(before: str, after: str) -> list[tuple[str, str]]:
    """The parts of two texts that differ, each with the word before it."""
    one, two = TOKEN.findall(before), TOKEN.findall(after)
    found: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        start = max(a - 2, 0) if a and one[a - 1] == "=" else a
        head = one[start:a]
        found.append((" ".join([*head, *one[a:b]]), " ".join([*head, *two[c:d]])))
    return found
