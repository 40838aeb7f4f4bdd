"""Parts of a concatenation go to their place as soon as they are there.

A long recurrent network computes a part at each step, each in the layout of the step, and joins all
of them at the end. Until then every part would take its own room in each tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from wsc.ir.check import infer
from wsc.ir.graph import Move, Pad, Type
from wsc.ir.layout import Mesh
from wsc.ir.tasks import MoveTask, Task, read, written
from wsc.kernels.index_map import spreads, stays_in_tile

LEAST = 8  # parts of one concatenation


def early(tasks: list[Task], mesh: Mesh) -> list[Task]:
    """The tasks with moves into a common output behind the tasks that give their sources.

    Only moves that stay in their tile change place: others meet, and must follow one another.
    Only where it saves memory: the sources that then die sooner are at least as large in each tile
    as the output that lives longer.
    """
    made: dict[str, int] = {}
    reads: dict[str, list[int]] = {}
    joins: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        for view in read(task):
            reads.setdefault(view.buffer, []).append(number)
        for view in written(task):
            made[view.buffer] = number
            joins.setdefault(view.buffer, []).append(number)
    behind: dict[int, list[int]] = {}
    moved: set[int] = set()
    for numbers in joins.values():
        if len(numbers) >= LEAST and _helps(tasks, numbers, reads, mesh):
            for number in numbers:
                task = tasks[number]
                assert isinstance(task, MoveTask)
                behind.setdefault(made[task.value.buffer], []).append(number)
            moved.update(numbers)
    order = [
        place
        for number in range(len(tasks))
        if number not in moved
        for place in (number, *behind.get(number, ()))
    ]
    return [tasks[number] for number in order] if moved else tasks


def _helps(tasks: list[Task], numbers: list[int], reads: dict[str, list[int]], mesh: Mesh) -> bool:
    """Whether a join's moves may come early, and save memory when they do."""
    moves = [task for n in numbers if isinstance(task := tasks[n], MoveTask) and task.fill is None]
    if len(moves) < len(numbers):
        return False
    # What else reads a part must come before the join; a part of a part would be moved twice.
    sizes = {
        move.value.buffer: times * move.value.local_size
        for move, times in zip(moves, _stands_for(moves), strict=True)
        if max(reads[move.value.buffer]) <= numbers[-1]
    }
    if sum(sizes.values()) < moves[0].out.local_size:
        return False
    return not any(spreads(m, mesh) for m in moves) and all(stays_in_tile(m, mesh) for m in moves)


def _stands_for(moves: Sequence[MoveTask]) -> list[int]:
    """How many parts of a join each move stands for: more than one where the next part of the join
    begins further on, since blocks of keys were left out."""
    found: list[int] = []
    starts: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for move in moves:
        places = [n for n, step in enumerate(move.steps) if isinstance(step, Pad)]
        if len(places) != 1:
            return [1] * len(moves)
        pad, before = move.steps[places[0]], move.steps[: places[0]]
        assert isinstance(pad, Pad)
        given = Type(move.value.dtype, move.value.shape)
        shape = infer(Move(before), (given,)).shape if before else given.shape
        starts.append((pad.low, shape))
    for (low, shape), (behind, _) in pairwise(starts):
        sizes = zip(shape, low, behind, strict=True)
        found.append(max(1, *((after - here) // size for size, here, after in sizes if size)))
    return [*found, 1]
