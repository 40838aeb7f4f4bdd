"""The generated reference is not stale, and names every instruction."""

from wsc.isa.reference import PAGE, reference
from wsc.isa.table import TABLE


def test_the_reference_is_fresh():
    assert PAGE.read_text() == reference(), "stale; python -m wsc.isa.reference makes it anew"


def test_every_instruction_is_in_it():
    for row in TABLE:
        assert f"`{row.name}`" in reference()
