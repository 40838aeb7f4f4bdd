"""Pages whose code blocks run, and whose outputs are what running them gave.

In a page, a fenced block is

``wsa``
    a program. Its first line, ``; file: NAME.wsa``, says where it is saved; it must parse,
    verify, and survive printing.
``python``
    code, pasted into Python's own prompt: all of a page's blocks are one session.
``console``
    ``$ wsc ...`` commands, run in the page's folder, that must succeed.

An HTML comment right above a block says what it shows; such blocks are written by
``pytest --rewrite``, and compared otherwise:

``<!-- show RANGES -->``
    above ``console``: these lines of the commands' output.
``<!-- output -->``
    above any block: what the last ``python`` block printed.
``<!-- excerpt FILE RANGES -->``
    above any block: these lines of a file in the page's folder.

RANGES are joined by `` | ``. ``/a/`` means every line with the pattern a; ``/a/../b/``
the first line with a and all up to the next one with b. Left-out lines become ``...``.
"""

from __future__ import annotations

import code
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cli.helpers import done, wsc
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.verifier import verify

BLOCK = re.compile(
    r"(?:^<!-- (?P<how>[^\n]+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.M | re.S
)
WORST = re.compile(r"; worst: .*")  # the last bits of ONNX Runtime depend on the processor
RANGE = re.compile(r"/(?P<first>.+?)/(?:\.\./(?P<last>.+?)/)?$")


def select(text: str, ranges: str) -> str:
    """The lines of a text that the ranges name, in the text's order. Each must name some."""
    lines = text.splitlines()
    kept: set[int] = set()
    for part in ranges.split(" | "):
        found = RANGE.fullmatch(part.strip())
        assert found, f"no range: {part}"
        hits = [i for i, line in enumerate(lines) if re.search(found["first"], line)]
        assert hits, f"no line has {found['first']}:\n{text}"
        if found["last"] is None:
            kept.update(hits)
            continue
        after = range(hits[0] + 1, len(lines))
        end = next(i for i in after if re.search(found["last"], lines[i]))
        kept.update(range(hits[0], end + 1))
    return "".join(f"{line}\n" for line in _with_gaps(lines, sorted(kept)))


def _with_gaps(lines: list[str], kept: list[int]) -> Iterator[str]:
    """The lines kept. Blank lines between them stay one; where more was left out, ``...``."""
    for place, i in enumerate(kept):
        between = lines[kept[place - 1] + 1 : i] if place else []
        if any(line.strip("─ ") for line in between):
            yield "..."
        elif "" in (line.strip() for line in between):
            yield ""
        yield lines[i].rstrip()


class Prompt(code.InteractiveConsole):
    """Python's prompt, at which an error is one."""

    def showtraceback(self) -> None:
        raise  # noqa: PLE0704 - called while an exception is handled

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        raise  # noqa: PLE0704 - likewise


class Page:
    """A page being run in a folder, which must be the working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "page"}
        self.printed = ""

    def render(self, text: str) -> str:
        """Run every block, in order; the page with what the blocks gave."""
        return BLOCK.sub(lambda found: self._block(found), text)

    def _block(self, found: re.Match[str]) -> str:
        how, kind, body = found["how"] or "", found["kind"], found["body"]
        if how.startswith("excerpt "):
            _, file, ranges = how.split(" ", 2)
            body = select((self.folder / file).read_text(encoding="utf-8"), ranges)
        elif how == "output":
            body = self.printed
        elif kind == "console":
            body = self._console(body, how.removeprefix("show "))
        elif kind == "python":
            self._python(body)
        elif kind == "wsa":
            self._program(body)
        comment = f"<!-- {how} -->\n" if how else ""
        return f"{comment}```{kind}\n{body}```"

    def _console(self, body: str, ranges: str) -> str:
        commands = [line for line in body.splitlines() if line.startswith("$ ")]
        assert commands, f"a console block without a command:\n{body}"
        output = ""
        for line in commands:
            program, *arguments = shlex.split(line[2:], comments=True)
            assert program == "wsc", f"only wsc commands run: {line}"
            output += f"{line}\n{WORST.sub('; worst: ...', done(wsc(*arguments)).output)}"
        return select(output, rf"/^\$ / | {ranges}" if ranges else r"/^\$ /")

    def _python(self, body: str) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            prompt = Prompt(self.names)
            more = [prompt.push(line) for line in body.splitlines()][-1]
        assert not more, f"the prompt waits for an empty line behind:\n{body}"
        self.printed = printed.getvalue()

    def _program(self, body: str) -> None:
        found = re.match(r"; file: (\w+\.wsa)\n", body)
        assert found, f"a program without '; file: NAME.wsa':\n{body}"
        (self.folder / found[1]).write_text(body, encoding="utf-8")
        program = parse(body, found[1])
        verify(program, find_fabric(program.fabric).sized(program.width, program.height))
        printed = print_program(program)
        assert print_program(parse(printed)) == printed
