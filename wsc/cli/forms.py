"""``--form`` and ``--explain``: asking for a form of a node, and telling which were weighed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsc.cli.common import Refusal
from wsc.cli.tables import PlainTable, print_table
from wsc.isa.shown import escaped, named

if TYPE_CHECKING:
    from rich.console import Console

    from wsc.ir.forms import Weighed

# A node may have an equals sign in its name: the form begins at the first of its words.
_FORM = re.compile(
    r"(?P<node>.+?)=(?P<form>(?:[xy]=|chunk=|local|reduce|ordered|combined).*)", re.DOTALL
)


def read_forms(texts: Iterable[str]) -> dict[str, str]:
    """What is asked of forms, by nodes. Raises Refusal for a text of another form."""
    found: dict[str, str] = {}
    for text in texts:
        parts = _FORM.fullmatch(text)
        if parts is None:
            raise Refusal(f"--form {text}: wants NODE=FORM, as in conv1=x=c,y=y0,chunk=3")
        if parts["node"] in found:
            raise Refusal(f"--form {text}: '{parts['node']}' is given twice")
        found[parts["node"]] = parts["form"]
    return found


def show_forms(screen: Console, weighed: Weighed) -> None:
    """The node, and a row for each form."""
    head = named(weighed.nodes)
    head += f", asked for: {weighed.wish}" if weighed.wish else ""
    screen.print(escaped(head))
    screen.print(escaped(weighed.text))
    numbers = ("cycles", "compute", "link", "edge", "moving", "bytes")
    table = PlainTable(
        "form", *numbers, "why", right=numbers, leaving=("edge", "link", "compute", "moving")
    )
    for form in weighed.forms:
        row = (form.cycles, form.compute, form.link, form.edge, form.moving, form.bytes)
        table.add_row(str(form), *(f"{number:,}" for number in row), weighed.why(form))
    print_table(screen, table)
