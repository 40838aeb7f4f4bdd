"""``wsc models``: the language models that are known by name."""

from __future__ import annotations

import click

from wsc.cli.common import console, general, say_json
from wsc.cli.tables import PlainTable, print_table


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on standard output.")
@general
def command(as_json: bool) -> None:
    """List the models that can be named in the place of a file.

    Weights are drawn from a seed, or those of a checkpoint (--checkpoint DIR). Every size can be
    another one: wsc compile gpt2 --layers 2 --hidden 64 --heads 4.
    """
    from wsc.models.language import SHAPES, build, parameters

    counts = {name: parameters(build(shape)) for name, shape in SHAPES.items()}
    if as_json:
        rows = [
            {
                "name": shape.name,
                "family": shape.family.value,
                "parameters": counts[shape.name],
                "layers": shape.layers,
                "hidden": shape.hidden,
                "heads": shape.heads,
                "kv_heads": shape.kv_heads,
                "ffn": shape.ffn,
                "vocabulary": shape.vocabulary,
                "positions": shape.positions or None,
                "source": shape.source,
            }
            for shape in SHAPES.values()
        ]
        say_json(rows)
        return
    screen = console()
    numbers = ("parameters", "layers", "hidden", "heads", "ffn", "vocabulary")
    leaving = ("source", "vocabulary", "ffn")
    table = PlainTable("name", *numbers, "source", right=numbers, leaving=leaving)
    for shape in SHAPES.values():
        heads = str(shape.heads)
        if shape.kv_heads != shape.heads:
            heads += f" / {shape.kv_heads}"
        table.add_row(
            shape.name,
            f"{counts[shape.name]:,}",
            str(shape.layers),
            f"{shape.hidden:,}",
            heads,
            f"{shape.ffn:,}",
            f"{shape.vocabulary:,}",
            shape.source,
        )
    print_table(screen, table)
