"""Dumps: what a pass gave, as a text that says after which pass, and the way back to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from wsc.errors import CompileError, shortened
from wsc.ir.graph import Constant, Graph
from wsc.ir.task_text import parse_placed, print_placed
from wsc.ir.tasks import Placed
from wsc.ir.text import IRSyntaxError, parse_graph, print_graph
from wsc.isa.files import read_text
from wsc.isa.printer import print_program
from wsc.isa.program import EdgeTensor, Kind, Program
from wsc.passes.stage import Stage

IMPORT = "import"  # what stands before the first pass: the model as a graph
LONGEST = 1 << 28  # bytes of a file
_HEAD = ";; after "


def stage_text(stage: Stage) -> str:
    """The text form of what a pass gave."""
    if isinstance(stage, Graph):
        return print_graph(stage)
    return print_program(stage) if isinstance(stage, Program) else print_placed(stage)


def dump_text(name: str, stage: Stage) -> str:
    """The text of a dump after the pass of that name; ``Dump.stage`` is the way back."""
    return f"{_HEAD}{name}\n{stage_text(stage)}"


@dataclass(frozen=True, slots=True)
class Dump:
    """What a text holds that ``dump_text`` made, or that someone changed since.

    after: the name of the pass. stage: what it gave; the constants of a graph have no values.
    file: the name of the text in messages.
    """

    after: str
    stage: Stage
    file: str

    @property
    def size(self) -> tuple[int, int] | None:
        """The tiles that it is for, in columns and rows; None for a graph, which is for any."""
        if isinstance(self.stage, Graph):
            return None
        mesh = self.stage.mesh if isinstance(self.stage, Placed) else self.stage
        return mesh.width, mesh.height

    def of(self, constants: Mapping[str, Constant]) -> Stage:
        """The stage with the constants of its model.

        Raises:
            CompileError: it has a weight that the model lacks.
        """
        stage = self.stage
        if not isinstance(stage, Graph):
            weights = (tensor for tensor in stage.edge_tensors if tensor.kind is Kind.WEIGHT)
            strangers = [tensor.name for tensor in weights if not _is_of(tensor, constants)]
        else:
            strangers = [
                item.name
                for item in stage.constants
                if item.name not in constants
                or (item.type, item.state)
                != (constants[item.name].type, constants[item.name].state)
            ]
        if strangers:
            raise CompileError(
                f"{self.file}: weight '{shortened(strangers[0])}' is not one of the model, or has "
                "another type there: give the model, the precision and the sizes of the dump"
            )
        if not isinstance(stage, Graph):
            return stage
        return stage.with_(constants=tuple(constants[item.name] for item in stage.constants))


def _is_of(tensor: EdgeTensor, constants: Mapping[str, Constant]) -> bool:
    """Whether a weight is a constant of the model; one that is drawn is in no file."""
    if tensor.drawn is not None:
        return True
    known = constants.get(tensor.key)
    return (
        known is not None
        and known.type.dtype is tensor.dtype
        and known.type.size == prod(tensor.shape)
    )


def read_dump(path: Path) -> Dump:
    """The dump in a file.

    Raises:
        AssemblyError: it holds a program with an error.
        CompileError: it cannot be read, does not say after which pass it is, or does not follow
            its form.
    """
    try:
        text = read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CompileError(f"{path}: cannot be read ({reason})") from error
    after = dumped_after(text)
    if after is None:
        raise CompileError(
            f"{path}: does not begin with '{_HEAD}PASS', as the files of wsc compile --dump-ir do"
        )
    return Dump(after, parse_stage(text, str(path)), str(path))


def dumped_after(text: str) -> str | None:
    """The name of the pass that a dump is of; None for another text."""
    head = text.split("\n", 1)[0].strip()
    return head.removeprefix(_HEAD).strip() if head.startswith(_HEAD) else None


def form_of(text: str) -> type[Graph | Placed | Program]:
    """The form of the program that a text is of, by its first word."""
    words = (line.split(" ", 1)[0] for line in text.split("\n"))
    first = next((word for word in words if word and not word.startswith(";")), "")
    return {"graph": Graph, "placed": Placed}.get(first, Program)


def parse_stage(text: str, file: str) -> Stage:
    """The graph, the placed program or the program that a text is.

    Raises:
        AssemblyError: it is a program with an error.
        CompileError: it is one of the others, with an error.
    """
    from wsc.isa.parser import parse

    form = form_of(text)
    try:
        if form is Graph:
            return parse_graph(text, file=file)
        return parse_placed(text, file) if form is Placed else parse(text, file)
    except IRSyntaxError as error:
        raise CompileError(str(error)) from None
