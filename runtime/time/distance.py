"""How far a program is from each color: what lets links know that a core stays away from them.

From every row of the code the fewest cycles are found in which a main thread could come to a row
that takes from or puts on a color, over all ways through the innermost loop or procedure around it;
and the fewest in which it could leave that. ``lookahead.color_distance`` adds these up from
inside to outside, with the turns that the loops have still to make.
"""

from __future__ import annotations

import numpy as np

from wsc.isa.table import Timing
from wsc.runtime.clocked.operands import FABRIC
from wsc.runtime.image import Image
from wsc.runtime.tables import CLASS_INDEX, Col, Kind, Ocol, Tcol
from wsc.runtime.time.records import FAR


def distances(image: Image, forms: np.ndarray) -> np.ndarray:
    """Cycles from the start of each row to the first touch of each color, [rows, colors].

    Touches beyond the innermost loop around a row, or beyond its procedure, do not count. The
    fields ``leave``, ``around`` and ``turn`` of ``forms`` are filled in.
    """
    rows = image.code.rows.tolist()
    touch = [_touched(image, row) for row in rows]
    cost = [_cycles(image, row) for row in rows]
    near = np.full((max(len(rows), 1), max(len(image.program.colors), 1)), FAR)
    leave = [FAR] * len(rows)
    changed = True
    while changed:
        before = near.copy(), list(leave)
        for number in range(len(rows) - 1, -1, -1):
            _relax(rows, number, cost[number], touch[number], near, leave)
        changed = leave != before[1] or not np.array_equal(near, before[0])
    forms["leave"][: len(rows)] = leave
    _loops(rows, leave, image.fabric.branch_back_cycles, forms)
    return near.astype(np.int32)


def _relax(
    rows: list[list[int]],
    number: int,
    cost: int,
    touch: tuple[int, list[int]],
    near: np.ndarray,
    leave: list[int],
) -> None:
    """Shorten the ways from a row by those from the rows that may follow it."""
    row = rows[number]
    kind, to = row[Col.KIND], row[Col.BRANCH]
    if kind in (Kind.NEXT, Kind.RETURN, Kind.END):
        leave[number] = FAR if kind == Kind.END else 0
        if kind == Kind.NEXT:
            near[number] = near[to]
        return
    if kind == Kind.JUMP:
        near[number] = np.minimum(near[to] + cost, FAR)
        leave[number] = min(leave[to] + cost, FAR)
        return
    after, out = near[number + 1], leave[number + 1]
    if kind == Kind.CALL:
        after, out = np.minimum(near[to], after + leave[to]), out + leave[to]
    elif kind == Kind.LOOP:
        after, out = np.minimum(after, near[to]), leave[to]  # it may make no turn
    elif kind == Kind.IF:
        after, out = np.minimum(after, near[to]), min(out, leave[to])
    near[number] = np.minimum(after + cost, FAR)
    leave[number] = min(out + cost, FAR)
    startup, colors = touch
    near[number, colors] = np.minimum(near[number, colors], startup)


def _touched(image: Image, row: list[int]) -> tuple[int, list[int]]:
    """The colors that a row takes from or puts on, and after how many cycles at the earliest."""
    place = Tcol.QUEUE if row[Col.LEVEL] >= 0 else 0
    startup = int(image.timing[row[Col.TIMING], place + Tcol.STARTUP])
    if row[Col.KIND] == Kind.CONTROL:
        return startup, [row[Col.COLOR]]
    if row[Col.KIND] != Kind.VECTOR:
        return startup, []
    first = row[Col.OPERANDS]
    operands = image.code.operands[first : first + row[Col.COUNT]]
    colors = operands[operands[:, Ocol.KIND] == FABRIC, Ocol.COLOR]
    return startup, colors.tolist()


def _cycles(image: Image, row: list[int]) -> int:
    """Cycles from the start of a row to that of the next, at least."""
    kind, taken = row[Col.KIND], image.fabric.branch_taken_cycles
    if kind in (Kind.NEXT, Kind.RETURN, Kind.END):
        return 0
    branch = int(image.timing[CLASS_INDEX[Timing.BRANCH], Tcol.STARTUP])
    if kind == Kind.JUMP:
        return max(taken - branch, 0)
    if kind in (Kind.LOOP, Kind.IF):
        return min(taken, branch)  # whichever way it goes
    if kind in (Kind.VECTOR, Kind.SEND) and row[Col.UNIT] > 0:
        return max(image.fabric.issue_cycles, 1)
    place = Tcol.QUEUE if row[Col.LEVEL] >= 0 else 0
    return int(image.timing[row[Col.TIMING], place + Tcol.STARTUP])


def _loops(rows: list[list[int]], leave: list[int], back: int, forms: np.ndarray) -> None:
    """For each row the end of the innermost loop around it; for each end the cycles of a turn."""
    forms["around"] = -1
    for end, row in enumerate(rows):
        if row[Col.KIND] != Kind.NEXT:
            continue
        body = slice(row[Col.BRANCH], end + 1)
        inside = forms["around"][body]
        inside[inside < 0] = end  # loops inside have ended before
        if not any(_assigns(other, row[Col.COUNTER]) for other in rows[row[Col.BRANCH] : end]):
            forms["turn"][end] = leave[row[Col.BRANCH]] + back


def _assigns(row: list[int], register: int) -> bool:
    """Whether a row writes a register of its procedure."""
    if row[Col.KIND] == Kind.LOOP:
        return row[Col.COUNTER] == register
    return row[Col.KIND] in (Kind.SCALAR, Kind.LOAD) and row[Col.TARGET] == register
