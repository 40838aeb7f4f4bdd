"""Which statement of main each tile is in one after the other, where all take the same way."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from wsc.isa.expr import evaluate, names
from wsc.isa.program import If, Loop, Program, Region, Statement
from wsc.runtime.static import static_environment

MOST_STAYS = 1 << 20
Turns = tuple[tuple[str, int], ...]
"""The loops around a stay, outermost first: what counts the turns, and in which one it is."""


def stays_of(program: Program, region: Region, first: int) -> list[int] | None:
    """The statements of a main in the order in which every tile is at them.

    A loop has a stay at its head and one behind each turn. first: number of the first statement;
    they count in the order of the text.

    Returns:
        None where guards or registers decide, or where there are more than ``MOST_STAYS``.
    """
    found = turns_of(program, region, first)
    return None if found is None else [number for number, _ in found]


def turns_of(program: Program, region: Region, first: int) -> list[tuple[int, Turns]] | None:
    """The same, each with the turns of the loops around it."""
    env = static_environment(program, region)
    same = {name: value for name, value in env.items() if name not in ("x", "y")}
    numbers = count(first)

    def walk(body: Iterable[Statement]) -> list[tuple[int, Turns]] | None:
        found: list[tuple[int, Turns]] = []
        for statement in body:
            number = next(numbers)
            found.append((number, ()))
            if isinstance(statement, If):
                return None
            if isinstance(statement, Loop):
                turn = walk(statement.body)
                if turn is None or not set(names(statement.count)) <= set(same):
                    return None
                turns = max(int(evaluate(statement.count, same)), 0) if turn else 0
                if turns * len(turn) + len(found) > MOST_STAYS:
                    return None
                for k in range(turns):
                    place = (statement.register, k)
                    found += [(inner, (place, *around)) for inner, around in turn]
                    found.append((number, ()))
        return found

    return walk(region.main)
