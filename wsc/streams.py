"""Which transfers of the edge belong to a call of main.

It follows from the node that both name, the colors that the called procedure uses, and the order,
which is the same in main and at the edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsc.cost.edge import static_environment
from wsc.isa.code_size import reachable
from wsc.isa.expr import evaluate, names
from wsc.isa.program import Call, If, Loop, Op, Program, Region, Statement, Transfer
from wsc.isa.program import Fabric as Queue
from wsc.isa.statements import calls, statements
from wsc.isa.turns import expanded, plain_transfers

MOST_CALLS = 1 << 20  # that are told apart


def colors_of(body: Iterable[Statement]) -> set[str]:
    """The colors that statements name, called procedures not included."""
    found: set[str] = set()
    for statement in statements(body):
        if isinstance(statement, Op):
            found |= {item.color for item in statement.operands if isinstance(item, Queue)}
            found |= {statement.color} - {None}  # type: ignore[arg-type]
    return found


def call_colors(program: Program) -> dict[str, set[str]]:
    """Procedure -> the colors that it and what it calls use."""
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    own = {name: colors_of(body) for name, body in bodies.items()}
    return {
        name: own[name].union(*(own[other] for other in reachable(body, bodies)))
        for name, body in bodies.items()
    }


def call_transfers(program: Program) -> dict[int, dict[int, int]]:
    """Number of a call -> numbers of its transfers, and how many repetitions of each are for it.

    Calls are numbered through the mains of all regions in the order of the text, transfers in the
    order in which they are played (``wsc.isa.turns.plain_transfers``).
    """
    played = plain_transfers(program)
    colors = call_colors(program)
    numbers = {id(call): number for number, (_, call) in enumerate(all_calls(program))}
    calls: dict[tuple[str, tuple[str, ...]], list[Call]] = {}
    for region in program.regions:
        for call, nodes in _in_turn(program, region, region.main):
            calls.setdefault((region.name, nodes), []).append(call)
    streams: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for number, transfer in enumerate(played):
        streams.setdefault((transfer.region, transfer.nodes), []).append(number)
    found: dict[int, dict[int, int]] = {}
    for key, mine in streams.items():
        used = {played[n].color for n in mine}
        users = [c for c in calls.get(key, []) if used & colors.get(c.procedure, set())]
        parts = _parts(played, mine, len(users)) if users else []
        for place, (transfer, turns) in enumerate(parts):
            user = numbers[id(users[place * len(users) // len(parts)])]
            shares = found.setdefault(user, {})
            shares[transfer] = shares.get(transfer, 0) + turns
    return found


def _parts(played: Sequence[Transfer], transfers: list[int], users: int) -> list[tuple[int, int]]:
    """(transfer, repetitions) of each part: a repetition if there are as many as users."""
    turns = [t.repeat[1] if (t := played[n]).repeat else 1 for n in transfers]
    if sum(turns) == users:
        return [(n, 1) for n, count in zip(transfers, turns, strict=True) for _ in range(count)]
    return list(zip(transfers, turns, strict=True))


def _in_turn(
    program: Program, region: Region, body: Iterable[Statement]
) -> list[tuple[Call, tuple[str, ...]]]:
    """The calls of statements in the order in which they run, each with its nodes.

    Those of a loop stand at each turn, with the nodes that they are for in that turn.

    Both branches of a guard count, and a loop whose turns are not known here as one turn.
    """
    env = static_environment(program, region.width, region.height)
    tables = dict(program.names)
    found: list[tuple[Call, tuple[str, ...]]] = []
    for statement in body:
        if isinstance(statement, Call):
            found.append((statement, statement.nodes))
        elif isinstance(statement, If):
            found += _in_turn(program, region, (*statement.then, *statement.otherwise))
        elif isinstance(statement, Loop):
            inner = _in_turn(program, region, statement.body)
            known = set(names(statement.count)) <= set(env)
            turns = max(int(evaluate(statement.count, env)), 0) if known else 1
            turns = turns if turns * len(inner) <= MOST_CALLS else 1
            for turn in range(turns):
                found += [
                    (call, expanded(nodes, statement.register, turn, tables))
                    for call, nodes in inner
                ]
    return found


def all_calls(program: Program) -> list[tuple[str, Call]]:
    """(region, call) of every call in a main, in the order of the text."""
    return [(region.name, call) for region in program.regions for call in calls(region.main)]
