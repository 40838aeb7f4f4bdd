"""Vector instructions: operands captured at issue, rows of steps over SRAM and queues."""

from __future__ import annotations

from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.operands import count_steps, covered, measure, reference
from wsc.runtime.routes import Scol
from wsc.runtime.tables import MAX_DIMS
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
    thread = tile * s.now[0].units + unit
    rank = s.rows[row].rank
    total = count_steps(s, tile, row, unit)
    if total < 0:
        return False
    for k in range(s.rows[row].count):
        operand = s.rows[row].operands + k
        kind = s.operands[operand].kind
        s.unit_slot[thread, k] = -1
        for d in range(MAX_DIMS):
            s.unit_stride[thread, 4 * d + k] = 0
        if kind == MEMORY:
            s.unit_base[thread, k] = reference(s, s.operands[operand].value, tile)
            for d in range(rank):
                stride = reference(s, s.lists[s.operands[operand].strides + d], tile)
                s.unit_stride[thread, 4 * d + k] = stride
            if total > 0 and not covered(s, tile, row, unit, k):
                return False
        elif kind == FABRIC:
            slot = s.slot_of[tile * s.now[0].colors + s.operands[operand].color]
            # The end of the ramp where the operand is: the destination's leads to the router.
            end = Scol.OUTPUT if k == 0 else Scol.INPUT
            queue = -1
            if slot >= 0:
                queue = s.slots[slot].output if k == 0 else s.slots[slot].input
            if queue < 0:
                fault(s, Fault.QUEUE, tile, unit, row, s.operands[operand].color, end)
                return False
            s.unit_slot[thread, k] = slot
    measure(s, row, thread, total)
    return True


@kernel
def account(s: Machine, tile: int, row: int, thread: int, done: int) -> None:
    """Count ``done`` executed steps."""
    form, counters, statement = (
        s.forms[row],
        s.counters[tile],
        s.statements[s.unit[thread].statement],
    )
    counters.sram += done * form.bytes
    statement.elements += done
    if form.counts == Counts.ELEMENTS:
        counters.elements += done
        return
    statement.macs += done
    if form.counts == Counts.MACS_F16:
        counters.macs_f16 += done
    else:
        counters.macs_f32 += done
