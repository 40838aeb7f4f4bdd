"""What energy costs, and the files that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsc.cost.bill import WORLD, bill, number, read_rates
from wsc.errors import CompileError

PLAIN = {
    "carbon": '{ value = 400, grade = "A" }',
    "price": '{ value = 0.1, grade = "S", note = "of a bill" }',
    "overhead": '{ value = 1.5, grade = "A" }',
}


def file(path: Path, **changes: str) -> Path:
    """A file of rates with other lines."""
    lines = {**PLAIN, **changes}
    path.write_text("".join(f"{key} = {text}\n" for key, text in lines.items() if text))
    return path


def test_a_kilowatt_hour_of_machines(tmp_path: Path) -> None:
    found = bill(3.6e6, read_rates(file(tmp_path / "r.toml")))
    assert (found.kilowatt_hours, found.grams) == (1.5, 600.0)
    assert found.money == pytest.approx(0.15)


def test_what_is_given_takes_the_place_of_the_files() -> None:
    rates = read_rates(WORLD).given(0.0, None)
    told = rates.as_dict()
    assert bill(1e9, rates).grams == 0.0
    assert number(rates.price) == told["price"]["value"]
    assert (told["carbon"]["grade"], told["price"]["grade"]) == (None, "S")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price": ""}, "the number 'price' is missing"),
        ({"prize": PLAIN["price"]}, "the number 'prize' is not known"),
        ({"price": "0.1"}, "'price' must be a table"),
        ({"price": "{ value = 1 }"}, "'price' needs a grade"),
        ({"price": '{ value = -1, grade = "A" }'}, "'price' must be a number of 0 to 1e"),
        ({"price": '{ value = nan, grade = "A" }'}, "'price' must be a number of 0 to 1e"),
        ({"price": '{ value = true, grade = "A" }'}, "'price' must be a number of 0 to 1e"),
        ({"overhead": '{ value = 0.9, grade = "A" }'}, "'overhead' must be a number of 1 to 1e"),
        ({"price": "}"}, "no TOML file"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    path = file(tmp_path / "r.toml", **changes)
    with pytest.raises(CompileError, match=rf"r\.toml: {message}"):
        read_rates(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="cannot be read"):
        read_rates(tmp_path / "none.toml")
