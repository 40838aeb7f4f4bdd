"""A run for notebooks: its statements as a pandas frame, and the whole as a small table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from wsc.isa.counted import StatementCycles
from wsc.isa.shown import cut, named
from wsc.runtime.counters import Counters
from wsc.runtime.errors import RuntimeFault

FEW = 4  # outputs that are shown
SHOWN = 60  # characters of their names


def statements_frame(statements: Iterable[StatementCycles]) -> Any:
    """A row for each statement: where it is in the text, and its counters.

    Raises:
        RuntimeFault: pandas is missing.
    """
    try:
        from pandas import DataFrame
    except ImportError:
        raise RuntimeFault("a frame needs pandas: pip install 'wsc[frames]'") from None
    rows = [
        {
            "region": item.statement.region,
            "line": item.statement.where.line,
            "statement": item.statement.text,
            "node": named(item.statement.nodes),
            "start": item.start,
            "end": item.end,
            "cycles": item.spent,
            "added": item.added,
            "busy": item.busy,
            "self": item.inside,
            "macs": item.macs,
            "elements": item.elements,
        }
        for item in statements
    ]
    return DataFrame(rows)


def run_facts(
    outputs: Mapping[str, np.ndarray], cycles: int, counters: Counters, engine: str
) -> list[tuple[str, str]]:
    """What is said of a run, in a few words each."""
    threads = max(counters.busy.size * cycles, 1)
    return [
        ("cycles", f"{cycles:,}"),
        ("utilization", f"{counters.utilization:.2%}"),
        ("busy", f"{counters.busy.sum() / threads:.1%} of main threads"),
        ("edge", f"{counters.io_bytes_in:,} bytes in, {counters.io_bytes_out:,} out"),
        ("engine", engine),
        *output_facts(outputs),
    ]


def output_facts(outputs: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """The types and shapes of the first outputs."""
    facts = [
        (f"output {cut(name, SHOWN)}", f"{array.dtype.name}{list(array.shape)}")
        for name, array in list(outputs.items())[:FEW]
    ]
    return [*facts, *([("", f"{len(outputs) - FEW} more outputs")] if len(outputs) > FEW else [])]
