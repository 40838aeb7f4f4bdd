"""Forms of a node: how they are written, which were weighed for a node, and what was asked for.

A form is written as ``x=c y=y0 reduce chunk=6``: the label that runs along x, the one along y,
how sums come together (``local``: each tile has its own; ``reduce``: along a chain of tiles;
``ordered``: along one in which their order does not depend on the owner; ``combined``: in all tiles
of an axis along which a summed label lies), and how many outputs
are summed at a time. A label is one of the indices of a product or reduction, and the number of a
dimension of a map's result; without one all tiles of the axis have the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wsc.errors import CompileError, shortened
from wsc.isa.shown import Facts, Shown, few, named, suggestion

HOLDS = ("stream", "resident", "auto")  # where the weights of products are
CODES = RESIDENT, SECTIONS, AUTO = ("resident", "sections", "auto")  # where code is
CROWDED = "leaves too little SRAM to others"
TOO_LARGE = "does not fit"


@dataclass(frozen=True, slots=True)
class Form:
    """A form with what the cost model says of it.

    x, y: the label along each axis, "" for none. sums: how sums come together. chunk: outputs that
    are summed at a time, 0 where all are. cycles: predicted, ``moving`` among them: to bring the
    operands to where it wants them. compute, link, edge: cycles that each of these would take
    alone. bytes: of the SRAM of a tile. against: what speaks against it beside its cycles.
    """

    x: str
    y: str
    sums: str
    chunk: int
    cycles: int
    moving: int
    compute: int
    link: int
    edge: int
    bytes: int
    against: str = ""

    def __str__(self) -> str:
        parts = [f"x={self.x}" if self.x else "", f"y={self.y}" if self.y else "", self.sums]
        parts.append(f"chunk={self.chunk}" if self.chunk else "")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Wish:
    """What someone asks of the form of a node; None where anything will do.

    node: its name, in which ``*`` stands for anything.
    """

    node: str
    x: str | None = None
    y: str | None = None
    sums: str | None = None
    chunk: int | None = None

    @property
    def many(self) -> bool:
        """Whether it is asked of all nodes of a pattern."""
        return "*" in self.node

    def is_for(self, names: Iterable[str]) -> bool:
        """Whether one of these names of a node is meant."""
        pattern = ".*".join(map(re.escape, self.node.split("*")))
        return any(re.fullmatch(pattern, name, re.DOTALL) for name in names)

    def suits(self, form: Form) -> bool:
        """Whether a form is as it was asked for."""
        pairs = (
            (self.x, form.x),
            (self.y, form.y),
            (self.sums, form.sums),
            (self.chunk, form.chunk),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)

    def __str__(self) -> str:
        parts = (("x=", self.x), ("y=", self.y), ("", self.sums), ("chunk=", self.chunk))
        return " ".join(f"{head}{part}" for head, part in parts if part is not None)


@dataclass(frozen=True, slots=True, repr=False)
class Weighed(Shown):
    """How a node got its form. nodes: the ONNX nodes. value: what it gives, as the graph calls it.

    text: the node, as a dump has it. forms: all that were weighed, the cheapest first. taken:
    the one that was taken, None if none fits. wish: what was asked for. rule: why
    a form is taken without being asked for, where that is not by its cycles.
    """

    nodes: tuple[str, ...]
    value: str
    text: str
    forms: tuple[Form, ...]
    taken: Form | None
    wish: Wish | None = None
    rule: str = ""

    def _facts(self) -> Facts:
        taken = "none fits" if self.taken is None else str(self.taken)
        return [
            ("nodes", few(self.nodes)),
            ("taken", taken),
            ("forms", f"{len(self.forms)}"),
            *([] if self.wish is None else [("asked for", str(self.wish))]),
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it goes by."""
        return (*self.nodes, self.value)

    def why(self, form: Form) -> str:
        """Why a form was taken, or was not."""
        if self.taken is None or form.against == TOO_LARGE:
            return TOO_LARGE
        if form == self.taken:
            if self.wish is not None:
                return "taken: asked for"
            return f"taken: {self.rule}" if self.rule else "taken"
        if self.wish is not None and not self.wish.suits(form):
            return "is not what was asked for"
        if form.against:
            return form.against
        more = form.cycles - self.taken.cycles
        if more:
            return f"{abs(more):,} cycles {'more' if more > 0 else 'less by themselves'}"
        if self.rule:
            return "is another layout"
        return "more SRAM" if form.bytes > self.taken.bytes else "no better, and comes later"

    def __str__(self) -> str:
        """The node, and a line for each form."""
        lines = [f"{named(self.nodes)}: {self.text}"]
        lines += [
            f"  {form}: {form.cycles:,} cycles, {form.bytes:,} bytes; {self.why(form)}"
            for form in self.forms
        ]
        return "\n".join(lines)


Noted = Callable[[], Weighed]
"""How a node got its form, put together when somebody asks: few do, and every compile weighs."""


class UnknownForm(CompileError):
    """A node or a form that was asked for and that there is on no mesh."""


_WORD = re.compile(r"(?P<key>x|y|chunk)=(?P<value>[A-Za-z0-9_]*)|(?P<sums>[a-z]+)")
SUMS = ("local", "reduce", "ordered", "combined")
_FORMS = "x=LABEL, y=LABEL, chunk=N, local, reduce, ordered or combined"


def read_wish(node: str, text: str) -> Wish:
    """What a text such as ``x=c, y=y0, chunk=6`` asks for.

    Raises:
        UnknownForm: it is of another form.
    """
    found: dict[str, str | int] = {}
    for word in text.replace(",", " ").split():
        part = _WORD.fullmatch(word)
        key = "" if part is None else part["key"] or "sums"
        value = "" if part is None else part["value"] or part["sums"] or ""
        good = bool(part) and (key != "sums" or value in SUMS)
        good = good and (key != "chunk" or (value.isdecimal() and 0 < int(value) < 1 << 31))
        if not good:
            raise UnknownForm(f"form of '{shortened(node)}': {shortened(word)!r} is not {_FORMS}")
        if key in found:
            raise UnknownForm(f"form of '{shortened(node)}': '{key}' is there twice")
        found[key] = int(value) if key == "chunk" else value
    if not found:
        raise UnknownForm(f"form of '{shortened(node)}': it is made of {_FORMS}")
    return Wish(node, **found)  # pyright: ignore[reportArgumentType]


def without_form(node: str, known: Sequence[str]) -> UnknownForm:
    """What to say of a node that has no form."""
    near = (
        suggestion(node, [*dict.fromkeys(known)])
        or "; products, convolutions, maps and reductions have them"
    )
    return UnknownForm(f"no form belongs to a node '{shortened(node)}'{near}")
