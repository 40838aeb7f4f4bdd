"""Results as tables: for the terminal, and for ``docs/conformance.md``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from conformance import large
from conformance.run import FAILED, PASSED, REFUSED, Record
from conformance.suite import SUITES

_STATUSES = (PASSED, FAILED, REFUSED)


@dataclass(slots=True)
class Row:
    """The results of one operator."""

    operator: str
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def tests(self) -> int:
        """How many tests it has."""
        return self.counts.total()


def by_operator(records: Iterable[Record]) -> list[Row]:
    """One row for each operator, by name."""
    rows: dict[str, Row] = {}
    for record in records:
        row = rows.setdefault(record.operator, Row(record.operator))
        row.counts[record.status] += 1
        if record.status != PASSED:
            row.reasons[f"{record.status}: {general(record.reason)}"] += 1
    return [rows[name] for name in sorted(rows)]


def general(reason: str) -> str:
    """A reason without the names, shapes and figures of one test, so that equal ones meet."""
    reason = re.sub(r"'[^']*'", "'...'", reason.split(" Mismatched elements")[0])
    return re.sub(r"-?\d[\d.e+-]*", "N", reason) if reason.startswith("differs") else reason


def totals(records: Sequence[Record]) -> Counter[str]:
    """Tests by status."""
    return Counter(record.status for record in records)


def bound_operands(records: Iterable[Record]) -> Counter[tuple[str, int, str]]:
    """(operator, input, why) -> operands that were baked in, over the tests that passed."""
    return Counter(item for record in records for item in map(tuple, record.bound))  # pyright: ignore


def show(records: Sequence[Record], console: Console, verbose: bool) -> None:
    """Print operators that miss tests, the sums, and on demand every test that misses."""
    table = Table("operator", "tests", *_STATUSES, "most frequent reason", box=None)
    for row in by_operator(records):
        if row.counts[PASSED] == row.tests:
            continue
        (reason, _), *_ = row.reasons.most_common(1)
        counts = (str(row.counts[status]) for status in _STATUSES)
        table.add_row(row.operator, str(row.tests), *counts, _escaped(reason))
    if table.rows:
        console.print(table)
    if verbose:
        for record in records:
            if record.status != PASSED:
                line = f"{record.name}: {record.status}: {record.reason}"
                console.print(line, markup=False, soft_wrap=True)
    for record in records:
        if record.random == "differed":
            line = f"{record.name}: other values: {record.random_reason}"
            console.print(line, markup=False, soft_wrap=True)
    console.print(_sentence(records), markup=False)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _sentence(records: Sequence[Record]) -> str:
    sums = totals(records)
    parts = [f"{len(records)} tests", *(f"{sums[status]} {status}" for status in _STATUSES)]
    tried = Counter(record.random for record in records if record.random)
    usual = Counter(record.fabric for record in records).most_common(1)[0][0] if records else ""
    elsewhere = Counter(r.fabric for r in records if r.status == PASSED and r.fabric != usual)
    parts += [f"{count} of those passed on {fabric}" for fabric, count in elsewhere.items()]
    parts += [f"other values {count} {what}" for what, count in sorted(tried.items())]
    operands = bound_operands(records).total()
    return ", ".join(parts) + f"; {operands} operands bound"


# --- the page ------------------------------------------------------------------------


def rewritten(
    old: str, records: Sequence[Record], fabric: str, suites: Sequence[str], pattern: str
) -> str:
    """The page after a run: large networks have a section of their own, which others leave alone.

    old: the page before, or "".
    """
    before, section = large.split(old)
    usual = [record for record in records if record.suite != large.SUITE]
    if usual or not old:
        before = markdown(usual, fabric, [s for s in suites if s != large.SUITE], pattern)
    return before + large.section([r for r in records if r.suite == large.SUITE], section)


def markdown(records: Sequence[Record], fabric: str, suites: Sequence[str], pattern: str) -> str:
    """The page."""
    import onnx

    chosen = () if list(suites) == ["node"] else suites
    chosen = ("all",) if list(suites) == list(SUITES[:-1]) else chosen
    options = "".join(f" --suite {suite}" for suite in chosen)
    options += f" --filter '{pattern}'" if pattern else ""
    options += f" --fabric {fabric}" if fabric != "4x4" else ""
    lines = [
        "# Conformance",
        "",
        f"ONNX's own backend tests (`onnx.backend.test` of onnx {onnx.__version__}), compiled for",
        f"{fabric} tiles and executed on the simulated fabric. Nothing is computed on the host;",
        "operands that decide a shape are bound as constants, and listed below.",
        "",
        f"This page is written by `python -m conformance{options} --markdown docs/conformance.md`.",
        "",
        f"**{_sentence(records)}.**",
        "",
        *_suite_lines(records),
        *_operator_lines(records),
        *_refusal_lines(records),
        *_bound_lines(records),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _suite_lines(records: Sequence[Record]) -> list[str]:
    suites: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        suites[record.suite][record.status] += 1
    lines = ["| suite | tests | passed | failed | refused |", "|---|--:|--:|--:|--:|"]
    for suite, counts in suites.items():
        figures = " | ".join(str(counts[status]) for status in _STATUSES)
        lines.append(f"| {suite} | {counts.total()} | {figures} |")
    return [*lines, ""]


def _operator_lines(records: Sequence[Record]) -> list[str]:
    lines = [
        "## By operator",
        "",
        "| operator | tests | passed | failed | refused |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in by_operator(records):
        figures = " | ".join(str(row.counts[status] or "") for status in _STATUSES)
        lines.append(f"| {row.operator} | {row.tests} | {figures} |")
    return [*lines, ""]


def _refusal_lines(records: Sequence[Record]) -> list[str]:
    lines: list[str] = []
    for status, title in ((REFUSED, "Refused, and why"), (FAILED, "Failed")):
        reasons = Counter(
            general(record.reason)
            if status == REFUSED
            else f"{record.operator}: {general(record.reason)}"
            for record in records
            if record.status == status
        )
        if not reasons:
            continue
        lines += [f"## {title}", "", "| tests | reason |", "|--:|---|"]
        lines += [f"| {count} | {_cell(reason)} |" for reason, count in _ranked(reasons)]
        lines.append("")
    return lines


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _bound_lines(records: Sequence[Record]) -> list[str]:
    counts = bound_operands(records)
    lines = ["## Operands bound", "", "| operand | bound | it decides |", "|---|--:|---|"]
    for (op_type, index, why), count in sorted(counts.items()):
        lines.append(f"| {op_type}, input {index} | {count} | {why} |")
    return lines
