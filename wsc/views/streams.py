"""Which transfers of the edge belong to a call of main."""

from __future__ import annotations

from wsc.isa.program import Call, Program
from wsc.isa.statements import calls
from wsc.isa.turns import plain_transfers


def call_transfers(program: Program) -> dict[int, list[int]]:
    """Number of a call -> numbers of the transfers that name it.

    Calls are numbered through the mains of all regions in the order of
    the text, transfers in the order in which they are played
    (``wsc.isa.turns.plain_transfers``).
    """
    numbers = {
        (region, call.name): number
        for number, (region, call) in enumerate(all_calls(program))
        if call.name
    }
    found: dict[int, list[int]] = {}
    for number, transfer in enumerate(plain_transfers(program)):
        user = numbers.get((transfer.region, transfer.call))
        if user is not None:
            found.setdefault(user, []).append(number)
    return found


def all_calls(program: Program) -> list[tuple[str, Call]]:
    """(region, call) of every call in a main, in the order of the text."""
    return [(region.name, call) for region in program.regions for call in calls(region.main)]
