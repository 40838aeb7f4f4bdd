"""Captures: words of SRAM that are kept when a tile leaves a statement of main."""

from __future__ import annotations

from wsc.runtime.reference.compiled import Machine, kernel


@kernel
def capture_words(s: Machine, tile: int) -> None:
    """The main thread is about to leave a statement: keep what is asked for of this stay."""
    stay = s.tile[tile].stay
    if stay < 0 or s.tile[tile].statement < 0 or s.captured_at[stay] < 0:
        return
    capture = s.capture[s.captured_at[stay]]
    first = capture.first + tile * capture.words
    start = ((tile * s.now[0].bytes) >> 2) + capture.address
    for word in range(capture.words):
        s.captured[first + word] = s.sram[start + word]
