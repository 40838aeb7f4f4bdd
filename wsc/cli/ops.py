"""``wsc ops``: the ONNX operators that can be compiled."""

from __future__ import annotations

import click

from wsc.cli.common import console, general, say_json
from wsc.cli.tables import PlainTable, print_table


@click.command("ops")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on standard output.")
@general
def command(as_json: bool) -> None:
    """List the ONNX operators that can be compiled, with the opsets that are understood.

    Functions that a model defines itself are inlined; only what they consist of counts.
    """
    from wsc.frontend import load_lowerings
    from wsc.frontend.registry import lowerings

    load_lowerings()
    entries = list(lowerings())
    if as_json:
        rows = [
            {
                "operator": entry.op_type,
                "domain": entry.domain or "ai.onnx",
                "since": entry.since,
                "until": entry.until,
                "family": entry.family,
                "doc": entry.doc,
            }
            for entry in entries
        ]
        say_json(rows)
        return
    screen = console()
    table = PlainTable("operator", "domain", "opsets", "family", "meaning")
    for entry in entries:
        opsets = f"{entry.since}-{entry.until}" if entry.until else f"{entry.since}-"
        table.add_row(entry.op_type, entry.domain or "ai.onnx", opsets, entry.family, entry.doc)
    print_table(screen, table)
    screen.print(f"{len(entries)} entries, {len({e.op_type for e in entries})} operators")
