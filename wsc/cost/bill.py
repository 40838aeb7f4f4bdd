"""What energy costs: CO2e and money, from numbers that have a grade."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsc.errors import CompileError
from wsc.isa.fabric import Evidence, FabricError, graded
from wsc.isa.files import read_text

WORLD = Path(__file__).with_name("world.toml")
JOULES = 3.6e6  # of a kilowatt-hour
_LONGEST = 1 << 20  # bytes of a file
_MOST = 1e9  # of any number
_LEAST = {"carbon": 0.0, "price": 0.0, "overhead": 1.0}


@dataclass(frozen=True, slots=True)
class Rates:
    """What a kilowatt-hour costs.

    carbon: grams of CO2e. price: money, in ``currency``. overhead: energy of the building for each
    of its machines, 1 or more. Each has its grade and note; one that a user gives has none.
    """

    carbon: Evidence | float
    price: Evidence | float
    overhead: Evidence | float
    currency: str
    title: str

    def given(self, carbon: float | None, price: float | None) -> Rates:
        """The rates with what a user gives in their place; None leaves the number as it is."""
        return replace(
            self,
            carbon=self.carbon if carbon is None else carbon,
            price=self.price if price is None else price,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: each number with its grade, null of one that was given."""
        found: dict[str, Any] = {"title": self.title, "currency": self.currency}
        for name in _LEAST:
            item = getattr(self, name)
            told = isinstance(item, Evidence)
            found[name] = {
                "value": number(item),
                "grade": item.grade.value if told else None,
                "note": item.note if told else "given",
            }
        return found


@dataclass(frozen=True, slots=True)
class Bill:
    """What some energy costs. joules: of the machines, without the building's share.
    kilowatt_hours: with it. grams: CO2e. money: in the currency of the rates."""

    joules: float
    kilowatt_hours: float
    grams: float
    money: float


def bill(joules: float, rates: Rates) -> Bill:
    """What the energy of machines costs."""
    hours = joules * number(rates.overhead) / JOULES
    return Bill(joules, hours, hours * number(rates.carbon), hours * number(rates.price))


def number(item: Evidence | float) -> float:
    """The number itself."""
    return float(item.value) if isinstance(item, Evidence) else item


def read_rates(path: Path) -> Rates:
    """The rates of a TOML file, of the form of ``wsc/cost/world.toml``.

    Raises:
        CompileError: it cannot be read, lacks a number, or has one that is unknown, out of range
            or without a grade.
    """
    try:
        table = tomllib.loads(read_text(path, _LONGEST))
        title, currency = (str(table.pop(key, "")) for key in ("title", "currency"))
        found = graded(table, "", path)
    except OSError as error:
        raise CompileError(f"{path}: cannot be read ({error.strerror})") from None
    except FabricError as error:
        raise CompileError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise CompileError(f"{path}: no TOML file: {error}") from None
    missing = [key for key in _LEAST if key not in found]
    if missing:
        raise CompileError(f"{path}: the number '{missing[0]}' is missing")
    unknown = [key for key in found if key not in _LEAST]
    if unknown:
        raise CompileError(f"{path}: the number '{unknown[0]}' is not known")
    for key, least in _LEAST.items():
        value = found[key].value
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not math.isfinite(value) or not least <= value <= _MOST:
            raise CompileError(
                f"{path}: '{key}' must be a number of {least:g} to {_MOST:g}; got {value!r}"
            )
    return Rates(found["carbon"], found["price"], found["overhead"], currency, title)
