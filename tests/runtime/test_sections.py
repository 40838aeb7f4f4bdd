"""Sections on all engines: their words take cycles, and wrong ones stop the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.agreement import assert_agree
from wsc import runtime
from wsc.isa.parser import parse

SECTIONS = (Path(__file__).parents[1] / "programs" / "sections.wsa").read_text()
GIVEN = {"a": np.arange(8, dtype=np.float32)}


def test_words_of_code_take_the_cycles_of_a_stream() -> None:
    """Those of weights on the same way: each word one cycle, in each turn of a loop."""
    longer = SECTIONS.replace("i32[12] at 32 size 48", "i32[112] at 32 size 448")
    longer = longer.replace("second : i32[12]", "second : i32[112]").replace("i:12", "i:112")
    # The edge of this fabric feeds four words a cycle, and three columns want one each.
    short, long = (assert_agree(parse(text), GIVEN).cycle for text in (SECTIONS, longer))
    assert long == short + 3 * 100


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The input comes before the code; code of another section, or weights, in its place.
        ("from first[i] for i:9\nfeed ins in all side N from a[i] for i:8", None),
        ("from first[i] for i:9", "from second[i] for i:9"),
        ("from second[i] for i:12", "from first[0] for i:12"),
        ("from second[i] for i:12", "from w[i] for i:12"),
    ],
)
def test_words_that_are_no_code_of_the_section_stop_the_run(old: str, new: str | None) -> None:
    swapped = "from a[i] for i:8\nfeed ins in all side N from first[i] for i:9"
    text = SECTIONS.replace(old, swapped if new is None else new)
    text = text.replace("color ins ", 'input w : i32[12] "int32"\ncolor ins ')
    assert text != SECTIONS
    given = GIVEN | {"w": np.arange(12, dtype=np.int32)}
    assert "where code of section" in assert_agree(parse(text), given, several_faults=True).error


def test_sections_are_free_of_races() -> None:
    run = runtime.run(parse(SECTIONS), GIVEN, check_races=True)
    np.testing.assert_array_equal(run.outputs["r"], GIVEN["a"] * 8)
