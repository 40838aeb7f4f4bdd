"""What the rows of an instruction have in common, found once for the compiled loops."""

from __future__ import annotations

import numpy as np

from wsc.runtime.clocked.operands import FABRIC
from wsc.runtime.image import Image
from wsc.runtime.tables import Col, Kind, Ocol
from wsc.runtime.time.records import FORM


def forms(image: Image) -> np.ndarray:
    """A ``FORM`` for each row of the code; only those of vector instructions count."""
    code = image.code
    table = np.zeros(max(len(code.rows), 1), FORM)
    table["input"] = table["second"] = -1
    for number, row in enumerate(code.rows.tolist()):
        if row[Col.KIND] == Kind.VECTOR:
            first = row[Col.OPERANDS]
            operands = code.operands[first : first + row[Col.COUNT]].tolist()
            _describe(table[number], row, operands)
    return table


def _describe(form: np.void, row: list[int], operands: list[list[int]]) -> None:
    if row[Col.LEVEL] < 0:
        return
    queues = [k for k, operand in enumerate(operands) if operand[Ocol.KIND] == FABRIC]
    inputs = [k for k in queues if k > 0]
    each = all(operands[k][Ocol.ADVANCE] == row[Col.LEVEL] for k in queues)
    form["simple"] = each and row[Col.RANK] <= row[Col.LEVEL] + 1 and len(inputs) <= 2
    if inputs:
        form["input"] = inputs[0]
    if len(inputs) > 1:
        form["second"] = inputs[1]
    form["emits"] = 0 in queues
    steady = form["simple"] and len(inputs) == 1
    form["sink"], form["passes"] = steady and 0 not in queues, steady and 0 in queues
