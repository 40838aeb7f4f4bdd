"""Text that came from a file of someone else, as it may be shown on a terminal."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


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
