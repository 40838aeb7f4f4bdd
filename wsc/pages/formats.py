"""The formats of a report, one function each: what is known of runs, as text.

The ending of a file's name says which. A function takes the data of each run, or prediction, as
``report_data`` and ``estimate_data`` give them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsc.errors import CompileError
from wsc.pages.page import page

Runs = Sequence[Mapping[str, Any]]
Writer = Callable[[Runs], str]

# From few cycles to many, as the heat maps of the page.
PALE, STRONG = "#fff7ed", "#c2410c"


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a report.

    ending: of the files, with its dot. title: what such a file is, in a sentence. several: it has
    room for more runs than one. write: the text.
    """

    ending: str
    title: str
    several: bool
    write: Writer


FORMATS: dict[str, Format] = {}
"""Ending -> format."""


def report_format(ending: str, title: str, several: bool = True) -> Callable[[Writer], Writer]:
    """Declare the function below as the format of files with an ending; see ``Format``.

    Raises:
        TypeError: another format has this ending, or no name of a file ends so.
    """
    if ending in FORMATS or not re.fullmatch(r"\.[a-z0-9]+", ending):
        raise TypeError(f"{ending!r} is the ending of another format, or none in lower case")

    def declare(write: Writer) -> Writer:
        FORMATS[ending] = Format(ending, title, several, write)
        return write

    return declare


def format_of(path: Path) -> Format:
    """The format of a report by its name.

    Raises:
        CompileError: no format has this ending.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        known = "; ".join(f"{item.ending} for {item.title}" for item in FORMATS.values())
        raise CompileError(f"{path}: the ending of a report says its format: {known}")
    return found


@report_format(".html", "a page")
def as_page(runs: Runs) -> str:
    """One file of HTML that opens anywhere."""
    return page(*runs)


@report_format(".csv", "kernels as rows")
def as_rows(runs: Runs) -> str:
    """A row for each call of each run, in the order of the text; its ONNX nodes are one field."""
    plain = (
        "line",
        "kernel",
        "start",
        "end",
        "cycles",
        "added",
        "predicted",
        "macs",
        "brought",
        "taken",
        "bound",
        "roofline",
        "of_bound",
    )
    shares = ("mac", "other", "wait")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("run", "nodes", *plain, *shares))
    for number, run in enumerate(runs):
        for kernel in run["kernels"]:
            table.writerow(
                (
                    run["name"] or number,
                    json.dumps(list(kernel["nodes"])),
                    *(kernel[name] for name in plain),
                    *(kernel["shares"].get(name) for name in shares),
                )
            )
    return text.getvalue()


@report_format(".json", "cycles of ONNX nodes, as Model Explorer's node data", several=False)
def as_node_data(runs: Runs) -> str:
    """Cycles of each ONNX node, to be laid over the model in Model Explorer.

    The names of nodes are those of the model, also where the text has one name for all turns of a
    loop: each of them then has its part of the cycles. Nodes that one kernel does together each
    show the cycles of the kernel.

    The form is the ``GraphNodeData`` of Model Explorer's ``node_data_builder``: values by node, and
    colors between the least and the most.
    """
    (run,) = runs
    values: dict[str, float] = {}
    for found in run["nodes"].values():
        names = found["names"]
        for name in names:
            values[name] = values.get(name, 0) + found["cycles"] / len(names)
    data = {
        "results": {name: {"value": round(value, 1)} for name, value in values.items()},
        "gradient": [{"stop": 0, "bgColor": PALE}, {"stop": 1, "bgColor": STRONG}],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
