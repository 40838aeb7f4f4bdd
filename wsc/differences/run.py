"""A run, or an estimate, as tables: what ``--json`` wrote of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsc.differences.tables import Fields, Side, Table, Value, added
from wsc.errors import CompileError
from wsc.isa.shown import named

RUN = "run"
_UNKNOWN = ("wall_seconds", "estimate_seconds")  # they depend on the machine that simulates


def run_side(made: Any, file: str) -> Side:
    """What ``wsc run --json`` or ``wsc estimate --json`` gave.

    Raises:
        CompileError: the object is of something else.
    """
    kernels = made.get("kernels") if isinstance(made, dict) else None
    if not isinstance(kernels, list) or not all(isinstance(row, dict) for row in kernels):
        raise CompileError(f"{file}: is no object that wsc run --json or estimate --json gave")
    tables = [
        Table("run", {name: {"": value} for name, value in _totals(made)}),
        Table("nodes", added(_rows(kernels, "nodes")), "cycles", nodes=_nodes(kernels)),
        Table("kernels", added(_rows(kernels, "kernel")), "cycles"),
    ]
    counters = made.get("counters")
    if isinstance(counters, dict) and isinstance(counters.get("colors"), dict):
        colors = {name: dict(fields) for name, fields in counters["colors"].items()}
        tables.append(Table("colors", colors, "wavelets"))
    return Side(RUN, tuple(tables))


def _totals(made: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Every plain value, under its path: ``counters.busy``."""

    def walk(prefix: str, item: Any) -> Iterator[tuple[str, Value]]:
        if isinstance(item, dict):
            for key, value in item.items():
                yield from walk(f"{prefix}.{key}" if prefix else key, value)
        elif item is None or isinstance(item, (str, int, float)):
            yield prefix, item

    skipped = (*_UNKNOWN, "kernels", "tiles", "outputs", "agreement")
    for key, value in made.items():
        if key == "counters" and isinstance(value, dict):
            value = {name: part for name, part in value.items() if name != "colors"}
        if key not in skipped:
            yield from walk(key, value)


def _rows(kernels: Sequence[Mapping[str, Any]], by: str) -> Iterator[tuple[str, Fields]]:
    for row in kernels:
        name = _shown(row.get(by))
        if not name:
            continue
        cycles = row.get("added_cycles", row.get("predicted_cycles"))
        fields: dict[str, Value] = {"cycles": cycles, "MACs": row.get("macs")}
        if "added_cycles" in row:
            fields["predicted"] = row.get("predicted_cycles")
        other, title = ("kernel", "kernels") if by == "nodes" else ("nodes", "nodes")
        fields[title] = _shown(row.get(other)) or None
        yield name, fields


def _nodes(kernels: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The nodes of each row by nodes."""
    found = [row.get("nodes") for row in kernels]
    return {
        named(nodes): [*map(str, nodes)] for nodes in found if isinstance(nodes, list) and nodes
    }


def _shown(value: Any) -> str:
    """The name of a kernel, or those of nodes."""
    return named(map(str, value)) if isinstance(value, list) else str(value or "")
