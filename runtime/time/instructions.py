"""What a unit does in a cycle: rows of vector instructions, sends, control wavelets."""

from __future__ import annotations

from wsc.runtime.clocked.instructions import resume, spend
from wsc.runtime.clocked.operands import startup
from wsc.runtime.tables import Col, Kind
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.messages import send_step
from wsc.runtime.time.operands import MOST_AT_ONCE, account
from wsc.runtime.time.records import Mode, Reason


@kernel
def begin(s: Machine, tile: int, unit: int, me: int, row: int, t: int) -> None:
    """Start a captured vector instruction in cycle t."""
    u = s.unit
    after = Mode.FETCH if unit == 0 else Mode.FINISH
    first = startup(s, row)
    if u[me].left == 0:
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)
    elif s.rows[row, Col.KIND] == Kind.SEND:
        u[me].mode = Mode.SENDING
        spend(s, tile, unit, me, first, t)
    elif s.rows[row, Col.LEVEL] >= 0 or u[me].steps * u[me].left > MOST_AT_ONCE:
        # Very long instructions go row by row even without queues, so that an interrupt and the
        # limit of cycles are heard; that takes as long, and no program free of races can tell.
        u[me].mode = Mode.ROWS
        spend(s, tile, unit, me, first, t)
    else:
        account(s, tile, row, me, u[me].steps * u[me].left)
        u[me].mode = after
        spend(s, tile, unit, me, u[me].length, t)


@kernel
def step_send(s: Machine, tile: int, unit: int, me: int, t: int) -> None:
    """Go on with a remote store: the next wavelet of its message, or the next message."""
    u = s.unit[me]
    resume(s, tile, unit, me, t)
    send_step(s, tile, unit, me, u.row, t)
    if u.reason != Reason.NONE:
        return
    if u.left == 0:
        u.mode = Mode.FETCH if unit == 0 else Mode.FINISH
    spend(s, tile, unit, me, u.cycles, t)
