"""``--trace`` and the options that serve it: what a run records for Perfetto."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wsc.cli.common import LARGEST, STANDARD, Refusal, gathered, working
from wsc.cli.completion import Word, nodes

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.runtime.api import RunResult
    from wsc.runtime.trace import TraceRequest

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Tracing:
    """The options; None of one that is not given."""

    trace: Path | None
    trace_tiles: str | None
    trace_events: int | None
    trace_from: int | None
    trace_cycles: int | None
    trace_node: str | None
    trace_arrows: bool

    def require(self) -> None:
        """Refuse a file that cannot be, and options of a trace that is not recorded."""
        if self.trace == STANDARD:
            raise Refusal("--trace -: standard output has what is said of the run: name a file")
        names = [name for name in Tracing.__dataclass_fields__ if getattr(self, name)]
        if self.trace is None and names:
            raise Refusal(f"--{names[0].replace('_', '-')} only serves --trace FILE")

    def request(self, program: Program) -> TraceRequest | None:
        """What to record; tiles and nodes that are not there are refused before the long work."""
        from wsc.runtime.nodes import statements_of
        from wsc.runtime.trace import TraceRequest

        if self.trace is None:
            return None
        given: dict[str, Any] = {
            "tiles": self.trace_tiles,
            "events": self.trace_events,
            "first": self.trace_from,
            "cycles": self.trace_cycles,
            "node": self.trace_node,
        }
        request = TraceRequest(**{name: item for name, item in given.items() if item is not None})
        request.chosen(program.assembly.width, program.assembly.height)
        if request.node:
            statements_of(program.assembly, request.node)
        return request


def tracing(function: _Command) -> _Command:
    """The options of a trace; the command takes them as ``tracing``."""

    made: Any = gathered(function, "tracing", Tracing)
    for option in (
        click.option(
            "--trace-arrows",
            is_flag=True,
            help="Arrows from who was late to who waited, both among these tiles; the reference "
            "engine.",
        ),
        click.option(
            "--trace-node",
            type=Word(nodes),
            metavar="ONNX_NODE",
            help="Record what tiles do for this node alone.",
        ),
        click.option(
            "--trace-cycles",
            type=click.IntRange(1, LARGEST),
            metavar="N",
            help="How many cycles to record. [default: all]",
        ),
        click.option(
            "--trace-from",
            type=click.IntRange(0, LARGEST),
            metavar="CYCLE",
            help="First cycle to record. [default: 0]",
        ),
        click.option(
            "--trace-events",
            type=click.IntRange(1, LARGEST),
            metavar="N",
            help="Most entries to record, shared by all units of these tiles. [default: 200000]",
        ),
        click.option(
            "--trace-tiles",
            metavar="TILES",
            help='Tiles to record, as in "0,0;3,*;4-6,2;middle"; also corners, all. '
            "[default: corners;middle]",
        ),
        click.option(
            "--trace",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Record what tiles did, for ui.perfetto.dev; compressed if FILE ends in .gz.",
        ),
    ):
        made = option(made)
    return made


def write_trace(path: Path, result: RunResult, inputs: Iterable[Path] = ()) -> None:
    """Write the trace whole, or not at all. inputs: files that are read, and never replaced."""
    from wsc.store.files import appearing

    assert result.trace is not None
    with working(f"writing {path}"), appearing(path, inputs=inputs) as (partial,):
        if path.suffix == ".gz":
            with gzip.open(partial, "wt", encoding="utf-8") as file:
                result.trace.write(file)
        else:
            with partial.open("w", encoding="utf-8") as file:
                result.trace.write(file)
