"""``wsc inspect``: what a program does, by tile, by kernel, by ONNX node, by stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsc.cli.common import Refusal, console, coordinates, general, load_program
from wsc.cli.completion import Given, Word, nodes, procedures
from wsc.cli.maps import map_option, show_sram
from wsc.cli.names import (
    FABRIC,
    Named,
    Sizes,
    chosen_model,
    compiled,
    refuse_target,
    sized,
    target_options,
)
from wsc.cli.tables import PlainTable, print_table
from wsc.isa.shown import few, named

if TYPE_CHECKING:
    from rich.console import Console

    from wsc.api import Program
    from wsc.isa.program import Program as Assembly
    from wsc.isa.program import Tensor
    from wsc.views.inspect import Numbered

PICTURE = (64, 24)  # most marks of a picture of the mesh, across and down
BAR = 64  # marks of the SRAM map
FEW = 3  # nodes named beside a line; more of them are counted


@click.command("inspect")
@click.argument("program", type=Given(models=False), metavar="PROGRAM.wsa|NAME")
@click.option("--tile", metavar="X,Y", help="What this tile holds, routes and is called with.")
@click.option(
    "--kernel",
    type=Word(procedures),
    metavar="NAME",
    help="A procedure, its call sites and their nodes.",
)
@click.option(
    "--node",
    type=Word(nodes),
    metavar="ONNX_NODE",
    help="The lines, tiles and streams of an ONNX node.",
)
@map_option
@click.option("--sram", is_flag=True, help="SRAM by procedure and by tensor.")
@click.option("--streams", is_flag=True, help="The edge's schedule, with bytes and cycles.")
@target_options
@sized
@general
def command(
    program: Path,
    tile: str | None,
    kernel: str | None,
    node: str | None,
    maps: tuple[str, ...],
    sram: bool,
    streams: bool,
    fabric: str | None,
    precision: str | None,
    sizes: Sizes,
) -> None:
    """Show what a program, or a model by name (see wsc models), does; first of all a summary.

    Line numbers are those of the file. "<-" names the ONNX nodes that caused a line;
    for lines of a procedure, the nodes that call it.
    """
    ran = next((kind for kind in maps if kind != "sram"), "")
    if ran:
        raise Refusal(f"--map {ran} is of a run: wsc run {program} --map {ran}")
    place = None if tile is None else coordinates("--tile", tile)
    chosen = chosen_model(program, sizes)
    if isinstance(chosen, Named):
        loaded = compiled(chosen, fabric or FABRIC, precision)
    else:
        refuse_target(program, fabric, precision)
        loaded = load_program(program, "reading")
    screen = console()
    if place is not None:
        show_tile(screen, loaded, *place)
    if kernel is not None:
        show_kernel(screen, loaded.assembly, kernel)
    if node is not None:
        show_node(screen, loaded, node)
    if sram:
        show_rooms(screen, loaded)
    if streams:
        show_streams(screen, loaded)
    if maps:
        show_sram(loaded)
    if place is None and kernel is None and node is None and not (sram or streams or maps):
        show_summary(screen, loaded)


# --- summary ----------------------------------------------------------------------


def show_summary(screen: Console, program: Program) -> None:
    """Sizes, edge tensors, SRAM, colors, procedures."""
    from wsc.isa.program import Direction, Kind
    from wsc.isa.turns import each_transfer
    from wsc.views.inspect import call_counts, direction_bytes, sram_use

    assembly, fabric = program.assembly, program.fabric
    use, moved = sram_use(assembly, fabric), direction_bytes(assembly)
    kinds = {kind: [t for t in assembly.edge_tensors if t.kind is kind] for kind in Kind}
    screen.print(f"model      {assembly.model or '(none)'}")
    screen.print(f"fabric     {assembly.width}x{assembly.height} tiles of {fabric.name}")
    transfers = list(each_transfer(assembly.transfers))
    screen.print(f"precision  {assembly.precision.value}")
    for kind in (Kind.INPUT, Kind.OUTPUT):
        for tensor in kinds[kind]:
            shape = ", ".join(map(str, tensor.shape))
            screen.print(f"{kind.value:<10} {tensor.name}: {tensor.host.name}[{shape}]")
    kept = f"{len(kinds[Kind.KEPT])} kept, " if kinds[Kind.KEPT] else ""
    screen.print(
        f"edge       {len(kinds[Kind.WEIGHT])} weights, {kept}{len(transfers)} transfers, "
        f"{moved[Direction.FEED]:,} bytes in, {moved[Direction.DRAIN]:,} out"
    )
    screen.print(
        f"text       {program.text.count(chr(10)):,} lines, {len(assembly.procedures)} procedures, "
        f"{len(assembly.tensors)} tensors, {len(assembly.routes)} routes"
    )
    screen.print(
        f"SRAM       {use.data:,} bytes of data + {use.code:,} of code, "
        f"of {use.limit:,} in each tile"
    )
    screen.print(f"           {sram_bar(assembly.tensors, use.code, use.limit)}")
    screen.print("           # tensors, : gaps between them, c code, . free\n")
    _show_colors(screen, assembly)
    counts = call_counts(assembly)
    table = PlainTable("procedure", "calls", "what it does", right=("calls",), cut="what it does")
    for procedure in assembly.procedures:
        text = procedure.doc[0] if procedure.doc else ""
        table.add_row(procedure.name, str(counts[procedure.name]), text)
    if assembly.procedures:
        print_table(screen, table)


def show_rooms(screen: Console, program: Program) -> None:
    """What takes the SRAM of a tile: the code of procedures with their data, and tensors."""
    from wsc.isa.operands import show_extent
    from wsc.views.inspect import sram_use
    from wsc.views.sram import procedure_rooms, users

    assembly, fabric = program.assembly, program.fabric
    rows, use = procedure_rooms(assembly, fabric), sram_use(assembly, fabric)
    numbers = ("calls", "code", "data")
    table = PlainTable("procedure", *numbers, "largest of its tensors", right=numbers)
    for row in rows:
        largest = sorted(row.tensors, key=lambda tensor: -tensor.bytes)[:FEW]
        shown = ", ".join(f"{tensor.name} {tensor.bytes:,}" for tensor in largest)
        count = "" if row.calls is None else f"{row.calls:,}"
        table.add_row(row.name, count, f"{row.code:,}", f"{row.data:,}", shown)
    print_table(screen, table)
    screen.print(
        f"code: {use.code:,} of {use.limit:,} bytes in the fullest tile; data: bytes of the "
        "tensors that a procedure works on\n"
    )
    known = users(rows)
    numbers = ("bytes", "address")
    table = PlainTable(
        "tensor",
        *numbers,
        "layout",
        "procedures",
        "node",
        right=numbers,
        leaving=("node", "layout"),
        cut="tensor",
    )
    for tensor in sorted(assembly.tensors, key=lambda tensor: -tensor.bytes):
        layout = ", ".join(map(show_extent, tensor.dims))
        table.add_row(
            tensor.name,
            f"{tensor.bytes:,}",
            f"{tensor.address:,}",
            f"{tensor.dtype.value}[{layout}]",
            few(known.get(tensor.name, ())),
            few(tensor.nodes),
        )
    print_table(screen, table)
    screen.print(
        f"data: {use.data:,} of {use.limit:,} bytes; tensors whose bytes overlap have them one "
        "after the other"
    )


def _show_colors(screen: Console, assembly: Assembly) -> None:
    from wsc.isa.turns import each_transfer

    table = PlainTable("color", "number", "routes", "transfers", right=("number", "routes"))
    for name, number in assembly.colors:
        routes = sum(route.color == name for route in assembly.routes)
        streams = [item for item, _ in each_transfer(assembly.transfers) if item.color == name]
        kinds = sorted({item.direction.value for item in streams})
        shown = f"{len(streams)} ({', '.join(kinds)})" if streams else ""
        table.add_row(name, str(number), str(routes), shown)
    if assembly.colors:
        print_table(screen, table)
        screen.print()


def sram_bar(tensors: Iterable[Tensor], code: int, limit: int) -> str:
    """One line over the SRAM of a tile: which parts tensors ever use, code behind them."""
    marks = ["."] * BAR
    ends = [tensor.address + tensor.bytes for tensor in tensors]
    top = max(ends, default=0)

    def paint(first: int, last: int, mark: str) -> None:
        for place in range(first * BAR // limit, min(-(-last * BAR // limit), BAR)):
            marks[place] = mark

    paint(0, top, ":")
    paint(top, top + code, "c")
    for tensor in tensors:
        if tensor.bytes:
            paint(tensor.address, tensor.address + tensor.bytes, "#")
    return "[" + "".join(marks) + "]"


# --- a tile -----------------------------------------------------------------------


def show_tile(screen: Console, program: Program, x: int, y: int) -> None:
    """Tensors with index ranges, routes, arguments that depend on the place, streams."""
    from wsc.isa.operands import show_position
    from wsc.views.inspect import tile_view

    view = tile_view(program.assembly, x, y)
    region = view.region
    screen.print(
        f"tile {x},{y}: x = {view.x}, y = {view.y} of region {region.name} "
        f"({region.width}x{region.height} at {region.left},{region.top})\n"
    )
    table = PlainTable(
        "tensor",
        "type",
        "at",
        "bytes",
        "holds",
        "node",
        right=("at", "bytes"),
        leaving=("type",),
        cut="node",
    )
    for item in view.tensors:
        tensor = item.tensor
        ranges = item.ranges
        text = "nothing" if ranges is None else ", ".join(f"{a}:{b}" for a, b in ranges)
        table.add_row(
            tensor.name,
            tensor.dtype.value,
            str(tensor.address),
            str(tensor.bytes),
            text if ranges is None else f"[{text}]",
            named(tensor.nodes),
        )
    print_table(screen, table)
    screen.print()
    table = PlainTable("color", "number", "route", right=("number",))
    for route, number in view.routes:
        table.add_row(route.color, str(number), " | ".join(map(show_position, route.positions)))
    print_table(screen, table)
    if view.streams:
        screen.print()
        table = PlainTable("edge", "color", "side", "tensor", "elements", right=("elements",))
        for transfer, elements in view.streams:
            table.add_row(
                transfer.direction.value,
                transfer.color,
                transfer.side.value,
                transfer.tensor,
                f"{elements:,}",
            )
        print_table(screen, table)
    if view.calls:
        screen.print("\narguments that depend on the tile:")
    for call, values in view.calls:
        line = f"{call.where.line}: " if call.where.line else ""
        shown = ", ".join(f"{name} = {value}" for name, value in values)
        screen.print(f"  {line}call {call.procedure}({shown}){arrow(call.nodes)}")


# --- a kernel, a node -------------------------------------------------------------


def arrow(nodes: Sequence[str]) -> str:
    """``  <- node, node and 3 more``; nothing without a node."""
    if not nodes:
        return ""
    more = f" and {len(nodes) - FEW} more" if len(nodes) > FEW else ""
    return f"  <- {named(nodes[:FEW])}{more}"


def _print_lines(screen: Console, lines: Iterable[Numbered]) -> None:
    """Numbered lines with the nodes behind them; a node that the line itself ends in, once."""
    for item in lines:
        behind = "" if item.line.nodes else arrow(item.nodes)
        screen.print(f"{item.number or '':>6}  {item.line.text}{behind}")


def show_kernel(screen: Console, assembly: Assembly, name: str) -> None:
    """A procedure's listing and every call of it."""
    from wsc.views.inspect import call_sites, kernel_lines

    lines = kernel_lines(assembly, name)
    for item in lines:
        first = item is lines[0]
        behind = arrow(item.nodes) if first else ""
        screen.print(f"{item.number or '':>6}  {item.line.text}{behind}")
    sites = call_sites(assembly, name)
    screen.print(f"\ncalled {len(sites)} time{'s' * (len(sites) != 1)}:")
    _print_lines(screen, sites)
    nodes = lines[0].nodes
    screen.print(f"\nfor {len(nodes)} ONNX node{'s' * (len(nodes) != 1)}:")
    for node in nodes:
        screen.print(f"        {node}")


def show_node(screen: Console, program: Program, name: str) -> None:
    """From an ONNX node to its lines, procedures, tensors, tiles and streams."""
    from wsc.views.inspect import node_view, stream_cycles

    assembly = program.assembly
    view = node_view(assembly, name)
    screen.print(f"node {view.name}\n\nlines:")
    _print_lines(screen, view.lines)
    if view.procedures:
        screen.print("\nprocedures that these call:")
        for procedure, first, last in view.procedures:
            screen.print(f"  {procedure}: lines {first}-{last}")
    if view.colors:
        screen.print(f"\ncolors: {', '.join(view.colors)}")
    if view.streams:
        screen.print("\nstreams:")
    for transfer, moved in view.streams:
        cycles = stream_cycles(moved, program.fabric)
        screen.print(
            f"  {transfer.direction.value} {transfer.tensor} on {transfer.color}, "
            f"side {transfer.side.value}: {moved.bytes:,} bytes, {moved.wavelets:,} wavelets at "
            f"the busiest port, at least {cycles:,} cycles"
        )
    _show_placement(screen, program, view.tensors)


def _show_placement(
    screen: Console,
    program: Program,
    tensors: Sequence[tuple[Tensor, tuple[int, ...], tuple[int, ...]]],
) -> None:
    """Where tensors lie; those that lie alike share one picture."""
    from wsc.views.inspect import picture, span

    assembly = program.assembly
    places: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Tensor]] = {}
    for tensor, columns, rows in tensors:
        places.setdefault((columns, rows), []).append(tensor)
    for (columns, rows), alike in places.items():
        screen.print(f"\ntiles with data: x {span(columns)}; y {span(rows)}")
        for tensor in alike:
            first = tensor.address
            screen.print(f"  {tensor.name}: bytes {first}-{first + tensor.bytes - 1} of each tile")
        for line in picture(columns, rows, assembly.width, assembly.height, PICTURE):
            screen.print(f"  {line}")


# --- streams ----------------------------------------------------------------------


def show_streams(screen: Console, program: Program) -> None:
    """The edge's schedule in the order of the text, with sizes."""
    from wsc.cost.edge import traffic
    from wsc.isa.program import Transfer
    from wsc.views.inspect import direction_bytes, numbered, stream_cycles

    assembly = program.assembly
    numbers = ("line", "ports", "a port", "bytes", "cycles")
    table = PlainTable(
        "line",
        "edge",
        "color",
        "side",
        "tensor",
        "ports",
        "a port",
        "bytes",
        "cycles",
        "node",
        right=numbers,
        leaving=("side", "ports", "a port", "node", "color"),
        cut="tensor",
    )
    for item in numbered(assembly):
        transfer = item.line.source
        if not isinstance(transfer, Transfer):
            continue
        moved = traffic(assembly, transfer)
        table.add_row(
            str(item.number),
            transfer.direction.value,
            transfer.color,
            transfer.side.value,
            transfer.tensor,
            str(int((moved.ports > 0).sum())),
            f"{int(moved.ports.max(initial=0)):,}",
            f"{moved.bytes:,}",
            f"{stream_cycles(moved, program.fabric):,}",
            named(transfer.nodes),
        )
    print_table(screen, table)
    rate = program.fabric.io_bytes_per_cycle
    for direction, total in direction_bytes(assembly).items():
        screen.print(
            f"{direction.value}: {total:,} bytes, at least {-(-total // rate):,} cycles at "
            f"{rate:,} bytes a cycle"
        )
    screen.print(
        'elements "a port": the busiest one; cycles: the larger of its wavelets and the '
        "bytes over the edge's bandwidth"
    )
