"""Loops of the edge's schedule, and names that go on with the turns of a loop.

In a loop of main or of the schedule, a text may have places such as ``{layer}``, ``{layer+1}`` or
``{300-2*layer}``, where ``layer`` is what counts the turns: names of ONNX nodes, and in the
schedule those of edge tensors. ``{t[layer]}`` is the entry of a table of names. Other braces are
text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from wsc.isa.expr import Expr, Int, names, substitute
from wsc.isa.limits import MOST_TRANSFERS
from wsc.isa.program import Dim, EdgeTensor, Kind, Program, Transfer, TransferLoop

Tables = Mapping[str, tuple[str, ...]]

PLACE = re.compile(r"\{([^{}]+)\}")
_NUMBER = re.compile(r"([0-9]{1,12})")
_RISING = r"(?:([0-9]{{1,12}})\*)?{name}(?:\+([0-9]{{1,12}}))?"
_FALLING = r"([0-9]{{1,12}})-(?:([0-9]{{1,12}})\*)?{name}"
_ENTRY = r"(\w+)\[{name}\]"


@dataclass(frozen=True, slots=True)
class _Number:
    """A place that counts: ``first + step * turn``."""

    step: int
    first: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A place that takes the entry of a turn from a table. text: the place itself."""

    table: str
    text: str


@lru_cache(maxsize=1 << 12)
def _parts(text: str, name: str) -> tuple[str | _Number | _Entry, ...]:
    """A text for the loop that ``name`` counts, taken apart: what is text, and its places."""
    own = re.escape(name)
    parts: list[str | _Number | _Entry] = []
    # What is within braces is every second part.
    for number, inside in enumerate(PLACE.split(text)):
        if number % 2 == 0:
            parts.append(inside)
        elif found := re.fullmatch(_RISING.format(name=own), inside):
            parts.append(_Number(int(found[1] or 1), int(found[2] or 0)))
        elif found := re.fullmatch(_FALLING.format(name=own), inside):
            parts.append(_Number(-int(found[2] or 1), int(found[1])))
        elif found := re.fullmatch(_ENTRY.format(name=own), inside):
            parts.append(_Entry(found[1], f"{{{inside}}}"))
        else:
            parts.append(f"{{{inside}}}")
    return tuple(part for part in parts if part != "")


def expand(text: str, name: str, turn: int, tables: Tables | None = None) -> str:
    """The text in one turn of the loop that ``name`` counts."""
    if "{" not in text or not name:
        return text
    found: list[str] = []
    for part in _parts(text, name):
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, _Number):
            found.append(str(part.first + part.step * turn))
        else:
            entries = (tables or {}).get(part.table, ())
            found.append(entries[turn] if turn < len(entries) else part.text)
    return "".join(found)


def expanded(
    texts: Iterable[str], name: str, turn: int, tables: Tables | None = None
) -> tuple[str, ...]:
    """The texts in one turn of the loop that ``name`` counts; those that are empty there go."""
    found = (expand(text, name, turn, tables) for text in texts)
    return tuple(text for text in found if text)


def common(texts: Sequence[str], name: str) -> str | None:
    """What ``expand`` makes these texts of, in the turns from 0 on; None if they are too unlike."""
    if len(set(texts)) == 1 and expand(texts[0], name, 0) == texts[0]:
        return texts[0]
    columns = list(zip(*map(_NUMBER.split, texts), strict=False))
    parts: list[str] = []
    for number, column in enumerate(columns):
        if len(set(column)) == 1:
            parts.append(column[0])
        elif number % 2:
            values = [int(item) for item in column]
            parts.append(_place(values[0], values[1] - values[0], name))
        else:
            return None
    found = "".join(parts)
    # Numbers that do not go on evenly or begin with zeros, names of another length, braces.
    right = all(expand(found, name, turn) == text for turn, text in enumerate(texts))
    return found if right else None


def _place(first: int, step: int, name: str) -> str:
    way = name if abs(step) == 1 else f"{abs(step)}*{name}"
    if step < 0:
        return f"{{{first}-{way}}}"
    return f"{{{way}+{first}}}" if first else f"{{{way}}}"


def each_transfer(
    transfers: Iterable[Transfer | TransferLoop],
) -> Iterator[tuple[Transfer, TransferLoop | None]]:
    """The entries of a schedule in the order of the text, each with the loop around it."""
    for item in transfers:
        if isinstance(item, TransferLoop):
            for transfer in item.body:
                yield transfer, item
        else:
            yield item, None


def changed(
    transfers: Iterable[Transfer | TransferLoop], change: Callable[[Transfer], Transfer]
) -> tuple[Transfer | TransferLoop, ...]:
    """The same schedule with each entry changed."""
    return tuple(
        change(item)
        if isinstance(item, Transfer)
        else replace(item, body=tuple(map(change, item.body)))
        for item in transfers
    )


def in_turns(
    transfer: Transfer, loop: TransferLoop, turns: Iterable[int], tables: Tables
) -> Iterator[Transfer]:
    """What an entry of a loop is in some of its turns.

    What does not count the turns is one object in all of them.
    """
    register = loop.register

    def there(node: Expr, turn: int) -> Expr:
        return substitute(node, {register: Int(turn)})

    def shape(turn: int) -> tuple[Expr | None, Expr, tuple[Dim, ...]]:
        """Its guard, its offset and its extents."""
        guard = None if transfer.guard is None else there(transfer.guard, turn)
        dims = tuple(Dim(dim.name, there(dim.extent, turn)) for dim in transfer.dims)
        return guard, there(transfer.offset, turn), dims

    counts = register in set(_names(transfer))
    named = any("{" in text for text in transfer.nodes)
    same = None if counts else shape(0)
    for turn in turns:
        guard, offset, dims = same or shape(turn)
        yield replace(
            transfer,
            guard=guard,
            tensor=expand(transfer.tensor, register, turn, tables),
            offset=offset,
            dims=dims,
            nodes=expanded(transfer.nodes, register, turn, tables) if named else transfer.nodes,
        )


def unrolled(program: Program) -> Program:
    """The program with the turns of its schedule one after the other.

    Raises:
        ValueError: they are more than ``MOST_TRANSFERS`` entries.
    """
    loops = [item for item in program.transfers if isinstance(item, TransferLoop)]
    if not loops:
        return program
    if sum(max(loop.count, 0) * len(loop.body) for loop in loops) > MOST_TRANSFERS:
        raise ValueError(f"the schedule has more than {MOST_TRANSFERS} entries in all turns")
    tables = dict(program.names)
    found: list[Transfer] = []
    for item in program.transfers:
        if isinstance(item, TransferLoop):
            turns = range(item.count)
            columns = [in_turns(part, item, turns, tables) for part in item.body]
            found += [part for turn in zip(*columns, strict=True) for part in turn]
        else:
            found.append(item)
    return program.with_(transfers=tuple(found))


def plain_transfers(program: Program) -> tuple[Transfer, ...]:
    """The entries of the schedule in the order in which they are played, those of all turns."""
    items = unrolled(program).transfers
    return tuple(item for item in items if isinstance(item, Transfer))


def distinct_transfers(program: Program) -> Iterator[Transfer]:
    """The entries of the schedule, of the turns of a loop those that differ in more than names.

    Of the edge tensors' names, that is; tensors of other kinds, types or shapes do count.
    """
    tables = dict(program.names)
    tensors = {t.name: (t.kind, t.dtype, t.shape) for t in program.edge_tensors}
    for transfer, loop in each_transfer(program.transfers):
        if loop is None:
            yield transfer
            continue
        seen: dict[object, int] = {}
        counts = loop.register in set(_names(transfer))
        for turn in range(loop.count):
            tensor = expand(transfer.tensor, loop.register, turn, tables)
            seen.setdefault((tensors[tensor], turn if counts else 0), turn)
        yield from in_turns(transfer, loop, seen.values(), tables)


def _names(transfer: Transfer) -> Iterator[str]:
    """The names in a transfer's expressions."""
    if transfer.guard is not None:
        yield from names(transfer.guard)
    yield from names(transfer.offset)
    for dim in transfer.dims:
        yield from names(dim.extent)


# --- families of edge tensors -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """``count`` weights, or tensors that are kept, that are declared in one line.

    head: the declaration, with places in its names where ``register`` counts. step: bytes from
    one to the next in their file, if ``head`` has an offset.
    """

    head: EdgeTensor
    register: str
    count: int
    step: int = 0

    def members(self, tables: Tables) -> list[EdgeTensor]:
        """The tensors, in order."""
        head, first = self.head, self.head.byte_offset
        return [
            replace(
                head,
                name=expand(head.name, self.register, turn, tables),
                key=expand(head.key, self.register, turn, tables),
                byte_offset=None if first is None else first + self.step * turn,
            )
            for turn in range(self.count)
        ]


def families(program: Program) -> dict[int, Family]:
    """The place of the first one among the edge tensors -> tensors that are declared together.

    They are those that one entry of a loop of the schedule names, if they stand next to each other
    and differ in nothing else than names that go on.
    """
    tables = dict(program.names)
    kinds = (Kind.WEIGHT, Kind.KEPT)
    places = {t.name: n for n, t in enumerate(program.edge_tensors) if t.kind in kinds}
    found: dict[int, Family] = {}
    taken: set[int] = set()
    for transfer, loop in each_transfer(program.transfers):
        if loop is None or "{" not in transfer.tensor or not 2 <= loop.count <= len(places):
            continue
        turns = range(loop.count)
        names = [expand(transfer.tensor, loop.register, turn, tables) for turn in turns]
        first = places.get(names[0], -1)
        here = range(first, first + loop.count)
        if first < 0 or [places.get(name) for name in names] != [*here] or taken & {*here}:
            continue
        members = [program.edge_tensors[place] for place in here]
        family = _family(members, transfer.tensor, loop.register, tables)
        if family is not None:
            found[first] = family
            taken.update(here)
    return found


def _family(
    members: Sequence[EdgeTensor], name: str, register: str, tables: Tables
) -> Family | None:
    """The declaration of some tensors, if there is one."""
    keys = [member.key for member in members]
    key = name if keys == [member.name for member in members] else common(keys, register)
    first, second = (member.byte_offset for member in members[:2])
    step = 0 if first is None or second is None else second - first
    if key is None or step < 0:
        return None
    family = Family(replace(members[0], name=name, key=key), register, len(members), step)
    return family if family.members(tables) == [*members] else None
