"""Errors in assembly text: place, fact, limit, the source line and a caret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsc.isa.program import Location
from wsc.isa.shown import escaped

MOST = 20  # problems reported at once; more of them help nobody
LONGEST = 400  # characters of a source line that are shown
_NAMED = 100  # characters of a word for which a known one is looked for
_COMPARED = 200  # known words that are compared with it


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem.

    location: where it is; line 0 for an object that was built and not parsed.
    source_line: the text of that line, without its end; may be empty.
    width: how many characters the caret underlines, from ``location.column`` on.
    """

    message: str
    location: Location
    source_line: str = ""
    width: int = 1

    def render(self) -> str:
        """``file:line:column: message``, then the line and a caret where they are known."""
        place = self.location
        prefix = place.file or "<program>"
        if place.line:
            prefix += f":{place.line}:{place.column}"
        text = f"{prefix}: {self.message}"
        if not self.source_line.strip():
            return text
        if not place.line:
            return f"{text}\n  {self.source_line.strip()}"
        line = self.source_line.expandtabs(1)
        # Of a very long line only the surroundings of the place are shown, and what is not
        # printable takes more than one column.
        first = max(0, place.column - 1 - LONGEST // 2) if len(line) > LONGEST else 0
        before = escaped(line[first : place.column - 1])
        marked = escaped(line[place.column - 1 :][: min(self.width, LONGEST)])
        after = escaped(line[place.column - 1 + self.width : first + LONGEST])
        marks = "^" * max(1, len(marked))
        return f"{text}\n{before}{marked}{after}\n{' ' * len(before)}{marks}"


class AssemblyError(Exception):
    """Text or a program that cannot be accepted, with everything found wrong in it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.render())

    def render(self) -> str:
        """All diagnostics, one after the other."""
        return "\n".join(item.render() for item in self.diagnostics)


class Source:
    """The lines behind locations, for carets: the text given, or the files on disk."""

    def __init__(self, text: str | None = None) -> None:
        self._text = None if text is None else text.split("\n")
        self._files: dict[str, list[str]] = {}

    def line(self, where: Location) -> str:
        """The source line of a location; empty when it is not to be had."""
        lines = self._lines(where.file)
        return lines[where.line - 1].rstrip("\r") if 0 < where.line <= len(lines) else ""

    def _lines(self, file: str) -> list[str]:
        if self._text is not None:
            return self._text
        if file not in self._files:
            path = Path(file)
            try:
                text = path.read_text(encoding="utf-8") if file else ""
            except (OSError, UnicodeDecodeError):
                text = ""  # the caret is a service; the message stands without it
            self._files[file] = text.split("\n")
        return self._files[file]

    def declaration(self, file: str, keyword: str, name: str) -> tuple[Location, str]:
        """Where the line ``keyword name`` stands and that line; nowhere if it is not found."""
        pattern = re.compile(rf"\s*{keyword}\s+({re.escape(name)})(?!\w)")
        for number, line in enumerate(self._lines(file), start=1):
            found = pattern.match(line)
            if found:
                return Location(file, number, found.start(1) + 1), line
        return Location(file), ""

    def diagnostic(
        self, message: str, where: Location, word: str = "", fallback: str = ""
    ) -> Diagnostic:
        """A diagnostic at ``word``, looked for from ``where`` on in its line.

        fallback: text to show for an object that has no line.
        """
        if not where.line:
            return Diagnostic(message, where, fallback)
        line = self.line(where)
        found = word and re.compile(rf"(?<!\w){re.escape(word)}(?!\w)").search(
            line, max(0, where.column - 1)
        )
        if found:
            where = Location(where.file, where.line, found.start() + 1)
            return Diagnostic(message, where, line, len(word))
        first = re.compile(r"[\w.]+").match(line, max(0, where.column - 1))
        return Diagnostic(message, where, line, len(first[0]) if first else 1)


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'fmac'?`` when a known word is close, else nothing."""
    if len(word) > _NAMED:
        return ""
    # The time that this takes is bounded: of very many words the likeliest are compared.
    likely = sorted(known, key=lambda other: (abs(len(other) - len(word)), other[:1] != word[:1]))
    close = difflib.get_close_matches(word, likely[:_COMPARED], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
