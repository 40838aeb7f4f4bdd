"""Program -> text: canonical, readable, and read back identically by the parser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wsc.isa.expr import Int, show
from wsc.isa.operands import (
    comma,
    show_asynchronous,
    show_dims,
    show_edge_name,
    show_extent,
    show_nodes,
    show_number,
    show_operand,
    show_position,
    show_real,
    show_semaphore,
    show_string,
)
from wsc.isa.program import (
    Call,
    EdgeTensor,
    Kind,
    Loop,
    Op,
    Operand,
    Procedure,
    Program,
    Region,
    Route,
    Scalar,
    Statement,
    Tensor,
    Transfer,
    TransferLoop,
    Update,
    WeightFile,
)
from wsc.isa.table import BY_NAME, Category
from wsc.isa.turns import Family, families
from wsc.isa.types import Control

INDENT = "  "
WIDEST = 24  # letters of a name for which the column behind all names moves

Source = (
    Program
    | WeightFile
    | EdgeTensor
    | Tensor
    | Region
    | Route
    | Procedure
    | Statement
    | Transfer
    | TransferLoop
    | Update
    | None
)


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line, the object that it shows and the ONNX nodes that caused it.

    source is None for headings, ``end`` and declarations without an object of their own. around:
    the loops of main or of the schedule around it, innermost first: (what counts, turns or None).
    """

    text: str
    source: Source = None
    nodes: tuple[str, ...] = ()
    around: tuple[tuple[str, int | None], ...] = ()


def print_program(program: Program) -> str:
    """The canonical text. ``parse`` of it is ``program``, locations aside."""
    return "".join(f"{line.text}\n" for line in listing(program))


def print_statement(statement: Statement) -> str:
    """One statement; several lines for loops and branches, without an end of line."""
    return "\n".join(line.text for line in _statement(statement, ""))


def listing(program: Program) -> list[Line]:
    """The lines of the canonical text, each with what it shows."""
    sections: tuple[tuple[str, Iterator[Line]], ...] = (
        ("", _header(program)),
        ("Constants.", _constants(program)),
        ("Tensors outside the fabric: inputs, outputs, weights.", _edge(program)),
        ("Colors.", _colors(program)),
        ("Tensors in the SRAM of each tile: layout, byte address, bytes.", _tensors(program)),
        ("Rectangles of tiles.", _regions(program)),
        ("Routes.", map(_route, program.routes)),
        ("Procedures.", _procedures(program)),
        ("What each region's main threads run.", _mains(program)),
        ("What the edge feeds and drains, in this order at each port.", _transfers(program)),
        ("What the weight store does with the gradients, at the end.", _updates(program)),
    )
    lines: list[Line] = []
    for title, section in sections:
        body = list(section)
        if body and title:
            lines += [Line(""), Line(f"; {title}")]
        lines += body
    return lines


def print_operation(op: Op) -> str:
    """One instruction of the table."""
    suffix = f".{op.dtype.value}" if op.dtype else ""
    return f"{show_asynchronous(op.asynchronous)}{op.name}{suffix} {_operands(op)}"


def _operands(op: Op) -> str:
    category = BY_NAME[op.name].category
    values = op.operands
    match category:
        case Category.SCALAR:
            return comma([op.register or "", *map(_plain, values)])
        case Category.LOAD:
            return comma([op.register or "", *map(show_operand, values)])
        case Category.STORE:
            return f"{show_operand(values[0])}, {_plain(values[1])}"
        case Category.VECTOR:
            return comma(map(show_operand, values)) + show_dims(op.dims)
        case Category.SEND:
            tile = comma(map(show, op.target or ()))
            space = comma(map(show_operand, values)) + show_dims(op.dims)
            return f"({tile}) {show_semaphore(op.semaphore or 0)}: {space}"
        case Category.CONTROL:
            return f"{op.control.value} <{op.color}>"
        case Category.SEMAPHORE:
            return f"{show_semaphore(op.semaphore or 0)}, {_plain(values[0])}"


def _plain(operand: Operand) -> str:
    """An integer operand of an instruction that has no others: without braces."""
    return show(operand.value) if isinstance(operand, Scalar) else show_operand(operand)


def _header(program: Program) -> Iterator[Line]:
    yield Line(f"wsc {program.version}")
    fabric = f"fabric {show_string(program.fabric)} {program.width}x{program.height}"
    numbers = f" numbers {show_string(program.numbers)}" if program.numbers else ""
    yield Line(fabric + numbers, program)
    for key, value in program.settings:
        yield Line(f"set {key} = {show_number(value)}")
    yield Line(f"precision {program.precision.value}")
    if program.model:
        yield Line(f"model {show_string(program.model)}")
    if program.work is not None:
        yield Line(f"work {program.work}")


def _aligned(heads: Iterable[str]) -> list[str]:
    """Names padded to one width, so that the declarations of a section line up."""
    names = list(heads)
    width = min(WIDEST, max(map(len, names), default=0))
    return [name.ljust(width) for name in names]


def _constants(program: Program) -> Iterator[Line]:
    heads = _aligned(name for name, _ in program.constants)
    for head, (_, value) in zip(heads, program.constants, strict=True):
        yield Line(f"const {head} = {value}")


def _edge(program: Program) -> Iterator[Line]:
    for file in program.files:
        yield Line(f"file {show_string(file.name)} sha256 {show_string(file.sha256)}", file)
    for name, entries in program.names:
        yield Line(f"names {name} = {comma(map(show_string, entries))}")
    lines = list(_declarations(program))
    heads = _aligned(f"{f.head.kind.value} {show_edge_name(f.head.name)}" for f in lines)
    for head, family in zip(heads, lines, strict=True):
        tensor = family.head
        text = f"{head} : {tensor.dtype.value}[{comma(map(str, tensor.shape))}]"
        yield Line(text + _behind(family), tensor)


def _declarations(program: Program) -> Iterator[Family]:
    """The edge tensors line by line, those of a family in one."""
    together, place = families(program), 0
    while place < len(program.edge_tensors):
        family = together.get(place) or Family(program.edge_tensors[place], "", 1)
        yield family
        place += family.count


def _behind(family: Family) -> str:
    """What the host sees of an edge tensor: its type there and, for a weight, the place."""
    tensor = family.head
    turns = f" for {family.register}:{family.count}" if family.register else ""
    if tensor.kind is Kind.KEPT:
        return turns
    if tensor.kind is not Kind.WEIGHT:
        text = f" {show_string(tensor.host_dtype)}" if tensor.host_dtype else ""
        text += f" high {show_edge_name(tensor.high)}" if tensor.high else ""
        cut = tensor.cut
        return f"{text} cut {cut.axis} by {show_edge_name(cut.length)}" if cut else text
    if tensor.drawn is not None:
        text = f" drawn {tensor.drawn.seed} key {show_string(tensor.key)}"
        text += f" from {tensor.drawn.first}" if tensor.drawn.first else ""
        if tensor.drawn.order:
            text += f" as {list(tensor.drawn.shape)} by {list(tensor.drawn.order)}"
        mean, deviation = show_real(tensor.drawn.mean), show_real(tensor.drawn.deviation)
        text += f" mean {mean} deviation {deviation}"
        return text + turns
    text = f" {show_string(tensor.file)}"
    if tensor.key:
        text += f" key {show_string(tensor.key)}"
    if tensor.byte_offset is not None:
        text += f" at {tensor.byte_offset}"
        text += f" + {family.step}*{family.register}" if family.step else ""
    text += f" as {show_string(tensor.host_dtype)}" if tensor.host_dtype else ""
    return text + turns


def _colors(program: Program) -> Iterator[Line]:
    heads = _aligned(name for name, _ in program.colors)
    for head, (_, number) in zip(heads, program.colors, strict=True):
        yield Line(f"color {head} = {number}")


def _tensors(program: Program) -> Iterator[Line]:
    heads = _aligned(tensor.name for tensor in program.tensors)
    for head, tensor in zip(heads, program.tensors, strict=True):
        layout = f"{tensor.dtype.value}[{comma(map(show_extent, tensor.dims))}]"
        place = f"at {tensor.address} size {tensor.bytes}"
        place += f" shares {tensor.shares}" if tensor.shares else ""
        text = f"tensor {head} : {layout} {place}{show_nodes(tensor.nodes)}"
        yield Line(text, tensor, tensor.nodes)


def _regions(program: Program) -> Iterator[Line]:
    for region in program.regions:
        corner, size = f"{region.left},{region.top}", f"{region.width}x{region.height}"
        yield Line(f"region {region.name} at {corner} size {size}", region)


def _route(route: Route) -> Line:
    guard = "" if route.guard is None else f" when {show(route.guard)}"
    positions = " | ".join(map(show_position, route.positions))
    return Line(f"route {route.color} in {route.region}{guard} : {positions}", route)


def _procedures(program: Program) -> Iterator[Line]:
    for index, procedure in enumerate(program.procedures):
        if index:
            yield Line("")
        yield Line(f"proc {procedure.name}({comma(procedure.parameters)})", procedure)
        for line in procedure.doc:
            yield Line(f"{INDENT}; {line}".rstrip(), procedure)
        yield from _block(procedure.body, INDENT)
        yield Line("end")


def _mains(program: Program) -> Iterator[Line]:
    for index, region in enumerate(region for region in program.regions if region.main):
        if index:
            yield Line("")
        yield Line(f"main {region.name}", region)
        yield from _block(region.main, INDENT)
        yield Line("end")


def _block(body: tuple[Statement, ...], indent: str) -> Iterator[Line]:
    for statement in body:
        yield from _statement(statement, indent)


def _statement(statement: Statement, indent: str) -> Iterator[Line]:
    if isinstance(statement, Op):
        yield Line(indent + print_operation(statement), statement)
    elif isinstance(statement, Call):
        arguments = comma(f"{name} = {show(value)}" for name, value in statement.arguments)
        name = f" as {statement.name}" if statement.name else ""
        text = f"{indent}call {statement.procedure}({arguments}){name}{show_nodes(statement.nodes)}"
        yield Line(text, statement, statement.nodes)
    elif isinstance(statement, Loop):
        yield Line(f"{indent}loop {statement.register}: {show(statement.count)}", statement)
        count = statement.count.value if isinstance(statement.count, Int) else None
        for line in _block(statement.body, indent + INDENT):
            yield replace(line, around=(*line.around, (statement.register, count)))
        yield Line(f"{indent}end")
    else:
        left, right = show(statement.left, 2), show(statement.right, 2)
        yield Line(f"{indent}if {left} {statement.relation} {right}", statement)
        yield from _block(statement.then, indent + INDENT)
        if statement.otherwise:
            yield Line(f"{indent}else")
            yield from _block(statement.otherwise, indent + INDENT)
        yield Line(f"{indent}end")


def _transfers(program: Program) -> Iterator[Line]:
    for item in program.transfers:
        if isinstance(item, Transfer):
            yield Line(print_transfer(item), item, item.nodes)
            continue
        yield Line(f"loop {item.register}: {item.count}", item)
        for transfer in item.body:
            text, around = INDENT + print_transfer(transfer), ((item.register, item.count),)
            yield Line(text, transfer, transfer.nodes, around)
        yield Line("end")


def _updates(program: Program) -> Iterator[Line]:
    if program.clip or program.over != 1:
        clip = f" clip {show_number(program.clip)}" if program.clip else ""
        over = f" over {program.over}" if program.over != 1 else ""
        yield Line(f"gradients{clip}{over}")
    for update in program.updates:
        yield Line(print_update(update), update)


def print_update(update: Update) -> str:
    """What the store does to one of its tensors."""
    numbers = comma(f"{name} = {show_number(value)}" for name, value in update.numbers)
    text = f"update {show_edge_name(update.weight)} by {update.rule}({numbers})"
    text += f" from {show_edge_name(update.gradient)}"
    return text + (f" with {comma(map(show_edge_name, update.states))}" if update.states else "")


def print_transfer(transfer: Transfer) -> str:
    """One entry of the edge's schedule."""
    guard = "" if transfer.guard is None else f" when {show(transfer.guard)}"
    text = f"{transfer.direction.value} {transfer.color} in {transfer.region}"
    text += f" side {transfer.side.value}{guard}"
    text += f" from {show_edge_name(transfer.tensor)}[{show(transfer.offset)}]"
    if transfer.repeat:
        text += f" repeat {transfer.repeat[0]}:{transfer.repeat[1]}"
    if transfer.lookup:
        rows = transfer.lookup
        text += f" lookup {rows.row}:{rows.count} by {rows.color}"
        text += f" side {rows.side.value} port {rows.port}"
    text += show_dims(transfer.dims)
    if transfer.then is not Control.NONE:
        text += f" then {transfer.then.value}"
    if transfer.final is not Control.NONE:
        text += f" final {transfer.final.value}"
    if transfer.call:
        text += f" call {transfer.call}"
    return text + show_nodes(transfer.nodes)
