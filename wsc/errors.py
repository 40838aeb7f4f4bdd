"""Errors that the user caused and can repair: one clear sentence each, no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsc.isa.shown import escaped


def shortened(text: str | bytes, limit: int = 400) -> str:
    """A text that came from a model: on one line, its middle left out if it is long.

    Protobuf gives bytes for a text that is not UTF-8.
    """
    text = text if isinstance(text, str) else text.decode(errors="replace")
    line = escaped(text)
    head, tail = limit * 3 // 4, limit // 4
    return line if len(line) <= limit else f"{line[:head]} ... {line[-tail:]}"


class PrecisionWarning(UserWarning):
    """Something that a program computes less exactly than its model says."""


class CompileError(Exception):
    """A model, an option or an input that wsc refuses; the text says what and why."""


class OpenSizes(CompileError):
    """Dimensions of a model that have no size yet."""


class OtherMachine(UserWarning):
    """A program was compiled for other numbers than its fabric has by now."""


class DoesNotFit(CompileError):
    """A program that needs more SRAM in a tile than the fabric has; more tiles may help.

    surely: it is known that no other way to lay it out on these tiles takes less.
    """

    surely: bool = False


@dataclass(frozen=True, slots=True)
class UnsupportedOperator:
    """One operator that could not be lowered, with every node that uses it so.

    opset: the version of ``domain`` that the model imports. reason: why it stops.
    """

    op_type: str
    domain: str
    opset: int
    nodes: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        shown = ", ".join(shortened(node, 100) for node in self.nodes[:4])
        more = f" and {len(self.nodes) - 4} more" if len(self.nodes) > 4 else ""
        domain = self.domain or "ai.onnx"
        what = f"{shortened(self.op_type)} ({shortened(domain)}, opset {self.opset})"
        return f"{what}: {shortened(self.reason)}; at {shown}{more}"


class UnsupportedOperators(CompileError):
    """Every operator of a model that wsc cannot lower, in one list (``operators``)."""

    def __init__(self, operators: Sequence[UnsupportedOperator]) -> None:
        self.operators = tuple(operators)
        count = len(self.operators)
        head = f"the model uses {count} operator{'s' * (count != 1)} that wsc cannot lower"
        super().__init__("\n  ".join([head + ":", *map(str, self.operators)]))
