"""Vector instructions: operands captured at issue, rows of steps over SRAM and queues."""

from __future__ import annotations

from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.operands import count_steps, covered, measure, reference
from wsc.runtime.tables import MAX_DIMS, Col, Ocol
from wsc.runtime.time.compiled import Machine, kernel
from wsc.runtime.time.records import Counts, Fault

MEMORY, FABRIC, INTEGER, REAL = 0, 1, 2, 3
MOST_AT_ONCE = 1 << 20  # steps of an instruction that is executed whole when it starts


@kernel
def capture(s: Machine, tile: int, row: int, unit: int) -> bool:
    """Evaluate extents, addresses, strides and scalars of an instruction into a unit.

    Returns:
        Whether all is well; otherwise a fault is noted.
    """
    rows = s.rows
    me = tile * s.now[0].units + unit
    rank = rows[row, Col.RANK]
    total = count_steps(s, tile, row, unit)
    if total < 0:
        return False
    for k in range(rows[row, Col.COUNT]):
        operand = rows[row, Col.OPERANDS] + k
        kind = s.operands[operand, Ocol.KIND]
        s.unit_slot[me, k] = -1
        for d in range(MAX_DIMS):
            s.unit_stride[me, 4 * d + k] = 0
        if kind == MEMORY:
            s.unit_base[me, k] = reference(s, s.operands[operand, Ocol.VALUE], tile)
            for d in range(rank):
                stride = reference(s, s.lists[s.operands[operand, Ocol.STRIDES] + d], tile)
                s.unit_stride[me, 4 * d + k] = stride
            if total > 0 and not covered(s, tile, row, unit, k):
                return False
        elif kind == FABRIC:
            slot = s.slot_of[tile * s.now[0].colors + s.operands[operand, Ocol.COLOR]]
            column = 8 if k == 0 else 7
            if slot < 0 or s.slots[slot, column] < 0:
                color = s.operands[operand, Ocol.COLOR]
                fault(s, Fault.QUEUE, tile, unit, row, color, column)
                return False
            s.unit_slot[me, k] = slot
    measure(s, row, me, total)
    return True


@kernel
def account(s: Machine, tile: int, row: int, me: int, done: int) -> None:
    """Count ``done`` executed steps."""
    form, counters, statement = s.forms[row], s.counters[tile], s.statements[s.unit[me].statement]
    counters.sram += done * form.bytes
    statement.elements += done
    if form.counts == Counts.ELEMENTS:
        counters.elements += done
        return
    macs = done * form.macs
    statement.macs += macs
    if form.counts == Counts.MACS_F16:
        counters.macs_f16 += macs
    else:
        counters.macs_f32 += macs
