"""Text that came from a file of someone else, as it may be shown on a terminal."""

from __future__ import annotations

import difflib
import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

LONGEST = 200  # characters of what shows itself in one line

Facts = Sequence[tuple[str, str]]
"""Headings and texts."""


class Shown(ABC):
    """What shows itself by a few facts: in one short line, and as a table in a notebook."""

    __slots__ = ()

    @abstractmethod
    def _facts(self) -> Facts:
        """What is said of it, the most important first."""

    def __repr__(self) -> str:
        facts = "; ".join(f"{head}: {text}" if head else text for head, text in self._facts())
        return f"<{cut(f'wsc.{type(self).__name__} {escaped(facts)}', LONGEST - 2)}>"

    def _repr_html_(self) -> str:
        return table_html(self._facts())


def escaped(text: str, keep: str = "") -> str:
    r"""The text with every character that is not printable written as an escape, such as ``\x1b``.

    So are the characters that would move the cursor, color the terminal, or change the order in
    which the others are read. keep: characters that stay as they are, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(item if item.isprintable() or item in keep else _escape(item) for item in text)


def named(nodes: Iterable[str]) -> str:
    """Names of ONNX nodes one after the other, as people read them.

    Names may hold commas. One that could be taken for two stands in quotes.
    """
    return ", ".join(repr(node) if ", " in node or node[:1] in "'\"" else node for node in nodes)


def cut(text: str, most: int) -> str:
    """The beginning of a long text."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{named(names[:most])}{more}"


def table_html(facts: Iterable[tuple[str, str]]) -> str:
    """Facts, each a heading and a text, as a table of HTML."""
    rows = "".join(
        f"<tr><th>{html.escape(escaped(head))}</th><td>{html.escape(escaped(text))}</td></tr>"
        for head, text in facts
    )
    return f"<table>{rows}</table>"


def _escape(item: str) -> str:
    code = ord(item)
    if code < 1 << 8:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def suggestion(name: str, known: Sequence[str]) -> str:
    """The names that are meant most likely, or how many there are."""
    inside = [item for item in known if name.lower() in item.lower()][:5]
    near = inside or difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return "; did you mean " + ", ".join(f"'{item}'" for item in near) + "?" if near else ""
