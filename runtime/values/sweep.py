"""Who comes next: column after column, to the east and back, as long as anything can go on."""

from __future__ import annotations

from wsc.runtime.values.compiled import Machine, entry, kernel
from wsc.runtime.values.control import run_thread, split_thread
from wsc.runtime.values.edge import drain
from wsc.runtime.values.records import Mode, Standing
from wsc.runtime.values.routers import route_all, route_listed
from wsc.runtime.values.tasks import ALL, NOTHING, try_task


@kernel
def release_unit(m: Machine, task: int) -> None:
    """A stream unit has done its task: it is free in all rows of it."""
    now, t, owner = m.now[0], m.tasks[task], m.owner
    start = (t.x * now.units + t.unit) * now.height
    for at in range(start + t.y, start + t.end):
        owner[at] = 0
    m.busy[t.x * now.units + t.unit] -= t.end - t.y


@kernel
def run_unit(m: Machine, x: int, unit: int, mode: int) -> bool:
    """Try the tasks that a stream unit has in the rows of a column; whether any did something."""
    now, y, some = m.now[0], 0, False
    start = (x * now.units + unit) * now.height
    while y < now.height and now.fault == 0 and now.left > 0:
        if m.owner[start + y] == 0:
            y += 1
            continue
        task = (x * now.height + y) * now.units + unit
        now.mode = mode
        done = try_task(m, task)
        if done == ALL:
            release_unit(m, task)
        some = some or done != NOTHING
        y = m.tasks[task].end
    return some


@kernel
def run_units(m: Machine, x: int, mode: int) -> bool:
    """Try the tasks of a column's stream units; whether any did something."""
    now, some = m.now[0], False
    for unit in range(1, now.units):
        if m.busy[x * now.units + unit] != 0 and run_unit(m, x, unit, mode):
            some = True
    return some


@kernel
def run_threads(m: Machine, x: int, mode: int) -> bool:
    """Let the threads of a column go on; whether any did."""
    now, some, y = m.now[0], False, 0
    while y < now.height and now.fault == 0 and now.left > 0:
        thread = x * now.height + y
        here = m.threads[thread]
        if here.end == 0:
            y += 1
            continue
        now.mode = mode
        if here.state == Standing.TASK:
            task = thread * now.units
            done = try_task(m, task)
            split_thread(m, thread, m.tasks[task].end)
            some = some or done != NOTHING
            if done == ALL:
                here.state = Standing.RUNS
        if here.state != Standing.TASK and here.state != Standing.HALTED:
            here.state = Standing.RUNS
            if run_thread(m, thread):
                some = True
        y = here.end
    return some


@kernel
def same_state(m: Machine, one: int, other: int) -> bool:
    """Whether two threads can be one: what they will still read is equal."""
    now, a, b = m.now[0], m.threads[one], m.threads[other]
    if a.state != b.state or a.row != b.row or a.frame != b.frame or a.depth != b.depth:
        return False
    if a.state == Standing.TASK or a.region != b.region:
        return False
    if a.top != b.top or a.statement != b.statement:
        return False
    for i in range(a.top):
        if m.regs[one * now.registers + i] != m.regs[other * now.registers + i]:
            return False
    for i in range((a.depth + 1) * now.loops):
        if m.loops[one * now.loop_words + i] != m.loops[other * now.loop_words + i]:
            return False
    for i in range(a.depth):
        first, second = m.frames[one * now.calls + i], m.frames[other * now.calls + i]
        if first.row != second.row or first.frame != second.frame:
            return False
    return True


@kernel
def join_threads(m: Machine, x: int) -> None:
    """Join neighbouring threads of a column that have come to the same state."""
    height, y = m.now[0].height, 0
    while y < height:
        here = m.threads[x * height + y]
        if here.end == 0:
            y += 1
            continue
        if here.end < height:
            below = x * height + here.end
            if m.threads[below].end > 0 and same_state(m, x * height + y, below):
                here.end = m.threads[below].end
                m.threads[below].end = 0
                continue
        y = here.end


@kernel
def visit(m: Machine, x: int, mode: int) -> bool:
    """Let a column go on until it cannot; whether it did anything."""
    now, some = m.now[0], False
    while now.fault == 0 and now.left > 0:
        went = run_units(m, x, mode)
        went = run_threads(m, x, mode) or went
        if m.threads[x * now.height].end < now.height:
            join_threads(m, x)
        # If no thread or task can go on with all of its rows, parts of them may.
        if not went and mode == Mode.WHOLE and now.height > 1:
            went = run_units(m, x, Mode.PARTS)
            went = run_threads(m, x, Mode.PARTS) or went
        if not went:
            break
        some = True
        if mode == Mode.STEPS:
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
    now, some = m.now[0], False
    columns = now.end_column - now.first_column
    while now.place < columns:
        place = now.place if now.turn == 0 else columns - 1 - now.place
        x = now.first_column + place
        if m.dirty[x] != 0 and now.fault == 0:
            m.dirty[x] = 0
            if visit(m, x, mode):
                some = True
            if now.left <= 0:
                m.dirty[x] = 1
                return True
        now.place += 1
    now.place = 0
    now.turn = 1 - now.turn
    return some


@entry
def sweep_on(m: Machine, mode: int) -> bool:
    """Sweep to one side and the other until the work of a turn is done or nothing can go on.

    Whether anything did.
    """
    now, some, idle = m.now[0], False, 0
    while idle < 2 and now.left > 0 and now.fault == 0:
        idle += 1
        if sweep(m, mode):
            some = True
            # Where instructions do single steps, all columns have their turn before the next.
            idle = idle if mode == Mode.STEPS else 0
    return some


@entry
def post(m: Machine, mode: int) -> bool:
    """Do the remote stores to other bands that have waited; whether any could be done.

    No other band runs meanwhile. Each column has one turn.
    """
    now, some = m.now[0], False
    now.posts, now.alone = 0, 1
    for x in range(now.first_column, now.end_column):
        some = run_units(m, x, mode) or some
        some = run_threads(m, x, mode) or some
        m.dirty[x] = 1
    now.alone = 0
    return some
