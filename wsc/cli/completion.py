"""What a shell completes the words of the command line with, beside options and files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

MOST_READ = 1 << 26  # bytes of a program in which names are looked for
_NODE = re.compile(r'@"((?:[^"\\\n]|\\.)*)"')
_PROCEDURE = re.compile(r"^proc (\w+)", re.MULTILINE)

Values = Callable[[click.Context], Iterable[str]]


class Word(click.ParamType):
    """A text of which some values are known: a shell proposes those, and any other is taken.

    listed: several may be given, with commas between them.
    """

    name = "text"

    def __init__(self, values: Values, listed: bool = False) -> None:
        self.values, self.listed = values, listed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself."""
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The values that begin as the word does."""
        before, comma, begun = incomplete.rpartition(",") if self.listed else ("", "", incomplete)
        return [
            CompletionItem(f"{before}{comma}{value}")
            for value in self.values(ctx)
            if value.startswith(begun)
        ]


class Given(click.Path):
    """The file of a program or model, or the name of a model; - is standard input.

    models: whether files of models are taken.
    """

    def __init__(self, models: bool = True) -> None:
        super().__init__(path_type=Path)
        self.models = models

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. A model on standard input is put into a file; a text is read where it is."""
        from wsc.cli.common import STANDARD, Refusal, standard_bytes, standard_file

        path = Path(str(super().convert(value, param, ctx)))
        if path != STANDARD or not self.models or ctx is None or ctx.resilient_parsing:
            return path
        with ctx.scope(cleanup=False):
            try:
                standard_bytes().decode("utf-8")
                return path
            except UnicodeDecodeError:
                from google.protobuf.message import DecodeError
                from onnx import ModelProto
            try:
                ModelProto.FromString(standard_bytes())
            except DecodeError:
                raise Refusal(
                    "standard input: is no assembly: not UTF-8 text, and no ONNX model either"
                ) from None
            return standard_file("model.onnx")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of models that begin as the word does, else files."""
        from wsc.models.language import SHAPES

        names = [name for name in SHAPES if incomplete and name.startswith(incomplete)]
        found = [CompletionItem(name) for name in names]
        return found or super().shell_complete(ctx, param, incomplete)


def fabrics(_: click.Context) -> Iterable[str]:
    """The fabrics that ship with wsc."""
    from wsc.isa.fabric import presets

    return presets()


def numbers(_: click.Context) -> Iterable[str]:
    """The numbers of a fabric, ready for a value."""
    from wsc.isa.fabric import DEFAULT, find_fabric

    return [f"{key}=" for key in find_fabric(DEFAULT).numbers()]


def engines(_: click.Context) -> Iterable[str]:
    """The engines."""
    from wsc.runtime.engine import NAMES

    return NAMES


def optimizers(_: click.Context) -> Iterable[str]:
    """The rules by which weights change."""
    from wsc.isa.updates import RULES

    return [rule.name for rule in RULES if rule.parameters] + ["model"]


def losses(_: click.Context) -> Iterable[str]:
    """The losses."""
    from wsc.training.losses import LOSSES

    return LOSSES


def passes(_: click.Context) -> Iterable[str]:
    """The passes of the compiler, and all of them."""
    from wsc.cli.compile import EVERY, pass_names

    return [*pass_names(held=True), EVERY]


def nodes(context: click.Context) -> Iterable[str]:
    """The ONNX nodes of the program that is named on the line."""
    return dict.fromkeys(_NODE.findall(_text(context)))


def procedures(context: click.Context) -> Iterable[str]:
    """The procedures of the program that is named on the line."""
    return _PROCEDURE.findall(_text(context))


def _text(context: click.Context) -> str:
    """The text of the program on the line; empty where there is none that can be read.

    In a line that is not at its end, an option may have no value yet, and arguments no names.
    """
    words = (context.params.get("program") or "", *context.args)
    path = next((Path(word) for word in words if Path(word).suffix == ".wsa"), None)
    try:
        if path is None or path.stat().st_size > MOST_READ:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
