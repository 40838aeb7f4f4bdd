"""Checks of sections: where they begin, what they take, and that their code has room."""

from __future__ import annotations

from collections.abc import Iterable

from wsc.isa import expr as ex
from wsc.isa.code_size import section_bytes
from wsc.isa.program import (
    Dim,
    Direction,
    If,
    Kind,
    Mem,
    Queue,
    Scalar,
    Statement,
    Tensor,
)
from wsc.isa.sections import (
    SECTION,
    WORD,
    Section,
    code_tensors,
    is_section,
    parted,
    resident,
)
from wsc.isa.statements import expressions, instructions, statements
from wsc.isa.types import DType
from wsc.isa.verify.context import Context
from wsc.isa.verify.shape import body_of, scopes


def sections(context: Context) -> None:
    """Sections begin in mains, take code that the edge feeds, and have a room for it alone."""
    for procedure in context.program.procedures:
        _outside(context, procedure.body, f"in procedure '{procedure.name}'")
    for tensor in code_tensors(context.program):
        if tensor.dtype is not DType.I32 or len(tensor.shape) != 1 or tensor.shape[0] < 1:
            context.say(f"the code '{tensor.name}' is i32[words], with one word at least", tensor)
    taken: set[str] = set()
    for region in context.program.regions:
        for statement in statements(region.main):
            if isinstance(statement, If):
                _outside(context, (*statement.then, *statement.otherwise), "under a condition")
        found = parted(region.main)[1]
        there = resident(context.program, region.main) if found else set[str]()
        for section in found:
            taken |= _section(context, section, there)
    for tensor in code_tensors(context.program):
        if tensor.name not in taken:
            context.say(f"no section takes the code '{tensor.name}'", tensor, tensor.name)
    _fed(context)
    _alone(context)


def _outside(context: Context, body: Iterable[Statement], where: str) -> None:
    for op in instructions(body):
        if is_section(op):
            context.say(f"a section begins in a main or in a loop of it, not {where}", op)


def _section(context: Context, section: Section, there: set[str]) -> set[str]:
    """Look at one section. The name of the code that it takes, if it is known."""
    op = section.op
    forms = tuple(map(type, op.operands))
    room = section.room(context.tensors)
    words = section.words
    if forms != (Mem, Queue, Scalar) or room is None or not _in_order(section, room.name):
        form = f"{SECTION}.i32 [tensor + 4*i], <color>, {{number}} for i:words"
        context.say(f"a section is written '{form}'", op)
        return set()
    if room.bytes < WORD * words:
        message = f"the section takes {WORD * words} bytes of code, and '{room.name}' has"
        context.say(f"{message} {room.bytes}", op, room.name)
    needed = section_bytes(section, context.program, there, context.fabric)
    if needed > WORD * words:
        context.say(
            f"the section's statements, and the procedures that come with it, are {needed} bytes "
            f"of code, {-(-needed // WORD)} words, and {words} are taken",
            op,
        )
    known = code_tensors(context.program)
    if not 1 <= section.number <= len(known):
        has = f"there are 1 to {len(known)}" if known else "there is none"
        context.say(f"the edge has no code of section {section.number}: {has}", op)
        return set()
    code = known[section.number - 1]
    if code.shape != (words,):
        message = f"'{code.name}', the code of section {section.number}, has shape"
        context.say(f"{message} {list(code.shape)}, and {words} words are taken", op)
    return {code.name}


def _in_order(section: Section, room: str) -> bool:
    """Whether words of a numbered section are taken in order, from the first of the room on."""
    (place, queue, number), dims = section.op.operands, section.op.dims
    if section.words < 1 or not isinstance(place, Mem) or not isinstance(queue, Queue):
        return False
    if not isinstance(number, Scalar) or not isinstance(number.value, ex.Int):
        return False
    wanted = ex.Name(room) + ex.Int(WORD) * ex.Name(dims[0].name)
    ordered = queue.dims in (None, (dims[0].name,))
    return ordered and place.address == wanted and dims == (Dim(dims[0].name, dims[0].extent),)


def _fed(context: Context) -> None:
    """Code is fed from its first word to its last: no word of it says which place it is for."""
    for transfer in context.transfers:
        if transfer.direction is not Direction.FEED:
            continue
        code = context.edge_tensor(transfer)
        if code.kind is not Kind.CODE or len(code.shape) != 1:
            continue
        name = transfer.dims[0].name if transfer.dims else "i"
        whole = transfer.dims == (Dim(name, ex.Int(code.shape[0])),)
        ordered = transfer.offset == ex.Name(name)
        if not whole or not ordered or transfer.repeat or transfer.lookup:
            form = f"{code.name}[{name}] for {name}:{code.shape[0]}"
            context.say(f"code is fed whole and in order, '{form}'", transfer, code.name)


def _alone(context: Context) -> None:
    """Nothing but sections uses a room, or its bytes: what is written there is run."""
    found = context.rooms
    names = {room.name for room in found}
    for tensor in context.program.tensors:
        for room in found:
            # Those that do not say that they share bytes are told of as any others.
            shared = (tensor.shares or tensor.name) == (room.shares or room.name)
            low, high = max(tensor.address, room.address), min(_end(tensor), _end(room))
            if tensor.name not in names and shared and low < high:
                message = f"'{tensor.name}' lies over '{room.name}', where code of sections is"
                context.say(f"{message}: data has bytes of its own", tensor)
    for scope, _ in scopes(context):
        for statement in statements(body_of(scope)):
            if is_section(statement):
                continue
            used = {name for node in expressions(statement) for name in ex.names(node)}
            for name in sorted(used & names):
                message = f"'{name}' is where code of sections is, and no data"
                context.say(message, statement, name)


def _end(tensor: Tensor) -> int:
    return tensor.address + tensor.bytes
