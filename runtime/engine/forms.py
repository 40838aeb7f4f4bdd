"""What the rows of an instruction have in common, found once for the compiled loops."""

from __future__ import annotations

import numpy as np

from wsc.isa.types import DType
from wsc.runtime.engine.dispatch import ACCUMULATING, LIMITED
from wsc.runtime.engine.kernel_vector import ADD, FABRIC, FMAC, MEMORY
from wsc.runtime.engine.layout import C, F
from wsc.runtime.image import Image
from wsc.runtime.tables import TYPE_INDEX, Col, Kind, Ocol

F16, F32, I32 = (TYPE_INDEX[kind] for kind in (DType.F16, DType.F32, DType.I32))


def forms(image: Image) -> np.ndarray:
    """A row of ``layout.F`` for each row of the code; only those of vector instructions count."""
    code = image.code
    table = np.zeros((max(len(code.rows), 1), len(F)), dtype=np.int64)
    table[:, F.INPUT] = table[:, F.SECOND] = -1
    for number, row in enumerate(code.rows.tolist()):
        if row[Col.KIND] == Kind.VECTOR:
            first = row[Col.OPERANDS]
            operands = code.operands[first : first + row[Col.COUNT]].tolist()
            _describe(table[number], row, operands)
    return table


def _describe(form: np.ndarray, row: list[int], operands: list[list[int]]) -> None:
    memory = [k for k, operand in enumerate(operands) if operand[Ocol.KIND] == MEMORY]
    form[F.OPERANDS] = len(operands)
    form[F.COUNTER] = _counter(row)
    form[F.BYTES] = sum(_touched(row, operands[k], k) for k in memory)
    if row[Col.LEVEL] < 0:
        return
    queues = [k for k, operand in enumerate(operands) if operand[Ocol.KIND] == FABRIC]
    inputs = [k for k in queues if k > 0]
    each = all(operands[k][Ocol.ADVANCE] == row[Col.LEVEL] for k in queues)
    form[F.SIMPLE] = each and row[Col.RANK] <= row[Col.LEVEL] + 1 and len(inputs) <= 2
    if inputs:
        form[F.INPUT] = inputs[0]
    if len(inputs) > 1:
        form[F.SECOND] = inputs[1]
    form[F.EMITS] = 0 in queues
    limited = row[Col.DTYPE] == I32 and LIMITED[row[Col.OPCODE]]
    steady = form[F.SIMPLE] and len(inputs) == 1 and not limited
    form[F.SINK], form[F.PASSES] = steady and 0 not in queues, steady and 0 in queues
    single = row[Col.OPCODE] == FMAC and row[Col.DTYPE] == F32
    inside = row[Col.RANK] > row[Col.LEVEL]
    form[F.AXPY] = single and inside and 0 in memory and len(memory) == 2
    sources = [number for number in memory if number > 0]
    plain = row[Col.OPCODE] == ADD and all(operand[Ocol.TYPE] == F32 for operand in operands)
    form[F.SUM] = form[F.SIMPLE] and plain and not inside and len(inputs) == len(sources) == 1
    form[F.BULK] = form[F.AXPY] and form[F.SIMPLE] and row[Col.LEVEL] > 0 and len(inputs) == 1


def _counter(row: list[int]) -> C:
    """The tile counter that the steps of a vector instruction add to."""
    if row[Col.OPCODE] != FMAC:
        return C.ELEMENTS
    return C.MACS_F16 if row[Col.DTYPE] == F16 else C.MACS_F32


def _touched(row: list[int], operand: list[int], number: int) -> int:
    """Bytes of SRAM that a step reads and writes for an operand in memory."""
    size = 2 if operand[Ocol.TYPE] == F16 else 4
    return 2 * size if number == 0 and ACCUMULATING[row[Col.OPCODE]] else size
