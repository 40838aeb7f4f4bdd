"""A dump of the IR as tables: a row for each value, buffer or task, by its name.

What stands in the rows is the text of the dump, so that a difference is what a person sees who
opens it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from wsc.differences.tables import Fields, Side, Table
from wsc.ir.graph import Graph
from wsc.ir.task_text import show_tensor, shown_fields, word_of
from wsc.ir.tasks import Placed, Task, edge_names, written
from wsc.ir.text import print_graph
from wsc.isa.shown import named

IR = "dump of the IR"

_GRAPH = re.compile(r"(?:(?:input|const|state) )?%(?P<name>\S+) (?:=|:|from) ?")
_OUTPUT = re.compile(r'output (?P<name>".*?") = ')


def ir_side(stage: Graph | Placed) -> Side:
    """The values of a graph; the buffers and tasks of a placed program."""
    return Side(IR, tuple(ir_tables(stage)))


def ir_tables(stage: Graph | Placed, prefix: str = "") -> Iterator[Table]:
    """The tables of a stage; prefix: of their titles."""
    tables = _graph(stage) if isinstance(stage, Graph) else _placed(stage)
    for title, rows in tables:
        found = _by_name(rows)
        if found:
            yield Table(prefix + title, found)


def _by_name(rows: Iterable[tuple[str, Fields]]) -> dict[str, Fields]:
    """Rows by name; the second of a name, as of a value that two tasks write, has a number."""
    found: dict[str, Fields] = {}
    for name, fields in rows:
        unique, number = name, 1
        while unique in found:
            number += 1
            unique = f"{name} ({number})"
        found[unique] = fields
    return found


def _graph(graph: Graph) -> Iterator[tuple[str, Iterable[tuple[str, Fields]]]]:
    lines = print_graph(graph).splitlines()[1:]
    matches = ((line, _GRAPH.match(line) or _OUTPUT.match(line)) for line in lines)
    yield "values", ((match["name"], {"": line}) for line, match in matches if match)


def _placed(placed: Placed) -> Iterator[tuple[str, Iterable[tuple[str, Fields]]]]:
    size = f"{placed.mesh.width}x{placed.mesh.height}"
    yield "program", [("tiles", {"": size})]
    tensors = placed.edge_tensors
    yield "tensors outside", ((tensor.name, {"": show_tensor(tensor)}) for tensor in tensors)
    yield (
        "buffers",
        (
            (
                buffer.name,
                {
                    "type": buffer.dtype.value,
                    "bytes": buffer.bytes,
                    "address": placed.addresses.get(buffer.name),
                    "nodes": named(buffer.nodes),
                },
            )
            for buffer in placed.buffers
        ),
    )
    yield (
        "tasks",
        (
            (_task_name(task), {**dict(shown_fields(task)), "nodes": named(task.origin)})
            for task in placed.tasks
        ),
    )
    runs = ((run.start, f"{run.count} times {run.period} tasks") for run in placed.layers)
    yield "layers", ((f"from task {start}", {"": text}) for start, text in runs)


def _task_name(task: Task) -> str:
    """A task by its kind, and what it writes: on the fabric, or outside."""
    targets = [view.buffer for view in written(task)] or edge_names(task)
    return " ".join([word_of(type(task)), *targets[:1]])
