"""Who comes next: column after column, to the east and back, as long as anything can go on."""

from __future__ import annotations

from wsc.runtime.values.compiled import Machine, entry, kernel
from wsc.runtime.values.control import HALTED, RUNS, TASK, run_thread, split_thread
from wsc.runtime.values.edge import drain
from wsc.runtime.values.records import Mode
from wsc.runtime.values.routers import route_all, route_listed
from wsc.runtime.values.tasks import try_task

STEPS = int(Mode.STEPS)


@kernel
def release_unit(m: Machine, x: int, unit: int, y: int, end: int) -> None:
    """A stream unit is free in some rows."""
    start = (x * m.now[0].units + unit) * m.now[0].height
    owner = m.owner
    for at in range(start + y, start + end):
        owner[at] = 0
    m.busy[x * m.now[0].units + unit] -= end - y


@kernel
def run_units(m: Machine, x: int, mode: int) -> bool:
    """Try the tasks of a column's stream units; whether any did something."""
    now, height, some = m.now, m.now[0].height, False
    for unit in range(1, now[0].units):
        if m.busy[x * now[0].units + unit] == 0:
            continue
        start, y = (x * now[0].units + unit) * height, 0
        while y < height and now[0].fault == 0 and now[0].left > 0:
            if m.owner[start + y] == 0:
                y += 1
                continue
            task = (x * height + y) * now[0].units + unit
            now[0].mode = mode
            done = try_task(m, task, unit, x)
            end = m.tasks[task].end
            if done == 2:
                release_unit(m, x, unit, y, end)
            some = some or done > 0
            y = end
    return some


@kernel
def run_threads(m: Machine, x: int, mode: int) -> bool:
    """Let the threads of a column go on; whether any did."""
    now, height, some, y = m.now, m.now[0].height, False, 0
    while y < height and now[0].fault == 0 and now[0].left > 0:
        thread = x * height + y
        if m.threads[thread].end == 0:
            y += 1
            continue
        state = m.threads[thread].state
        now[0].mode = mode
        if state == TASK:
            task = thread * now[0].units
            done = try_task(m, task, 0, x)
            split_thread(m, thread, m.tasks[task].end)
            some = some or done > 0
            if done == 2:
                m.threads[thread].state = state = RUNS
        if state != TASK and state != HALTED:
            m.threads[thread].state = RUNS
            if run_thread(m, thread):
                some = True
        y = m.threads[thread].end
    return some


@kernel
def same_state(m: Machine, one: int, other: int) -> bool:
    """Whether two threads can be one: what they will still read is equal."""
    a, b = m.threads[one], m.threads[other]
    if a.state != b.state or a.row != b.row or a.frame != b.frame or a.depth != b.depth:
        return False
    if a.state == TASK or a.region != b.region or a.top != b.top or a.statement != b.statement:
        return False
    for register in range(a.top):
        if (
            m.regs[one * m.now[0].registers + register]
            != m.regs[other * m.now[0].registers + register]
        ):
            return False
    for at in range((a.depth + 1) * m.now[0].loops):
        if m.loops[one * m.now[0].loop_words + at] != m.loops[other * m.now[0].loop_words + at]:
            return False
    for at in range(2 * a.depth):
        if m.frames[one * m.now[0].frame_words + at] != m.frames[other * m.now[0].frame_words + at]:
            return False
    return True


@kernel
def join_threads(m: Machine, x: int) -> None:
    """Join neighbouring threads of a column that have come to the same state."""
    height, y = m.now[0].height, 0
    while y < height:
        one = x * height + y
        end = m.threads[one].end
        if end == 0:
            y += 1
            continue
        if end < height:
            other = x * height + end
            if m.threads[other].end > 0 and same_state(m, one, other):
                m.threads[one].end = m.threads[other].end
                m.threads[other].end = 0
                continue
        y = end


@kernel
def visit(m: Machine, x: int, mode: int) -> bool:
    """Let a column go on until it cannot; whether it did anything."""
    some = False
    while m.now[0].fault == 0 and m.now[0].left > 0:
        went = run_units(m, x, mode)
        went = run_threads(m, x, mode) or went
        if m.threads[x * m.now[0].height].end < m.now[0].height:
            join_threads(m, x)
        if not went and mode == 0 and m.now[0].height > 1:
            went = run_units(m, x, 1)
            went = run_threads(m, x, 1) or went
        if not went:
            break
        some = True
        if mode == STEPS:
            break
    return some


@entry
def serve_edge(m: Machine) -> bool:
    """Routers, guided ports and drains; whether any did something."""
    some = route_all(m)
    for queue in range(m.now[0].edge_queues):
        if drain(m, queue):
            some = True
    return some


@entry
def serve_routers(m: Machine) -> bool:
    """Routers that a band has given something to do; whether any did something."""
    return route_listed(m)


@entry
def sweep(m: Machine, mode: int) -> bool:
    """Visit the columns of a band that may have something to do, to one side; whether they had.

    It ends at the band's last column, or when its work is done: the next one goes on there. Turns
    go to the east and back.
    """
    now, some = m.now, False
    columns = now[0].end_column - now[0].first_column
    while now[0].place < columns:
        place = now[0].place if now[0].turn == 0 else columns - 1 - now[0].place
        x = now[0].first_column + place
        if m.dirty[x] != 0 and now[0].fault == 0:
            m.dirty[x] = 0
            if visit(m, x, mode):
                some = True
            if now[0].left <= 0:
                m.dirty[x] = 1
                return True
        now[0].place += 1
    now[0].place = 0
    now[0].turn = 1 - now[0].turn
    return some


@entry
def post(m: Machine, mode: int) -> bool:
    """Do the remote stores to other bands that have waited; whether any could be done.

    No other band runs meanwhile. Each column has one turn.
    """
    now, some = m.now, False
    now[0].posts, now[0].alone = 0, 1
    for x in range(now[0].first_column, now[0].end_column):
        some = run_units(m, x, mode) or some
        some = run_threads(m, x, mode) or some
        m.dirty[x] = 1
    now[0].alone = 0
    return some
