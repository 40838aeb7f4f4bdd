"""A dump of the IR as tables: a row for each value, buffer or task, by its name.

The lines are compared as text, so that a difference is what a person sees who opens the dump.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wsc.differences.tables import Fields, Side, Table

IR = "dump of the IR"

_GRAPH = re.compile(r"(?:(?:input|const) )?%(?P<name>\S+) (?:=|:|from) ?")
_OUTPUT = re.compile(r'output (?P<name>".*?") = ')
_PLACED = re.compile(r"(?P<kind>edge|buffer) \w+\(name='(?P<name>(?:[^'\\]|\\.)*)'")
_TASK = re.compile(r"task (?P<kind>\w+)\(")
_TARGET = re.compile(r"(?:out=View\(buffer|target)='(?P<name>(?:[^'\\]|\\.)*)'")


def is_ir(text: str) -> bool:
    """Whether a text is a graph or a placed program."""
    return text.startswith(("graph ", "placed "))


def ir_side(text: str) -> Side:
    """The values of a graph; the buffers and tasks of a placed program."""
    return Side(IR, tuple(ir_tables(text)))


def ir_tables(text: str, prefix: str = "") -> Iterator[Table]:
    """The tables of a text; prefix: of their titles."""
    found: dict[str, dict[str, Fields]] = {}
    for line in text.splitlines()[1:]:
        title, name = _name(line)
        rows = found.setdefault(title, {})
        unique, number = name, 1
        while unique in rows:  # a value that two tasks write, say
            number += 1
            unique = f"{name} ({number})"
        rows[unique] = {"": line}
    for title, rows in found.items():
        yield Table(prefix + title, rows)


def _name(line: str) -> tuple[str, str]:
    """The table of a line, and its name there."""
    for pattern in (_GRAPH, _OUTPUT):
        value = pattern.match(line)
        if value:
            return "values", value["name"]
    placed = _PLACED.match(line)
    if placed:
        title = "tensors outside" if placed["kind"] == "edge" else "buffers"
        return title, placed["name"]
    task = _TASK.match(line)
    if task:
        target = _TARGET.search(line)
        return "tasks", f"{task['kind']} {target['name'] if target else ''}".strip()
    return "lines", line.split(" ", 1)[0]
