"""The page's section on large networks, whose runs take hours: rows are replaced one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conformance.run import PASSED, Record

SUITE = "light"
HEADING = "## Large networks"
COMMAND = f"python -m conformance --suite {SUITE} --jobs 1 --markdown docs/conformance.md"
_TEXT = (
    "ONNX's `light` suite has the topologies of well-known networks. All classes have the same",
    "weights, and scores of up to 1e31 that must be equal: one that differs in its last bit gets",
    "the whole of the softmax. They are compiled with `same_order`, in f32, and run to the end on",
    "the first of a few rectangles that holds them. Seconds are those of one process. What has no",
    "row (the suite has nine networks) has not been run to its end.",
    "",
    f"This section is written by `{COMMAND}`; `--filter` replaces the rows of some networks.",
    "",
    "| network | result | fabric | cycles | compiled, s | all, s |",
    "|---|---|---|--:|--:|--:|",
)


def split(page: str) -> tuple[str, str]:
    """(the page without this section, the section or "")."""
    rest, heading, section = page.partition(f"\n{HEADING}\n")
    return rest, heading + section


def section(records: Iterable[Record], before: str) -> str:
    """The section with the rows of these records; of other networks those that it had before."""
    rows = dict(_named(before)) | {_name(record): _row(record) for record in records}
    if not rows:
        return ""
    return "\n".join(["", HEADING, "", *_TEXT, *(rows[name] for name in sorted(rows))]) + "\n"


def _name(record: Record) -> str:
    return record.name.removeprefix(f"test_{SUITE}_")


def _row(record: Record) -> str:
    result = record.status if record.status == PASSED else f"{record.status}: {record.reason}"
    figures = f"{record.cycles:,} | {record.compile_seconds:.0f} | {record.seconds:.0f}"
    return f"| {_name(record)} | {result} | {record.fabric} | {figures} |".replace("<", "&lt;")


def _named(text: str) -> Sequence[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [(line.split("|")[1].strip(), line) for line in lines[1:]]
