"""Index arithmetic: affine forms with floor division and remainder, simplified by ranges.

A movement maps a source index to a destination index. Reshapes introduce divisions and
remainders; most of them vanish because the ranges of the variables are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from wsc.isa.expr import Expr, ExprLike, Int, expr


@dataclass(frozen=True, slots=True)
class Var:
    """A variable with its least and greatest value."""

    name: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Quotient:
    """``floor(inner / divisor)``."""

    inner: Ix
    divisor: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """``inner mod divisor``."""

    inner: Ix
    divisor: int


Atom = Var | Quotient | Remainder


@dataclass(frozen=True, slots=True)
class Ix:
    """``constant + sum(coefficient * atom)``; each atom occurs once."""

    terms: tuple[tuple[Atom, int], ...] = ()
    constant: int = 0

    def __add__(self, other: Ix | int) -> Ix:
        if isinstance(other, int):
            return Ix(self.terms, self.constant + other)
        merged = dict(self.terms)
        for atom, coefficient in other.terms:
            merged[atom] = merged.get(atom, 0) + coefficient
        kept = tuple((atom, c) for atom, c in merged.items() if c)
        return Ix(kept, self.constant + other.constant)

    def __mul__(self, factor: int) -> Ix:
        if factor == 0:
            return Ix()
        return Ix(tuple((a, c * factor) for a, c in self.terms), self.constant * factor)

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest value."""
        low = high = self.constant
        for atom, coefficient in self.terms:
            ends = [coefficient * end for end in atom_range(atom)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def coefficient(self, name: str) -> int:
        """Coefficient of a variable outside divisions; 0 if it is not there."""
        return sum(c for a, c in self.terms if isinstance(a, Var) and a.name == name)

    def without(self, name: str) -> Ix:
        """The form less the variable's own term."""
        kept = tuple((a, c) for a, c in self.terms if not (isinstance(a, Var) and a.name == name))
        return Ix(kept, self.constant)

    def variables(self) -> set[str]:
        """Names of all variables."""
        return self.direct() | self.nested()

    def direct(self) -> set[str]:
        """Variables that occur outside divisions."""
        return {a.name for a, _ in self.terms if isinstance(a, Var)}

    def divisors(self, name: str) -> set[int]:
        """What a variable is divided by, directly or within other divisions."""
        found: set[int] = set()
        for atom, _ in self.terms:
            if not isinstance(atom, Var) and name in atom.inner.variables():
                found |= {atom.divisor} | atom.inner.divisors(name)
        return found

    def nested(self) -> set[str]:
        """Variables that occur inside divisions and remainders."""
        return {
            name for a, _ in self.terms if not isinstance(a, Var) for name in a.inner.variables()
        }


def atom_range(atom: Atom) -> tuple[int, int]:
    """Least and greatest value of an atom."""
    if isinstance(atom, Var):
        return atom.low, atom.high
    low, high = atom.inner.range
    if isinstance(atom, Quotient):
        return low // atom.divisor, high // atom.divisor
    return (low, high) if low >= 0 and high < atom.divisor else (0, atom.divisor - 1)


def variable(name: str, low: int, high: int) -> Ix:
    """A variable as an index; one with a single value is that constant."""
    return Ix((), low) if low == high else Ix(((Var(name, low, high), 1),))


def split(form: Ix, divisor: int) -> tuple[Ix, Ix]:
    """form = divisor * multiple + rest, with the rest's constant in [0, divisor)."""
    multiple = tuple((a, c // divisor) for a, c in form.terms if c % divisor == 0)
    rest = tuple((a, c) for a, c in form.terms if c % divisor)
    return Ix(multiple, form.constant // divisor), Ix(rest, form.constant % divisor)


def _parted(form: Ix, divisor: int) -> tuple[int, Ix, Ix] | None:
    """(step, coarse, fine): form = step * coarse + fine with 0 <= fine < step, which divides.

    Of such steps the largest; None if there is none larger than one.
    """
    steps = {gcd(c, divisor) for _, c in form.terms}
    for step in sorted(steps - {1}, reverse=True):
        coarse, fine = split(form, step)
        low, high = fine.range
        if coarse.terms and low >= 0 and high < step:
            return step, coarse, fine
    return None


def within(form: Ix, low: int, high: int) -> tuple[Ix, int, int]:
    """(form, low, high) that says the same of fewer variables: low <= form < high."""
    shift = form.constant
    plain, step = form + -shift, gcd(low - shift, high - shift)
    parted = _parted(plain, step) if step > 1 else None
    if parted is None:
        return form, low, high
    step, coarse, _ = parted
    return coarse, (low - shift) // step, (high - shift) // step


def quotient(form: Ix, divisor: int) -> Ix:
    """``floor(form / divisor)``, simplified."""
    if divisor == 1:
        return form
    multiple, rest = split(form, divisor)
    low, high = rest.range
    if low // divisor == high // divisor:
        return multiple + low // divisor
    parted = _parted(rest, divisor)
    if parted is not None:
        step, coarse, _ = parted
        return multiple + quotient(coarse, divisor // step)
    return multiple + Ix(((Quotient(rest, divisor), 1),))


def remainder(form: Ix, divisor: int) -> Ix:
    """``form mod divisor``, simplified."""
    if divisor == 1:
        return Ix()
    _, rest = split(form, divisor)
    low, high = rest.range
    if low // divisor == high // divisor:
        return rest + -(low // divisor) * divisor
    parted = _parted(rest, divisor)
    if parted is not None:
        step, coarse, fine = parted
        return remainder(coarse, divisor // step) * step + fine
    return Ix(((Remainder(rest, divisor), 1),))


def to_expr(form: Ix, names: Mapping[str, ExprLike]) -> Expr:
    """The form as an operand expression over ``names``."""
    total: Expr = Int(0)
    for atom, coefficient in form.terms:
        if isinstance(atom, Var):
            node = expr(names[atom.name])
        elif isinstance(atom, Quotient):
            node = to_expr(atom.inner, names) // atom.divisor
        else:
            node = to_expr(atom.inner, names) % atom.divisor
        total = total + node * coefficient
    return total + form.constant
