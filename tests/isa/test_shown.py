"""Characters that are not printable are shown as escapes, all others as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsc.isa.shown import escaped


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(text, keep="\n").replace("\n", "").isprintable()
    assert escaped(escaped(text)) == escaped(text)


def test_escapes() -> None:
    assert escaped("naïve 名/Conv:0") == "naïve 名/Conv:0"
    assert escaped("\x1b[31m\x9b\0\u202e\n") == r"\x1b[31m\x9b\x00\u202e\x0a"
    assert escaped("\U000e0001\ud800") == r"\U000e0001\ud800"
