"""``wsc debug``: a run in steps, with a prompt."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsc.cli.asked import Asked, runnable
from wsc.cli.common import Refusal, console, coordinates, general, say, told, working
from wsc.cli.execute import about_compiling
from wsc.cli.tables import PlainTable, print_table
from wsc.isa.shown import named

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.isa.program import Tensor
    from wsc.runtime.reference.session import Session

PROMPT = "(wsc) "
MOST_STEPS = 1 << 20  # cycles that one command looks at, one by one
AROUND = 5  # lines of the text above and below
MOST_VALUES = 1000  # of a tensor that are printed


@click.command("debug")
@click.option("--tile", metavar="X,Y", default="0,0", show_default=True, help="Look at this tile.")
@click.option("--line", type=click.IntRange(1), metavar="N", help="Begin where it is at this line.")
@runnable
@general
def command(asked: Asked, tile: str, line: int | None) -> None:
    """Step through a run of a program, cycle by cycle, and look at what a tile does and holds.

    Commands are read from a prompt, or from standard input, one a line: "help" lists them. One that
    is refused ends a script with exit code 2, and at a prompt only says why.
    """
    if str(asked.program) == "-":
        raise Refusal("standard input has the commands; the program is wanted as a file")
    x, y = coordinates("--tile", tile)
    ready = asked.load()
    with working("loading") as status:
        session = ready.program.session(
            ready.arrays, max_memory=asked.max_memory, compiling=about_compiling(status)
        )
    debugger = Debugger(ready.program, session, asked.max_cycles)
    debugger.look_at(x, y)
    if line is not None:
        debugger.until(str(line))
    debugger.show()
    _converse(debugger)


def _converse(debugger: Debugger) -> None:
    """Do what is asked for, until nothing more is."""
    prompting = sys.stdin.isatty()
    if prompting:
        with suppress(ImportError):
            import_module("readline")  # lines can then be edited, and earlier ones come again
    while not debugger.done:
        try:
            text = input(PROMPT) if prompting else input()
        except EOFError:
            return
        try:
            debugger.do(text)
        except KeyboardInterrupt:
            if not prompting:
                raise
            say(f"interrupted in cycle {debugger.session.cycle:,}")
        except Exception as error:
            if not prompting:
                raise Refusal(f"'{text.strip()}': {told(error)}") from error
            say(f"error: {told(error)}")


class Debugger:
    """A session with a tile that is looked at. done: whether it is to end."""

    def __init__(self, program: Program, session: Session, most: int | None) -> None:
        self.program, self.session, self.most = program, session, most
        self.done = False
        self._place = (0, 0)
        self._tile = 0
        self._last = ""
        self._lines = program.text.splitlines()

    def do(self, text: str) -> None:
        """Carry out one command; an empty one does the last step again.

        Raises:
            Refusal, RuntimeFault: it is not known, or cannot be done.
        """
        words = shlex.split(text, comments=True)
        if not words and self._last:
            words = shlex.split(self._last)
        if not words:
            return
        known = self._commands()
        found = [name for name in known if name.startswith(words[0])]
        if words[0] in known:
            found = [words[0]]
        if len(found) != 1:
            names = ", ".join(found or known)
            raise Refusal(f"no command '{words[0]}': {names}" if not found else f"which: {names}?")
        needs, what, _ = known[found[0]]
        arguments = words[1:]
        least, most = sum(not name.startswith("[") for name in needs), len(needs)
        if not least <= len(arguments) <= most:
            raise Refusal(f"wants {' '.join((found[0], *needs))}")
        self._last = text if found[0] in ("step", "cycle") else ""
        what(*arguments)

    def _commands(self) -> dict[str, tuple[tuple[str, ...], Callable[..., None], str]]:
        """Of each command its arguments, what does it, and what it does."""
        return {
            "step": (("[N]",), self.step, "the main thread of the tile goes on to another line"),
            "cycle": (("[N]",), self.cycles, "one cycle, or N of them"),
            "until": (("LINE",), self.until, "until a unit of the tile comes to a line"),
            "to": (("CYCLE",), self.to, "until a cycle begins"),
            "end": ((), self.end, "until the run ends"),
            "tile": (("X,Y",), self.tile, "look at another tile"),
            "show": ((), self.show, "what the units of the tile do"),
            "queues": ((), self.queues, "its router's buffers and its core's queues, by color"),
            "registers": ((), self.registers, "those of the window that main is in"),
            "semaphores": ((), self.semaphores, "those of the tile that are not zero"),
            "memory": (("[TENSOR]",), self.memory, "the tensors, or what the tile holds of one"),
            "bytes": (("ADDRESS", "[N]"), self.bytes, "words of its SRAM, from a byte address on"),
            "list": (("[LINE]",), self.list, "the text around a line, or around main's"),
            "help": ((), self.help, "this list; a command may be shortened"),
            "quit": ((), self.quit, "end"),
        }

    # --- going on -------------------------------------------------------------------

    def step(self, count: str = "1") -> None:
        """Until main is at another line, so many times."""
        for _ in range(_number(count, 1)):
            before = self.session.lines(self._tile)[0]
            self._while(lambda here=before: self.session.lines(self._tile)[0] == here)
        self.show()

    def cycles(self, count: str = "1") -> None:
        """So many cycles."""
        self._advance(self.session.cycle + _number(count, 1))
        self.show()

    def to(self, cycle: str) -> None:
        """Until a cycle begins."""
        wanted = _number(cycle, 0)
        if wanted < self.session.cycle:
            raise Refusal(f"cycle {wanted:,} is over; a run does not go back, begin another one")
        self._advance(wanted)
        self.show()

    def until(self, line: str) -> None:
        """Until a unit of the tile comes to a line."""
        wanted = _number(line, 1)
        code = self.session.image.code
        if not any(where.line == wanted for where in code.where):
            raise Refusal(f"line {wanted} has no instruction")
        self._while(lambda: wanted in self.session.lines(self._tile))
        self._while(lambda: wanted not in self.session.lines(self._tile))
        self.show()

    def end(self) -> None:
        """Until the run ends."""
        self._advance(self.most or 1 << 62)
        self.show()

    def _while(self, holds: Callable[[], bool]) -> None:
        """Go on cycle by cycle as long as something holds, and the run goes on."""
        for _ in range(MOST_STEPS):
            if self.session.ended or not holds():
                return
            self._advance(self.session.cycle + 1)
        raise Refusal(f"that was not so for {MOST_STEPS:,} cycles; 'to CYCLE' goes on faster")

    def _advance(self, cycle: int) -> None:
        if self.session.ended:
            raise Refusal(self.session.ending().splitlines()[0])
        if self.most is not None and cycle >= self.most:
            if self.session.cycle >= self.most:
                raise Refusal(f"--max-cycles {self.most} is reached")
            cycle = self.most
        with working("running"):
            self.session.advance(cycle)

    # --- looking --------------------------------------------------------------------

    def tile(self, text: str) -> None:
        """Look at another tile."""
        self.look_at(*coordinates("tile", text))
        self.show()

    def look_at(self, x: int, y: int) -> None:
        """Choose a tile."""
        self._tile = self.session.tile(x, y)
        self._place = (x, y)

    def show(self) -> None:
        """What the units of the tile do."""
        x, y = self._place
        screen = console()
        if self.session.ended:
            screen.print(self.session.ending())
        screen.print(f"cycle {self.session.cycle:,}, tile ({x}, {y})")
        table = PlainTable("thread", "line", "what", "node", "", right=("line",), cut="node")
        for thread in self.session.threads(self._tile):
            line = str(thread.where.line or "")
            table.add_row(thread.name, line, thread.instruction, thread.node, thread.doing)
        print_table(screen, table)

    def queues(self) -> None:
        """The queues of the tile, by color."""
        table = PlainTable("color", "where", "held", "of", "first", "", right=("held", "of"))
        for queue in self.session.queues(self._tile):
            first = ", ".join("control" if v is None else _word(v) for v in queue.values[:4])
            more = ", ..." if len(queue.values) > 4 else ""
            held = str(len(queue.values))
            table.add_row(queue.color, queue.kind, held, str(queue.depth), first + more, queue.note)
        print_table(console(), table)

    def registers(self) -> None:
        """The registers of main's window."""
        self._numbers(self.session.registers(self._tile).items(), "no registers here")

    def semaphores(self) -> None:
        """The semaphores that are not zero."""
        found = self.session.semaphores(self._tile)
        self._numbers(((f"s{number}", value) for number, value in found.items()), "all are zero")

    def _numbers(self, items: Iterable[tuple[str, int]], none: str) -> None:
        table = PlainTable("name", "value", right=("value",))
        for name, value in items:
            table.add_row(name, str(value))
        if table.rows:
            print_table(console(), table)
        else:
            console().print(none)

    def memory(self, name: str = "") -> None:
        """The tensors, or what the tile holds of one."""
        tensors = self.program.assembly.tensors
        if name:
            found = [tensor for tensor in tensors if tensor.name == name]
            if not found:
                raise Refusal(f"there is no tensor '{name}'; 'memory' lists them")
            self._values(found[0])
            return
        table = PlainTable("tensor", "type", "at", "bytes", "node", right=("at", "bytes"))
        for tensor in tensors:
            at = str(tensor.address)
            table.add_row(
                tensor.name, tensor.dtype.value, at, str(tensor.bytes), named(tensor.nodes)
            )
        print_table(console(), table)

    def _values(self, tensor: Tensor) -> None:
        """The elements that a tile has room for, in its own order."""
        import numpy as np

        held: np.ndarray = self.session.tensor(self._tile, tensor)
        text = np.array2string(held, threshold=MOST_VALUES, precision=6, separator=", ")
        lengths = " x ".join(str(extent.length) for extent in tensor.dims) or "1"
        console().print(f"{tensor.name}: {lengths} of {tensor.dtype.value}\n{text}")

    def bytes(self, address: str, count: str = "8") -> None:
        """Words of the tile's SRAM."""
        memory = self.session.memory(self._tile)
        first, words = _number(address, 0), _number(count, 1)
        if first % 4 or first + 4 * words > len(memory):
            raise Refusal(
                f"{words} words from {first} on: the data have {len(memory):,} bytes, and "
                "a word begins at a multiple of 4"
            )
        for at in range(first, first + 4 * words, 4):
            value = int.from_bytes(memory[at : at + 4].tobytes(), "little", signed=True)
            console().print(f"{at:>6}  {_word(value)}")

    def list(self, line: str = "") -> None:
        """The text around a line."""
        at = _number(line, 1) if line else self.session.lines(self._tile)[0] or 1
        texts = self._source()
        for number in range(max(at - AROUND, 1), min(at + AROUND, len(texts)) + 1):
            mark = ">" if number == at else " "
            console().print(f"{mark}{number:>5}  {texts[number - 1]}")

    def _source(self) -> list[str]:
        """The lines of the file that the program was read from; of a compiled one, its text."""
        file = next(
            (item.where.file for item in self.program.assembly.regions if item.where.file), ""
        )
        with suppress(OSError, UnicodeDecodeError):
            return Path(file).read_text(encoding="utf-8").splitlines()
        return self._lines

    def help(self) -> None:
        """The commands."""
        table = PlainTable("command", "what it does")
        for name, (needs, _, text) in self._commands().items():
            table.add_row(" ".join((name, *needs)), text)
        print_table(console(), table)

    def quit(self) -> None:
        """End."""
        self.done = True


def _number(text: str, least: int) -> int:
    """A number of the prompt.

    Raises:
        Refusal: it is none, or too small.
    """
    plain = text.replace(",", "")
    if not plain.isdecimal() or int(plain) < least:
        raise Refusal(f"'{text}' is no number from {least} on")
    return int(plain)


def _word(bits: int) -> str:
    """A word as hexadecimal digits, as an integer, and as a float."""
    import numpy as np

    value = np.array(bits, np.int64).astype(np.int32)
    return f"0x{int(value) & 0xFFFFFFFF:08x} ({int(value)}, {float(value.view(np.float32)):.6g})"
