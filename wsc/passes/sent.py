"""What blocks of attention read is on its way while the core computes.

All tiles of a column read what a few of them have of a block. It comes to the tile in the middle,
as messages, and from there to all. A stream unit of each tile sends the messages of the next such
move as soon as the one before is through, and the core goes on with what it has.

What is sent goes to where nothing has been since the broadcast before: who has taken that knows
that its root is done with what was there. One such move is on its way at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from wsc.ir.layout import Mesh
from wsc.ir.tasks import MoveTask, Task, read, written
from wsc.kernels.index_map import spreads
from wsc.kernels.movement import in_stages


def within(tasks: Sequence[Task], mesh: Mesh) -> list[Task]:
    """The tasks of a block with the second of its moves to whole lines sent behind the first.

    They stay as they are where there are no two along one axis, or where the block itself
    computes what the second one moves.
    """
    found = _first(tasks, mesh)
    if found is None or _rewritten(tasks):
        return [*tasks]
    place, first = found
    axis = spreads(first, mesh)
    others = [
        (number, task)
        for number, task in enumerate(tasks)
        if number > place
        and isinstance(task, MoveTask)
        and _in_two(task, mesh)
        and spreads(task, mesh) == axis
    ]
    if not others:
        return [*tasks]
    # The longest of them; others, of a word or so for each row, stay as they are.
    chosen, second = max(others, key=lambda other: (_bytes(other[1]), -other[0]))
    needed = _makers(tasks, chosen)
    if needed is None or place in needed:
        return [*tasks]
    sends, takes = in_stages(second, mesh)
    head = [number for number in range(place) if number not in needed]
    rest = [number for number in range(place + 1, len(tasks)) if number not in needed]
    return [
        *(tasks[number] for number in sorted({*head, *needed})),
        first,
        sends,
        *(takes if number == chosen else tasks[number] for number in rest),
    ]


def across(tasks: Sequence[Task], begin: int, before: int, mesh: Mesh) -> tuple[list[Task], int]:
    """All tasks with the first move of a block sent during the block before, and where that is.

    begin: the first task of the block. before: that of the block before, which ends there. The
    move is sent behind the last one of that block that is made in two stages. The place is the
    number of tasks, and the tasks stay as they are, where there is none, or where what it moves
    is not yet there.
    """
    found = _first(tasks[begin:], mesh)
    places = [
        place
        for place in range(before, begin)
        if isinstance(task := tasks[place], MoveTask) and task.stage == "take"
    ]
    if found is None or not places:
        return [*tasks], len(tasks)
    place, first = found
    last = tasks[places[-1]]
    assert isinstance(last, MoveTask)
    read_there = {view.buffer for view in read(first)}
    # Where the block before needs what its own first move brought until its end, both would take
    # room at a time.
    held = next(task for task in tasks[before:] if _in_lines(task, mesh))
    assert isinstance(held, MoveTask)
    rest = {view.buffer for task in tasks[places[-1] + 1 : begin] for view in read(task)}
    if held.out.buffer in rest:
        return [*tasks], len(tasks)
    between = tasks[places[-1] : begin + place]
    made = {view.buffer for task in between for view in written(task)}
    if spreads(first, mesh) != spreads(last, mesh) or made & read_there:
        return [*tasks], len(tasks)
    sends, takes = in_stages(first, mesh)
    at = places[-1] + 1
    number = begin + place
    return [*tasks[:at], sends, *tasks[at:number], takes, *tasks[number + 1 :]], at


def _bytes(move: MoveTask) -> int:
    """What a tile gets of a move."""
    return move.out.local_size * move.out.dtype.bytes


def _first(tasks: Sequence[Task], mesh: Mesh) -> tuple[int, MoveTask] | None:
    """The first move to whole lines, and its place."""
    for number, task in enumerate(tasks):
        if isinstance(task, MoveTask) and _in_two(task, mesh):
            return number, task
    return None


def _in_lines(task: Task, mesh: Mesh) -> bool:
    """Whether a task is a move from which whole lines get what only some have."""
    return isinstance(task, MoveTask) and task.stage != "send" and bool(spreads(task, mesh))


def _in_two(move: MoveTask, mesh: Mesh) -> bool:
    """Whether a move can be made in two stages."""
    return not move.stage and move.waits and len(in_stages(move, mesh)) > 1


def _rewritten(tasks: Sequence[Task]) -> bool:
    """Whether several tasks write one buffer: then they have an order of their own."""
    counts = Counter(buffer for task in tasks for buffer in {v.buffer for v in written(task)})
    return any(count > 1 for count in counts.values())


def _makers(tasks: Sequence[Task], chosen: int) -> set[int] | None:
    """The moves in front of a task by which its operands are there; None if it takes more."""
    made = {view.buffer: n for n, task in enumerate(tasks) for view in written(task)}
    found: set[int] = set()
    open_ = [chosen]
    while open_:
        for view in read(tasks[open_.pop()]):
            maker = made.get(view.buffer)
            if maker is None or maker in found:
                continue
            if maker >= chosen or not isinstance(tasks[maker], MoveTask):
                return None
            found.add(maker)
            open_.append(maker)
    return found
