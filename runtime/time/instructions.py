"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.clocked.instructions import resume, spend
from wsc.runtime.tables import Kind
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.messages import send_step
from wsc.runtime.time.operands import MOST_AT_ONCE, account
from wsc.runtime.time.records import Mode, Reason


@kernel
def begin(s: Machine, tile: int, unit: int, thread: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    startup = s.timing[s.rows[row].timing].startup
    if s.unit[thread].left == 0:
        s.unit[thread].mode = after
        spend(s, tile, unit, thread, s.unit[thread].length, t)
    elif s.rows[row].kind == Kind.SEND:
        s.unit[thread].mode = Mode.SENDING
        spend(s, tile, unit, thread, startup, t)
    elif s.rows[row].level >= 0 or s.unit[thread].steps * s.unit[thread].left > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        s.unit[thread].mode = Mode.ROWS
        spend(s, tile, unit, thread, startup, t)
    else:
        account(s, tile, row, thread, s.unit[thread].steps * s.unit[thread].left)
        s.unit[thread].mode = after
        spend(s, tile, unit, thread, s.unit[thread].length, t)


@kernel
def step_send(s: Machine, tile: int, unit: int, thread: int, t: int) -> None:
    """Go on with a remote store: the next wavelet of its message, or the next message."""
    u = s.unit[thread]
    resume(s, tile, unit, thread, t)
    send_step(s, tile, unit, thread, u.row, t)
    if u.reason != Reason.NONE:
        return
    if u.left == 0:
        u.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, thread, u.cycles, t)
