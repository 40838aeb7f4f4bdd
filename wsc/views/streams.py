"""Which transfers of the edge belong to a call of main."""

from __future__ import annotations

from wsc.isa.program import Call, Program, Transfer
from wsc.isa.statements import calls
from wsc.isa.turns import plain_transfers


def call_transfers(program: Program) -> dict[int, list[Transfer]]:
    """Number of a call -> the transfers that name it, in the order in which they are played.

    Calls are numbered through the mains of all regions in the order of the text.
    """
    numbers = {
        (region, call.name): number
        for number, (region, call) in enumerate(all_calls(program))
        if call.name
    }
    found: dict[int, list[Transfer]] = {}
    for transfer in plain_transfers(program):
        user = numbers.get((transfer.region, transfer.call))
        if user is not None:
            found.setdefault(user, []).append(transfer)
    return found


def all_calls(program: Program) -> list[tuple[str, Call]]:
    """(region, call) of every call in a main, in the order of the text."""
    return [(region.name, call) for region in program.regions for call in calls(region.main)]
