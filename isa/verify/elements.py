"""Whether the ends of each stream have one element type.

A wavelet is the bits of one element, and nothing on its way converts it: what a color is fed as
i32 and an instruction takes as f32 would be another number. Here each color is looked at as a
whole. Where it has several types at both of its ends, counts by type tell more (``streams.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from wsc.isa.program import Direction, Op, Queue, Transfer
from wsc.isa.types import DType
from wsc.isa.verify.context import Context
from wsc.isa.verify.tiles import Site, element_type

ONE_TYPE = "the ends of a stream have one element type"

Users = dict[DType, Op | Transfer]  # the first that uses a color as each type


def types(context: Context, code: list[Site]) -> None:
    """Each color is taken as the types that are put into it. Reports one place of a color."""
    put, taken = _users(context, code)
    for color in put.keys() & taken.keys():
        if set(put[color]) != set(taken[color]):
            _say(context, color, put[color], taken[color])


def _users(context: Context, code: list[Site]) -> tuple[dict[str, Users], dict[str, Users]]:
    """Color -> what puts elements of each type into it; and the same of what takes them."""
    put: dict[str, Users] = {}
    taken: dict[str, Users] = {}
    for site in code:
        if not site.reach.mask.any():
            continue
        for index, operand in enumerate(site.op.operands):
            if isinstance(operand, Queue):
                users = (taken if index else put).setdefault(operand.color, {})
                users.setdefault(element_type(site.op, index), site.op)
    for transfer in context.transfers:
        feeds = transfer.direction is Direction.FEED
        users = (put if feeds else taken).setdefault(transfer.color, {})
        users.setdefault(context.edge_tensor(transfer).dtype, transfer)
        if transfer.lookup is not None:
            # The numbers of rows are integers.
            taken.setdefault(transfer.lookup.color, {}).setdefault(DType.I32, transfer)
    return put, taken


def _say(context: Context, color: str, put: Users, taken: Users) -> None:
    """Tell of the first taker of a type that nobody puts, or else of what nobody takes."""
    wrong = [dtype for dtype in taken if dtype not in put]
    if wrong:
        user = taken[wrong[0]]
        message = f"this takes {wrong[0].value} from '{color}', and {_ways(put)} put into it"
    else:
        missed = [dtype for dtype in put if dtype not in taken]
        user = put[missed[0]]
        message = f"this puts {missed[0].value} into '{color}', and {_ways(taken)} taken from it"
    context.say(f"{message}: {ONE_TYPE}", user, color)


def _ways(users: Mapping[DType, Op | Transfer]) -> str:
    """``f32 (line 4) and i32 (line 9) are``, for those whose lines are known."""
    lines = [
        f"{dtype.value} (line {user.where.line})" if user.where.line else dtype.value
        for dtype, user in users.items()
    ]
    return f"{' and '.join(lines)} {'are' if len(lines) > 1 else 'is'}"
